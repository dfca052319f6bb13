# SPDX-License-Identifier: GPL-3.0-or-later
"""Which containers of which people run, since when, and how much CPU time they have used: from /proc alone.

Podman is not asked: every container has a monitor process, conmon, that runs as its person and carries the container's
id in its arguments. So a look at a thousand people costs one walk through /proc, and nobody's podman can hold it up.
Whoever disguises a monitor only escapes the rules over time; the person's slice caps everything all the same.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")
MONITOR = "conmon"
IDENTITY = re.compile(r"[0-9a-f]{64}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True)
class Process:
    """started: clock ticks after boot. cpu: seconds, with those of children it has waited for."""

    pid: int
    parent: int
    command: str
    started: int
    cpu: float


@dataclass(frozen=True)
class Container:
    """A container that runs. started: clock ticks after boot, another one after each restart. cpu: seconds so far.

    main: its first process, or its monitor while there is none. processes: all of them, without monitors.
    """

    uid: int
    identity: str
    name: str
    started: int
    cpu: float = 0
    main: int = 0
    processes: tuple[Process, ...] = ()

    @property
    def since(self) -> float:
        """Seconds after boot."""
        return self.started / TICKS


@dataclass(frozen=True)
class Monitor:
    """A conmon process. It is of the container itself, or of a command executed in it (`exec`)."""

    process: Process
    uid: int
    identity: str
    name: str
    executes: bool


def now() -> float:
    """Seconds after boot, asleep or not: no change of the clock or of the time zone can move it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """Another one after each boot."""
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def running(proc: Path = PROC) -> list[Container]:
    """All containers that run, of everybody, the oldest first."""
    processes = {process.pid: process for process in read_processes(proc)}
    return find(processes, lambda process: monitor(process, proc))


def read_processes(proc: Path = PROC) -> Iterator[Process]:
    """All processes; those that end meanwhile are left out."""
    for path in proc.iterdir():
        if path.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                yield parse_stat((path / "stat").read_bytes())


def parse_stat(line: bytes) -> Process:
    """One line of /proc/<pid>/stat. The command is in parentheses and can hold blanks and parentheses itself."""
    head, _, tail = line.rpartition(b")")
    pid, _, command = head.partition(b" (")
    fields = tail.split()
    return Process(
        pid=int(pid),
        parent=int(fields[1]),
        command=command.decode(errors="replace"),
        started=int(fields[19]),
        cpu=sum(map(int, fields[11:15])) / TICKS,
    )


def monitor(process: Process, proc: Path = PROC) -> Monitor | None:
    """What a process watches over, if it is a conmon of a person."""
    if process.command != MONITOR:
        return None
    try:
        status = (proc / str(process.pid) / "status").read_text(errors="replace")
        words = (proc / str(process.pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return None
    uid = _uid(status)
    options = {word: value for word, value in zip(words, words[1:]) if word in ("-c", "-u", "-n")}
    identity = options.get("-c", "")
    if uid == 0 or not IDENTITY.fullmatch(identity):
        return None
    name = options.get("-n", "")
    return Monitor(
        process,
        uid,
        identity,
        # What people call things is only shown where it is a name that Podman itself would accept.
        name if NAME.fullmatch(name) else identity[:12],
        options.get("-u", identity) != identity,
    )


def _uid(status: str) -> int:
    """The real uid in a /proc/<pid>/status."""
    found = re.search(r"^Uid:\s+(\d+)", status, re.MULTILINE)
    return int(found.group(1)) if found else 0


def find(processes: Mapping[int, Process], monitor_of: Callable[[Process], Monitor | None]) -> list[Container]:
    """Group monitors and what they started by container."""
    children: dict[int, list[int]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process.pid)
    monitors: dict[tuple[int, str], list[Monitor]] = {}
    for process in processes.values():
        found = monitor_of(process)
        if found is not None:
            monitors.setdefault((found.uid, found.identity), []).append(found)
    containers = []
    for (uid, identity), group in monitors.items():
        own = [item for item in group if not item.executes]
        if not own:
            continue
        watcher = min(own, key=lambda item: item.process.started)
        pids = sorted({pid for item in group for pid in _below(item.process.pid, children)})
        first = sorted(children.get(watcher.process.pid, []))
        containers.append(
            Container(
                uid=uid,
                identity=identity,
                name=watcher.name,
                started=watcher.process.started,
                cpu=sum(processes[pid].cpu for pid in pids),
                main=first[0] if first else watcher.process.pid,
                processes=tuple(processes[pid] for pid in pids),
            )
        )
    return sorted(containers, key=lambda item: (item.started, item.identity))


def _below(pid: int, children: Mapping[int, Collection[int]]) -> Iterator[int]:
    waiting = list(children.get(pid, ()))
    seen = {pid}
    while waiting:
        one = waiting.pop()
        if one not in seen:
            seen.add(one)
            yield one
            waiting += children.get(one, ())


def end(container: Container, number: signal.Signals, belongs: Callable[[int], bool], proc: Path = PROC) -> int:
    """Signal everything that runs in a container, its monitors excepted. Returns how many processes were reached.

    belongs: whether a uid is the person's own or one of the subordinate ones. The files of the container stay. This is
    for people whose own podman does not stop anything.
    """
    reached = 0
    for process in container.processes:
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            descriptor = os.pidfd_open(process.pid)
            try:
                # Looked at once it is held: the number may have gone to somebody else since it was listed.
                same = parse_stat((proc / str(process.pid) / "stat").read_bytes()).started == process.started
                if same and belongs(_uid((proc / str(process.pid) / "status").read_text(errors="replace"))):
                    signal.pidfd_send_signal(descriptor, number)
                    reached += 1
            finally:
                os.close(descriptor)
    return reached
