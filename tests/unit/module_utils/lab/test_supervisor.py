# SPDX-License-Identifier: GPL-3.0-or-later
"""What the supervisor does that needs no root; with a kernel, molecule's scenario `kernel` shows the rest."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible.module_utils.lyceum.lab import supervisor


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only root may become somebody else."""
    monkeypatch.setattr(supervisor, "give_up_privileges", lambda: None)


def life(tmp_path: Path, script: str, before: str = "") -> tuple[bool, str]:
    """One life of a kernel that is a shell script; what run() says and what is on the console."""
    console = os.open(tmp_path / "console.log", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(console, before.encode())
    reading, writing = os.pipe()
    again = supervisor.run(["/bin/sh", "-c", script, "sh", str(writing)], writing, console)
    for descriptor in (console, reading, writing):
        os.close(descriptor)
    return again, (tmp_path / "console.log").read_text()


def test_a_kernel_that_reboots_is_started_again(tmp_path: Path) -> None:
    again, console = life(tmp_path, "echo booted; echo 'reboot: Restarting system'")
    assert again
    assert console == "booted\nreboot: Restarting system\n"


@pytest.mark.parametrize("script", ["echo 'reboot: Power down'", "exit 1", "kill -9 $$"])
def test_a_kernel_that_ends_otherwise_is_not(tmp_path: Path, script: str) -> None:
    assert not life(tmp_path, script)[0]


def test_only_the_last_life_counts(tmp_path: Path) -> None:
    again, console = life(tmp_path, "echo 'reboot: Power down'", before="reboot: Restarting system\n")
    assert not again
    assert console.startswith("reboot: Restarting system\n")


def test_the_kernel_gets_the_network_and_nothing_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "of the admin")
    _again, console = life(tmp_path, "test -e /proc/self/fd/$1 && echo open; /usr/bin/env")
    assert console.startswith("open\n")
    assert "SECRET" not in console
    assert "TMPDIR=/memory" in console


def test_the_kernel_dies_with_its_supervisor(tmp_path: Path) -> None:
    program = (
        "import os, sys; sys.path.insert(0, sys.argv[1]); import supervisor as s; s.give_up_privileges = lambda: None\n"
        "s.run(['/bin/sh', '-c', 'echo $$ > pid.new; mv pid.new pid; exec sleep 60'], 0,"
        " os.open('console', os.O_RDWR | os.O_CREAT))"
    )
    folder = Path(supervisor.__file__).parent
    with subprocess.Popen([sys.executable, "-c", program, str(folder)], cwd=tmp_path) as parent:
        deadline = time.monotonic() + 20
        while not (tmp_path / "pid").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        kernel = Path("/proc") / (tmp_path / "pid").read_text().strip()
        assert kernel.exists()
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        while kernel.exists() and "Z" not in (kernel / "stat").read_text() and time.monotonic() < deadline:
            time.sleep(0.02)
    assert time.monotonic() < deadline


def test_a_call_that_fails_says_which(tmp_path: Path) -> None:
    supervisor.checked(0, "mount")
    with pytest.raises(OSError, match="mount /nowhere at "):
        supervisor.mount("/nowhere", str(tmp_path), "no-such-file-system", 0)


def test_it_runs_without_the_project() -> None:
    """Only the standard library: a copy of it outlives the checkout."""
    source = Path(supervisor.__file__).read_text()
    names = {line.split()[1] for line in source.splitlines() if line.startswith(("import ", "from "))}
    assert names <= set(sys.stdlib_module_names)
