# SPDX-License-Identifier: GPL-3.0-or-later
"""What the roles of services see of the registry. The filter and its other roles are in `projection`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .model import Person, Project, Registry
from .services import READERS

Rows = list[dict[str, Any]]


def gitea(registry: Registry, people: Iterable[Person], *, everybody: bool) -> dict[str, Rows]:
    """{people, organizations}: accounts of `people`, and the organizations that concern them (all with `everybody`)."""
    wanted = list(people)
    mine = {person.name for person in wanted}
    present = _present(registry, "gitea")
    return {
        "people": [_gitea_person(registry, person) for person in wanted if _concerned(person, "gitea")],
        "organizations": [
            _organization(registry, project, present)
            for project in registry.projects
            if "gitea" in project.services and (everybody or not mine.isdisjoint(project.people()))
        ],
    }


def _gitea_person(registry: Registry, person: Person) -> dict[str, Any]:
    state, reason = _state(registry, person, "gitea")
    settings = person.services.get("gitea", {})
    return {
        "name": person.name,
        "uid": person.uid,
        "full_name": person.full_name,
        "email": person.email,
        "state": state,
        "reason": reason,
        "admin": _or(settings.get("admin"), person.affiliation == "admin"),
        "restricted": _or(settings.get("restricted"), False),
        "max_repositories": settings.get("max_repositories"),
        "visibility": settings.get("visibility") or "limited",
        "heir": settings.get("heir"),
        "ssh_keys": [key.strip() for key in person.ssh_keys],
    }


def _organization(registry: Registry, project: Project, present: set[str]) -> dict[str, Any]:
    live = project.live(registry.today)
    state = "absent" if project.state == "absent" else "present" if live else "archived"
    settings = project.services["gitea"]
    return {
        "name": project.name,
        "description": project.description,
        "visibility": settings.get("visibility") or "private",
        "state": state,
        "reason": "" if live else "removed in the registry" if state == "absent" else "not running today",
        "owner": project.owner if live and project.owner in present else "",
        "write": [name for name in project.writers() if live and name in present],
        "read": [name for name in _readers(project) if live and name in present],
        "repositories": [
            {
                "name": entry["name"],
                "description": entry.get("description") or "",
                "private": _or(entry.get("private"), True),
                "default_branch": entry.get("default_branch") or "main",
                "protected": _or(entry.get("protected"), True),
                "archived": _or(entry.get("archived"), False),
            }
            for entry in settings.get("repositories") or []
        ],
    }


def postgres(registry: Registry, people: Iterable[Person], *, everybody: bool) -> dict[str, Rows]:
    """{roles, databases} of people and projects.

    A person is a role that may log in and owns the database of the same name. A project is a role that may not: it owns
    the project's database, those who write are its members; those who read are members of NAME_read.
    """
    wanted = list(people)
    mine = {person.name for person in wanted}
    having = [person for person in wanted if _concerned(person, "postgres")]
    projects = [
        project
        for project in registry.projects
        if "postgres" in project.services and (everybody or not mine.isdisjoint(project.people()))
    ]
    present = _present(registry, "postgres")
    roles = [_person_role(registry, person) for person in having]
    databases = [
        {
            "name": role["name"],
            "owner": role["name"],
            "readers": None,
            "connection_limit": -1,
            # It outlives its owner's suspension.
            "state": "absent" if role["state"] == "absent" else "present",
        }
        for role in roles
    ]
    for project in projects:
        live = project.live(registry.today)
        state = "absent" if project.state == "absent" else "present"
        members = [name for name in project.writers() if live and name in present]
        readers = [name for name in _readers(project) if live and name in present]
        limit = _or(project.services["postgres"].get("connection_limit"), -1)
        roles += [_group_role(project.name, members, state), _group_role(project.name + READERS, readers, state)]
        databases.append(
            {
                "name": project.name,
                "owner": project.name,
                "readers": project.name + READERS,
                "connection_limit": limit if live else 0,
                "state": state,
            }
        )
    return {"roles": roles, "databases": databases}


def _person_role(registry: Registry, person: Person) -> dict[str, Any]:
    state, reason = _state(registry, person, "postgres")
    settings = person.services.get("postgres", {})
    return {
        "name": person.name,
        "kind": "person",
        "state": state,
        "reason": reason,
        "connection_limit": _or(settings.get("connection_limit"), -1),
        "verifier": settings.get("verifier"),
        "members": [],
    }


def _group_role(name: str, members: list[str], state: str) -> dict[str, Any]:
    return {
        "name": name,
        "kind": "project",
        "state": state,
        "reason": "" if state == "present" else "removed in the registry",
        "connection_limit": -1,
        "verifier": None,
        "members": members,
    }


def _concerned(person: Person, service: str) -> bool:
    """Who has the service, who had it until it was taken away, and who left, whatever the entry still says."""
    return service in person.services or service in person.denied_services or person.state == "absent"


def _state(registry: Registry, person: Person, service: str) -> tuple[str, str]:
    state, reason = person.effective_state(registry.today)
    if state == "present" and service not in person.services:
        return "suspended", f"has no {service} any more"
    return state, reason


def _present(registry: Registry, service: str) -> set[str]:
    return {
        person.name
        for person in registry.people
        if service in person.services and person.effective_state(registry.today)[0] == "present"
    }


def _readers(project: Project) -> list[str]:
    return [name for name, mode in project.members.items() if mode == "read" and name != project.owner]


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value
