# SPDX-License-Identifier: GPL-3.0-or-later
"""The wiring of sites and certificates."""

from __future__ import annotations

import lyceum_web
import pytest
from ansible.errors import AnsibleFilterError

SITES = [
    {"name": "a", "server_names": ["a.org", "b.org"]},
    {"name": "b", "server_names": ["b.org", "c.org"], "certificate": "a"},
    {"name": "c", "server_names": ["c.org"], "state": "absent"},
]


def test_a_certificate_for_each_site() -> None:
    assert lyceum_web.certificates_of_sites(SITES, "acme") == [
        {"name": "a", "subject_alt_names": ["a.org", "b.org", "c.org"], "source": "acme", "reload": ["nginx"]}
    ]


def test_ones_own_come_over_the_automatic_ones() -> None:
    automatic = [{"name": "a", "x": 1}, {"name": "b"}]
    assert lyceum_web.overridden(automatic, [{"name": "a", "x": 2}, {"name": "c"}]) == [
        {"name": "b"}, {"name": "a", "x": 2}, {"name": "c"},
    ]  # fmt: skip
    assert len(lyceum_web.overridden([], [{"name": "a"}, {"name": "a"}])) == 2


def test_those_by_acme_are_whole() -> None:
    entries = [
        {"name": "a", "source": "acme", "reload": ["x"]},
        {"name": "b"},
        {"name": "c", "source": "acme", "state": "absent"},
    ]
    assert lyceum_web.certificates_by_acme(entries) == [
        {"name": "a", "source": "acme", "owner": "root", "group": "root", "reload": ["x"]}
    ]


def test_keys_stay_where_they_are() -> None:
    assert lyceum_web.without_keys([{"name": "a", "key_content": "k", "chain_content": "c"}]) == [{"name": "a"}]


def test_authorities_become_files() -> None:
    assert lyceum_web.trusted_files([{"name": "campus", "content": "PEM\n\n"}], "/x") == [
        {"path": "/x/campus.crt", "content": "PEM\n"}
    ]


def test_the_rest_is_passed_on() -> None:
    filters = lyceum_web.FilterModule().filters()
    assert filters["certificate_problems"]([{"name": "a", "source": "acme"}], True, True, []) == []
    assert filters["name_constraints"](["example.org", "10.0.0.0/8"]) == ["DNS:example.org", "IP:10.0.0.0/8"]
    with pytest.raises(AnsibleFilterError, match="write the domain alone"):
        filters["name_constraints"](["*.example.org"])
    assert filters["refused_requests"]([{"item": {"name": "x"}}], []) == [
        "The host asks for a certificate x that is not in the list."
    ]
    assert filters["nginx_report"]([], {})[0]["rows"] == []
    assert filters["certificates_report"]({})[0]["rows"] == []
