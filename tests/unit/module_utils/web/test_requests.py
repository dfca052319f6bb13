# SPDX-License-Identifier: GPL-3.0-or-later
"""What the site's own authority refuses to sign."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.web import requests

LIST = [
    {"name": "a", "subject_alt_names": ["A.example.org", "10.0.0.1"]},
    {"name": "given", "source": "files", "subject_alt_names": ["g.example.org"]},
]


def asked(**changes: Any) -> dict[str, Any]:
    """As community.crypto.openssl_csr_info answers."""
    return {
        "item": {"name": changes.pop("name", "a")}, "subject_alt_name": ["DNS:a.example.org", "IP:10.0.0.1"],
        "signature_valid": True, "extended_key_usage": ["TLS Web Server Authentication"], "basic_constraints": None,
        "extensions_by_oid": {"2.5.29.17": {}, "2.5.29.37": {}}, **changes,
    }  # fmt: skip


def test_what_is_written_down_is_signed() -> None:
    assert requests.refusals([asked(), asked(extended_key_usage=None)], LIST) == []


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"name": "b"}, "The host asks for a certificate b that is not in the list."),
        ({"name": "given"}, "The host asks for a certificate given that is not in the list."),
        (
            {"subject_alt_name": ["DNS:bank.example"]},
            "For a the host asks for DNS:bank.example, not DNS:a.example.org, IP:10.0.0.1.",
        ),
        ({"signature_valid": False}, "The request for a is not signed by the key it is for."),
        ({"extended_key_usage": ["codeSigning"]}, "For a the host asks for more than a server's certificate."),
        (
            {"extensions_by_oid": {"2.5.29.17": {}, "2.5.29.19": {}}},
            "For a the host asks for more than a server's certificate.",
        ),
        ({"basic_constraints": ["CA:TRUE"]}, "For a the host asks to become an authority itself."),
    ],
    ids=str,
)
def test_anything_else_is_not(changes: dict[str, Any], why: str) -> None:
    assert requests.refusals([asked(**changes)], LIST) == [why]


def problems(*entries: dict[str, Any], authority: bool = True, agreed: bool = True, only_for: Any = ()) -> list[str]:
    return requests.problems(entries, authority=authority, agreed=agreed, only_for=only_for)


def test_certificates_that_cannot_be_had() -> None:
    assert problems(*LIST) == []
    assert problems(LIST[0], LIST[0]) == ["Certificate a is listed twice."]
    assert "certificates_authority is false" in problems(LIST[0], authority=False)[0]
    assert problems({**LIST[0], "state": "absent"}, authority=False) == []
    acme = {**LIST[0], "source": "acme"}
    assert "certificates_acme_agree_tos: true" in problems(acme, agreed=False)[0]
    assert problems(acme) == []
    assert problems(LIST[0], only_for=["example.org"]) == [
        "Certificate a is for 10.0.0.1, which certificates_authority_only_for does not allow."
    ]


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("example.org", True),
        ("a.Example.org", True),
        ("badexample.org", False),
        ("10.1.2.3", True),
        ("11.0.0.1", False),
    ],
)
def test_limits(name: str, good: bool) -> None:
    assert requests.within(name, [".example.org", "10.0.0.0/8"]) == good


@pytest.mark.parametrize(
    ("only_for", "found"),
    [
        ([], []),
        (["example.org", "10.0.0.0/8"], ["DNS:example.org", "IP:10.0.0.0/8"]),
        ([".example.org"], ["DNS:example.org", "IP:192.0.2.0/32", "IP:2001:db8::/128"]),
        (["10.0.0.0/8"], ["IP:10.0.0.0/8", "DNS:invalid"]),
    ],
)
def test_constraints(only_for: list[str], found: list[str]) -> None:
    assert requests.constraints(only_for) == found


def test_an_asterisk_is_no_domain() -> None:
    with pytest.raises(LyceumError, match="write the domain alone"):
        requests.constraints(["*.example.org"])
