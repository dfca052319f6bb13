# SPDX-License-Identifier: GPL-3.0-or-later
"""The module from its parameters to its result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import docker_group as module
import pytest
from ansible.module_utils.lyceum.containers import docker_group
from ansible.module_utils.lyceum.containers.docker_group import Membership
from ansible.module_utils.lyceum.errors import CommandError

from .runner import run_module

Run = Callable[..., dict[str, Any]]


class Groups:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.members = ["amartin", "bchen", "dlopez"]
        self.stubborn: str | None = None
        monkeypatch.setattr(docker_group, "observe", self.observe)
        monkeypatch.setattr(docker_group, "remove", self.remove)

    def observe(self, groups: list[str], admins: list[str]) -> list[Membership]:
        assert groups == ["docker"]
        found = [Membership("docker", name, primary=False) for name in self.members if name not in admins]
        return [*found, Membership("docker", "runner", primary=True)]

    def remove(self, item: Membership) -> None:
        if item.name == self.stubborn:
            raise CommandError(f"cannot take {item.name} out of group docker: locked")
        self.members.remove(item.name)


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> Groups:
    return Groups(monkeypatch)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*, check: bool = False, diff: bool = False, **params: Any) -> dict[str, Any]:
        return run_module(module, capsys, {"admins": ["amartin"], **params}, check=check, diff=diff)

    return call


def test_reporting_changes_nothing(groups: Groups, run: Run) -> None:
    result = run()
    assert (result["changed"], result["actions"]) == (False, [])
    assert [sentence.split(": ")[1].split()[0] for sentence in result["drift"]] == ["bchen", "dlopez", "runner"]
    assert result["lyceum"]["unmanaged"] == result["drift"]
    assert groups.members == ["amartin", "bchen", "dlopez"]


def test_check_apply_check_apply(groups: Groups, run: Run) -> None:
    planned = run(policy="remove", check=True, diff=True)
    assert planned["actions"] == ["take bchen out of group docker", "take dlopez out of group docker"]
    assert planned["diff"]["after"] == "docker: runner\n"
    assert groups.members == ["amartin", "bchen", "dlopez"]
    done = run(policy="remove", diff=True)
    assert {key: done[key] for key in ("changed", "actions", "drift", "lyceum", "diff")} == {
        key: planned[key] for key in ("changed", "actions", "drift", "lyceum", "diff")
    }
    assert groups.members == ["amartin"]
    for check in (True, False):
        again = run(policy="remove", check=check)
        assert (again["changed"], again["actions"]) == (False, [])
        assert len(again["drift"]) == 1  # a primary group is only reported


def test_one_person_alone(groups: Groups, run: Run) -> None:
    result = run(policy="remove", person="bchen")
    assert list(result["lyceum"]["results"]) == ["bchen"]
    assert groups.members == ["amartin", "dlopez"]


def test_a_failure_on_one_does_not_stop_the_others(groups: Groups, run: Run) -> None:
    groups.stubborn = "bchen"
    result = run(policy="remove")
    assert result["failed"]
    assert result["msg"] == "bchen: cannot take bchen out of group docker: locked"
    assert result["lyceum"]["results"]["dlopez"]["result"] == "changed"
    assert groups.members == ["amartin", "bchen"]


def test_what_was_said_to_be_done_and_was_not_is_a_failure(
    groups: Groups, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker_group, "remove", lambda _item: None)
    result = run(policy="remove")
    assert result["failed"]
    assert result["msg"] == "bchen: still in group docker; dlopez: still in group docker"


def test_an_unknown_policy_is_refused(run: Run) -> None:
    result = run(policy="keep")
    assert result["failed"]
    assert result["msg"] == "value of policy must be one of: report, remove, got: keep"
