# SPDX-License-Identifier: GPL-3.0-or-later
"""The module from its parameters to its result."""

from __future__ import annotations

from typing import Any

import pytest
import user_slices

from ..module_utils.slices.conftest import Host, host, hybrid  # noqa: F401
from .runner import run_module

BCHEN = {"name": "bchen", "uid": 2002, "limits": {"cpu_cores": 1, "memory_gib": 0.5, "tasks": 256}}
AMARTIN = {"name": "amartin", "uid": 2001, "limits": {"tasks": None}}
KEYS = {"changed", "actions", "lyceum", "pending", "layout", "not_effective", "failed"}


def test_check_apply_check_apply(host: Host, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    params: dict[str, Any] = {"people": [AMARTIN, BCHEN], "defaults": {"tasks": 64}}
    before = host.snapshot()
    results = []
    for check in (True, False, True, False):
        results.append(run_module(user_slices, capsys, params, check=check))
        if len(results) == 1:
            assert host.snapshot() == before
    assert [result["changed"] for result in results] == [True, True, False, False]
    assert [set(result) - {"invocation"} for result in results] == [KEYS] * 4
    assert results[0]["actions"] == results[1]["actions"]
    assert results[3]["lyceum"]["unchanged"] == ["amartin", "bchen"]


def test_absent(host: Host, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    run_module(user_slices, capsys, {"people": [AMARTIN, BCHEN]})
    gone = run_module(user_slices, capsys, {"people": [AMARTIN, {**BCHEN, "state": "absent"}]}, diff=True)
    assert gone["lyceum"]["results"]["bchen"]["result"] == "removed"
    assert gone["diff"][0]["after"] == ""
    assert host.dropin(2002) is None
    assert run_module(user_slices, capsys, {"people": [AMARTIN]})["changed"] is False


def test_null_and_absent_keys_are_told_apart(host: Host, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    run_module(user_slices, capsys, {"people": [AMARTIN]})
    text = host.dropin(2001) or ""
    assert "TasksMax=infinity\n" in text
    assert "MemoryMax" not in text


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"people": []}, "people is empty although it is said to be everybody; refusing to go on"),
        (
            {"people": [{"name": "bchen", "uid": 2002, "limits": {"tasks": 0}}]},
            (
                "people: bchen: limits.tasks is 0, which is too little to log in with; it must be at least 16, or null"
                " for unlimited. To keep somebody out: access: none, or state: suspended"
            ),
        ),
        (
            {"people": [BCHEN], "memory_high_percent": 10},
            "memory_high_percent 10 must be 50 to 100 (100: no MemoryHigh below MemoryMax)",
        ),
        (
            {"people": [BCHEN], "when_over": "wait"},
            "value of when_over must be one of: apply, defer, got: wait",
        ),
    ],
    ids=lambda value: str(value)[:30],
)
def test_invalid_input(
    host: Host,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
    params: dict[str, Any],
    message: str,
) -> None:
    before = host.snapshot()
    result = run_module(user_slices, capsys, params)
    assert (result["failed"], result["msg"]) == (True, message)
    assert host.snapshot() == before


def test_a_failure_comes_with_everything(host: Host, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    (host.root / "etc/systemd/system/user-2002.slice.d").write_text("in the way")
    result = run_module(user_slices, capsys, {"people": [AMARTIN, BCHEN]})
    assert result["failed"] is True
    assert set(result) - {"invocation"} == KEYS | {"msg"}
    assert result["lyceum"]["results"]["amartin"]["result"] == "created"
    assert host.dropin(2001)


def test_what_a_kernel_cannot_do_is_told(hybrid: Host, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    result = run_module(user_slices, capsys, {"people": [BCHEN]})
    assert result["layout"] == "hybrid"
    assert [line.partition(":")[0] for line in result["not_effective"]] == ["MemoryHigh", "MemorySwapMax"]


def test_a_thousand_people_take_about_a_second(host: Host, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    import time

    people = [{**BCHEN, "name": f"p{number}", "uid": 3000 + number} for number in range(1000)]
    started = time.monotonic()
    assert len(run_module(user_slices, capsys, {"people": people})["lyceum"]["results"]) == 1000
    assert time.monotonic() - started < 8  # far above what it takes, for a busy machine
    assert run_module(user_slices, capsys, {"people": people})["changed"] is False
