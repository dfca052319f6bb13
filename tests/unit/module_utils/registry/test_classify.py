# SPDX-License-Identifier: GPL-3.0-or-later
"""Which rule wins, which login a nasty account name becomes, and what is reported instead of guessed."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.registry.classify import Classifier, derive_login, parse_members
from ansible.module_utils.lyceum.registry.names import NAME
from hypothesis import given
from hypothesis import strategies as st

RAW = {
    "rules": [
        {"pattern": "^[0-9]+@", "affiliation": "student"},
        {"pattern": r"^[a-z]+\.[a-z]+@", "affiliation": "researcher"},
    ],
    "overrides": {"12345@students.example.org": "researcher", "old@example.org": "faculty"},
    "archived": ["old@example.org", "77"],
    "default": "staff",
}


@pytest.mark.parametrize(
    ("names", "affiliation", "archived", "why"),
    [
        (["99@students.example.org"], "student", False, "rule ^[0-9]+@"),
        (["a.martin@ad.example.org"], "researcher", False, r"rule ^[a-z]+\.[a-z]+@"),
        (["A.Martin@AD.example.org"], "researcher", False, r"rule ^[a-z]+\.[a-z]+@"),
        (["12345@students.example.org"], "researcher", False, "override"),
        (["12345@STUDENTS.example.org"], "researcher", False, "override"),
        (["old@example.org"], "faculty", True, "archived list"),
        (["new.name@example.org", "77"], "researcher", True, "archived list"),
        (["somebody"], "staff", False, "default"),
        (["listed"], "faculty", False, "members file"),
        (["88@students.example.org"], "faculty", False, "override in a members file"),
        (["gone"], "staff", True, "archived list"),
        (["twice"], "staff", False, "default"),
    ],
)
def test_archived_then_overrides_then_members_then_rules_then_default(
    names: list[str], affiliation: str, archived: bool, why: str
) -> None:
    members = parse_members(
        [
            ("lists/faculty.members", "listed  # since 2020\ntwice\n\n# nobody\n"),
            ("student.members", "twice\n88@students.example.org\n"),
            ("group-overrides.txt", "88@students.example.org:faculty  # teaches now\n"),
            ("archived.members", "\ufeffgone\r\n"),
        ]
    )
    verdict = Classifier.from_raw(RAW, members).classify(names)
    assert (verdict.affiliation, verdict.archived, verdict.why) == (affiliation, archived, why)


def test_nothing_says_is_no_affiliation() -> None:
    assert Classifier.from_raw(None).classify(["x"]).affiliation is None


def test_contradicting_members_files_are_reported() -> None:
    members = parse_members(
        [("a.members", "x\ny\n"), ("b.members", "x\n"), ("overrides.txt", "y:a\ny:b\nz:archived\n")]
    )
    assert members.conflicts == (
        "x stands in several members files (a, b); none of them was believed",
        "y is overridden more than once (a, b); none of them was believed",
    )
    assert members.archived == {"z"}
    assert members.names == ("x", "y", "z")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"rules": [{"pattern": "^[0-9+@", "affiliation": "student"}]}, r"rules\[1\]: '\^\[0-9\+@' is not a regular"),
        ({"rules": [{"match": "x", "affiliation": "student"}]}, "needs exactly the keys pattern and affiliation"),
        ({"rules": [{"pattern": "", "affiliation": "student"}]}, "texts that are not empty"),
        ({"rules": "x"}, "a list of"),
        ({"overrides": {12345: "student"}}, "quote names that consist of digits"),
        ({"overrides": ["x"]}, "lines are wanted"),
        ({"archived": [12345]}, "12345 must be quoted"),
        ({"archived": "x"}, "a list of account names"),
        ({"default": 1}, "default:"),
        ({"same_person": {"a": ["b"], "c": ["b"]}}, "b stands under a and under c"),
        ({"same_person": ["a"]}, "main account"),
        ({"logins": {"a.b@c": "A.B"}}, "'A.B' is not a login"),
        ({"rule": []}, "unknown keys rule"),
    ],
)
def test_what_is_wrong_with_the_rules_is_said(raw: Any, message: str) -> None:
    with pytest.raises(LyceumError, match=message):
        Classifier.from_raw(raw)


def test_all_mistakes_are_reported_at_once() -> None:
    with pytest.raises(LyceumError) as caught:
        Classifier.from_raw({"rules": [{"pattern": "(", "affiliation": "x"}], "archived": 1, "x": 1})
    assert str(caught.value).count("\n  - ") == 3


@pytest.mark.parametrize(
    ("account", "login"),
    [
        ("amartin", "amartin"),
        ("a-b_c9", "a-b_c9"),
        ("a.martin@ad.example.org", "amartin"),
        ("EXAMPLE\\a.martin", "amartin"),
        ("AMartin", "amartin"),
        ("12345@students.example.org", "u12345"),
        ("12345", "u12345"),
        ("_backup", "ubackup"),
        ("-rf@example.org", "urf"),
        ("jörg.müller@example.org", "jorgmuller"),
        ("a;$(reboot)", "areboot"),
        ("@example.org", None),
        ("---", None),
        ("", None),
        ("王@example.org", None),
        ("x" * 40, None),
    ],
)
def test_the_login_derived_from_an_account_name(account: str, login: str | None) -> None:
    assert derive_login(account) == login


@given(st.text(max_size=60))
def test_derived_logins_are_valid_and_stable(account: str) -> None:
    login = derive_login(account)
    if login is not None:
        assert NAME.fullmatch(login)
        assert derive_login(login) == login


@given(st.lists(st.tuples(st.text(max_size=12), st.text(max_size=60)), max_size=4))
def test_any_text_is_a_members_file(files: list[tuple[str, str]]) -> None:
    members = parse_members(files)
    assert all(name == name.strip().lower() and name for name in members.names)
