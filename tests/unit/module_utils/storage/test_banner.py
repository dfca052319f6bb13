# SPDX-License-Identifier: GPL-3.0-or-later
"""/etc/profile.d/lyceum.sh never breaks or slows a login. Run by the shells that read it, with its paths moved."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

TEMPLATE = Path(__file__).resolve().parents[4] / "roles/groups_and_acls/templates/lyceum.sh.j2"
SHELLS = [path for name in ("bash", "dash", "ksh", "busybox") if (path := shutil.which(name))]
MEMORY = 512 * 1024 * 1024


class Profile:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        text = TEMPLATE.read_text().replace("{{ ansible_managed | comment }}", "# managed")
        assert "{{" not in text
        for path in ("/var/lib/lyceum", "/sys/fs/cgroup"):
            text = text.replace(path, str(folder) + path)
        self.script = folder / "lyceum.sh"
        self.script.write_text(text)
        self.uid = os.getuid()

    def write(self, path: str, text: str) -> None:
        target = self.folder / path.format(uid=self.uid)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def run(self, shell: str, options: str, after: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        # The machine's own settings of interactive shells are not what is tested.
        words = [shell, *{"busybox": ["sh"], "bash": ["--norc"]}.get(Path(shell).name, [])]
        return subprocess.run(
            [*words, *options.split(), "-c", f". {self.script}; {after}"],
            capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder), **environment},
        )  # fmt: skip


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    return Profile(tmp_path)


def quiet(text: str) -> str:
    """Without what interactive shells say of having no terminal."""
    return "".join(line for line in text.splitlines(True) if "job control" not in line and "process group" not in line)


@pytest.mark.parametrize("shell", SHELLS)
def test_limits_use_and_notices_are_shown(profile: Profile, shell: str) -> None:
    profile.write(
        "var/lib/lyceum/storage/people/{uid}.banner", "home       4 GiB of 100 GiB\nretina     5 %\\n of $HOME\n"
    )
    profile.write("var/lib/lyceum/notices/{uid}/purge", "Three files go.\nOn Monday.\n")
    profile.write("var/lib/lyceum/notices/{uid}/storage", "Your home is full.\n")
    profile.write("var/lib/lyceum/notices/{uid}/.storage.unsent", "")
    slice_ = "sys/fs/cgroup/user.slice/user-{uid}.slice/"
    profile.write(f"{slice_}memory.current", "104857600\n")
    profile.write(f"{slice_}memory.max", f"{MEMORY}\n")
    done = profile.run(shell, "-i", "alias home")
    assert done.stdout.splitlines() == [
        "home       4 GiB of 100 GiB",
        "retina     5 %\\n of $HOME",
        "memory     100 MiB of 512 MiB",
        "! Three files go.",
        "! On Monday.",
        "! Your home is full.",
        done.stdout.splitlines()[-1],
    ]
    assert "cd ~" in done.stdout.splitlines()[-1]
    assert quiet(done.stderr) == ""


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("current", "limit", "said"),
    [("104857600", "max", ""), ("104857600", "9223372036854771712", ""), ("104857600", "", ""), ("x", "1", "")],
)
def test_unlimited_memory_is_not_mentioned(profile: Profile, shell: str, current: str, limit: str, said: str) -> None:
    version_1 = "sys/fs/cgroup/memory/user.slice/user-{uid}.slice/"
    profile.write(f"{version_1}memory.usage_in_bytes", current)
    profile.write(f"{version_1}memory.limit_in_bytes", limit)
    done = profile.run(shell, "-i")
    assert (done.stdout, quiet(done.stderr)) == (said, "")


def test_memory_of_version_1(profile: Profile) -> None:
    version_1 = "sys/fs/cgroup/memory/user.slice/user-{uid}.slice/"
    profile.write(f"{version_1}memory.usage_in_bytes", "104857600\n")
    profile.write(f"{version_1}memory.limit_in_bytes", f"{MEMORY}\n")
    assert profile.run("bash", "-i").stdout == "memory     100 MiB of 512 MiB\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_transfers_and_scripts_see_nothing(profile: Profile, shell: str) -> None:
    profile.write("var/lib/lyceum/storage/people/{uid}.banner", "home\n")
    done = profile.run(shell, "", "echo reached; alias home 2>/dev/null || echo none")
    assert (done.stdout, done.stderr, done.returncode) == ("reached\nnone\n", "", 0)


@pytest.mark.parametrize("shell", SHELLS)
def test_without_any_file_there_is_nothing_to_see(profile: Profile, shell: str) -> None:
    done = profile.run(shell, "-i", "echo reached")
    assert (done.stdout, quiet(done.stderr)) == ("reached\n", "")


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("options", ["-i -e", "-i -u", "-i -e -u"])
def test_a_shell_that_is_strict_with_errors_goes_on(profile: Profile, shell: str, options: str) -> None:
    profile.write("var/lib/lyceum/storage/people/{uid}.banner", "home\n")
    (profile.folder / f"var/lib/lyceum/notices/{profile.uid}").mkdir(parents=True)
    done = profile.run(shell, options, "echo reached")
    assert (done.stdout, quiet(done.stderr)) == ("home\nreached\n", "")


def test_nothing_of_it_is_left_in_the_shell(profile: Profile) -> None:
    names = "uid line value rest top files used notice"
    done = profile.run("bash", "-i", f"for n in {names}; do echo ${{!n-unset}}; done; type show number memory")
    assert set(done.stdout.split()) == {"unset"}
    assert done.stderr.count("not found") == 3


@pytest.mark.parametrize("variable", ["TMUX", "STY"])
def test_windows_of_a_multiplexer_are_spared(profile: Profile, variable: str) -> None:
    profile.write("var/lib/lyceum/storage/people/{uid}.banner", "home\n")
    done = profile.run("bash", "-i", "alias home", **{variable: "x"})
    assert done.stdout == "alias home='cd ~'\n"


def test_a_login_does_not_wait_for_it(profile: Profile) -> None:
    """Compared with a shell that reads an empty file, by processor time: the machine may be busy otherwise."""
    for number in range(20):
        profile.write(f"var/lib/lyceum/notices/{{uid}}/source{number}", "A notice of one line.\n" * 5)
    profile.write("var/lib/lyceum/storage/people/{uid}.banner", "home\n" * 5)

    def best(script: Path) -> float:
        times = []
        for _ in range(10):
            before = os.times()
            subprocess.run(["bash", "--norc", "-i", "-c", f". {script}"], capture_output=True, check=False)
            after = os.times()
            times.append(sum(after[2:4]) - sum(before[2:4]))
        return min(times)

    (profile.folder / "empty.sh").write_text("")
    assert best(profile.script) - best(profile.folder / "empty.sh") < 0.05
