# SPDX-License-Identifier: GPL-3.0-or-later
"""What the roles of services are given: decided, and nobody in who should be out."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.lyceum.registry.projection import registry_for

from . import samples
from .samples import TODAY, registry


def with_services(**extra: Any) -> dict[str, Any]:
    """Everybody has both services; retina runs, old has ended."""
    raw = registry(**extra)
    both: dict[str, Any] = {"gitea": {}, "postgres": {}}
    people = [
        {**entry, "services": both, "email": entry.get("email", f"{entry['name']}@example.org")}
        for entry in raw["people"]
    ]
    projects = [
        {**entry, "services": {"gitea": {"repositories": [{"name": "code"}]}, "postgres": {}}}
        for entry in raw["projects"]
    ]
    return {**raw, "people": people, "projects": projects}


def found(role: str, raw: dict[str, Any] | None = None, **options: Any) -> dict[str, list[dict[str, Any]]]:
    served: dict[str, list[dict[str, Any]]] = registry_for(raw or with_services(), role, today=TODAY, **options)
    return served


def by_name(entries: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in entries}


def test_an_account_on_the_git_server() -> None:
    people = by_name(found("gitea")["people"])
    assert people["amartin"] == {
        "name": "amartin",
        "uid": 2001,
        "full_name": "Alice Martin",
        "email": "amartin@example.org",
        "state": "present",
        "reason": "",
        "admin": False,
        "restricted": False,
        "max_repositories": None,
        "visibility": "limited",
        "heir": None,
        "ssh_keys": [samples.ED25519_1],
    }
    assert people["ehansen"]["state"] == "suspended"
    assert people["fmoreau"]["state"] == "absent"


def test_who_never_had_an_account_is_not_there_and_who_left_is() -> None:
    assert list(by_name(found("gitea", registry())["people"])) == ["amartin", "fmoreau"]
    assert found("gitea", registry())["organizations"] == []


@pytest.mark.parametrize("service", ["gitea", "postgres"])
def test_a_service_that_was_taken_away_is_closed(service: str) -> None:
    raw = with_services()
    raw["people"][1]["services"] = {service: None}
    everything = found(service, raw)
    bchen = by_name(everything["people"] if service == "gitea" else everything["roles"])["bchen"]
    assert (bchen["state"], bchen["reason"]) == ("suspended", f"has no {service} any more")
    if service == "postgres":
        assert by_name(everything["databases"])["bchen"]["state"] == "present"
        assert by_name(everything["roles"])["retina"]["members"] == ["amartin"]


def test_affiliations_bring_services_and_admins_administer() -> None:
    raw = registry(
        people=[{"name": "root1", "uid": 2001, "affiliation": "admin", "email": "root1@example.org"}],
        projects=None,
        affiliations={"admin": {"access": "shell", "services": {"gitea": {"restricted": True}}}},
    )
    [person] = found("gitea", raw)["people"]
    assert (person["admin"], person["restricted"]) == (True, True)


def test_an_organization() -> None:
    organizations = by_name(found("gitea")["organizations"])
    assert organizations["retina"] == {
        "name": "retina",
        "description": "",
        "visibility": "private",
        "state": "present",
        "reason": "",
        "owner": "amartin",
        "write": ["amartin", "bchen"],
        "read": ["dlopez"],
        "repositories": [
            {
                "name": "code",
                "description": "",
                "private": True,
                "default_branch": "main",
                "protected": True,
                "archived": False,
            }
        ],
    }
    assert organizations["old"]["state"] == "archived"
    assert organizations["old"]["write"] == organizations["old"]["read"] == []
    assert organizations["old"]["owner"] == ""


def test_who_is_suspended_or_without_the_service_is_in_no_team() -> None:
    raw = with_services()
    for entry in raw["people"]:
        if entry["name"] == "bchen":
            entry["state"] = "suspended"
        if entry["name"] == "dlopez":
            entry["services"] = {"postgres": {}}
    retina = by_name(found("gitea", raw)["organizations"])["retina"]
    assert retina["write"] == ["amartin"]
    assert retina["read"] == []


def test_one_person_brings_the_own_organizations() -> None:
    one = found("gitea", only="dlopez")
    assert [entry["name"] for entry in one["people"]] == ["dlopez"]
    assert [entry["name"] for entry in one["organizations"]] == ["retina"]
    # Teams are always whole: adding one person must not throw out the others.
    assert one["organizations"][0]["write"] == ["amartin", "bchen"]


def test_roles_and_databases() -> None:
    postgres = found("postgres")
    roles, databases = by_name(postgres["roles"]), by_name(postgres["databases"])
    assert roles["amartin"] == {
        "name": "amartin",
        "kind": "person",
        "state": "present",
        "reason": "",
        "connection_limit": -1,
        "verifier": None,
        "members": [],
    }
    assert databases["amartin"] == {
        "name": "amartin",
        "owner": "amartin",
        "readers": None,
        "connection_limit": -1,
        "state": "present",
    }
    assert roles["retina"]["kind"] == "project"
    assert roles["retina"]["members"] == ["amartin", "bchen"]
    assert roles["retina_read"]["members"] == ["dlopez"]
    assert databases["retina"] == {
        "name": "retina",
        "owner": "retina",
        "readers": "retina_read",
        "connection_limit": -1,
        "state": "present",
    }


def test_an_ended_project_keeps_its_database_and_lets_nobody_in() -> None:
    postgres = found("postgres")
    roles, databases = by_name(postgres["roles"]), by_name(postgres["databases"])
    assert roles["old"]["members"] == roles["old_read"]["members"] == []
    assert (databases["old"]["state"], databases["old"]["connection_limit"]) == ("present", 0)


def test_suspension_keeps_a_database_and_removal_lets_it_go() -> None:
    databases = by_name(found("postgres")["databases"])
    assert databases["ehansen"]["state"] == "present"
    assert databases["fmoreau"]["state"] == "absent"


def test_settings_of_a_role() -> None:
    raw = with_services()
    raw["people"][0]["services"] = {"postgres": {"connection_limit": 3, "verifier": "SCRAM-SHA-256$x"}}
    role = by_name(found("postgres", raw)["roles"])["amartin"]
    assert (role["connection_limit"], role["verifier"]) == (3, "SCRAM-SHA-256$x")
