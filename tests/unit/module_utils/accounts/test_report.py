# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module gives back, from plans made by hand."""

from __future__ import annotations

import json
from typing import Any

from ansible.module_utils.lyceum.accounts.apply import Outcome
from ansible.module_utils.lyceum.accounts.model import PersonSpec
from ansible.module_utils.lyceum.accounts.plan import PersonPlan, Plan
from ansible.module_utils.lyceum.accounts.report import module_result

from .conftest import person


def one(name: str, uid: int, result: str, **keys: Any) -> PersonPlan:
    return PersonPlan(PersonSpec.from_params(person(name, uid)), result, f"/home/{name}", **keys)


def outcome(groups: list[str] | None = None, **keys: Any) -> Outcome:
    people = {
        "amartin": one("amartin", 2001, "created", actions=["create account"], after=["uid: 2001"]),
        "bchen": one("bchen", 2002, "removed", actions=["remove account"], before=["uid: 2002"]),
    }
    plan = Plan(people, groups or [], ["dlopez"], ["account x (uid 2900) is not in the registry"], ())
    return Outcome(plan, **keys)


def test_success() -> None:
    result = module_result(outcome(archives={"bchen": "/a.tar.zst"}, reports=["look"]), with_diff=False)
    assert result == {
        "changed": True,
        "actions": ["amartin: create account", "bchen: remove account"],
        "reports": ["look"],
        "archives": {"bchen": "/a.tar.zst"},
        "lyceum": {
            "kind": "accounts",
            "results": {
                "amartin": {"result": "created", "actions": ["create account"], "error": None},
                "bchen": {"result": "removed", "actions": ["remove account"], "error": None},
            },
            "unchanged": ["dlopez"],
            "unmanaged": ["account x (uid 2900) is not in the registry"],
            "conflicts": [],
        },
    }
    assert json.loads(json.dumps(result)) == result


def test_failures_keep_every_result_and_include_those_without_a_plan() -> None:
    result = module_result(outcome(failures={"bchen": "no space", "gone": "left over"}), with_diff=False)
    results = result["lyceum"]["results"]
    assert {name: entry["result"] for name, entry in results.items()} == {
        "amartin": "created",
        "bchen": "failed",
        "gone": "failed",
    }
    assert (results["bchen"]["actions"], results["bchen"]["error"]) == (["remove account"], "no space")
    assert result["msg"] == "2 of 3 people failed: bchen: no space; gone: left over"


def test_a_message_names_five_failures_at_most() -> None:
    failures = {f"p{number}": "why" for number in range(7)}
    message = module_result(outcome(failures=failures), with_diff=False)["msg"]
    assert message == f"7 of 9 people failed: {'; '.join(f'p{number}: why' for number in range(5))}; ..."


def test_the_diff_is_per_person_and_groups_come_last() -> None:
    groups = [
        "create group remover (gid 1)",
        "remove group a (gid 2)",
        "group b: remove zoe, who",
        "group b: add remove",
    ]
    diff = module_result(outcome(groups), with_diff=True)["diff"]
    assert diff == [
        {"before_header": "amartin", "after_header": "amartin", "before": "", "after": "uid: 2001\n"},
        {"before_header": "bchen", "after_header": "bchen", "before": "uid: 2002\n", "after": ""},
        {
            "before_header": "groups",
            "after_header": "groups",
            "before": "remove group a (gid 2)\ngroup b: remove zoe, who\n",
            "after": "create group remover (gid 1)\ngroup b: add remove\n",
        },
    ]
    assert len(module_result(outcome(), with_diff=True)["diff"]) == 2


def test_a_plan_without_changes() -> None:
    result = module_result(Outcome(Plan({}, [], ["amartin"], [], ())), with_diff=True)
    assert (result["changed"], result["actions"], result["diff"]) == (False, [], [])
    assert "msg" not in result
    assert "archives" not in result
