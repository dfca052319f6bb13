# SPDX-License-Identifier: GPL-3.0-or-later
"""The text for Prometheus, and the log with one event on each line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from ansible.module_utils.lyceum.containers import metrics
from ansible.module_utils.lyceum.containers.state import State
from ansible.module_utils.lyceum.errors import LyceumError

from .samples import container, policy


def test_every_metric_is_there_with_its_type() -> None:
    state = State("x")
    state.person("amartin").stops = {"idle": 3}
    running = [container(), container("db"), container(uid=2999)]
    text = metrics.exposition({2001: policy(containers=4)}, running, state, 1, 1795258800.4)
    samples = [line for line in text.splitlines() if not line.startswith("#")]
    assert samples == [
        'lyceum_containers_running{person="amartin"} 2',
        'lyceum_containers_allowed{person="amartin"} 4',
        'lyceum_containers_stops_total{person="amartin",rule="idle"} 3',
        "lyceum_containers_without_policy 1",
        "lyceum_containers_failures 1",
        "lyceum_containers_last_run_timestamp_seconds 1795258800",
    ]
    assert text.count("# TYPE ") == text.count("# HELP ") == 6
    assert "# TYPE lyceum_containers_stops_total counter\n" in text


def test_unlimited_has_no_number() -> None:
    text = metrics.exposition({2001: policy(containers=None)}, [], State("x"), 0, 0)
    assert "lyceum_containers_allowed{" not in text


def test_the_log_grows_by_one_line_for_each_event(tmp_path: Path) -> None:
    path = tmp_path / "log/containers.log"
    metrics.log(path, [])
    assert not path.exists()
    metrics.log(path, [{"event": "warned"}, {"event": "stopped", "name": "a\nb"}])
    metrics.log(path, [{"event": "failed"}])
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    assert [entry["event"] for entry in entries] == ["warned", "stopped", "failed"]
    assert all(entry["time"].endswith("Z") for entry in entries)


def test_the_log_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "log").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LyceumError, match=f"cannot write {tmp_path}/log"):
        metrics.log(tmp_path / "log", [{"event": "x"}])
    assert not os.path.lexists(tmp_path / "elsewhere")
