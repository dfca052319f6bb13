# SPDX-License-Identifier: GPL-3.0-or-later
"""The module from its parameters to its result, with the stand-in."""

from __future__ import annotations

from typing import Any

import gitea_bot
import pytest

from ..module_utils.gitea_host.conftest import Machine, machine  # noqa: F401
from .runner import run_module


def test_check_apply_check_apply(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    (machine.folder / "gitea").symlink_to(machine.release())
    machine.systemctl("start")
    machine.host.wait("", "", 20)
    values: dict[str, Any] = {**machine.params, "email": "bot@example.org", "token_file": str(machine.folder / "token")}
    results = [run_module(gitea_bot, capsys, values, check=check) for check in (True, False, True, False)]
    assert [result["changed"] for result in results] == [True, True, False, False]
    assert (machine.folder / "token").read_text().strip() not in str(results)


def test_before_there_is_a_server_a_check_says_what_comes(
    machine: Machine,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    values: dict[str, Any] = {**machine.params, "email": "bot@example.org", "token_file": str(machine.folder / "token")}
    result = run_module(gitea_bot, capsys, values, check=True)
    assert result["actions"][0] == "make the account lyceum, an administrator"
