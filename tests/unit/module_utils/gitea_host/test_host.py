# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs and the socket."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import CommandError, LyceumError
from ansible.module_utils.lyceum.gitea_host import host

from .conftest import Machine


def test_what_a_program_prints_is_in_no_message() -> None:
    program = "import sys; print('s3' + 'cret'); sys.stderr.write('no such user'); sys.exit(3)"
    with pytest.raises(CommandError) as failed:
        host.run([sys.executable, "-c", program], seconds=20)
    assert "ended with status 3: no such user" in str(failed.value)
    assert "s3cret" not in str(failed.value)


def test_a_program_that_prints_no_secret_says_why_it_failed_there_too() -> None:
    with pytest.raises(CommandError, match="no such role"):
        host.run(["sh", "-c", "echo no such role; exit 1"], seconds=5, quote=True)


@pytest.mark.parametrize(
    ("argv", "message"),
    [(["/no/such"], "cannot run /no/such"), (["sleep", "9"], "sleep did not end within 1 s")],
    ids=str,
)
def test_programs_that_do_not_run(argv: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        host.run(argv, seconds=1)


def test_the_version_is_what_the_program_says(machine: Machine) -> None:
    assert host.version_of(machine.release()) == "1.26.2+stand-in"
    with pytest.raises(LyceumError, match="is no Gitea"):
        host.version_of(Path("/bin/echo"))


@pytest.mark.parametrize(
    ("older", "newer"), [("1.9.0", "1.10.0"), ("1.26.2", "1.26.10"), ("1.26.2+stand-in", "1.27.0")], ids=str
)
def test_releases_are_compared_by_number(older: str, newer: str) -> None:
    assert host.numbers(older) < host.numbers(newer)


def test_a_server_that_is_not_there_is_not_healthy(machine: Machine) -> None:
    with pytest.raises(LyceumError, match="did not become healthy within 0 s: No such file or directory"):
        machine.host.wait("", "", 0)


def test_an_unknown_user_is_said(machine: Machine) -> None:
    one = host.Host.from_params({**machine.params, "user": "no-such-user"})
    with pytest.raises(LyceumError, match="there is no user no-such-user"):
        one.gitea("migrate")


def test_nothing_of_our_environment_reaches_gitea(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def run(argv: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
        seen.update(options, argv=argv)
        return subprocess.CompletedProcess(argv, 0, b"", b"")

    monkeypatch.setenv("HTTP_PROXY", "http://proxy.invalid")
    monkeypatch.setattr(subprocess, "run", run)
    machine.host.gitea("migrate")
    assert set(seen["env"]) == {"PATH", "LC_ALL", "HOME", "USER"}
    assert seen["argv"][-2:] == ["--config", str(machine.folder / "app.ini")]
