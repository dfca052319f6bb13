# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

from ansible.module_utils.lyceum.registry.findings import Findings
from ansible.module_utils.lyceum.registry.problem import WARNING

RAW: dict[str, Any] = {"people": [{"name": "amartin"}, {"uid": 5}], "groups": [{"name": "vision"}]}


def locate(path: Any) -> str:
    return f"file:{len(path)}"


def test_problems_are_in_the_order_of_the_registry() -> None:
    findings = Findings(RAW, None)
    findings.error(("groups", 0, "name"), "third", "")
    findings.error(("people", 1), "second", "", show=False)
    findings.error(("people",), "first", "", show=False)
    assert [problem.message for problem in findings.sorted()] == ["first", "second", "third"]


def test_a_problem_has_place_path_and_value() -> None:
    findings = Findings(RAW, locate)
    findings.error(("people", 0, "name"), "is wrong", "Correct it.", value="amartin")
    assert [str(problem) for problem in findings.sorted()] == [
        "file:3: lyceum_people[amartin].name = amartin: is wrong. Correct it."
    ]


def test_hidden_and_structured_values_are_not_shown() -> None:
    findings = Findings(RAW, None)
    findings.error(("people", 0), "is wrong", "", value="secret", show=False)
    findings.error(("people", 0), "is wrong", "", value={"a": 1})
    assert [problem.value for problem in findings.sorted()] == ["", ""]


def test_warnings_are_no_failure() -> None:
    findings = Findings(RAW, None)
    findings.warning(("people",), "is odd", "")
    assert not findings.failed
    assert findings.sorted()[0].severity == WARNING
    findings.error(("people",), "is wrong", "")
    assert findings.failed


def test_place_of_another_entry() -> None:
    assert Findings(RAW, locate).place(("people", 0)) == "amartin (file:2)"
    assert Findings(RAW, None).place(("people", 0)) == "amartin"
    assert Findings(RAW, None).place(("people", 1)) == "entry 1"
