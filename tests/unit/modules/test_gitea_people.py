# SPDX-License-Identifier: GPL-3.0-or-later
"""The module from its parameters to its result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gitea_people
import pytest
from ansible.module_utils.lyceum.services.gitea import connection

from ..module_utils.services.gitea.fake import FakeGitea, public_key
from ..module_utils.services.gitea.test_connection import Pooled
from .runner import run_module

Run = Callable[..., dict[str, Any]]
MARTIN = {"name": "amartin", "uid": 2001, "email": "amartin@example.org", "ssh_keys": [public_key(1, "laptop")]}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeGitea:
    made = FakeGitea()
    monkeypatch.setattr(connection, "HttpTransport", Pooled(made))
    return made


@pytest.fixture
def run(fake: FakeGitea, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*people: dict[str, Any], check: bool = False, diff: bool = False, **params: Any) -> dict[str, Any]:
        settings = {
            "url": "https://git.example.org",
            "token": "bot-t0ken-1",
            "state_dir": str(tmp_path),
            "people": list(people),
        }
        return run_module(gitea_people, capsys, {**settings, **params}, check=check, diff=diff)

    return call


def test_check_apply_check_apply_and_absent(fake: FakeGitea, run: Run) -> None:
    checked = run(MARTIN, check=True, diff=True)
    assert list(fake.users) == ["lyceum-bot"]
    applied = run(MARTIN, diff=True)
    assert checked == applied
    assert (applied["changed"], applied["server"]) == (True, "1.26.2+fake")
    assert applied["lyceum"]["results"]["amartin"]["result"] == "created"
    assert "key: SHA256:" in applied["diff"][0]["after"]
    for again in (run(MARTIN, check=True), run(MARTIN)):
        assert (again["changed"], again["actions"], again["lyceum"]["unchanged"]) == (False, [], ["amartin"])
    removed = run({**MARTIN, "state": "absent"})
    assert removed["actions"][-1] == "amartin: delete account amartin"
    assert list(fake.users) == ["lyceum-bot"]


def test_secrets_are_not_returned(fake: FakeGitea, run: Run, tmp_path: Path) -> None:
    result = run(MARTIN, passwords={"amartin": "first-passw0rd-1"}, diff=True)
    assert fake.passwords["amartin"] == "first-passw0rd-1"
    for secret in ("bot-t0ken-1", "bot-passw0rd-1", "first-passw0rd-1"):
        assert secret not in str({key: value for key, value in result.items() if key != "invocation"})
        assert all(secret.encode() not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_one_failure_does_not_stop_the_others(fake: FakeGitea, run: Run) -> None:
    fake.user("stranger", email="amartin@example.org")
    result = run(MARTIN, {"name": "bchen", "uid": 2002, "email": "bchen@example.org"})
    assert result["failed"] is True
    assert result["lyceum"]["results"]["amartin"]["result"] == "failed"
    assert result["lyceum"]["results"]["bchen"]["result"] == "created"


@pytest.mark.parametrize(
    ("people", "message"),
    [
        (
            [{"name": "amartin", "uid": 2001}],
            "1 problem(s) in the list of people: amartin has no address, and Gitea opens no account without one",
        ),
        (
            [{**MARTIN, "state": "gone"}],
            "value of state must be one of: present, suspended, absent, got: gone found in people",
        ),
    ],
)
def test_invalid_input(run: Run, people: list[dict[str, Any]], message: str) -> None:
    result = run(*people)
    assert (result["failed"], result["msg"]) == (True, message)


def test_a_token_that_is_refused_is_told(fake: FakeGitea, run: Run) -> None:
    fake.fault = lambda method, path: (401, "invalid username, password or token")
    assert run(MARTIN)["msg"] == (
        "GET /user: 401 invalid username, password or token; look at the token of the bot account"
    )
