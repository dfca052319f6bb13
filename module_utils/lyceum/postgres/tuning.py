# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings that follow from the size of the machine. The rule is in the README of the role `postgres`."""

from __future__ import annotations

from ..errors import LyceumError

LEAST_MIB = 128
_GIB = 1024
# How many sorts and hashes a session runs at once, when it is counted how much each may take.
_PARTS_PER_SESSION = 3


def tune(memory_mib: int, cpus: int, max_connections: int) -> dict[str, str]:
    """Settings for a server that may count on so much memory. Raises LyceumError for a machine that is too small.

    A quarter of the memory is the server's own cache, a quarter is left for sorting and hashing of all sessions
    together, the rest is the system's cache of the same files.
    """
    if memory_mib < LEAST_MIB or cpus < 1 or max_connections < 10:
        raise LyceumError(
            f"PostgreSQL needs {LEAST_MIB} MiB of memory, a CPU and 10 connections; it would get {memory_mib} MiB,"
            f" {cpus} CPUs and {max_connections} connections. Look at postgres_memory_mib, postgres_memory_percent,"
            " postgres_cpus and postgres_max_connections."
        )
    shared = _within(memory_mib // 4, 32, 16 * _GIB)
    gather = _within(cpus // 2, 0, 4)
    return {
        "max_connections": str(max_connections),
        "shared_buffers": f"{shared}MB",
        "effective_cache_size": f"{_within(memory_mib * 3 // 4, 64, 1024 * _GIB)}MB",
        "work_mem": f"{_within(memory_mib // 4 // (max_connections * _PARTS_PER_SESSION), 1, _GIB)}MB",
        "maintenance_work_mem": f"{_within(memory_mib // 16, 16, 2 * _GIB)}MB",
        "max_worker_processes": str(max(8, cpus)),
        "max_parallel_workers": str(cpus),
        "max_parallel_workers_per_gather": str(gather),
        "max_parallel_maintenance_workers": str(gather),
        # Fewer and longer checkpoints: what has changed is written once and not again and again.
        "min_wal_size": "256MB",
        "max_wal_size": f"{_within(memory_mib // 4, 1 * _GIB, 16 * _GIB)}MB",
        "checkpoint_completion_target": "0.9",
        # Solid state: any page costs about the same.
        "random_page_cost": "1.1",
        "effective_io_concurrency": "200",
    }


def _within(value: int, least: int, most: int) -> int:
    return max(least, min(value, most))
