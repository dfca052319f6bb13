# SPDX-License-Identifier: GPL-3.0-or-later
"""The module from its parameters to its result. Real processes end, under ids that no account has."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import confined_people
import pytest

from ..module_utils.sshd.test_keys import needs_root
from .runner import run_module

pytestmark = needs_root
Run = Callable[..., dict[str, Any]]
# With the process id in it: two test runs never meet. Other tests take the first ones.
UID = 3_100_000_000 + os.getpid() * 10
JWEBER = {"name": "lyceum-unit-jweber", "uid": UID, "access": "jail"}
KSATO = {"name": "lyceum-unit-ksato", "uid": UID + 1, "access": "sftp"}
SLEEPS = "import os, time; os.setgroups([]); os.setresuid({0}, {0}, {0}); print('up', flush=True); time.sleep(60)"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "notes"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], directory: Path) -> Run:
    def call(people: list[dict[str, Any]], *, check: bool = False, **params: Any) -> dict[str, Any]:
        wanted = {"people": people, "directory": str(directory), **params}
        return run_module(confined_people, capsys, wanted, check=check, diff=True)

    return call


@pytest.fixture
def shell() -> Iterator[subprocess.Popen[str]]:
    """Something that jweber started before."""
    command = [sys.executable, "-S", "-c", SLEEPS.format(UID)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd="/") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process
        process.kill()


def test_check_apply_check_apply_and_absent(run: Run, directory: Path, shell: subprocess.Popen[str]) -> None:
    jweber, ksato = str(JWEBER["name"]), str(KSATO["name"])
    checked = run([JWEBER, KSATO], check=True)
    assert (shell.poll(), directory.exists()) == (None, False)
    applied = run([JWEBER, KSATO])
    assert checked == applied
    assert applied["actions"] == [
        f"{jweber}: end 1 process(es) from before",
        f"{jweber}: confine as jail",
        f"{ksato}: confine as sftp",
    ]
    assert (applied["diff"]["before"], applied["diff"]["after"]) == ("", f"{jweber} jail\n{ksato} sftp\n")
    assert shell.wait(5) == -15
    for check in (True, False):
        again = run([JWEBER, KSATO], check=check)
        assert (again["changed"], again["actions"]) == (False, [])
        assert again["lyceum"]["unchanged"] == [jweber, ksato]

    assert run([JWEBER], complete=False)["changed"] is False
    gone = run([JWEBER], check=True)
    assert gone["actions"] == [f"{ksato}: no longer confined"]
    assert (directory / ksato).exists()
    assert run([JWEBER]) == gone
    assert [path.name for path in directory.iterdir()] == [jweber]


def test_nobody_is_disturbed_twice(run: Run, directory: Path, shell: subprocess.Popen[str]) -> None:
    directory.mkdir()
    (directory / str(JWEBER["name"])).write_text("jail\n")
    assert run([JWEBER])["changed"] is False
    assert shell.poll() is None
    assert run([{**JWEBER, "access": "rsync"}])["changed"] is True
    assert shell.wait(5) == -15


def test_one_failure_does_not_stop_the_others(run: Run, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = confined_people.confined.write_all_atomically

    def full(contents: dict[Path, bytes], mode: int) -> dict[Path, str]:
        bad = [path for path in contents if path.name == JWEBER["name"]]
        written = write({path: content for path, content in contents.items() if path not in bad}, mode)
        return {**written, **{path: f"cannot write {path}: No space left on device" for path in bad}}

    monkeypatch.setattr(confined_people.confined, "write_all_atomically", full)
    found = run([JWEBER, KSATO])
    why = f"cannot write {directory}/{JWEBER['name']}: No space left on device"
    assert (found["failed"], found["msg"]) == (True, f"{JWEBER['name']}: {why}")
    assert {name: item["result"] for name, item in found["lyceum"]["results"].items()} == {
        JWEBER["name"]: "failed",
        KSATO["name"]: "changed",
    }
    assert [path.name for path in directory.iterdir()] == [KSATO["name"]]


def test_a_shell_is_not_confined(run: Run, directory: Path) -> None:
    found = run([{**JWEBER, "access": "shell"}])
    assert found["failed"] is True
    assert found["msg"] == ("value of access must be one of: none, git, sftp, rsync, jail, got: shell found in people")
    assert not directory.exists()


def test_notes_that_are_no_directory(run: Run, directory: Path) -> None:
    directory.write_text("")
    found = run([JWEBER])
    assert found["failed"] is True
    assert found["msg"].startswith(f"cannot read the notes in {directory}: ")
