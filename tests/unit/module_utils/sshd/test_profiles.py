# SPDX-License-Identifier: GPL-3.0-or-later
"""Access profiles: every confined one is closed, and what is asked of sshd is what was written for it."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.sshd import profiles
from hypothesis import given
from hypothesis import strategies as st

CONFINED = ("none", "git", "sftp", "rsync", "jail")
NOWHERE = {"projects": {"write": [], "read": []}}


def person(name: str, access: str, **keys: Any) -> dict[str, Any]:
    return {"name": name, "uid": 2009, "home": f"/home/{name}", "access": access, "state": "present", **NOWHERE, **keys}


# --- options


def test_every_confined_profile_has_options_and_a_login_shell() -> None:
    assert set(profiles.blocks(forwarding=False)) == set(CONFINED)
    assert set(profiles.SHELLS) == set(CONFINED)


@pytest.mark.parametrize("forwarding", [True, False])
@pytest.mark.parametrize("profile", CONFINED)
def test_whatever_is_asked_for_the_forced_command_runs_and_no_file_of_the_person_does(
    profile: str, forwarding: bool
) -> None:
    options = profiles.blocks(forwarding=forwarding)[profile]
    forced = {"sftp": "internal-sftp -l INFO", "rsync": profiles.JAIL, "jail": profiles.JAIL}
    assert options["ForceCommand"] == forced.get(profile, profiles.NO_LOGIN)
    assert options["PermitUserRC"] == "no"


@pytest.mark.parametrize("profile", ["none", "git", "sftp", "rsync"])
def test_only_a_jail_may_forward_and_have_a_terminal(profile: str) -> None:
    options = profiles.blocks(forwarding=True)[profile]
    assert (options["DisableForwarding"], options["PermitTTY"]) == ("yes", "no")


@pytest.mark.parametrize("profile", ["none", "git"])
def test_who_may_not_log_in_has_no_keys_that_are_read(profile: str) -> None:
    options = profiles.blocks(forwarding=True)[profile]
    assert (options["AuthorizedKeysFile"], options["TrustedUserCAKeys"]) == ("none", "none")


@pytest.mark.parametrize(
    ("forwarding", "tcp", "to"),
    [(False, "no", "none"), (True, "local", "127.0.0.1:* [::1]:* localhost:*")],
)
def test_a_jail_reaches_at_most_the_host_itself_and_never_a_socket_file(forwarding: bool, tcp: str, to: str) -> None:
    options = profiles.blocks(forwarding=forwarding)["jail"]
    assert (options["AllowTcpForwarding"], options["PermitOpen"]) == (tcp, to)
    closed = ("AllowStreamLocalForwarding", "AllowAgentForwarding", "X11Forwarding", "PermitTunnel", "GatewayPorts")
    assert {options[key] for key in closed} == {"no"}
    assert options["PermitListen"] == "none"


@pytest.mark.parametrize("profile", ["rsync", "jail"])
def test_the_program_that_confines_is_started_without_libraries_of_the_person(profile: str) -> None:
    settings = profiles.blocks(forwarding=False)[profile]["SetEnv"].split()
    named = dict(setting.split("=", 1) for setting in settings)
    assert [named[key] for key in ("LD_PRELOAD", "LD_AUDIT", "LD_LIBRARY_PATH", "GLIBC_TUNABLES")] == [""] * 4
    assert (named["GCONV_PATH"], named["LOCPATH"]) == ("/nonexistent", "/usr/lib/locale")


# --- expectations


def test_a_shell_is_expected_to_be_free_and_the_unknown_is_not_asked_about() -> None:
    found = profiles.expectations([("amartin", "shell"), ("x", "no-such"), ("ksato", "sftp")], forwarding=False)
    assert found == [
        {
            "user": "amartin",
            "options": {"forcecommand": "none", "chrootdirectory": "none", "disableforwarding": "no"},
        },
        {
            "user": "ksato",
            "options": {
                "disableforwarding": "yes",
                "permittty": "no",
                "permituserrc": "no",
                "chrootdirectory": "/run/lyceum/sftp",
                "forcecommand": "internal-sftp -l INFO",
            },
        },
    ]


@pytest.mark.parametrize("forwarding", [True, False])
@pytest.mark.parametrize("profile", CONFINED)
def test_every_option_that_is_written_is_asked_about(profile: str, forwarding: bool) -> None:
    written = {key.lower(): value for key, value in profiles.blocks(forwarding=forwarding)[profile].items()}
    ((asked),) = profiles.expectations([("p", profile)], forwarding=forwarding)
    assert asked["user"] == "p"
    assert asked["options"].pop("setenv", None) == ("LD_PRELOAD=" if "setenv" in written else None)
    written.pop("setenv", None)
    assert asked["options"] == written


# --- what each may see


@pytest.mark.parametrize(
    ("access", "write", "read"),
    [
        ("sftp", ["/srv/projects/retina"], ["/srv/projects/speech"]),
        ("rsync", ["/srv/projects/retina"], ["/srv/projects/speech"]),
        (
            "jail",
            ["/srv/projects/retina", "/srv/scratch/jweber", "/srv/collaborative"],
            ["/srv/projects/speech", "/srv/readonly"],
        ),
    ],
)
def test_own_projects_for_all_and_shared_directories_for_jails(access: str, write: list[str], read: list[str]) -> None:
    one = person("jweber", access, projects={"write": ["retina"], "read": ["speech"]})
    assert profiles.policies(
        [one],
        projects="/srv/projects",
        scratch="/srv/scratch",
        write=["/srv/collaborative"],
        read=["/srv/readonly"],
    ) == {"jweber": {"uid": 2009, "profile": access, "home": "/home/jweber", "write": write, "read": read}}


@pytest.mark.parametrize(
    ("access", "state"),
    [
        ("shell", "present"),
        ("none", "present"),
        ("git", "present"),
        ("jail", "suspended"),
        ("sftp", "absent"),
    ],
)
def test_who_is_not_let_in_has_no_policy(access: str, state: str) -> None:
    one = person("x", access, state=state)
    assert profiles.policies([one], projects="/p", scratch="/s", write=[], read=[]) == {}


# --- certificates


@pytest.mark.parametrize(
    ("kind", "file"),
    [
        ("ssh-ed25519-cert-v01@openssh.com", "/etc/ssh/ssh_host_ed25519_key-cert.pub"),
        ("ssh-rsa-cert-v01@openssh.com", "/etc/ssh/ssh_host_rsa_key-cert.pub"),
        ("ecdsa-sha2-nistp256-cert-v01@openssh.com", "/etc/ssh/ssh_host_ecdsa_key-cert.pub"),
    ],
)
def test_a_certificate_lies_beside_its_key(kind: str, file: str) -> None:
    assert profiles.certificate_file(f"  {kind} AAAA lab-debian12\n") == file


@pytest.mark.parametrize("text", ["", " \n", "ssh-ed25519 AAAA host", "-----BEGIN CERTIFICATE-----" + "x" * 60])
def test_what_is_no_certificate_of_a_host_key_is_refused(text: str) -> None:
    with pytest.raises(LyceumError) as raised:
        profiles.certificate_file(text)
    assert str(raised.value) == (
        f"sshd_jail_host_certificates: {text[:40]!r} is not a certificate of a host key; paste the one line of"
        " ssh_host_ed25519_key-cert.pub"
    )


def test_certificates_let_in_only_under_the_own_name_and_others_as_listed() -> None:
    people = [
        person("amartin", "shell"),
        person("ksato", "sftp"),
        person("mpatel", "git"),
        person("nobody", "none"),
        person("ehansen", "shell", state="suspended"),
    ]
    assert profiles.principals(people, {"root": ("ops", "emergency")}) == {
        "amartin": ["amartin"],
        "ksato": ["ksato"],
        "root": ["ops", "emergency"],
    }


# --- addresses


@pytest.mark.parametrize(
    ("listed", "controller", "found"),
    [
        ([], "", []),
        ([], "192.0.2.7", ["192.0.2.7"]),
        (["192.0.2.0/24"], "192.0.2.7", ["192.0.2.0/24"]),
        (["192.0.2.7"], "192.0.2.7", ["192.0.2.7"]),
        (["192.0.2.7/32"], "198.51.100.1", ["192.0.2.7", "198.51.100.1"]),
        (["2001:db8::/32"], "192.0.2.7", ["2001:db8::/32", "192.0.2.7"]),
        (["192.0.2.0/24"], "fe80::1%eth0", ["192.0.2.0/24", "fe80::1"]),
    ],
)
def test_the_controller_is_never_shut_out(listed: list[str], controller: str, found: list[str]) -> None:
    assert profiles.exempt(listed, controller) == found


@given(st.lists(st.ip_addresses(), max_size=4), st.ip_addresses())
def test_the_controller_is_exempt_exactly_once(listed: list[Any], controller: Any) -> None:
    found = profiles.exempt(map(str, listed), str(controller))
    networks = [ipaddress.ip_network(entry) for entry in found]
    assert any(ipaddress.ip_address(controller) in network for network in networks)
    assert found.count(str(controller)) == max(1, listed.count(controller))


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("gateway", "'gateway' does not appear to be an IPv4 or IPv6 network"),
        ("192.0.2.1/24", "192.0.2.1/24 has host bits set"),
    ],
)
def test_an_entry_that_is_no_network_is_refused(entry: str, why: str) -> None:
    with pytest.raises(LyceumError) as raised:
        profiles.exempt([entry], "")
    assert str(raised.value) == f"sshd_jail_exempt: {why}. Write an address or a network, such as 192.0.2.0/24"


# --- accounts as they are


@pytest.mark.parametrize(
    ("one", "shell", "groups", "found"),
    [
        (person("p", "shell"), "/bin/bash", {}, []),
        (person("p", "jail"), profiles.JAIL, {"lyceum-jail": ["p"]}, []),
        (person("p", "sftp"), profiles.NO_LOGIN, {"lyceum-sftp": ["o", "p"], "lyceum-jail": ["o"]}, []),
        (person("p", "git", state="absent"), "/bin/bash", {}, []),
        (
            person("p", "shell"),
            "/bin/bash",
            {"lyceum-sftp": ["p"]},
            ["p has access shell, which is group none, but is in lyceum-sftp"],
        ),
        (
            person("p", "jail"),
            profiles.JAIL,
            {"lyceum-jail": ["p"], "lyceum-none": ["p"]},
            ["p has access jail, which is group lyceum-jail, but is in lyceum-none, lyceum-jail"],
        ),
        (
            person("p", "rsync"),
            "/bin/bash",
            {},
            [
                "p has access rsync, which is group lyceum-rsync, but is in none",
                f"p has access rsync, but the login shell /bin/bash instead of {profiles.JAIL}",
            ],
        ),
        (
            person("p", "sftp"),
            "/bin/bash",
            {"lyceum-sftp": ["p"]},
            ["p has access sftp, but the login shell /bin/bash instead of /usr/sbin/nologin"],
        ),
    ],
)
def test_accounts_that_do_not_confine_are_named(
    one: dict[str, Any], shell: str, groups: dict[str, list[str]], found: list[str]
) -> None:
    assert profiles.misplaced([one], {"p": shell}, groups) == found
    assert profiles.misplaced([one], {}, groups) == []
