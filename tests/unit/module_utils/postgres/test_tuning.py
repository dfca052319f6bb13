# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings from the size of the machine."""

from __future__ import annotations

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.postgres.tuning import tune
from hypothesis import given
from hypothesis import strategies as st


def mib(text: str) -> int:
    assert text.endswith("MB")
    return int(text[:-2])


def test_a_middling_machine() -> None:
    found = tune(16 * 1024, 8, 100)
    assert (found["shared_buffers"], found["effective_cache_size"]) == ("4096MB", "12288MB")
    assert (found["work_mem"], found["maintenance_work_mem"]) == ("13MB", "1024MB")
    assert (found["max_worker_processes"], found["max_parallel_workers_per_gather"]) == ("8", "4")


@given(memory=st.integers(128, 4 * 1024 * 1024), cpus=st.integers(1, 512), connections=st.integers(10, 2000))
def test_what_all_sessions_may_take_together_fits(memory: int, cpus: int, connections: int) -> None:
    found = tune(memory, cpus, connections)
    shared, work = mib(found["shared_buffers"]), mib(found["work_mem"])
    assert shared <= max(32, memory // 4)
    # One MiB is the least that is of use, however many connections are allowed.
    assert work == 1 or work * connections * 3 <= memory // 4
    assert mib(found["effective_cache_size"]) <= max(64, memory)
    assert int(found["max_parallel_workers_per_gather"]) <= int(found["max_parallel_workers"])
    assert int(found["max_parallel_workers"]) <= int(found["max_worker_processes"])


@pytest.mark.parametrize(("memory", "cpus", "connections"), [(127, 1, 10), (128, 0, 10), (128, 1, 9)])
def test_too_small(memory: int, cpus: int, connections: int) -> None:
    with pytest.raises(LyceumError) as told:
        tune(memory, cpus, connections)
    assert str(told.value) == (
        f"PostgreSQL needs 128 MiB of memory, a CPU and 10 connections; it would get {memory} MiB, {cpus} CPUs and"
        f" {connections} connections. Look at postgres_memory_mib, postgres_memory_percent, postgres_cpus and"
        " postgres_max_connections."
    )
