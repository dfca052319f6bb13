# SPDX-License-Identifier: GPL-3.0-or-later
"""The report's tables."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.lyceum.slices.sections import HEADER, compose
from ansible.module_utils.lyceum.slices.usage import CPU, OOM_KILLS, REFUSED, THROTTLED

from .test_metrics import AWAY, BCHEN


def rows(*people: dict[str, Any]) -> list[list[str]]:
    found = compose({"people": people, "not_effective": []}, {})
    assert all(len(row) == len(section["header"]) for section in found for row in section["rows"])
    return list(found[0]["rows"])


def test_somebody_with_limits() -> None:
    assert rows(BCHEN) == [
        ["bchen", "1.5", "50", "2 s", "<1 s", "0.5", "0.00", "0.00", "2", "unlimited", "3", "7"],
    ]
    assert len(HEADER) == 12


def test_somebody_without() -> None:
    assert rows({**AWAY, "totals": dict.fromkeys((CPU, THROTTLED, OOM_KILLS, REFUSED), 0)}) == [
        ["gnovak", "-", "-", "0 s", "0 s", "-", "-", "-", "0", "-", "-", "0"],
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.4, "<1 s"), (59, "59 s"), (60, "1.0 min"), (5400, "1.5 h"), (172800, "2.0 d")],
)
def test_times(seconds: float, text: str) -> None:
    person = {**BCHEN, "totals": {**BCHEN["totals"], CPU: int(seconds * 1e6)}}
    assert rows(person)[0][3] == text


def test_what_is_outside_and_what_waits() -> None:
    waiting = {**AWAY, "pending": {"MemoryMax": 2**29}}
    use, outside, changes = compose(
        {"people": [BCHEN, waiting], "not_effective": ["MemoryHigh: no"]},
        {"actions": ["bchen: TasksMax 5"], "lyceum": {"conflicts": ["/x overrides TasksMax"]}},
    )
    assert use["notes"] == ["gnovak: MemoryMax becomes 0.5 GiB once less is used", "not enforced here: MemoryHigh: no"]
    assert outside["rows"] == [["bchen", "/a", "2"], ["bchen", "/b", "1"]]
    assert changes["notes"] == ["bchen: TasksMax 5", "/x overrides TasksMax"]
