# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies as files, lingering as files, and the sections of the report."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from ansible.module_utils.lyceum.containers.settings import Policy
from lyceum_containers import (
    FilterModule,
    containers_linger_files,
    containers_policies,
    containers_report,
    duration,
)

PERSON: dict[str, Any] = {
    "name": "amartin", "uid": 2001, "gid": 2001, "home": "/home/amartin", "email": "a@example.org", "state": "present",
    "access": "shell", "limits": {"containers": 2, "idle_minutes": None},
}  # fmt: skip


def test_a_policy_is_what_the_host_tool_reads() -> None:
    [file] = containers_policies([PERSON], "/etc/lyceum/containers.d")
    assert (file["path"], file["mode"]) == ("/etc/lyceum/containers.d/amartin.json", "0600")
    assert (file["person"], file["state"]) == ("amartin", "present")
    policy = Policy.from_dict(json.loads(file["content"]))
    assert (policy.name, policy.uid, policy.containers, policy.idle_seconds) == ("amartin", 2001, 2, None)


@pytest.mark.parametrize("change", [{"state": "suspended"}, {"access": "jail"}])
def test_who_has_no_containers_has_no_policy(change: dict[str, str]) -> None:
    [file] = containers_policies([{**PERSON, **change}], "/d")
    assert (file["state"], "content" in file) == ("absent", False)


@pytest.mark.parametrize(
    ("change", "policy", "states"),
    [
        ({}, "everybody", ["present"]),
        ({}, ["amartin"], ["present"]),
        ({}, ["bchen"], ["absent"]),
        ({}, [], ["absent"]),
        ({}, "nobody", ["absent"]),
        ({}, "running", []),
        ({"state": "suspended"}, "everybody", ["absent"]),
        ({"state": "suspended"}, "running", ["absent"]),
        ({"access": "sftp"}, ["amartin"], ["absent"]),
    ],
)
def test_only_who_may_run_something_lingers(change: dict[str, str], policy: str | list[str], states: list[str]) -> None:
    files = containers_linger_files([{**PERSON, **change}], "/linger", policy)
    assert [file["state"] for file in files] == states
    assert all((file["path"], file["content"]) == ("/linger/amartin", "") for file in files)


def shown(**person: Any) -> dict[str, Any]:
    entry = {"allowed": 2, "running": [], "stops": {}, "lingers": False, **person}
    return {"people": {"amartin": entry}, "without_policy": [], "limits_enforced": True, "failures": []}


def test_sections_of_the_report() -> None:
    running = [{"age_seconds": 7200, "idle_seconds": None}, {"age_seconds": 60, "idle_seconds": 59}]
    found = shown(running=running, stops={"idle": 1}, lingers=True)
    images = [
        {"id": "a" * 64, "names": ["debian:13"], "used": time.time() - 3 * 86400},
        {"id": "b" * 64, "names": [], "used": None},
    ]
    containers, shared = containers_report(found, images, ["group docker is as good as root: bchen is a member"])
    assert containers["rows"] == [["amartin", "2", "2", "2 h", "59 s", "idle 1", "yes"]]
    assert containers["notes"] == ["drift: group docker is as good as root: bchen is a member"]
    assert shared["rows"] == [["debian:13", "a" * 12, "3 d"], ["-", "b" * 12, "-"]]
    assert all(len(row) == len(section["header"]) for section in (containers, shared) for row in section["rows"])


def test_the_report_says_what_is_not_enforced() -> None:
    found = {**shown(allowed=None), "limits_enforced": False, "without_policy": [2999], "failures": ["x"]}
    containers, shared = containers_report(found, [], [])
    assert containers["rows"] == []  # nobody runs anything
    assert [note.split()[0] for note in containers["notes"]] == ["uid", "memory", "failed:"]
    assert shared["rows"] == []


def test_a_host_that_was_never_set_up_has_its_drift_all_the_same() -> None:
    [section] = containers_report({}, [], ["group docker is as good as root"])
    assert (section["rows"], section["notes"]) == ([], ["drift: group docker is as good as root", "not set up yet"])


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "-"), (0, "0 s"), (-5, "0 s"), (90, "2 min"), (3600, "1 h"), (90000, "1 d")]
)
def test_durations(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_all_filters_are_offered() -> None:
    assert set(FilterModule().filters()) == {"containers_linger_files", "containers_policies", "containers_report"}
