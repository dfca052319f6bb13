# SPDX-License-Identifier: GPL-3.0-or-later
"""The module from its parameters to its result, with the stand-in."""

from __future__ import annotations

from typing import Any

import gitea_program
import pytest

from ..module_utils.gitea_host.conftest import Machine, machine  # noqa: F401
from .runner import run_module


def params(one: Machine, **values: Any) -> dict[str, Any]:
    own = {
        "data": str(one.folder / "home"),
        "backups": str(one.folder / "backups"),
        "token_file": str(one.folder / "token"),
    }
    return {**one.params, **own, "release": str(one.release()), "version": "1.26.2", "read_at_start": [], **values}


def test_check_apply_check_apply(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    results = [run_module(gitea_program, capsys, params(machine), check=check) for check in (True, False, True, False)]
    assert [result["changed"] for result in results] == [True, True, False, False]
    assert results[0]["actions"] == results[1]["actions"]
    assert all(result["stand_in"] for result in results)


def test_a_release_that_is_missing_fails(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    result = run_module(gitea_program, capsys, params(machine, release="/no/such"))
    assert result["msg"] == "cannot run /no/such: No such file or directory"
