# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers are found in /proc alone, as conmon of both releases leaves them there."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from ansible.module_utils.lyceum.containers import processes
from ansible.module_utils.lyceum.containers.processes import (
    TICKS,
    Container,
    Monitor,
    Process,
    find,
    monitor,
    parse_stat,
)

from .samples import DATA, VERSIONS

WEB, DATABASE = "a" * 64, "b" * 64


def write_process(
    proc: Path, pid: int, parent: int, command: str, *, uid: int = 2001, words: Sequence[str] = ()
) -> None:
    folder = proc / str(pid)
    folder.mkdir(parents=True)
    numbers = "0 0 0 0 0 0 0 0 0"
    (folder / "stat").write_text(f"{pid} ({command}) S {parent} {numbers} 5 6 7 8 20 0 1 0 {pid * 100} 0 0\n")
    (folder / "status").write_text(f"Name:\t{command}\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\nGid:\t1\t1\t1\t1\n")
    (folder / "cmdline").write_bytes("\0".join(words).encode() + b"\0")


def conmon(identity: str, name: str, session: str | None = None) -> list[str]:
    return ["/usr/bin/conmon", "--api-version", "1", "-c", identity, "-u", session or identity, "-n", name]


@pytest.mark.parametrize("command", ["sleep", "a b", "tricky) S 1 (", "(sd-pam)"])
def test_a_line_of_stat(command: str) -> None:
    line = f"42 ({command}) S 7 42 42 0 -1 4194560 100 0 0 0 11 22 33 44 20 0 1 0 5000 1000 50\n"
    assert parse_stat(line.encode()) == Process(42, 7, command, 5000, 110 / TICKS)


def test_the_own_process_is_among_all() -> None:
    found = {process.pid: process for process in processes.read_processes()}
    own = found[os.getpid()]
    assert own.parent == os.getppid()
    assert 0 <= processes.now() - own.started / TICKS < 86400


@pytest.mark.parametrize("version", VERSIONS)
def test_the_arguments_of_a_recorded_conmon(version: str, tmp_path: Path) -> None:
    blocks = (DATA / f"conmon-{version}.txt").read_text().split("---\n")[:2]
    found = []
    for pid, block in enumerate(blocks, 10):
        write_process(tmp_path, pid, 1, "conmon", words=block.splitlines())
        watcher = monitor(parse_stat((tmp_path / str(pid) / "stat").read_bytes()), tmp_path)
        assert watcher is not None
        found.append(watcher)
    assert {watcher.name for watcher in found} == {"d1"}
    assert len({watcher.identity for watcher in found}) == 1
    assert sorted(watcher.executes for watcher in found) == [False, True]


def test_containers_of_several_people_with_commands_executed_in_them(tmp_path: Path) -> None:
    write_process(tmp_path, 10, 1, "conmon", words=conmon(WEB, "web"))
    write_process(tmp_path, 11, 10, "sh")
    write_process(tmp_path, 12, 11, "sleep", uid=524320)
    write_process(tmp_path, 13, 1, "conmon", words=conmon(WEB, "web", "c" * 64))
    write_process(tmp_path, 14, 13, "bash")
    write_process(tmp_path, 15, 1, "conmon", uid=2002, words=conmon(DATABASE, "db"))
    write_process(tmp_path, 16, 1, "sleep")
    web, database = processes.running(tmp_path)
    assert (web.uid, web.identity, web.name, web.started, web.main) == (2001, WEB, "web", 1000, 11)
    assert [process.pid for process in web.processes] == [11, 12, 14]
    assert web.cpu == pytest.approx(3 * 26 / TICKS)
    # It has not started its first process yet.
    assert (database.uid, database.main, database.processes, database.cpu) == (2002, 15, (), 0)


@pytest.mark.parametrize(
    ("uid", "words"),
    [
        (0, conmon(WEB, "web")),  # root's own containers are nobody's business here
        (2001, conmon("../../etc", "web")),
        (2001, ["conmon"]),
        (2001, ["conmon", "-c"]),
    ],
)
def test_what_is_no_container(tmp_path: Path, uid: int, words: list[str]) -> None:
    write_process(tmp_path, 10, 1, "conmon", uid=uid, words=words)
    assert processes.running(tmp_path) == []


def test_a_command_alone_is_no_container(tmp_path: Path) -> None:
    write_process(tmp_path, 10, 1, "conmon", words=conmon(WEB, "web", "c" * 64))
    assert processes.running(tmp_path) == []


@pytest.mark.parametrize("name", ["\x1b[31mred", "a b", "", "-x", "x" * 200, "a\nb"])
def test_names_that_podman_would_not_take_are_not_shown(tmp_path: Path, name: str) -> None:
    write_process(tmp_path, 10, 1, "conmon", words=conmon(WEB, name))
    [found] = processes.running(tmp_path)
    assert found.name == WEB[:12]


def test_parents_in_a_circle_do_not_hang() -> None:
    # Read one after the other while numbers are given anew, processes can seem to be their own grandparents.
    table = {pid: Process(pid, parent, "x", 1, 1.0) for pid, parent in ((1, 3), (2, 1), (3, 2))}
    [found] = find(table, lambda process: Monitor(process, 2001, WEB, "web", False) if process.pid == 1 else None)
    assert [process.pid for process in found.processes] == [2, 3]


def test_a_process_that_ends_while_it_is_read_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "12").mkdir()
    (tmp_path / "self").mkdir()
    assert list(processes.read_processes(tmp_path)) == []
    assert monitor(Process(99, 1, "conmon", 0, 0), tmp_path) is None


def started() -> tuple[subprocess.Popen[bytes], Process]:
    child = subprocess.Popen(["sleep", "60"])
    return child, parse_stat(Path(f"/proc/{child.pid}/stat").read_bytes())


def ended(child: subprocess.Popen[bytes]) -> int | None:
    deadline = time.monotonic() + 1
    while child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    return child.poll()


def test_the_processes_of_a_container_are_ended() -> None:
    child, process = started()
    container = Container(
        os.getuid(), WEB, "web", process.started, processes=(process, Process(4_000_000, 1, "x", 1, 0))
    )
    try:
        assert processes.end(container, signal.SIGTERM, lambda uid: uid == os.getuid()) == 1
        assert ended(child) == -signal.SIGTERM
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize("why", ["another owner", "another process by now"])
def test_nobody_elses_process_is_ended(why: str) -> None:
    child, process = started()
    older = Process(process.pid, process.parent, process.command, process.started - 1, 0)
    container = Container(2001, WEB, "web", 1, processes=(process if why == "another owner" else older,))
    try:
        assert processes.end(container, signal.SIGKILL, lambda _uid: why != "another owner") == 0
        assert child.poll() is None
    finally:
        child.kill()
        child.wait()
