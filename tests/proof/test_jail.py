# SPDX-License-Identifier: GPL-3.0-or-later
"""What confined people are let in for goes on: files, a shell, VS Code. Without that the other proofs show nothing."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import jail_scene
import pytest
from jail_scene import Scene, free_port, talk, tunnel
from plugin import Proof
from terminal import converse
from test_login import judge

pytestmark = pytest.mark.role("sshd_jail")
scene = jail_scene.scene  # where pytest looks for it, also from a scenario that takes over all of this module

PLACE = "lyceum-proof-transfer"
SAMPLE = 200  # files of others that are looked for
# A program of the person's own that listens on the host's loopback, as VS Code's server does.
LISTENER = """
import http.server, threading, time
server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
print(server.server_address[1], flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
time.sleep(60)
"""


def there_and_back(scene: Scene, program: str, name: str, folder: Path, remote: str) -> str:
    """Copy a file to the host and back; "" when it came back as it was, else what went wrong."""
    sent, back = folder / "sent", folder / "back"
    sent.write_text(f"{program} by {name}\n")
    back.unlink(missing_ok=True)
    words, host = scene.target.transfer_words(program, name), scene.target.address
    if program == "sftp":
        steps = [([*words, "-b", "-", host], f"put {sent} {remote}\nget {remote} {back}\n")]
    else:
        steps = [([*words, str(sent), f"{host}:{remote}"], ""), ([*words, f"{host}:{remote}", str(back)], "")]
    for command, typed in steps:
        done = scene.client(*command, typed=typed)
        if done.returncode:
            return f"{program} to {remote}: {done.stderr.strip()[-150:]}"
    scene.client(*scene.target.transfer_words("sftp", name), "-b", "-", host, typed=f"rm {remote}\n")
    return "" if back.read_text() == sent.read_text() else f"{program} to {remote}: came back changed"


def judge_work(proof: Proof, name: str, problems: list[str], done: str) -> None:
    """State the problems; without any, what was done."""
    found = [problem for problem in problems if problem]
    for problem in found:
        proof.broken(f"{name}: {problem}")
    if not found:
        proof.held(f"{name}: {done}")


@pytest.mark.control("work of the confined", "access {profile}: files are sent and fetched")
@pytest.mark.parametrize("profile", ["sftp", "rsync", "jail"])
def test_transfers(scene: Scene, proof: Proof, tmp_path: Path, profile: str) -> None:
    [name] = scene.need(profile)
    programs = ["sftp", "scp"] + (["rsync"] if profile != "sftp" else [])
    if "rsync" in programs and shutil.which("rsync") is None:
        proof.not_tested("rsync is not installed on the machine of the prover")
        programs.remove("rsync")
    project = scene.project(name, "write")
    places = [PLACE, *([f"{project}/{PLACE}"] if project else [])]
    problems = [there_and_back(scene, program, name, tmp_path, place) for program in programs for place in places]
    judge_work(proof, name, problems, f"{', '.join(programs)} in {', '.join(places)}")


@pytest.mark.control("work of the confined", "a project that one may only read: fetched, not written")
def test_read_only_projects(scene: Scene, proof: Proof, tmp_path: Path) -> None:
    sent = tmp_path / "sent"
    sent.touch()
    people = [name for name in (scene.sftp, scene.rsync, scene.jail) if name and scene.project(name, "read")]
    if not people:
        pytest.skip("no confined person only reads a project, or projects have no storage here")
    for name in people:
        project = scene.project(name, "read")
        words = [*scene.target.transfer_words("sftp", name), "-b", "-", scene.target.address]
        listed = scene.client(*words, typed=f"ls {project}\n")
        written = scene.client(*words, typed=f"put {sent} {project}/{PLACE}\n")
        problems = [f"cannot list {project}: {listed.stderr.strip()[-150:]}" if listed.returncode else ""]
        problems.append("" if written.returncode else f"could write to {project}")
        judge_work(proof, name, problems, str(project))


@pytest.mark.control("work of the confined", "access jail: a command, its status, a terminal with job control")
def test_terminal(scene: Scene, proof: Proof) -> None:
    [name] = scene.need("jail")
    done = scene.target.run_as(name, "echo $((6*7)); exit 9")
    problems = [] if (done.stdout, done.returncode) == ("42\n", 9) else [f"a command ended so: {done}"]
    heard = converse(
        scene.target.ssh_words(name, "-tt"),
        [
            ("$ ", "stty -echo; PS1='rea'dy:\n"),
            ("ready:", "echo aslee''p; sleep 300\n"),
            ("asleep", "\x1a"),
            ("Stopped", "kill -KILL %1; echo readin''g; cat\n"),
            ("reading", "\x03"),
            ("ready:", "echo status $?\n"),
            ("status 130", "exit\n"),
        ],
    )
    wanted = ("Stopped", "status 130")
    problems += [f"no {word!r} on a terminal: {heard[-300:]!r}" for word in wanted if word not in heard]
    judge_work(proof, name, problems, "shell, ^Z and ^C")


@pytest.mark.control(
    "work of the confined", "access jail: VS Code's way in, a server inside reached with ssh -L and -D"
)
def test_forwarding_to_inside(scene: Scene, proof: Proof) -> None:
    [name] = scene.need("jail")
    if not scene.target.plan["sshd_jail"]["forwarding"]:
        pytest.skip("switched off by sshd_jail_vscode or sshd_jail_network")
    socks, request = free_port(), b"GET / HTTP/1.0\r\n\r\n"
    with subprocess.Popen(
        [*scene.target.ssh_words(name, "-T", f"-D127.0.0.1:{socks}"), "python3 -u -"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as server:  # fmt: skip
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(LISTENER)
        server.stdin.close()
        port = int(server.stdout.readline().strip() or 0)
        local = free_port()
        seen = {"-D": talk(("127.0.0.1", socks), request, socks=("127.0.0.1", port))}
        with tunnel(scene, name, local, f"-L127.0.0.1:{local}:localhost:{port}"):
            seen["-L"] = talk(("127.0.0.1", local), request)
        server.kill()
    problems = [
        f"ssh {option} to port {port}: {heard[:100]!r}" for option, heard in seen.items() if "200 OK" not in heard
    ]
    judge_work(proof, name, problems, "ssh -L and -D")


@pytest.mark.control("work of the confined", "access jail: own limits at login and by lyceum-limits, nobody else's")
def test_own_limits(scene: Scene, proof: Proof) -> None:
    name, free = scene.need("jail", "shell")
    person = scene.target.people[name]
    before = scene.ask("jail_told", uid=person["uid"])
    if not before["banner"]:
        pytest.skip(f"the host has not told {name} of limits yet (role groups_and_acls)")
    others = before["others"][:SAMPLE]
    look = shlex.join(["ls", "-d", *before["own"], *others])
    seen, outside = (set(scene.target.run_as(one, look).stdout.split()) for one in (name, free))
    tool = scene.target.run_as(name, "lyceum-limits")
    said = {"lyceum-limits": tool.stdout + tool.stderr}
    if before["login"]:  # as groups_and_acls_banner says
        typed = [("$ ", "cd /tmp && home && echo is''at $PWD; exit\n")]
        said["the login"] = converse(scene.target.ssh_words(name, "-tt"), typed, seconds=10)
    after = scene.ask("jail_told", uid=person["uid"])
    # Figures may have been taken anew meanwhile, and a notice withdrawn.
    own, lines = set(before["own"]) & set(after["own"]), [*before["banner"], *after["banner"]]
    problems = [f"does not see {path}" for path in sorted(own - seen)]
    problems += [f"sees {path}" for path in sorted(seen & set(others))]
    for what, text in said.items():
        problems.append("" if any(line in text for line in lines) else f"{what} hides {lines[0]!r}: {text[-300:]!r}")
    if before["login"] and f"isat {person['home']}" not in said["the login"]:
        problems.append(f"`home` leads elsewhere: {said['the login'][-200:]!r}")
    shown = f"none of {len(others)} others'" if outside & set(others) else "no others' to be seen outside either"
    judge_work(proof, name, problems, f"{len(own)} own files, {shown}")


@pytest.mark.control("work of the confined", "access jail: the login shows how much memory is used")
def test_own_memory(scene: Scene, proof: Proof) -> None:
    name, free = scene.need("jail", "shell")
    files = "/sys/fs/cgroup{,/memory}/user.slice/user-$UID.slice/memory.{current,usage_in_bytes}"
    inside, outside = (scene.target.run_as(one, f"cat {files} 2>/dev/null").stdout for one in (name, free))
    if not outside.strip():
        pytest.skip(f"{free}, who has a full shell, does not see it either")
    judge_work(proof, name, ["" if inside.strip() else "cannot read the use of memory"], "reads it")


@pytest.mark.control("login", "access none and git: the own key, which only Gitea is to take")
def test_not_let_in(scene: Scene, proof: Proof) -> None:
    [name] = scene.need("git")
    judge(proof, name, scene.target.attack(name, scene.target.identities[name]))
