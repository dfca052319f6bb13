# SPDX-License-Identifier: GPL-3.0-or-later
"""The module from its parameters to its result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gitea_migrations
import pytest

from ..module_utils.services.gitea.fake import FakeGitea
from .runner import run_module
from .test_gitea_people import fake

__all__ = ["fake"]  # a fixture
Run = Callable[..., dict[str, Any]]
CODE = {"owner": "lyceum-bot", "name": "code", "url": "https://git.example.com/code", "service": "github"}


@pytest.fixture
def run(fake: FakeGitea, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*migrations: dict[str, Any], check: bool = False, diff: bool = False, **params: Any) -> dict[str, Any]:
        settings = {"url": "https://git.example.org", "token": "bot-t0ken-1", "state_dir": str(tmp_path)}
        wanted = {**settings, "migrations": list(migrations), "wait_seconds": 1, **params}
        return run_module(gitea_migrations, capsys, wanted, check=check, diff=diff)

    return call


def test_check_apply_check_apply(fake: FakeGitea, run: Run) -> None:
    wanted = {**CODE, "token": "gh-t0ken-1", "items": ["issues"]}
    checked = run(wanted, check=True, diff=True)
    assert fake.repos == []
    applied = run(wanted, diff=True)
    assert checked["actions"] == applied["actions"] == ["import https://git.example.com/code as lyceum-bot/code"]
    assert (checked["diff"], applied["running"]) == (applied["diff"], [])
    body = next(body for body in fake.bodies if body)
    assert (body["auth_token"], body["issues"]) == ("gh-t0ken-1", True)
    assert "gh-t0ken-1" not in str({key: value for key, value in applied.items() if key != "invocation"})
    for again in (run(wanted, check=True), run(wanted)):
        assert (again["changed"], again["actions"]) == (False, [])


def test_what_goes_on_is_no_failure(run: Run) -> None:
    result = run({**CODE, "url": "https://git.example.com/slow"})
    assert (result.get("failed"), result["running"]) == (False, ["lyceum-bot/code"])


def test_a_failed_import_fails_the_module(run: Run) -> None:
    result = run({**CODE, "url": "https://git.example.com/broken", "token": "gh-t0ken-1"})
    assert result["failed"] is True
    assert "422 Authentication failed" in result["msg"]
    assert "gh-t0ken-1" not in result["msg"]


def test_invalid_input(run: Run) -> None:
    result = run({**CODE, "url": "https://me:pa55word@git.example.com/code"})
    assert result["msg"] == (
        "1 problem(s) in the list of imports: lyceum-bot/code: the URL has a user name or password in it, which"
        " everybody could read; give them apart"
    )
