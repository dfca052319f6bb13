# SPDX-License-Identifier: GPL-3.0-or-later
"""The module from its parameters to its result; ending processes is replaced, counting them is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import confined_people
import pytest
from ansible.module_utils.lyceum.sshd import confined

from .runner import run_module

JWEBER = {"name": "jweber", "uid": 2009, "access": "jail"}
KSATO = {"name": "ksato", "uid": 2010, "access": "sftp"}


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Who was ended, call by call. Everybody has two processes; ksato's never end."""
    calls: list[Any] = []
    apply = confined.apply

    def end(people: Any) -> dict[str, str]:
        calls.append(sorted(people))
        return {"ksato": "process(es) 7 survive SIGKILL"} if "ksato" in people else {}

    monkeypatch.setattr(confined, "running", lambda people, spans: dict.fromkeys(people, 2))
    monkeypatch.setattr(confined, "apply", lambda folder, changes, spans: apply(folder, changes, spans, end))
    return calls


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*people: dict[str, Any], check: bool = False, **params: Any) -> dict[str, Any]:
        wanted = {"people": list(people), "directory": str(tmp_path / "notes"), **params}
        return run_module(confined_people, capsys, wanted, check=check)

    return call


def test_check_apply_check_apply_and_gone(ended: list[Any], run: Any) -> None:
    checked = run(JWEBER, check=True)
    assert ended == []
    applied = run(JWEBER)
    assert applied == checked
    assert applied["changed"]
    assert applied["actions"] == ["jweber: end 2 process(es) from before", "jweber: confine as jail"]
    assert applied["diff"]["after"] == "jweber jail\n"
    assert ended == [["jweber"]]
    for check in (True, False):
        again = run(JWEBER, check=check)
        assert (again["changed"], again["actions"], again["lyceum"]["unchanged"]) == (False, [], ["jweber"])
    moved = run({**JWEBER, "access": "rsync"})
    assert moved["diff"]["before"] == "jweber jail\n"
    assert run(complete=False)["changed"] is False
    assert run()["actions"] == ["jweber: no longer confined"]
    assert ended == [["jweber"], ["jweber"], []]
    assert not run()["changed"]


def test_who_was_free_for_a_while_is_ended_again(ended: list[Any], run: Any) -> None:
    """Run by run for one person, as onboarding does it."""
    run(JWEBER, complete=False)
    assert run(free=["jweber", "amartin"], complete=False)["actions"] == ["jweber: no longer confined"]
    assert not run(free=["jweber"], complete=False)["changed"]
    assert run(JWEBER, complete=False)["actions"][0] == "jweber: end 2 process(es) from before"
    assert ended == [["jweber"], [], ["jweber"]]


def test_one_failure_does_not_stop_the_others(ended: list[Any], run: Any) -> None:
    result = run(KSATO, JWEBER)
    assert result["failed"]
    assert result["msg"] == "ksato: process(es) 7 survive SIGKILL"
    assert result["lyceum"]["results"]["jweber"]["result"] == "changed"
    assert run(KSATO, JWEBER)["lyceum"]["unchanged"] == ["jweber"]


def test_bad_input_is_one_message(run: Any) -> None:
    result = run({**JWEBER, "access": "shell"})
    assert result["failed"]
    assert result["msg"] == ("value of access must be one of: none, git, sftp, rsync, jail, got: shell found in people")
