# SPDX-License-Identifier: GPL-3.0-or-later
"""Helpers of roles and playbooks."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from lyceum_roles import (
    FilterModule,
    expected_of_sshd,
    host_package,
    hosts_report,
    hosts_report_text,
    person_problem,
    pick,
    proof_table,
    unknown_role_variables,
)

PEOPLE = [
    {"name": "bchen", "state": "present", "reason": ""},
    {"name": "ehansen", "state": "suspended", "reason": "on leave"},
    {"name": "fmoreau", "state": "absent", "reason": ""},
]


def test_a_package_for_tools_on_the_host() -> None:
    found = {entry["path"]: entry["content"] for entry in host_package(["notices", "sshd"], "containers")}
    folder = "/usr/local/lib/lyceum/containers/lyceum"
    assert {f"{folder}/{name}.py" for name in ("__init__", "errors", "files", "notices", "sshd/keys")} <= set(found)
    assert "class LyceumError" in found[f"{folder}/errors.py"]
    with pytest.raises(AnsibleFilterError, match="there is no 'nothing'"):
        host_package(["nothing"], "containers")


def test_unknown_variables_come_with_a_suggestion() -> None:
    found = unknown_role_variables(
        ["accounts_grups", "accounts_people", "accounts_zzz"],
        ["accounts_groups", "accounts_people", "accounts_keys_dir"],
        "accounts_",
    )
    assert found == [
        "Unknown variable accounts_grups: did you mean accounts_groups?",
        "Unknown variable accounts_zzz: there is nothing like it; see the role's README.",
    ]


def test_pick_keeps_what_is_there() -> None:
    assert pick([{"name": "a", "uid": 1, "x": 2}, {"name": "b"}], ["name", "uid"]) == [
        {"name": "a", "uid": 1},
        {"name": "b"},
    ]


def test_expectations_of_sshd_do_not_share_their_options() -> None:
    first, second = expected_of_sshd(["root", "admin"], {"a": "b"})
    first["options"]["a"] = "c"
    assert second == {"user": "admin", "options": {"a": "b"}}


@pytest.mark.parametrize(
    ("name", "purpose", "words"),
    [
        ("bchen", "onboard", ""),
        ("ehansen", "offboard", ""),
        ("fmoreau", "offboard", ""),
        ("", "onboard", "Say who: -e person=NAME (./lyceum onboard NAME)."),
        ("bchan", "onboard", "nobody called bchan in the registry. Did you mean bchen?"),
        ("xyz", "offboard", "nobody called xyz in the registry. `./lyceum person add`"),
        ("ehansen", "onboard", "ehansen is suspended in the registry (on leave). `./lyceum offboard ehansen`"),
        ("fmoreau", "onboard", "fmoreau is absent in the registry. `./lyceum offboard fmoreau`"),
        (
            "bchen",
            "offboard",
            "`./lyceum person suspend bchen` (keeps the data) or `./lyceum person remove bchen` (archives it)",
        ),
    ],
)
def test_person_problem(name: str, purpose: str, words: str) -> None:
    found = person_problem(PEOPLE, name, purpose)
    assert (found == "") is (words == "")
    assert words in found


def test_proof_table_is_one_text() -> None:
    verdict = {"control": "login", "attack": "foreign key", "host": "h1", "result": "held", "detail": "amartin"}
    assert proof_table([verdict]).splitlines()[3].split() == ["login", "foreign", "key", "held", "h1", "amartin"]


def test_report_as_data_and_text() -> None:
    host = {"people": [], "accounts": [], "unmanaged": [], "ownerless": [], "drift": ["a: b"], "blocked": ""}
    composed = hosts_report({"h1": {**host, "untouched_days": 90}}, "2026-11-21T08:00:00+00:00")
    assert composed["hosts"]["h1"]["drift"] == ["a: b"]
    assert "  h1: a: b" in hosts_report_text(composed).splitlines()


def test_every_filter_is_offered() -> None:
    assert {name: function.__name__ for name, function in FilterModule().filters().items()} == {
        name: name
        for name in (
            "expected_of_sshd",
            "host_package",
            "hosts_report",
            "hosts_report_text",
            "person_problem",
            "pick",
            "proof_table",
            "unknown_role_variables",
        )
    }
