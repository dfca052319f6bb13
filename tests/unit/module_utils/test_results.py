# SPDX-License-Identifier: GPL-3.0-or-later
"""The per-person result table and its data for the audit log."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.lyceum.results import RunResults, table


def result(kind: str, **people: Any) -> dict[str, Any]:
    return {
        "kind": kind,
        "results": {p: {"result": r, "actions": [f"{kind} {r} {p}"], "error": None} for p, r in people.items()},
        "unchanged": [],
        "unmanaged": [],
        "conflicts": [],
    }


def test_a_run_without_people_says_nothing() -> None:
    assert not RunResults()
    assert RunResults().lines() == []


@pytest.mark.parametrize(
    ("keys", "accounts", "shown"),
    [
        ("changed", "created", "created"),
        ("changed", "suspended", "suspended"),
        ("changed", "removed", "removed"),
        ("failed", "created", "failed"),
        ("changed", "changed", "changed"),
    ],
)
def test_the_weightiest_result_of_a_person_is_shown(keys: str, accounts: str, shown: str) -> None:
    run = RunResults()
    run.add("h1", result("keys", bchen=keys))
    run.add("h1", result("accounts", bchen=accounts))
    person = run.as_dict()["h1"]["people"]["bchen"]
    assert person["result"] == shown
    assert person["actions"] == [f"keys {keys} bchen", f"accounts {accounts} bchen"]


def test_table_of_a_mixed_run() -> None:
    run = RunResults()
    first = result("accounts", bchen="created", fmoreau="removed")
    first.update(unchanged=["amartin", "dlopez"], unmanaged=["oldservice"])
    run.add("h1", first)
    second = result("accounts", bchen="failed")
    second["results"]["bchen"]["error"] = "home /home/bchen: no space left on device"
    second["unchanged"] = ["amartin"]
    run.add("h2", second)
    run.unreachable("h3", "no route to host")
    assert run.lines(width=100) == [
        "People",
        "  person   h1       h2      h3",
        "  -------  -------  ------  -----------",
        "  bchen    created  failed  unreachable",
        "  fmoreau  removed  -       unreachable",
        "h1: 1 removed, 1 created, 2 unchanged",
        "h2: 1 failed, 1 unchanged",
        "h3: unreachable: no route to host",
        "unmanaged on h1 (left alone): oldservice",
        "FAILED h2: bchen: home /home/bchen: no space left on device",
    ]


def test_many_hosts_turn_the_table_into_a_list() -> None:
    run = RunResults()
    for number in range(30):
        run.add(f"node{number:02}", result("accounts", bchen="created"))
    lines = run.lines(width=80)
    assert max(map(len, lines)) <= 80
    assert "  bchen   node29  created" in lines


def test_unchanged_people_are_counted_but_the_one_asked_for_is_shown() -> None:
    everyone = RunResults()
    everyone.add("h1", {"unchanged": ["amartin", "bchen"]})
    assert everyone.lines() == ["People", "h1: 2 unchanged"]
    one = RunResults(only="bchen")
    one.add("h1", {"unchanged": ["bchen"]})
    assert "  bchen   unchanged" in one.lines()


def test_a_preview_counts_conflicts_and_failures_but_no_change() -> None:
    run = RunResults()
    preview = result("accounts", bchen="created", dlopez="failed")
    preview.update(conflicts=["uid 2001 belongs to oldservice"], unchanged=["amartin"])
    run.add("h1", preview, preview=True)
    assert run.as_dict()["h1"] == {
        "people": {"dlopez": {"result": "failed", "actions": ["accounts failed dlopez"], "errors": []}},
        "unchanged": 0,
        "conflicts": ["uid 2001 belongs to oldservice"],
    }
    assert "CONFLICT h1: uid 2001 belongs to oldservice" in run.lines()


def test_the_same_action_seen_in_check_and_apply_is_written_once() -> None:
    run = RunResults()
    run.add("h1", result("accounts", bchen="created"))
    run.add("h1", result("accounts", bchen="created"))
    assert run.as_dict()["h1"]["people"]["bchen"]["actions"] == ["accounts created bchen"]


def test_a_thousand_people_do_not_flood_the_screen() -> None:
    run = RunResults()
    run.add("h1", result("accounts", **{f"p{number:04}": "created" for number in range(1000)}))
    lines = run.lines()
    assert len(lines) < 50
    assert "  ... and 960 more people, all of them in the audit log" in lines
    assert len(run.as_dict()["h1"]["people"]) == 1000


def test_a_failure_is_never_cut_from_the_screen() -> None:
    run = RunResults()
    run.add("h1", result("accounts", **{f"p{number:04}": "created" for number in range(1000)}, zoe="failed"))
    assert "  zoe     failed" in run.lines()


def test_check_runs_say_so() -> None:
    run = RunResults()
    run.add("h1", result("accounts", bchen="created"))
    assert run.lines(check=True)[0] == "People (check run: nothing was changed)"


def test_table_pads_to_the_widest_cell() -> None:
    assert table(["a", "bb"], [["xxx", "y"]]) == ["  a    bb", "  ---  --", "  xxx  y"]


def test_what_a_host_cannot_enforce_is_said_even_when_nobody_changed() -> None:
    run = RunResults()
    run.add("h1", {"results": {}, "not_enforced": ["11 user quotas: /home has no quota"]})
    run.add("h1", {"results": {}, "not_enforced": ["11 user quotas: /home has no quota"]}, preview=True)
    assert "NOT ENFORCED h1: 11 user quotas: /home has no quota" in run.lines()
    assert run.as_dict()["h1"]["not_enforced"] == ["11 user quotas: /home has no quota"]
