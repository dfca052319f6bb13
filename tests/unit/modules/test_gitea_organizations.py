# SPDX-License-Identifier: GPL-3.0-or-later
"""The module from its parameters to its result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gitea_organizations
import pytest

from ..module_utils.services.gitea.fake import FakeGitea
from .runner import run_module
from .test_gitea_people import fake

__all__ = ["fake"]  # a fixture
Run = Callable[..., dict[str, Any]]
RETINA = {"name": "retina", "owner": "amartin", "write": ["bchen"], "repositories": [{"name": "analysis"}]}


@pytest.fixture
def run(fake: FakeGitea, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    for name in ("amartin", "bchen"):
        fake.user(name)

    def call(*organizations: dict[str, Any], check: bool = False, diff: bool = False, **params: Any) -> dict[str, Any]:
        settings = {"url": "https://git.example.org", "token": "bot-t0ken-1", "state_dir": str(tmp_path)}
        wanted = {**settings, "organizations": list(organizations), **params}
        return run_module(gitea_organizations, capsys, wanted, check=check, diff=diff)

    return call


def test_check_apply_check_apply_and_absent(fake: FakeGitea, run: Run) -> None:
    checked = run(RETINA, check=True, diff=True)
    assert fake.orgs == {}
    applied = run(RETINA, diff=True)
    assert checked == applied
    assert applied["changed"] is True
    assert applied["lyceum"]["results"]["bchen"]["actions"] == ["bchen: into team write of retina"]
    for again in (run(RETINA, check=True), run(RETINA)):
        assert (again["changed"], again["actions"], again["lyceum"]["unchanged"]) == (False, [], ["amartin", "bchen"])
    sealed = run({"name": "retina", "state": "absent"})
    assert sealed["actions"][-1] == "archive repository retina/analysis"
    purged = run({"name": "retina", "state": "absent"}, purge=["retina"])
    assert purged["actions"] == ["delete repository retina/analysis", "delete organization retina"]
    assert fake.orgs == {}


def test_a_member_without_account_fails_the_module(run: Run) -> None:
    result = run({**RETINA, "read": ["nobody"]})
    assert result["failed"] is True
    assert result["msg"].endswith("nobody has no account in this Gitea")


def test_somebody_else_without_account_waits_in_a_run_for_one_person(fake: FakeGitea, run: Run) -> None:
    result = run({**RETINA, "owner": "nobody"}, only="bchen")
    assert result["lyceum"]["results"] == {
        "bchen": {"result": "changed", "actions": ["bchen: into team write of retina"], "error": None}
    }
    assert result["lyceum"]["unchanged"] == []
    assert run({**RETINA, "owner": "nobody"}, only="bchen")["changed"] is False


def test_invalid_input(run: Run) -> None:
    assert run(RETINA, RETINA)["msg"] == (
        "1 problem(s) in the list of organizations: the organization retina is there 2 times"
    )
