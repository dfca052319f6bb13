# SPDX-License-Identifier: GPL-3.0-or-later
"""What the slices use now: memory, tasks, and the kernel's counters of each slice's life so far."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .hierarchy import UNIFIED, V1_UNLIMITED, Hierarchy, slice_path

# Counters, each only ever growing while its control group lives.
CPU = "cpu_microseconds"
THROTTLED = "throttled_microseconds"
OOM_KILLS = "oom_kills"
REFUSED = "tasks_refused"
COUNTERS = (CPU, THROTTLED, OOM_KILLS, REFUSED)


@dataclass
class Usage:
    """One live slice. None where the kernel does not tell, or (limits) where there is none.

    unreclaimable: the memory in use that is not page cache, which alone can make a lower limit kill somebody.
    counters: {control group: {counter: value}}; a group's name holds for one life of it in one uptime of the host.
    """

    uid: int
    memory: int | None = None
    memory_max: int | None = None
    memory_high: int | None = None
    memory_peak: int | None = None
    unreclaimable: int | None = None
    swap: int | None = None
    tasks: int | None = None
    tasks_max: int | None = None
    counters: dict[str, dict[str, int]] = field(default_factory=dict)


def read(hierarchy: Hierarchy, uid: int) -> Usage:
    """A slice that vanishes meanwhile simply has less to tell."""
    usage = Usage(uid)
    memory, pids, cpu = (hierarchy.group(controller, uid) for controller in ("memory", "pids", "cpu"))
    if hierarchy.layout == UNIFIED:
        _memory_v2(usage, memory)
        _count(usage, memory, "memory.events", "oom_kill", OOM_KILLS)
        _count(usage, cpu, "cpu.stat", "throttled_usec", THROTTLED)
    else:
        _memory_v1(usage, memory)
        # Here each group counts only the kills among its own processes, and those are in the sessions below.
        for group in _tree(memory):
            _count(usage, group, "memory.oom_control", "oom_kill", OOM_KILLS)
        _count(usage, cpu, "cpu.stat", "throttled_time", THROTTLED, divisor=1000)
    _cpu_time(usage, hierarchy)
    if pids is not None:
        usage.tasks, usage.tasks_max = number(pids / "pids.current"), number(pids / "pids.max")
        # Kernels that know the local count keep the sum of the whole tree in the other file; older ones count where the
        # refused fork was.
        groups = [pids] if (pids / "pids.events.local").exists() else _tree(pids)
        for group in groups:
            _count(usage, group, "pids.events", "max", REFUSED)
    return usage


def number(path: Path) -> int | None:
    """A file that holds one number; None for "max" and for a file that is not there."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def table(path: Path) -> dict[str, int]:
    """A file of lines `name number`; empty when it is not there."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except OSError:
        return {}
    pairs = (line.partition(" ") for line in lines)
    return {name: int(value) for name, _blank, value in pairs if value.isdigit()}


def _memory_v2(usage: Usage, group: Path | None) -> None:
    if group is None:
        return
    usage.memory, usage.memory_max = number(group / "memory.current"), number(group / "memory.max")
    usage.memory_high, usage.memory_peak = number(group / "memory.high"), number(group / "memory.peak")
    usage.swap = number(group / "memory.swap.current")
    stat = table(group / "memory.stat")
    usage.unreclaimable = _without_cache(usage.memory, stat, "active_file", "inactive_file")


def _memory_v1(usage: Usage, group: Path | None) -> None:
    if group is None:
        return
    usage.memory, limit = number(group / "memory.usage_in_bytes"), number(group / "memory.limit_in_bytes")
    usage.memory_max = None if limit is None or limit >= V1_UNLIMITED else limit
    usage.memory_peak = number(group / "memory.max_usage_in_bytes")
    stat = table(group / "memory.stat")
    usage.swap = stat.get("total_swap")
    usage.unreclaimable = _without_cache(usage.memory, stat, "total_active_file", "total_inactive_file")


def _without_cache(memory: int | None, stat: dict[str, int], *cache: str) -> int | None:
    return None if memory is None else max(0, memory - sum(stat.get(name, 0) for name in cache))


def _cpu_time(usage: Usage, hierarchy: Hierarchy) -> None:
    """Version 2 counts CPU time in every group, also beside version 1; there it may have to come from cpuacct."""
    if hierarchy.unified is not None:
        group = hierarchy.unified / slice_path(usage.uid)
        if _count(usage, group, "cpu.stat", "usage_usec", CPU):
            return
    group_v1 = hierarchy.group("cpuacct", usage.uid)
    nanoseconds = None if group_v1 is None else number(group_v1 / "cpuacct.usage")
    if group_v1 is not None and nanoseconds is not None:
        _add(usage, group_v1, CPU, nanoseconds // 1000)


def _count(usage: Usage, group: Path | None, file: str, key: str, counter: str, divisor: int = 1) -> bool:
    value = None if group is None else table(group / file).get(key)
    if group is None or value is None:
        return False
    return _add(usage, group, counter, value // divisor)


def _add(usage: Usage, group: Path, counter: str, value: int) -> bool:
    try:
        info = group.stat()
    except OSError:
        return False
    usage.counters.setdefault(f"{info.st_dev}:{info.st_ino}", {})[counter] = value
    return True


def _tree(group: Path | None) -> Iterator[Path]:
    if group is not None:
        for folder, _folders, _files in os.walk(group):
            yield Path(folder)
