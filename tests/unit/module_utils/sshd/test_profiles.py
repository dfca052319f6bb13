# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles in sshd's words. What sshd itself makes of them is tested on lab hosts."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.registry import projection
from ansible.module_utils.lyceum.registry.model import ACCESS_PROFILES
from ansible.module_utils.lyceum.sshd import profiles

CONFINED = ("none", "git", "sftp", "rsync", "jail")


def person(name: str, access: str, **changes: Any) -> dict[str, Any]:
    projects = {"write": ["retina"], "read": ["speech"]}
    return {
        "name": name, "uid": 2009, "gid": 2009, "home": f"/home/{name}", "access": access, "state": "present",
        "projects": projects, **changes,
    }  # fmt: skip


def policies(*people: dict[str, Any]) -> dict[str, Any]:
    return profiles.policies(people, projects="/srv/p", scratch="/srv/scratch", write=["/srv/shared"], read=["/srv/ro"])


# --- sshd_config


def test_every_profile_but_the_full_shell_is_described() -> None:
    assert tuple(profiles.blocks(forwarding=True)) == CONFINED
    assert set(CONFINED) | {"shell"} == set(ACCESS_PROFILES)


def test_login_shells_are_those_that_the_accounts_get() -> None:
    given = {profile: projection.SHELLS.get(profile, projection.NO_LOGIN) for profile in CONFINED}
    assert dict(profiles.SHELLS) == given
    assert profiles.JAIL == projection.JAIL


@pytest.mark.parametrize("forwarding", [True, False])
@pytest.mark.parametrize("profile", CONFINED)
def test_nobody_confined_runs_an_own_command_or_forwards_further(profile: str, forwarding: bool) -> None:
    options = profiles.blocks(forwarding=forwarding)[profile]
    assert options["ForceCommand"] in ("/usr/sbin/nologin", profiles.JAIL, "internal-sftp -l INFO")
    assert options["PermitUserRC"] == "no"
    if profile == "jail":
        assert options["AllowTcpForwarding"] == ("local" if forwarding else "no")
        assert options["PermitOpen"] == ("127.0.0.1:* [::1]:* localhost:*" if forwarding else "none")
        closed = {"AllowStreamLocalForwarding", "AllowAgentForwarding", "X11Forwarding", "PermitTunnel", "GatewayPorts"}
        assert {options[key] for key in closed} == {"no"}
        assert options["PermitListen"] == "none"
    else:
        assert options["DisableForwarding"] == "yes"
        assert options["PermitTTY"] == "no"


def test_programs_that_confine_are_started_without_what_could_reach_them() -> None:
    for profile in ("rsync", "jail"):
        words = profiles.blocks(forwarding=True)[profile]["SetEnv"].split()
        assert {"LD_PRELOAD=", "LD_AUDIT=", "LD_LIBRARY_PATH="} <= set(words)


def test_what_is_asked_about_people() -> None:
    asked = profiles.expectations(
        [("root", "shell"), ("jweber", "jail"), ("x", "unknown"), ("mpatel", "git")], forwarding=True
    )
    assert [one["user"] for one in asked] == ["root", "jweber", "mpatel"]
    assert asked[0]["options"] == {"forcecommand": "none", "chrootdirectory": "none", "disableforwarding": "no"}
    assert asked[1]["options"]["setenv"] == "LD_PRELOAD="
    assert asked[1]["options"]["allowtcpforwarding"] == "local"
    assert asked[2]["options"]["authorizedkeysfile"] == "none"


# --- policies


def test_a_jail_shows_projects_scratch_and_what_is_shared() -> None:
    assert policies(person("jweber", "jail"))["jweber"] == {
        "uid": 2009,
        "profile": "jail",
        "home": "/home/jweber",
        "write": ["/srv/p/retina", "/srv/scratch/jweber", "/srv/shared"],
        "read": ["/srv/p/speech", "/srv/ro"],
    }


@pytest.mark.parametrize("access", ["sftp", "rsync"])
def test_transfers_show_home_and_projects(access: str) -> None:
    found = policies(person("ksato", access))["ksato"]
    assert (found["write"], found["read"]) == (["/srv/p/retina"], ["/srv/p/speech"])


@pytest.mark.parametrize(
    "one",
    [person("a", "none"), person("a", "git"), person("a", "shell"), person("a", "jail", state="suspended"),
     person("a", "sftp", state="absent")],
    ids=lambda one: f"{one['access']} {one['state']}",
)  # fmt: skip
def test_whoever_is_not_let_in_has_no_policy(one: dict[str, Any]) -> None:
    assert policies(one) == {}


# --- certificates


@pytest.mark.parametrize(
    ("certificate", "path"),
    [
        ("ssh-ed25519-cert-v01@openssh.com AAAA host", "/etc/ssh/ssh_host_ed25519_key-cert.pub"),
        ("ssh-rsa-cert-v01@openssh.com AAAA", "/etc/ssh/ssh_host_rsa_key-cert.pub"),
    ],
)
def test_where_certificates_belong(certificate: str, path: str) -> None:
    assert profiles.certificate_file(certificate) == path


@pytest.mark.parametrize("text", ["", "  ", "ssh-ed25519 AAAA key", "/etc/ssh/x-cert.pub"])
def test_what_is_no_certificate(text: str) -> None:
    with pytest.raises(LyceumError, match="is not a certificate of a host key; paste the one line"):
        profiles.certificate_file(text)


def test_principals_are_the_login_names_of_those_who_may_log_in() -> None:
    people = [person("a", "shell"), person("b", "sftp"), person("c", "git"), person("d", "jail", state="suspended")]
    assert profiles.principals(people, {"root": ["ops", "oncall"]}) == {
        "a": ["a"],
        "b": ["b"],
        "root": ["ops", "oncall"],
    }


# --- addresses


@pytest.mark.parametrize(
    ("listed", "controller", "expected"),
    [
        ([], "", []),
        ([], "192.0.2.7", ["192.0.2.7"]),
        (["192.0.2.0/24"], "192.0.2.7", ["192.0.2.0/24"]),
        (["192.0.2.7"], "192.0.2.7", ["192.0.2.7"]),
        (["198.51.100.0/24"], "192.0.2.7", ["198.51.100.0/24", "192.0.2.7"]),
        (["2001:db8::/32"], "fe80::1%eth0", ["2001:db8::/32", "fe80::1"]),
        (["2001:db8::/32"], "192.0.2.7", ["2001:db8::/32", "192.0.2.7"]),
    ],
)
def test_who_is_never_shut_out(listed: list[str], controller: str, expected: list[str]) -> None:
    assert profiles.exempt(listed, controller) == expected


@pytest.mark.parametrize("entry", ["campus", "192.0.2.1/24", "192.0.2"])
def test_what_is_no_network(entry: str) -> None:
    with pytest.raises(LyceumError, match=r"^sshd_jail_exempt: .*Write an address or a network, such as 192.0.2.0/24$"):
        profiles.exempt([entry], "")


# --- accounts


@pytest.mark.parametrize(
    ("access", "shell", "groups", "expected"),
    [
        ("jail", profiles.JAIL, ["lyceum-jail", "retina"], []),
        ("shell", "/bin/bash", ["retina"], []),
        ("git", "/usr/sbin/nologin", ["lyceum-git"], []),
        ("jail", "/bin/bash", ["lyceum-jail"], ["a has access jail, but the login shell /bin/bash instead of {jail}"]),
        ("jail", profiles.JAIL, [], ["a has access jail, which is group lyceum-jail, but is in none"]),
        (
            "sftp",
            "/usr/sbin/nologin",
            ["lyceum-sftp", "lyceum-jail"],
            ["a has access sftp, which is group lyceum-sftp, but is in lyceum-sftp, lyceum-jail"],
        ),
        ("shell", "/bin/bash", ["lyceum-jail"], ["a has access shell, which is group none, but is in lyceum-jail"]),
    ],
)
def test_accounts_that_do_not_confine(access: str, shell: str, groups: list[str], expected: list[str]) -> None:
    members = {group: ["a", "b"] for group in groups}
    found = profiles.misplaced([person("a", access)], {"a": shell}, members)
    assert found == [sentence.format(jail=profiles.JAIL) for sentence in expected]


def test_who_has_no_account_or_no_access_is_no_problem() -> None:
    assert profiles.misplaced([person("a", "jail")], {}, {}) == []
    assert profiles.misplaced([person("a", "jail", state="suspended")], {"a": "/bin/bash"}, {}) == []
