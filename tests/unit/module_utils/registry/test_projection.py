# SPDX-License-Identifier: GPL-3.0-or-later
"""What a role is given: decided, complete, and closed where nothing was opened."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.registry.projection import JAIL, NO_LOGIN, registry_for

from . import samples
from .samples import TODAY, registry


def accounts(raw: dict[str, Any] | None = None, **options: Any) -> dict[str, dict[str, Any]]:
    found = registry_for(raw or registry(), "accounts", today=TODAY, **options)
    return {person["name"]: person for person in found}


def one(**keys: Any) -> dict[str, Any]:
    person = {"name": "x", "uid": 2009, "affiliation": "student", "ssh_keys": [samples.ED25519_1], **keys}
    return accounts(registry(people=[person], projects=None))["x"]


def test_everything_about_a_person() -> None:
    assert accounts()["amartin"] == {
        "name": "amartin",
        "uid": 2001,
        "gid": 2001,
        "gecos": "Alice Martin",
        "access": "shell",
        "shell": "/bin/bash",
        "home": "/home/amartin",
        "groups": ["lyceum-people", "retina", "vision"],
        "state": "present",
        "reason": "",
        "expires": None,
        "create": True,
        "migrate_uid": False,
        "ssh_keys": [samples.ED25519_1],
    }


def test_every_person_in_the_order_of_the_registry() -> None:
    assert list(accounts()) == ["amartin", "bchen", "dlopez", "ehansen", "fmoreau"]


@pytest.mark.parametrize(
    ("keys", "state", "create"),
    [
        ({}, "present", True),
        ({"starts": "2026-10-02"}, "suspended", False),
        ({"ends": "2026-09-30"}, "suspended", False),
        ({"state": "suspended"}, "suspended", False),
        ({"state": "absent"}, "absent", False),
    ],
)
def test_only_who_is_present_gets_keys_and_a_new_account(keys: dict[str, Any], state: str, create: bool) -> None:
    person = one(**keys)
    assert (person["state"], person["create"]) == (state, create)
    assert person["ssh_keys"] == ([samples.ED25519_1] if state == "present" else [])


@pytest.mark.parametrize("access", ["none", "git", "sftp", "rsync", "jail"])
def test_any_access_but_shell_is_closed(access: str) -> None:
    person = one(access=access, shell="/bin/zsh")
    assert (person["shell"], person["ssh_keys"], person["state"]) == (NO_LOGIN, [], "present")


def test_own_shell_home_gid_and_last_day() -> None:
    person = one(shell="/bin/zsh", home="/data/x", gid=2010, ends="2026-12-31", migrate_uid=True)
    assert (person["shell"], person["home"], person["gid"]) == ("/bin/zsh", "/data/x", 2010)
    assert (person["expires"], person["migrate_uid"]) == ("2026-12-31", True)


def test_keys_lose_what_surrounds_them() -> None:
    assert one(ssh_keys=[f" {samples.ED25519_1}\r\n"])["ssh_keys"] == [samples.ED25519_1]


def test_only() -> None:
    assert list(accounts(only="bchen")) == ["bchen"]
    assert list(accounts(only=["ehansen", "bchen", "bchen"])) == ["ehansen", "bchen"]
    assert list(accounts(only=[])) == []
    with pytest.raises(LyceumError, match=r"There is no person 'bchem' in the registry\. Did you mean 'bchen'"):
        accounts(only="bchem")


def test_extra_keys_open_nothing_that_is_closed() -> None:
    extra = {name: [samples.RSA_3072] for name in ("amartin", "dlopez", "ehansen", "fmoreau", "stranger")}
    found = accounts(extra_keys=extra)
    assert found["amartin"]["ssh_keys"] == [samples.ED25519_1, samples.RSA_3072]
    assert [found[name]["ssh_keys"] for name in ("dlopez", "ehansen", "fmoreau")] == [[], [], []]


def test_who_is_in_no_allowed_group_is_kept_out() -> None:
    found = accounts(allowed_groups=["vision", "retina"])
    assert [name for name, person in found.items() if person["state"] == "present"] == ["amartin", "bchen"]
    assert (found["dlopez"]["state"], found["dlopez"]["create"]) == ("suspended", False)
    assert found["dlopez"]["reason"] == "in none of the groups allowed here: retina, vision"
    assert (found["fmoreau"]["state"], found["ehansen"]["reason"]) == ("absent", "suspended in the registry")


def test_groups_and_projects() -> None:
    assert registry_for(registry(), "accounts_groups", today=TODAY) == [
        {"name": "vision", "gid": 10001, "state": "present", "extra_members": []},
        {"name": "nlp", "gid": 10002, "state": "present", "extra_members": []},
        {"name": "retina", "gid": 11001, "state": "present", "extra_members": []},
        {"name": "old", "gid": 11002, "state": "present", "extra_members": []},
        {"name": "lyceum-people", "gid": 59906, "state": "present", "extra_members": []},
    ]


def test_groups_of_one_person() -> None:
    assert [group["name"] for group in registry_for(registry(), "accounts_groups", today=TODAY, only="bchen")] == [
        "retina",
        "lyceum-people",
    ]


def test_removed_group() -> None:
    raw = registry(groups=[{"name": "g", "gid": 10001, "state": "absent"}], projects=None)
    assert registry_for(raw, "accounts_groups", today=TODAY)[0]["state"] == "absent"


def test_uid_ranges() -> None:
    assert registry_for(registry(), "accounts_uid_ranges", today=TODAY) == [{"first": 2001, "last": 9999}]


def test_unknown_role() -> None:
    with pytest.raises(LyceumError, match=r"registry_for has nothing for 'acounts'\. Did you mean 'accounts'\?"):
        registry_for(registry(), "acounts", today=TODAY)


ALL = ("none", "git", "sftp", "rsync", "jail", "shell")


@pytest.mark.parametrize(
    ("access", "shell", "keys"),
    [
        ("none", NO_LOGIN, 0),
        ("git", NO_LOGIN, 0),
        ("sftp", NO_LOGIN, 1),
        ("rsync", JAIL, 1),
        ("jail", JAIL, 1),
        ("shell", "/bin/zsh", 1),
    ],
)
def test_a_host_that_serves_all_profiles(access: str, shell: str, keys: int) -> None:
    entry = {"name": "x", "uid": 2009, "affiliation": "student", "ssh_keys": [samples.ED25519_1], "access": access}
    person = accounts(registry(people=[{**entry, "shell": "/bin/zsh"}], projects=None), profiles=ALL)["x"]
    assert (person["shell"], len(person["ssh_keys"])) == (shell, keys)
    assert set(person["groups"]) == {"lyceum-people"} | (set() if access == "shell" else {f"lyceum-{access}"})


def test_groups_of_the_profiles() -> None:
    found = registry_for(registry(), "accounts_groups", today=TODAY, profiles=ALL)
    assert [(group["name"], group["gid"]) for group in found][-6:] == [
        ("lyceum-none", 59901),
        ("lyceum-git", 59902),
        ("lyceum-sftp", 59903),
        ("lyceum-rsync", 59904),
        ("lyceum-jail", 59905),
        ("lyceum-people", 59906),
    ]


def test_storage_names_only_who_is_present() -> None:
    raw = registry(trees=[{"path": "/srv/d", "strategy": "posix_acl", "write": ["amartin", "ehansen", "vision"]}])
    found = registry_for(raw, "groups_and_acls", today=TODAY)
    assert {person["name"]: person["state"] for person in found["people"]} == {
        "amartin": "present",
        "bchen": "present",
        "dlopez": "present",
        "ehansen": "suspended",
        "fmoreau": "absent",
    }
    assert found["people"][0]["limits"]["home_gib"] == 200
    assert found["admins"] == []
    projects = {project["name"]: project for project in found["projects"]}
    assert [(project["state"], project["create"]) for project in found["projects"]] == [
        ("present", True),
        ("sealed", True),
    ]
    assert projects["old"]["write"] == projects["old"]["read"] == []
    assert set(projects["retina"]["write"]).isdisjoint(projects["retina"]["read"])
    assert found["trees"][0]["write"] == ["person:amartin", "group:vision"]


def test_a_project_that_was_removed_gets_no_directory() -> None:
    removed = {"name": "gone", "gid": 11009, "state": "absent"}
    found = registry_for(registry(projects=[removed]), "groups_and_acls", today=TODAY)["projects"]
    assert [(project["state"], project["create"], project["reason"]) for project in found] == [
        ("sealed", False, "removed in the registry")
    ]


def test_a_reader_who_writes_through_a_group_is_no_reader() -> None:
    tree = {"path": "/srv/d", "strategy": "posix_acl", "group": "retina", "write": ["nlp"], "read": ["bchen", "gone"]}
    people = [*registry()["people"], {"name": "gone", "uid": 2020, "affiliation": "admin", "groups": ["vision"]}]
    found = registry_for(registry(people=people, trees=[tree]), "groups_and_acls", today=TODAY)
    assert found["admins"] == ["gone"]
    assert found["trees"][0]["read"] == ["person:gone"]


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        ({}, ["amartin", "bchen", "dlopez"]),
        ({"write": ["ehansen"]}, []),
        ({"write": ["dlopez"], "group": "vision"}, ["amartin", "dlopez"]),
    ],
)
def test_who_has_a_directory_of_their_own_in_a_tree(keys: dict[str, Any], names: list[str]) -> None:
    raw = registry(trees=[{"path": "/srv/d", "strategy": "user_subdirs", **keys}])
    found = registry_for(raw, "groups_and_acls", today=TODAY)
    assert found["trees"][0]["write"] == [f"person:{name}" for name in names]


def test_storage_of_one_person_touches_only_what_names_them() -> None:
    raw = registry(
        trees=[
            {"path": "/srv/a", "strategy": "posix_acl", "read": ["bchen"]},
            {"path": "/srv/b", "strategy": "posix_acl", "read": ["dlopez"]},
            {"path": "/srv/c", "strategy": "user_subdirs"},
        ]
    )
    found = registry_for(raw, "groups_and_acls", today=TODAY, only="bchen")
    assert [person["name"] for person in found["people"]] == ["bchen"]
    assert [tree["path"] for tree in found["trees"]] == ["/srv/a", "/srv/c"]


def test_slices_and_containers_carry_effective_limits() -> None:
    limits = {"defaults": {"cpu_cores": 2, "memory_gib": None}, "affiliation_totals": {"student": {"cpu_cores": 8}}}
    raw = registry(limits=limits)
    slices = {person["name"]: person for person in registry_for(raw, "cgroups", today=TODAY)}
    assert slices["amartin"]["limits"] == {"cpu_cores": 2, "memory_gib": None}
    assert {person["affiliation_cpu_cores"] for person in slices.values()} == {8, None}
    assert slices["fmoreau"]["state"] == "absent"
    found = registry_for(raw, "containers", today=TODAY, only="amartin", allowed_groups=["nlp"])
    assert [(person["name"], person["state"]) for person in found["people"]] == [("amartin", "suspended")]


@pytest.mark.parametrize("role", ["groups_and_acls", "containers"])
def test_who_is_suspended_or_gone_runs_no_machine(role: str) -> None:
    """Nor does an admin who is kept out of this host; a run for one person knows the others."""
    states: list[dict[str, Any]] = [{}, {"state": "suspended"}, {"state": "absent"}, {"groups": ["vision"]}]
    people = [
        {"name": f"a{number}", "uid": 2001 + number, "affiliation": "admin", **state}
        for number, state in enumerate(states)
    ]
    raw = registry(people=people, projects=None)
    assert registry_for(raw, role, today=TODAY, only="a1")["admins"] == ["a0", "a3"]
    assert registry_for(raw, role, today=TODAY, allowed_groups=["vision"])["admins"] == ["a3"]


def test_logins_know_the_projects_that_are_open_to_a_person() -> None:
    found = {person["name"]: person for person in registry_for(registry(), "sshd_jail", today=TODAY)}
    assert found["bchen"]["projects"]["write"] == ["retina"]
    assert "old" not in [name for person in found.values() for mode in person["projects"].values() for name in mode]
