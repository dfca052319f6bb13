# SPDX-License-Identifier: GPL-3.0-or-later
"""The module's result."""

from __future__ import annotations

from ansible.module_utils.lyceum.postgres.apply import Outcome
from ansible.module_utils.lyceum.postgres.observe import Observed
from ansible.module_utils.lyceum.postgres.plan import plan
from ansible.module_utils.lyceum.postgres.report import module_result

from .conftest import database, desired, project, role


def outcome(**failures: str) -> Outcome:
    service = role("gitea", kind="service", password="hush")  # noqa: S106
    wanted = desired([role("amartin"), service, project("retina")], [database("amartin")])
    return Outcome(plan(wanted, Observed()), Observed(), dict(failures))


def test_people_have_rows_and_others_sentences() -> None:
    found = module_result(outcome(), with_diff=True)
    assert found["changed"] is True
    assert "failed" not in found
    assert found["lyceum"]["kind"] == "databases"
    assert list(found["lyceum"]["results"]) == ["amartin"]
    assert found["lyceum"]["results"]["amartin"] == {
        "result": "created",
        "actions": ["create the role (login, no connection limit)", "create the database amartin"],
        "error": None,
    }
    assert "gitea: create the role (login, no connection limit, password)" in found["actions"]
    assert found["diff"][0] == {
        "before_header": "amartin",
        "after_header": "amartin",
        "before": "",
        "after": "role: login, no connection limit\ndatabase amartin\n",
    }
    assert "hush" not in str(found)
    assert "SCRAM" not in str(found)


def test_failures() -> None:
    found = module_result(outcome(amartin="no", retina="not that"), with_diff=False)
    assert (found["failed"], found["msg"]) == (True, "amartin: no; retina: not that")
    assert found["lyceum"]["results"]["amartin"]["result"] == "failed"
    assert found["lyceum"]["results"]["amartin"]["error"] == "no"
    assert found["lyceum"]["conflicts"] == ["retina: not that"]


def test_many_failures_are_not_all_in_the_message() -> None:
    found = module_result(outcome(**{f"p{number}": "no" for number in range(8)}), with_diff=False)
    assert found["msg"].endswith("p4: no; and 3 more")
