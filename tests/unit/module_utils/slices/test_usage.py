# SPDX-License-Identifier: GPL-3.0-or-later
"""Use and counters of slices of either version."""

from __future__ import annotations

from pathlib import Path

from ansible.module_utils.lyceum.slices.hierarchy import Hierarchy
from ansible.module_utils.lyceum.slices.usage import CPU, OOM_KILLS, REFUSED, THROTTLED, Usage, number, read, table

from .conftest import Host


def look(host: Host, uid: int) -> Usage:
    hierarchy = Hierarchy.read(host.root)
    assert hierarchy is not None
    return read(hierarchy, uid)


def total(usage: Usage, counter: str) -> int:
    return sum(counters.get(counter, 0) for counters in usage.counters.values())


def session(host: Host, controller: str, uid: int, file: str, text: str) -> None:
    """A file in the group of a session below the slice."""
    folder = host.group(controller, uid) / "session-1.scope"
    folder.mkdir(exist_ok=True)
    (folder / file).write_text(text)


def test_version_2(host: Host) -> None:
    host.log_in(
        2001,
        memory__current=900_000,
        memory__peak=1_000_000,
        memory__swap__current=5,
        memory__stat="anon 500000\nactive_file 100000\ninactive_file 200000",
        memory__events="low 0\nhigh 3\nmax 2\noom 1\noom_kill 4",
        cpu__stat="usage_usec 70\nnr_throttled 2\nthrottled_usec 30",
        pids__current=7,
        pids__events="max 9",
    )
    usage = look(host, 2001)
    assert (usage.memory, usage.memory_peak, usage.unreclaimable, usage.swap) == (900_000, 1_000_000, 600_000, 5)
    assert (usage.memory_max, usage.memory_high) == (None, None)
    assert (usage.tasks, usage.tasks_max) == (7, 63600)
    assert [total(usage, counter) for counter in (CPU, THROTTLED, OOM_KILLS, REFUSED)] == [70, 30, 4, 9]


def test_refused_tasks_are_counted_where_the_fork_was_by_old_kernels(host: Host) -> None:
    host.log_in(2001, pids__events="max 1")
    session(host, "pids", 2001, "pids.events", "max 4\n")
    assert total(look(host, 2001), REFUSED) == 5
    # New kernels keep the sum above and the local number beside it.
    host.write(2001, "pids.events.local", "max 1")
    assert total(look(host, 2001), REFUSED) == 1


def test_version_1(hybrid: Host) -> None:
    hybrid.log_in(
        2001,
        memory__usage_in_bytes=900_000,
        memory__max_usage_in_bytes=1_000_000,
        memory__limit_in_bytes=2_000_000,
        memory__stat="cache 1\ntotal_active_file 100000\ntotal_inactive_file 200000\ntotal_swap 4096",
        memory__oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 1",
        cpu__stat="nr_throttled 2\nthrottled_time 30000",
        cpu__stat__unified="usage_usec 70",
        pids__current=7,
    )
    # Each group counts its own processes only.
    session(hybrid, "memory", 2001, "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    session(hybrid, "pids", 2001, "pids.events", "max 4\n")
    usage = look(hybrid, 2001)
    assert (usage.memory, usage.memory_peak, usage.unreclaimable, usage.swap) == (900_000, 1_000_000, 600_000, 4096)
    assert (usage.memory_max, usage.memory_high) == (2_000_000, None)
    assert [total(usage, counter) for counter in (CPU, THROTTLED, OOM_KILLS, REFUSED)] == [70, 30, 3, 4]


def test_cpu_time_of_version_1_alone(hybrid: Host) -> None:
    hybrid.log_in(2001)
    hybrid.group("cpuacct", 2001).joinpath("cpuacct.usage").write_text("5000\n")
    mounts = hybrid.root / "proc/mounts"
    mounts.write_text("".join(f"{line}\n" for line in mounts.read_text().splitlines() if "cgroup2" not in line))
    assert total(look(hybrid, 2001), CPU) == 5


def test_a_slice_that_has_vanished_says_nothing(host: Host) -> None:
    usage = look(host, 2001)
    assert usage == Usage(2001)


def test_groups_have_names_for_one_life(host: Host) -> None:
    host.log_in(2001, pids__events="max 1")
    (first,) = look(host, 2001).counters
    (host.group("pids", 2001)).rename(host.root / "kept")
    host.log_in(2001, pids__events="max 1")
    assert first not in look(host, 2001).counters


def test_files_of_the_kernel(tmp_path: Path) -> None:
    file = tmp_path / "x"
    assert (number(file), table(file)) == (None, {})
    file.write_text("max\n")
    assert number(file) is None
    file.write_text("17\n")
    assert number(file) == 17
    file.write_text("a 1\nb x\nc 3\n")
    assert table(file) == {"a": 1, "c": 3}
