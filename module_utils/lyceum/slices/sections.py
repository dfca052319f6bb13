# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits and use of people as sections of the report: tables and notes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .units import CORE, GIB
from .usage import CPU, OOM_KILLS, REFUSED, THROTTLED

NONE = "-"
UNLIMITED = "unlimited"
HEADER = [
    "person", "CPU", "weight", "CPU time", "throttled", "memory", "now", "peak", "OOM kills", "tasks", "now", "refused",
]  # fmt: skip


def compose(info: Mapping[str, Any], drift: Mapping[str, Any]) -> list[dict[str, Any]]:
    """info: as `survey.survey` gives it. drift: the result of the module in check mode."""
    people = info["people"]
    return [
        {
            "title": "Limits and use of people (CPU in cores, memory in GiB, use since the first look)",
            "header": HEADER,
            "rows": [_row(person) for person in people],
            "notes": [*_pending(people), *(f"not enforced here: {text}" for text in info["not_effective"])],
        },
        {
            "title": "Processes outside the slice of their person, where no limit holds for them",
            "header": ["person", "where", "processes"],
            "rows": [
                [person["name"], group["group"], str(group["processes"])]
                for person in people
                for group in person["outside"]
            ],
            "notes": [],
        },
        {
            "title": "Limits that a run would change now",
            "header": ["what"],
            "rows": [],
            "notes": [*drift.get("actions", []), *drift.get("lyceum", {}).get("conflicts", [])],
        },
    ]


def _row(person: Mapping[str, Any]) -> list[str]:
    limits, totals = person["limits"], person["totals"]
    return [
        str(person["name"]),
        _limit(limits, "CPUQuota", CORE),
        _limit(limits, "CPUWeight"),
        _span(totals[CPU]),
        _span(totals[THROTTLED]),
        _limit(limits, "MemoryMax", GIB),
        _gib(person["memory"]),
        _gib(person["peak"]),
        str(totals[OOM_KILLS]),
        _limit(limits, "TasksMax"),
        NONE if person["tasks"] is None else str(person["tasks"]),
        str(totals[REFUSED]),
    ]


def _limit(limits: Mapping[str, Any], name: str, scale: float = 1) -> str:
    if name not in limits:
        return NONE
    return UNLIMITED if limits[name] is None else f"{limits[name] / scale:.3g}" if scale != 1 else str(limits[name])


def _gib(size: int | None) -> str:
    return NONE if size is None else f"{size / GIB:.2f}"


def _span(microseconds: int) -> str:
    """The largest unit that leaves a whole number in front: `41 s`, `3.5 h`."""
    seconds = microseconds / 1e6
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 1 or not seconds else "<1 s"


def _pending(people: Iterable[Mapping[str, Any]]) -> list[str]:
    return [
        f"{person['name']}: MemoryMax becomes {_limit(person['pending'], 'MemoryMax', GIB)} GiB once less is used"
        for person in people
        if person["pending"]
    ]
