# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a person has what they have."""

from __future__ import annotations

import base64
from datetime import date
from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.registry import explain, validate
from ansible.module_utils.lyceum.registry.model import Registry

TODAY = date(2026, 11, 21)
_BLOB = b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + b"k" * 32
KEY = f"ssh-ed25519 {base64.b64encode(_BLOB).decode()} laptop"
RAW: dict[str, Any] = {
    "people": [
        {"name": "amartin", "uid": 2001, "affiliation": "faculty", "groups": ["vision"], "ssh_keys": [KEY],
         "email": "amartin@example.org", "aliases": ["a.martin@ad.example.org"], "limits": {"containers": 0}},
        {"name": "bchen", "uid": 2002, "affiliation": "student", "access": "sftp", "ends": "2026-10-31"},
        {"name": "fmoreau", "uid": 2006, "state": "absent"},
    ],
    "groups": [{"name": "vision", "gid": 10001}],
    "projects": [
        {"name": "retina", "gid": 11001, "owner": "amartin", "members": {"bchen": "read"}, "limits": {"containers": 9}},
        {"name": "speech", "gid": 11002, "owner": "bchen", "members": {"amartin": "write"}, "ends": "2025-01-01"},
    ],
    "limits": {
        "defaults": {"containers": 10, "home_gib": 5},
        "affiliations": {"faculty": {"home_gib": None}},
        "exceptions": [{"person": "amartin", "limits": {"gpu_slices": 4}, "reason": "deadline", "approved_by": "bchen",
                        "expires": "2026-12-01"}],
    },
}  # fmt: skip


@pytest.fixture
def registry() -> Registry:
    assert validate.errors(validate.problems(RAW, today=TODAY)) == []
    return Registry.from_raw(RAW, today=TODAY)


def test_limits_carry_the_trail_of_layers(registry: Registry) -> None:
    limits = explain.person(registry, "amartin")["limits"]
    assert limits["containers"] == {
        "value": 0,
        "unit": "containers",
        "layer": "person",
        "trail": [
            {"layer": "defaults", "value": 10},
            {"layer": "project retina", "value": 9},
            {"layer": "person", "value": 0},
        ],
    }
    assert (limits["home_gib"]["value"], limits["home_gib"]["layer"]) == (None, "affiliation faculty")
    assert limits["gpu_slices"]["layer"] == "exception until 2026-12-01 (deadline)"


def test_identity_state_and_roles(registry: Registry) -> None:
    found = explain.person(registry, "bchen")
    assert (found["state"], found["reason"]) == ("suspended", "ended on 2026-10-31")
    assert found["access_from"] == "the person's own"
    assert found["projects"] == [
        {"name": "retina", "role": "read", "live": True},
        {"name": "speech", "role": "owner", "live": False},
    ]
    amartin = explain.person(registry, "amartin")
    assert (amartin["state"], amartin["reason"], amartin["access_from"]) == ("present", "", "as for every faculty")
    assert [(key["type"], key["bits"], key["comment"]) for key in amartin["keys"]] == [("ssh-ed25519", 256, "laptop")]
    assert explain.person(registry, "fmoreau")["state"] == "absent"
    with pytest.raises(LyceumError, match="Did you mean 'bchen'"):
        explain.person(registry, "bchn")


def test_hosts_say_what_and_why() -> None:
    shell = ["shell"]
    allowed = {"web1": ([], shell), "web2": (["vision", "other"], shell), "web3": (["other"], shell)}
    assert explain.hosts(RAW, "amartin", allowed, today=TODAY) == [
        {"host": "web1", "account": "account, /bin/bash, 1 key", "why": "everyone may use this host"},
        {"host": "web2", "account": "account, /bin/bash, 1 key", "why": "in vision, allowed here"},
        {"host": "web3", "account": "no login; what exists stays", "why": "in none of the groups allowed here: other"},
    ]
    assert [row["why"] for row in explain.hosts(RAW, "bchen", allowed, today=TODAY)] == ["ended on 2026-10-31"] * 3
    assert explain.hosts(RAW, "fmoreau", {"web1": ([], shell)}, today=TODAY)[0]["account"] == "removed, home archived"


def test_a_profile_that_a_host_does_not_serve_is_said() -> None:
    raw = {**RAW, "people": [{**RAW["people"][0], "access": "jail"}, *RAW["people"][1:]]}
    name = raw["people"][0]["name"]
    found = explain.hosts(raw, name, {"web1": ([], ["shell"]), "web2": ([], ["shell", "jail"])}, today=TODAY)
    assert [(row["account"], row["why"]) for row in found] == [
        (
            "account, access jail, 0 keys",
            "the host does not serve access jail (role sshd_jail); everyone may use this host",
        ),
        ("account, access jail, 1 key", "everyone may use this host"),
    ]


def test_ansibles_answer_is_read() -> None:
    output = (
        "[WARNING]: something\n"
        'web2 | SUCCESS => {\n    "msg": [["vision"], ["jail", "shell"]],\n    "changed": false\n}\n'
        'web1 | SUCCESS => {\n    "msg": [[], ["shell"]],\n    "changed": false\n}\n'
    )
    assert explain.parse_hosts(output) == {"web1": ([], ["shell"]), "web2": (["vision"], ["jail", "shell"])}
    assert explain.parse_hosts("[WARNING]: No hosts matched, nothing to do\n") == {}
    assert "inventories/team" in explain.hosts_argv("inventories/team")


def test_rows_for_tables(registry: Registry) -> None:
    assert [(row["name"], row["state"], row["groups"]) for row in explain.rows(registry, "people")] == [
        ("amartin", "present", ["retina", "vision"]),
        ("bchen", "suspended", []),
        ("fmoreau", "absent", []),
    ]
    assert explain.rows(registry, "groups")[0]["members"] == ["amartin"]
    assert [(row["name"], row["live"]) for row in explain.rows(registry, "projects")] == [
        ("retina", "yes"),
        ("speech", "no"),
    ]
    home = next(row for row in explain.rows(registry, "limits") if row["limit"] == "home_gib")
    assert (home["defaults"], home["faculty"], home["exceptions"]) == (5, "unlimited", [])
    gpu = next(row for row in explain.rows(registry, "limits") if row["limit"] == "gpu_slices")
    assert gpu["exceptions"] == ["amartin 4 until 2026-12-01"]
