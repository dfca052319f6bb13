# SPDX-License-Identifier: GPL-3.0-or-later
"""Grades from what testssl.sh really wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.web import grade

RECORDED = Path(__file__).parents[2] / "data/tls_grade"


def findings(name: str = "testssl-3.0.8", **changes: tuple[str, str]) -> list[dict[str, str]]:
    entries = json.loads((RECORDED / f"{name}.json").read_text())
    for entry in entries:
        if entry["id"] in changes:
            entry["severity"], entry["finding"] = changes[entry["id"]]
    return list(entries)


def test_what_the_role_makes() -> None:
    assert grade.grade(findings()) == ("A+", [])


@pytest.mark.parametrize(
    ("id_", "severity", "finding", "letter"),
    [
        ("HSTS_time", "LOW", "not offered", "A"),
        ("TLS1", "LOW", "offered (deprecated)", "B"),
        ("SSLv3", "HIGH", "offered", "F"),
        ("cipherlist_3DES_IDEA", "LOW", "offered", "C"),
        ("cert_chain_of_trust", "CRITICAL", "failed (self signed).", "T"),
        ("cert_expirationStatus", "CRITICAL", "expired", "T"),
        ("cert_expirationStatus", "LOW", "expires < 60 days", "A+"),
        ("PFS", "MEDIUM", "not offered", "B"),
        ("heartbleed", "CRITICAL", "VULNERABLE", "F"),
    ],
)
def test_caps(id_: str, severity: str, finding: str, letter: str) -> None:
    found, reasons = grade.grade(findings(**{id_: (severity, finding)}))
    assert found == letter
    assert reasons == ([] if letter.startswith("A") else [f"{id_}: {finding}"])


def test_a_server_without_new_protocols() -> None:
    nothing = ("HIGH", "not offered")
    assert grade.grade(findings(TLS1_2=nothing, TLS1_3=nothing))[0] == "C"


def test_newer_ones_grade_by_themselves() -> None:
    own = [
        {"id": "overall_grade", "severity": "OK", "finding": "B"},
        {"id": "grade_cap_reason_1", "severity": "INFO", "finding": "Grade capped to B. TLS 1.1 offered"},
    ]
    assert grade.grade([*findings(), *own]) == ("B", ["Grade capped to B. TLS 1.1 offered"])
    with pytest.raises(LyceumError, match="could not grade: Not rated"):
        grade.grade([{"id": "overall_grade", "severity": "WARN", "finding": "Not rated"}])


def test_half_a_run_has_no_grade() -> None:
    with pytest.raises(LyceumError, match="did not say anything about SSLv2"):
        grade.grade([])


@pytest.mark.parametrize(
    ("one", "other", "good"), [("A+", "A", True), ("A", "A", True), ("B", "A", False), ("T", "A", False)]
)
def test_as_good_as(one: str, other: str, good: bool) -> None:
    assert grade.is_at_least(one, other) == good
