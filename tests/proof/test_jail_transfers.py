# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways out through programs that transfer files: paths, links, races, and what else could be asked of them."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import jail_scene
import pytest
from jail_scene import WORK, Scene
from plugin import Proof

pytestmark = pytest.mark.role("sshd_jail")
scene = jail_scene.scene  # where pytest looks for it, also from a scenario that takes over all of this module

RACE_SECONDS = 4
CONFINED = ["sftp", "rsync", "jail"]
# Nobody but root reads these, so that having fetched anything of them is too much.
SHUT = ("/etc/shadow", "/proc/1/root/etc/shadow")


def host_file(scene: Scene, name: str) -> str:
    """A word of the host's own /etc/passwd that no confined person's has: the entry of somebody else."""
    return f"\n{scene.others(name)[0]}:x:"


def leaked(folder: Path, word: str) -> list[str]:
    """What lies in the folder and has the word, or is of another home."""
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and word in f"\n{path.read_text(errors='replace')}"
    ]


def judge_leaks(proof: Proof, name: str, folder: Path, word: str, shown: bool, tried: int) -> None:
    """shown: the same attempts worked for somebody with a full shell."""
    found = leaked(folder / name, word)
    for path in found:
        proof.broken(f"{name} fetched {path}")
    if proof.seen["BROKEN"]:
        return
    if shown:
        proof.held(f"{name}: {tried} ways")
    else:
        proof.not_tested(f"{name}: the same brought nothing to somebody with a full shell")


@pytest.mark.control(
    "access profiles", "sftp of {profile} reads /etc/passwd, /etc/shadow, homes of others: absolute, `..`, links"
)
@pytest.mark.parametrize("profile", CONFINED)
def test_sftp_paths(scene: Scene, proof: Proof, tmp_path: Path, profile: str) -> None:
    name, free = scene.need(profile, "shell")
    word = host_file(scene, name)
    home = scene.target.people[scene.others(name)[0]]["home"]
    for one in (name, free):
        folder = tmp_path / one
        folder.mkdir()
        up = "../" * 8
        places = [
            "/etc/passwd", f"{up}etc/passwd", "/proc/1/root/etc/passwd", "/proc/self/root/etc/passwd",
            f"{WORK}/file", f"{WORK}/folder/passwd", f"{WORK}/up/etc/passwd", f"{home}/.profile", *SHUT,
        ]  # fmt: skip
        lines = [f"-mkdir {WORK}", f"-symlink /etc/passwd {WORK}/file", f"-symlink /etc {WORK}/folder"]
        lines += [f"-symlink {up} {WORK}/up"]
        lines += [f"-get {place} {folder / str(number)}" for number, place in enumerate(places)]
        lines += [f"-rm {WORK}/{link}" for link in ("file", "folder", "up")] + [f"-rmdir {WORK}"]
        done = scene.client(
            *scene.target.transfer_words("sftp", one),
            "-b",
            "-",
            scene.target.address,
            typed="\n".join([*lines, "pwd\n"]),
        )
        if "Remote working directory" not in done.stdout:
            pytest.skip(f"sftp of {one} fails altogether: {done.stderr.strip()[-150:]}")
    shown = bool(leaked(tmp_path / free, word))
    fetched = {place for number, place in enumerate(places) if (tmp_path / name / str(number)).exists()}
    for place in sorted(fetched & {*SHUT, f"{home}/.profile"}):
        proof.broken(f"{name} fetched {place}")
    judge_leaks(proof, name, tmp_path, word, shown, len(places))


@pytest.mark.control("access profiles", "rsync of {profile} reads /etc/passwd: absolute, `..`, links followed")
@pytest.mark.parametrize("profile", ["rsync", "jail"])
def test_rsync_paths(scene: Scene, proof: Proof, tmp_path: Path, profile: str) -> None:
    name, free = scene.need(profile, "shell")
    if shutil.which("rsync") is None:
        pytest.skip("rsync is not installed on the machine of the prover")
    word, up = host_file(scene, name), "../" * 8
    attempts = [
        ([], "/etc/passwd"), ([], f"{up}etc/passwd"), ([], "/proc/1/root/etc/passwd"), (["-s"], "/etc/pass*"),
        (["-rL"], f"{WORK}/links/"), (["-r", "--copy-unsafe-links"], f"{WORK}/links/"), (["-rk"], f"{WORK}/links/"),
    ]  # fmt: skip
    links = tmp_path / "links"
    links.mkdir()
    (links / "file").symlink_to("/etc/passwd")
    (links / "folder").symlink_to("/etc")
    (links / "root").symlink_to("/proc/1/root/etc/passwd")
    for one in (name, free):
        (tmp_path / one).mkdir()
        words = scene.target.transfer_words("rsync", one)
        sent = scene.client(*words, "-rl", "--mkpath", f"{links}/", f"{scene.target.address}:{WORK}/links/")
        if sent.returncode:
            pytest.skip(f"{one} cannot send links: {sent.stderr.strip()[-150:]}")
        for number, (options, place) in enumerate(attempts):
            bounded = [
                "--max-size=100k",
                "--include=*/",
                "--include=passwd",
                "--include=file",
                "--include=root",
                "--exclude=*",
            ]
            bounded = bounded if "-r" in "".join(options) else []
            scene.client(
                *words,
                *options,
                *bounded,
                f"{scene.target.address}:{place}",
                f"{tmp_path / one / str(number)}",
                seconds=30,
            )
    scene.ask("jail_clean", people=[name, free])
    shown = bool(leaked(tmp_path / free, word))
    judge_leaks(proof, name, tmp_path, word, shown, len(attempts))


@pytest.mark.control("access profiles", "rsync of {profile} is raced: a directory and a link to /etc change places")
@pytest.mark.parametrize("profile", ["rsync", "jail"])
def test_rsync_race(scene: Scene, proof: Proof, tmp_path: Path, profile: str) -> None:
    [name] = scene.need(profile)
    if shutil.which("rsync") is None:
        pytest.skip("rsync is not installed on the machine of the prover")
    word = host_file(scene, name)
    scene.target.start("race", "jail_race", role="sshd_jail", timeout=60, person=name, seconds=RACE_SECONDS)
    (tmp_path / name).mkdir()
    words = scene.target.transfer_words("rsync", name)
    fetched, end = 0, time.monotonic() + RACE_SECONDS
    while time.monotonic() < end:
        place = f"{scene.target.address}:{WORK}/race/passwd"
        done = scene.client(*words, "-L", "--copy-unsafe-links", place, f"{tmp_path / name / str(fetched)}")
        fetched += done.returncode == 0
    raced = scene.target.result("race")
    scene.ask("jail_clean", people=[name])
    if not fetched:
        pytest.skip("rsync fetched nothing at all")
    judge_leaks(proof, name, tmp_path, word, raced["leaks"], fetched)


COMMANDS = {
    "sftp": ["id", "sh -c id", "/usr/lib/openssh/sftp-server; id", "scp -S /bin/sh x y:z", "rsync --server . ."],
    "rsync": [
        "id", "rsync --server; id", "rsync --server --daemon .", "rsync --server --daemon --config=/dev/stdin .",
        "rsync -e id localhost:x y", "scp -S /bin/sh x y:z", "scp -t .", "bash", "/usr/lib/openssh/sftp-server -h; id",
        "rsync --server --sender -e.LsfxCIvu . $(id)", "sh -c 'rsync --server'",
    ],
}  # fmt: skip


@pytest.mark.control(
    "access profiles", "somebody with {profile} runs something else: shell, scp -S, a daemon's settings"
)
@pytest.mark.parametrize("profile", ["sftp", "rsync"])
def test_other_commands(scene: Scene, proof: Proof, profile: str) -> None:
    name, free = scene.need(profile, "shell")
    for command in COMMANDS[profile]:
        for options in ((), ("-tt",)):
            done = scene.client(*scene.target.ssh_words(name, *options), command, typed="id\nexit\n", seconds=10)
            if "uid=" in done.stdout:
                proof.broken(f"{name} ran {command!r}: {done.stdout.strip()[:80]}")
    shown = scene.target.run_as(free, "id").stdout
    if "uid=" not in shown:
        pytest.skip(f"{free}, who has a full shell, cannot run id either")
    proof.held(f"{name}: {len(COMMANDS[profile])} commands, with and without a terminal")
