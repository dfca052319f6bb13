# SPDX-License-Identifier: GPL-3.0-or-later
"""Results as a module returns them."""

from __future__ import annotations

import json
from typing import Any

from ansible.module_utils.lyceum.results import RunResults
from ansible.module_utils.lyceum.services.outcome import Outcome, StepOutcome
from ansible.module_utils.lyceum.services.steps import Step


def item(status: str, error: str = "", person: str = "amartin", key: str = "key", **more: Any) -> StepOutcome:
    result = more.pop("result", "changed")
    step = Step(person, key, f"do {key}", lambda: None, lambda: True, result=result)
    return StepOutcome(step, status, error=error, **more)


def test_the_weightiest_result_of_a_person_counts_and_skipped_steps_need_no_words() -> None:
    outcome = Outcome(
        [
            item("done", result="created", key="account"),
            item("done"),
            item("adopted", person="bchen"),
            item("failed", "400", person="dlopez", key="account"),
            item("skipped", "not tried", person="dlopez"),
            item("done", person="esmith", result="suspended"),
            item("deferred", "503", person="fgarcia"),
        ]
    )
    result = outcome.result("gitea", ["amartin", "bchen", "gone"], unmanaged=["root"], conflicts=["two of x"])
    assert result["changed"]
    assert result["actions"] == ["do account", "do key", "do key"]
    assert result["deferred"] == ["fgarcia"]
    assert result["msg"] == "do account: 400; do key: 503"
    people = result["lyceum"]["results"]
    assert {name: (entry["result"], entry["error"]) for name, entry in people.items()} == {
        "amartin": ("created", None),
        "dlopez": ("failed", "do account: 400"),
        "esmith": ("suspended", None),
        "fgarcia": ("failed", "deferred: do key: 503"),
    }
    assert result["lyceum"]["unchanged"] == ["bchen", "gone"]
    assert (result["lyceum"]["unmanaged"], result["lyceum"]["conflicts"]) == (["root"], ["two of x"])
    json.dumps(result)


def test_nothing_to_do_is_no_change_and_no_message() -> None:
    result = Outcome().result("gitea", ["bchen", "amartin"])
    assert result == {
        "changed": False,
        "actions": [],
        "deferred": [],
        "lyceum": {"kind": "gitea", "results": {}, "unchanged": ["amartin", "bchen"], "unmanaged": [], "conflicts": []},
    }


def test_what_the_adapter_refused_is_a_failure_of_that_person() -> None:
    result = Outcome([item("done")]).result("gitea", refused={"amartin": "key is bchen's", "bchen": "no address"})
    assert result["msg"] == "amartin: key is bchen's; bchen: no address"
    assert result["lyceum"]["results"] == {
        "amartin": {"result": "failed", "actions": ["do key"], "error": "key is bchen's"},
        "bchen": {"result": "failed", "actions": [], "error": "no address"},
    }


def test_what_was_undone_is_said_and_counts_as_a_change() -> None:
    outcome = Outcome([item("undone", key="account"), item("failed", "400", undone=["add key of yesterday"])])
    assert outcome.actions == ["do account", "undo: do account", "undo: add key of yesterday"]
    assert outcome.changed
    assert outcome.result("gitea")["lyceum"]["results"]["amartin"]["error"] == "do key: 400"


def test_a_stopped_service_is_said_first_even_if_nothing_else_failed() -> None:
    assert Outcome([item("done")], stopped="401").result("gitea")["msg"] == "401; run it again to go on"
    many = Outcome([item("failed", "400", person=f"p{n}") for n in range(5)], stopped="401")
    assert many.result("gitea")["msg"] == (
        "401; run it again to go on. do key: 400; do key: 400; do key: 400; and 2 more"
    )


def test_the_table_of_the_run_understands_it() -> None:
    run = RunResults()
    run.add("git1", Outcome([item("done", result="created"), item("failed", "400")]).result("gitea")["lyceum"])
    assert run.hosts["git1"].people["amartin"].result == "failed"
    assert run.hosts["git1"].people["amartin"].errors == ["do key: 400"]
