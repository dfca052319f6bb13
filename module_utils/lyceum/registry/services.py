# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts on services: what their servers would refuse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .findings import Findings
from .identities import entries
from .model import service_settings
from .positions import DataPath
from .suggest import did_you_mean

# What Gitea answers to requests of its own (its models/user: reserved names), as far as a registry name can be that.
_GITEA = (
    "api metrics v2 assets attachments avatar avatars repo-avatars captcha login org repo user explore issues pulls "
    "milestones notifications ssh_info ghost gitea-actions invite"
)
GITEA_PATHS = frozenset(_GITEA.split())

# Roles of PostgreSQL: of its own, and of those who only read a project.
POSTGRES_PREFIX = "pg_"
READERS = "_read"


def check(raw: Mapping[str, Any], findings: Findings) -> None:
    """Add a finding for every account that its service would refuse."""
    states = {
        entry["name"]: entry.get("state")
        for section in ("people", "projects")
        for _, entry in entries(raw, section)
        if isinstance(entry.get("name"), str)
    }
    defaults = {
        name: _shaped(entry.get("services"))
        for name, entry in _dict(raw.get("affiliations")).items()
        if isinstance(entry, dict)
    }
    for at, entry in entries(raw, "people"):
        default = _dict(defaults.get(entry.get("affiliation")) if isinstance(entry.get("affiliation"), str) else None)
        services = _shaped(entry.get("services"))
        _names(at, entry, _having(services, default), findings)
        _gitea_person(at, entry, services, default, states, findings)
    for at, entry in entries(raw, "projects"):
        services = _shaped(entry.get("services"))
        _names(at, entry, _having(services, {}), findings)
        _repositories(at, _dict(services.get("gitea")), findings)
        readers = f"{entry.get('name')}{READERS}"
        if services.get("postgres") is not None and readers in states:
            findings.error(
                (*at, "name"),
                f"has a database, whose readers get the role {readers!r}: that is the name of somebody else",
                "Rename one of the two.",
                value=entry.get("name"),
            )


def _having(own: Mapping[str, Any], default: Mapping[str, Any]) -> list[str]:
    return [service for service in ("gitea", "postgres") if service_settings(own, default, service) is not None]


def _names(at: DataPath, entry: Mapping[str, Any], services: list[str], findings: Findings) -> None:
    name = entry.get("name")
    if not isinstance(name, str) or entry.get("state") == "absent":
        return
    if "gitea" in services and name in GITEA_PATHS:
        findings.error(
            (*at, "name"), "is a path of the Git server, which accepts no account of this name",
            "Choose another name, or take the service gitea away.", value=name,
        )  # fmt: skip
    if "postgres" in services and name.startswith(POSTGRES_PREFIX):
        findings.error(
            (*at, "name"), "begins with pg_, which PostgreSQL keeps for itself",
            "Choose another name, or take the service postgres away.", value=name,
        )  # fmt: skip


def _gitea_person(
    at: DataPath,
    entry: Mapping[str, Any],
    services: Mapping[str, Any],
    default: Mapping[str, Any],
    states: Mapping[str, Any],
    findings: Findings,
) -> None:
    found = service_settings(services, default, "gitea")
    if found is None:
        return
    if entry.get("state") != "absent" and not entry.get("email"):
        findings.error(
            (*at, "email"), "is missing: the Git server opens no account without an address",
            "Add `email:`, or write `services: {gitea: null}`.", show=False,
        )  # fmt: skip
    heir = _dict(services.get("gitea")).get("heir")
    if not isinstance(heir, str):
        return
    where = (*at, "services", "gitea", "heir")
    if heir == entry.get("name"):
        findings.error(where, "is the person itself", "Name somebody else, or a project.", value=heir)
    elif heir not in states:
        findings.error(
            where, f"is neither a person nor a project.{did_you_mean(heir, states)}", "Correct the name.", value=heir
        )
    elif states[heir] == "absent":
        findings.error(where, "was removed", "Name somebody else, or a project.", value=heir)


def _repositories(at: DataPath, gitea: Mapping[str, Any], findings: Findings) -> None:
    first: dict[str, int] = {}
    for index, name in _repository_names(gitea):
        where = (*at, "services", "gitea", "repositories", index, "name")
        if name.lower().endswith((".wiki", ".git", ".rss", ".atom")) or ".." in name:
            findings.error(
                where, "is a name that the Git server keeps for itself",
                "Do not end it with .git, .wiki, .rss or .atom, and write no two dots in a row.", value=name,
            )  # fmt: skip
        if first.setdefault(name.lower(), index) != index:
            findings.error(where, "is there twice: capital letters make no difference", "Remove one.", value=name)


def _repository_names(gitea: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    entries_ = gitea.get("repositories")
    for index, entry in enumerate(entries_ if isinstance(entries_, list) else []):
        if isinstance(entry, dict) and isinstance(entry.get("name"), str):
            yield index, entry["name"]


def _shaped(services: Any) -> dict[str, Any]:
    """What has the right shape; the schema reports the rest."""
    return {name: found for name, found in _dict(services).items() if isinstance(found, (dict, type(None)))}


def _dict(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, dict) else {}
