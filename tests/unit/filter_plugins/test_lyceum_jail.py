# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of role sshd_jail: what they hand to modules."""

from __future__ import annotations

import json
from typing import Any

import lyceum_jail
import pytest
from ansible.errors import AnsibleFilterError
from ansible.module_utils.lyceum import managed_files

CERTIFICATE = "ssh-ed25519-cert-v01@openssh.com AAAA lab"
PLACES = {"projects": "/srv/p", "scratch": "/srv/s", "write": [], "read": []}


def person(name: str, access: str, **changes: Any) -> dict[str, Any]:
    projects: dict[str, list[str]] = {"write": ["retina"], "read": []}
    one = {"name": name, "uid": 7, "gid": 8, "home": f"/home/{name}", "access": access, "state": "present"}
    return {**one, "projects": projects, **changes}


def takes(files: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same list, after the module has taken it."""
    defaults = {"mode": "0644", "owner": "0", "group": "0", "state": "present", "person": None, "secret": False}
    full = [{**defaults, "content": None, **entry} for entry in files]
    managed_files.Desired.from_params({"files": full, "directories": [], "exclusive": []})
    return files


def test_all_filters_are_offered() -> None:
    assert set(lyceum_jail.FilterModule().filters()) == {name for name in dir(lyceum_jail) if name.startswith("jail_")}


def test_policies_are_files_that_only_their_person_can_read() -> None:
    jailed, gone = takes(
        lyceum_jail.jail_policies([person("jweber", "jail"), person("amartin", "shell")], "/etc/x", **PLACES)
    )
    assert {key: jailed[key] for key in ("path", "person", "mode", "group")} == {
        "path": "/etc/x/jweber.json",
        "person": "jweber",
        "mode": "0640",
        "group": "8",
    }
    assert json.loads(jailed["content"])["write"] == ["/srv/p/retina", "/srv/s/jweber"]
    assert gone == {"path": "/etc/x/amartin.json", "person": "amartin", "state": "absent"}


def test_principals_are_files_while_certificates_are_on() -> None:
    people = [person("jweber", "jail"), person("mpatel", "git")]
    on = takes(lyceum_jail.jail_principal_files(people, "/p", {"root": ["ops", "oncall"]}, True))
    assert on == [
        {"path": "/p/jweber", "content": "jweber\n"},
        {"path": "/p/root", "content": "ops\noncall\n"},
        {"path": "/p/mpatel", "state": "absent", "person": "mpatel"},
    ]
    off = lyceum_jail.jail_principal_files(people, "/p", {"root": ["ops"]}, False)
    assert [entry["state"] for entry in off] == ["absent", "absent"]


def test_certificates_are_files_beside_their_keys() -> None:
    path = "/etc/ssh/ssh_host_ed25519_key-cert.pub"
    assert takes(lyceum_jail.jail_certificate_files([f" {CERTIFICATE}\n"])) == [
        {"path": path, "content": f"{CERTIFICATE}\n"}
    ]
    assert lyceum_jail.jail_certificate_file(CERTIFICATE) == path
    with pytest.raises(AnsibleFilterError, match="is not a certificate of a host key"):
        lyceum_jail.jail_certificate_files(["ssh-ed25519 AAAA"])


def test_addresses() -> None:
    assert lyceum_jail.jail_exempt(["192.0.2.0/24"], "198.51.100.1") == ["192.0.2.0/24", "198.51.100.1"]
    with pytest.raises(AnsibleFilterError, match="sshd_jail_exempt"):
        lyceum_jail.jail_exempt(["campus"], "")


def test_expectations_and_blocks_come_from_one_table() -> None:
    blocks = lyceum_jail.jail_blocks(True)
    [asked] = lyceum_jail.jail_expectations([["ksato", "sftp"]], True)
    assert asked["options"] == {key.lower(): value for key, value in blocks["sftp"].items()}


def test_misplaced_reads_the_facts_of_getent() -> None:
    passwd = {"jweber": ["x", "7", "8", "", "/home/jweber", "/bin/bash"]}
    group = {"lyceum-jail": ["x", "20005", "amartin,jweber"], "empty": ["x", "1", None]}
    [sentence] = lyceum_jail.jail_misplaced([person("jweber", "jail")], passwd, group)
    assert sentence.startswith("jweber has access jail, but the login shell /bin/bash")


def test_the_report_has_sections() -> None:
    found = lyceum_jail.jail_report([person("jweber", "jail")], journal=[], bans=[], never=[], notes=["a"])
    assert [section["title"] for section in found] == [
        "Logins with less than a full shell",
        "Addresses shut out after failed logins",
    ]
