# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of who may log in from where."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.postgres.hba import HEADER, hba, ident


def test_the_whole_file() -> None:
    rules = [
        {"databases": ["mri 3", "retina"], "users": ["+retina"], "address": "10.0.0.0/8", "method": "ldap",
         "options": {"ldapserver": "ldap.example.org", "ldapprefix": "uid="}},
        {"type": "local", "users": ["backup"], "method": "reject"},
    ]  # fmt: skip
    assert hba(["127.0.0.1/32", "::1/128"], rules) == (
        HEADER + "local all postgres peer map=admin\n"
        "local replication postgres peer map=admin\n"
        "host all postgres all reject\n"
        "host replication postgres all reject\n"
        'hostssl "mri 3",retina "+retina" 10.0.0.0/8 ldap "ldapserver=ldap.example.org" "ldapprefix=uid="\n'
        "local all backup reject\n"
        "local all all peer\n"
        "hostssl all all 127.0.0.1/32 scram-sha-256\n"
        "hostssl all all ::1/128 scram-sha-256\n"
    )


def test_root_and_the_servers_account_are_the_superuser_and_nobody_else() -> None:
    assert ident() == HEADER + "admin root postgres\nadmin postgres postgres\n"


@pytest.mark.parametrize("method", ["trust", "password", "md5"])
def test_no_way_in_without_a_good_password(method: str) -> None:
    with pytest.raises(LyceumError, match="the method is one of reject, peer, scram-sha-256"):
        hba([], [{"address": "all", "method": method}])


@pytest.mark.parametrize("kind", ["host", "hostnossl"])
def test_no_way_in_without_tls(kind: str) -> None:
    with pytest.raises(LyceumError, match="without TLS there is no other way in"):
        hba([], [{"type": kind, "address": "all"}])


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({}, "the address is missing"),
        ({"type": "local", "address": "all", "method": "peer"}, "no address goes with local"),
        ({"address": "all", "user": "x"}, "unknown: user"),
        ({"address": "all", "users": ['x" all']}, "has a quote or a control character in it"),
        ({"address": "all\nlocal all all trust"}, "has a quote or a control character in it"),
    ],
)
def test_refused(rule: dict[str, Any], message: str) -> None:
    with pytest.raises(LyceumError, match=message):
        hba([], [rule])
