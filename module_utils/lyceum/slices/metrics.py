# SPDX-License-Identifier: GPL-3.0-or-later
"""The records of `survey.people` in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from .units import CORE
from .usage import CPU, OOM_KILLS, REFUSED, THROTTLED

PREFIX = "lyceum_slices_"
INFINITE = "+Inf"

Record = Mapping[str, Any]


def _limit(name: str, scale: float = 1) -> Callable[[Record], float | None]:
    """A limit, infinite when it is null; None when nobody set it."""

    def read(record: Record) -> float | None:
        if name not in record["limits"]:
            return None
        value = record["limits"][name]
        return float("inf") if value is None else value / scale

    return read


def _total(name: str, scale: float = 1) -> Callable[[Record], float]:
    return lambda record: record["totals"][name] / scale


# name, type, help, how to read it from a record (None: not said for this person)
METRICS: Sequence[tuple[str, str, str, Callable[[Record], Any]]] = (
    ("live", "gauge", "Whether the person has a slice now.", lambda r: int(r["live"])),
    ("memory_bytes", "gauge", "Memory in use, page cache included.", lambda r: r["memory"]),
    ("memory_peak_bytes", "gauge", "Most memory ever seen in use.", lambda r: r["peak"]),
    ("memory_limit_bytes", "gauge", "MemoryMax.", _limit("MemoryMax")),
    ("swap_bytes", "gauge", "Swap in use.", lambda r: r["swap"]),
    ("cpu_seconds_total", "counter", "CPU time used.", _total(CPU, 1e6)),
    ("cpu_throttled_seconds_total", "counter", "Time held back by CPUQuota.", _total(THROTTLED, 1e6)),
    ("cpu_limit_cores", "gauge", "CPUQuota.", _limit("CPUQuota", CORE)),
    ("cpu_weight", "gauge", "CPUWeight.", _limit("CPUWeight")),
    ("oom_kills_total", "counter", "Processes ended for want of memory.", _total(OOM_KILLS)),
    ("tasks", "gauge", "Processes and threads.", lambda r: r["tasks"]),
    ("tasks_limit", "gauge", "TasksMax.", _limit("TasksMax")),
    ("tasks_refused_total", "counter", "Processes and threads refused by TasksMax.", _total(REFUSED)),
    (
        "processes_outside",
        "gauge",
        "Processes of the person that run outside the own slice.",
        lambda r: sum(group["processes"] for group in r["outside"]),
    ),
)


def text(records: Iterable[Record], now: float) -> str:
    """The whole file. now: Unix time of the look."""
    rows = list(records)
    lines = []
    for name, kind, explained, read in METRICS:
        samples = [(row, value) for row in rows if (value := read(row)) is not None]
        if samples:
            lines += [f"# HELP {PREFIX}{name} {explained}", f"# TYPE {PREFIX}{name} {kind}"]
            lines += [f"{PREFIX}{name}{{{_labels(row)}}} {_number(value)}" for row, value in samples]
    stamp = f"{PREFIX}last_run_timestamp_seconds"
    lines += [f"# HELP {stamp} When this was last looked at.", f"# TYPE {stamp} gauge", f"{stamp} {now:.0f}"]
    return "\n".join(lines) + "\n"


def _labels(record: Record) -> str:
    name = str(record["name"]).replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return f'person="{name}",uid="{record["uid"]}"'


def _number(value: float) -> str:
    return INFINITE if value == float("inf") else f"{value:.6f}".rstrip("0").rstrip(".")
