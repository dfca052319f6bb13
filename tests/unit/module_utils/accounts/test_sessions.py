# SPDX-License-Identifier: GPL-3.0-or-later
"""Ending real processes. They run under ids that no account has, so nothing of the machine is ever signalled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible.module_utils.lyceum.accounts import sessions
from ansible.module_utils.lyceum.accounts.observe import process_ids
from ansible.module_utils.lyceum.accounts.sessions import clear_schedule, end_sessions

from .conftest import needs_root

# Far above everything that is given to accounts, and with the process id in it: two test runs never meet.
UID = 3_000_000_000 + os.getpid() * 10
SUBORDINATE = (UID + 5, 3)
NAME = "lyceum-unit-test"

# Everything is imported as root first: the interpreter may lie where nobody else can read.
BECOME = """
import ctypes, os, signal, sys, threading, time
os.setgroups([])
os.setresgid({uid}, {uid}, {uid})
os.setresuid({uid}, {uid}, {uid})
"""
IGNORES_SIGTERM = "signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
COUNTS_SIGTERM = """
def note(*_):
    print("term", flush=True)
    time.sleep(0.3)
    sys.exit(0)
signal.signal(15, note)
print("up", flush=True)
time.sleep(60)
"""
# The first thread ends, a second one goes on: the kernel shows a zombie that is alive.
HEADLESS = """
def work():
    time.sleep(0.1)
    print("up", flush=True)
    time.sleep(60)
threading.Thread(target=work).start()
ctypes.CDLL(None).syscall({"x86_64": 60}.get(os.uname().machine, 93), 0)
"""


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def run(script: str, uid: int = UID) -> subprocess.Popen[str]:
        command = [sys.executable, "-S", "-c", BECOME.format(uid=uid) + script]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd="/")
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "TERM_SECONDS", 0.4)
    monkeypatch.setattr(sessions, "KILL_SECONDS", 2.0)
    monkeypatch.setattr(sessions, "POLL_SECONDS", 0.02)


SLEEPS = "import time; print('up', flush=True); time.sleep(60)"


@needs_root
def test_everything_of_a_person_ends_and_nothing_of_anybody_else(start: Callable[..., subprocess.Popen[str]]) -> None:
    own = [start(SLEEPS), start(IGNORES_SIGTERM), start(SLEEPS, SUBORDINATE[0]), start(SLEEPS, sum(SUBORDINATE) - 1)]
    others = [start(SLEEPS, UID + 1), start(SLEEPS, sum(SUBORDINATE))]
    assert end_sessions({NAME: (UID, [SUBORDINATE])}) == {}
    assert [process.wait(5) for process in own] == [-signal.SIGTERM, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGTERM]
    assert [process.poll() for process in others] == [None, None]


@needs_root
def test_a_process_has_the_time_to_end_by_itself_and_is_told_once(start: Callable[..., subprocess.Popen[str]]) -> None:
    process = start(COUNTS_SIGTERM)
    assert end_sessions({NAME: (UID, [])}) == {}
    output, _errors = process.communicate(timeout=5)
    assert (process.returncode, output) == (0, "term\n")


@needs_root
def test_a_process_without_its_first_thread_is_found_and_killed(start: Callable[..., subprocess.Popen[str]]) -> None:
    process = start(HEADLESS)
    assert "zombie" in Path(f"/proc/{process.pid}/status").read_text()
    assert process_ids([UID], []) == {UID: [process.pid]}
    assert end_sessions({NAME: (UID, [])}) == {}
    assert process.wait(5) == -signal.SIGTERM


@needs_root
def test_a_real_zombie_is_nothing_to_wait_for(start: Callable[..., subprocess.Popen[str]]) -> None:
    process = start(SLEEPS)
    os.kill(process.pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while "zombie" not in Path(f"/proc/{process.pid}/status").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    started = time.monotonic()
    assert end_sessions({NAME: (UID, [])}) == {}
    assert time.monotonic() - started < 0.3


def test_survivors_are_reported_with_what_logind_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sessions, "process_ids", lambda _uids, _spans: {UID: [42, 41], UID + 5: [43]})
    monkeypatch.setattr(sessions.os, "kill", lambda _pid, _number: None)
    monkeypatch.setattr(sessions, "KILL_SECONDS", 0.1)
    assert end_sessions({NAME: (UID, [SUBORDINATE])}) == {NAME: "process(es) 41, 42, 43 survive SIGKILL"}
    users = tmp_path / "users"
    users.mkdir()
    (users / str(UID)).write_text("")
    (tmp_path / "loginctl").write_text('#!/bin/sh\necho "$@" > "$0.args"\necho \'not known\' >&2\nexit 1\n')
    (tmp_path / "loginctl").chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(sessions, "USERS", users)
    assert end_sessions({NAME: (UID, [])}) == {
        NAME: f"process(es) 41, 42 survive SIGKILL; loginctl terminate-user {UID} exited with 1: not known"
    }
    assert (tmp_path / "loginctl.args").read_text() == f"terminate-user {UID}\n"


def test_what_logind_says_about_somebody_already_gone_does_not_matter(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / str(UID)).write_text("")
    (tmp_path / "loginctl").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "loginctl").chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(sessions, "USERS", tmp_path)
    assert end_sessions({NAME: (UID, [])}) == {}


@needs_root
@pytest.mark.parametrize("keep_mail", [True, False])
def test_clearing_the_schedule_of_one_person(tmp_path: Path, keep_mail: bool) -> None:
    crontabs, jobs, mail = (tmp_path / path for path in (sessions.CRONTABS, sessions.ATJOBS, sessions.MAIL))
    for folder in (crontabs, jobs, mail):
        folder.mkdir(parents=True)
    for folder in (crontabs, mail):
        for name in ("amartin", "amartin2"):
            (folder / name).write_text("")
    for name, uid in {"mine": 2001, "other": 2002, ".SEQ": 2001}.items():
        (jobs / name).write_text("")
        os.chown(jobs / name, uid, uid)
    for _time in range(2):
        clear_schedule(tmp_path, "amartin", 2001, keep_mail)
        assert [path.name for path in crontabs.iterdir()] == ["amartin2"]
        assert sorted(path.name for path in jobs.iterdir()) == [".SEQ", "other"]
        assert sorted(path.name for path in mail.iterdir()) == (["amartin"] if keep_mail else []) + ["amartin2"]


def test_clearing_nothing_is_fine(tmp_path: Path) -> None:
    clear_schedule(tmp_path, "amartin", 2001, keep_mail=False)
    assert list(tmp_path.iterdir()) == []
