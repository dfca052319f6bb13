# SPDX-License-Identifier: GPL-3.0-or-later
"""The file for Prometheus."""

from __future__ import annotations

import re
from typing import Any

from ansible.module_utils.lyceum.slices.metrics import METRICS, text
from ansible.module_utils.lyceum.slices.usage import CPU, OOM_KILLS, REFUSED, THROTTLED

BCHEN: dict[str, Any] = {
    "name": "bchen",
    "uid": 2002,
    "live": True,
    "limits": {"MemoryMax": 2**29, "CPUQuota": 15_000, "TasksMax": None, "CPUWeight": 50},
    "pending": {},
    "memory": 1000,
    "swap": 0,
    "tasks": 3,
    "peak": 2000,
    "peak_at": 5.0,
    "since": 1.0,
    "totals": {CPU: 1_500_000, THROTTLED: 250_000, OOM_KILLS: 2, REFUSED: 7},
    "outside": [{"group": "/a", "processes": 2}, {"group": "/b", "processes": 1}],
}
AWAY: dict[str, Any] = {
    **BCHEN, "name": "gnovak", "uid": 2004, "live": False, "limits": {}, "memory": None, "swap": None, "tasks": None,
    "peak": None, "outside": [],
}  # fmt: skip
SAMPLE = re.compile(r'lyceum_slices_[a-z_]+(\{person="[^"]*",uid="[0-9]+"\})? (\+Inf|[0-9]+(\.[0-9]+)?)\Z')


def samples(content: str) -> dict[str, str]:
    lines = [line for line in content.splitlines() if not line.startswith("#")]
    assert [line for line in lines if not SAMPLE.match(line)] == []
    return dict(line.rsplit(" ", 1) for line in lines)


def test_one_person() -> None:
    who = '{person="bchen",uid="2002"}'
    assert samples(text([BCHEN], 1763722800.4)) == {
        f"lyceum_slices_live{who}": "1",
        f"lyceum_slices_memory_bytes{who}": "1000",
        f"lyceum_slices_memory_peak_bytes{who}": "2000",
        f"lyceum_slices_memory_limit_bytes{who}": str(2**29),
        f"lyceum_slices_swap_bytes{who}": "0",
        f"lyceum_slices_cpu_seconds_total{who}": "1.5",
        f"lyceum_slices_cpu_throttled_seconds_total{who}": "0.25",
        f"lyceum_slices_cpu_limit_cores{who}": "1.5",
        f"lyceum_slices_cpu_weight{who}": "50",
        f"lyceum_slices_oom_kills_total{who}": "2",
        f"lyceum_slices_tasks{who}": "3",
        f"lyceum_slices_tasks_limit{who}": "+Inf",
        f"lyceum_slices_tasks_refused_total{who}": "7",
        f"lyceum_slices_processes_outside{who}": "3",
        "lyceum_slices_last_run_timestamp_seconds": "1763722800",
    }


def test_what_is_not_known_is_not_said() -> None:
    found = samples(text([AWAY], 0))
    assert set(found) == {
        f'lyceum_slices_{name}{{person="gnovak",uid="2004"}}'
        for name in (
            "live",
            "cpu_seconds_total",
            "cpu_throttled_seconds_total",
            "oom_kills_total",
            "tasks_refused_total",
            "processes_outside",
        )
    } | {"lyceum_slices_last_run_timestamp_seconds"}


def test_every_metric_is_explained_once() -> None:
    content = text([BCHEN, AWAY], 0)
    for name, kind, explained, _read in METRICS:
        assert content.count(f"# HELP lyceum_slices_{name} {explained}\n") == 1
        assert content.count(f"# TYPE lyceum_slices_{name} {kind}\n") == 1
        assert name.endswith("_total") == (kind == "counter")


def test_nobody() -> None:
    assert samples(text([], 5)) == {"lyceum_slices_last_run_timestamp_seconds": "5"}


def test_names_cannot_break_out_of_their_label() -> None:
    assert 'person="a\\"b\\\\",uid="2002"' in text([{**BCHEN, "name": 'a"b\\'}], 0)
