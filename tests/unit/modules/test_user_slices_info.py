# SPDX-License-Identifier: GPL-3.0-or-later
"""The module from its parameters to its result."""

from __future__ import annotations

from pathlib import Path

import pytest
import user_slices_info

from ..module_utils.slices.conftest import Host, host, hybrid  # noqa: F401
from .runner import run_module

BCHEN = {"name": "bchen", "uid": 2002, "limits": {"memory_gib": 0.5, "tasks": 256}}


@pytest.mark.parametrize("check", [True, False])
def test_people(
    host: Host,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    check: bool,
) -> None:
    host.run([BCHEN])
    host.log_in(2002, memory__current=5)
    before = host.snapshot()
    params = {"first_uid": 2001, "state": str(tmp_path / "state.json")}
    result = run_module(user_slices_info, capsys, params, check=check)
    assert (result["failed"], result["changed"], result["layout"]) == (False, False, "unified")
    (record,) = result["people"]
    assert (record["name"], record["live"], record["memory"], record["limits"]["TasksMax"]) == ("bchen", True, 5, 256)
    assert host.snapshot() == before
    assert not (tmp_path / "state.json").exists()


def test_what_a_kernel_cannot_do(
    hybrid: Host,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    hybrid.run([BCHEN])
    result = run_module(user_slices_info, capsys, {"state": str(tmp_path / "state.json")})
    assert [line.partition(":")[0] for line in result["not_effective"]] == ["MemoryHigh", "MemorySwapMax"]


def test_a_broken_state_is_one_message(
    host: Host,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "state.json").write_text("[]")
    result = run_module(user_slices_info, capsys, {"state": str(tmp_path / "state.json")})
    assert (result["failed"], result["msg"]) == (
        True,
        f"{tmp_path}/state.json is not of version 1; move it away to begin anew",
    )
