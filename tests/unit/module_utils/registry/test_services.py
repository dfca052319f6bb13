# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts that a service would refuse are found before it is asked."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.lyceum.registry import validate
from ansible.module_utils.lyceum.registry.model import service_settings

from .samples import TODAY, registry


def messages(**sections: Any) -> list[str]:
    return [str(problem) for problem in validate.problems(registry(**sections), today=TODAY)]


def person(**keys: Any) -> dict[str, Any]:
    entry = {"name": "gsmith", "uid": 2010, "affiliation": "staff", "email": "gsmith@example.org", **keys}
    return {"people": [*registry()["people"], entry]}


def project(**keys: Any) -> dict[str, Any]:
    return {"projects": [*registry()["projects"], {"name": "maps", "gid": 11003, "owner": "amartin", **keys}]}


def gitea(**settings: Any) -> dict[str, Any]:
    return {"gitea": settings}


@pytest.mark.parametrize(
    "sections",
    [
        person(services=gitea(heir="retina", max_repositories=0)),
        person(services=gitea(heir="amartin")),
        person(name="api"),
        person(name="explore", services={"gitea": None}),
        person(email=None, services={"gitea": None}),
        person(services={"postgres": {"verifier": "SCRAM-SHA-256$4096:" + 24 * "a" + "$" + 44 * "b" + ":" + 44 * "c"}}),
        project(services={**gitea(repositories=[{"name": "a"}, {"name": "b.c"}]), "postgres": {}}),
    ],
    ids=str,
)
def test_what_services_accept(sections: dict[str, Any]) -> None:
    assert messages(**sections) == []


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (
            person(name="explore", services=gitea()),
            "is a path of the Git server, which accepts no account of this name",
        ),
        (project(name="user", services=gitea()), "is a path of the Git server"),
        (person(name="pg_admin", services={"postgres": {}}), "begins with pg_, which PostgreSQL keeps for itself"),
        (person(email=None, services=gitea()), "is missing: the Git server opens no account without an address"),
        (person(services=gitea(heir="gsmith")), "is the person itself"),
        (person(services=gitea(heir="retna")), "is neither a person nor a project. Did you mean 'retina'?"),
        (person(services=gitea(heir="fmoreau")), "was removed"),
        (person(services=gitea(max_repositories=-1)), "is below 0"),
        (project(services=gitea(repositories=[{"name": "a.git"}])), "is a name that the Git server keeps for itself"),
        (project(services=gitea(repositories=[{"name": "-x"}])), "is not a name for a repository"),
        (project(services=gitea(repositories=[{"name": "a"}, {"name": "A"}])), "is there twice"),
        (
            {**person(name="maps_read"), **project(services={"postgres": {}})},
            "has a database, whose readers get the role 'maps_read': that is the name of somebody else",
        ),
    ],
    ids=str,
)
def test_what_services_refuse(sections: dict[str, Any], message: str) -> None:
    [found] = messages(**sections)
    assert message in found


def test_what_an_affiliation_gives_is_checked_as_well() -> None:
    staff = {"staff": {"access": "shell", "services": {"gitea": {}}}}
    found = messages(**person(name="explore"), affiliations=staff)
    assert any("lyceum_people[explore].name" in line and "a path of the Git server" in line for line in found)


@pytest.mark.parametrize(
    ("own", "default", "settings"),
    [
        ({}, {}, None),
        ({"gitea": {}}, {}, {}),
        ({}, {"gitea": {"admin": True}}, {"admin": True}),
        ({"gitea": None}, {"gitea": {"admin": True}}, None),
        (
            {"gitea": {"admin": False}},
            {"gitea": {"admin": True, "restricted": True}},
            {"admin": False, "restricted": True},
        ),
        ({"postgres": {}}, {"gitea": None}, None),
    ],
)
def test_a_persons_settings_go_before_those_of_the_affiliation(
    own: dict[str, Any], default: dict[str, Any], settings: dict[str, Any] | None
) -> None:
    assert service_settings(own, default, "gitea") == settings
