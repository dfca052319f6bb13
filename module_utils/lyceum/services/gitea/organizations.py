# SPDX-License-Identifier: GPL-3.0-or-later
"""Projects as the registry wants them in Gitea: an organization each, its teams, its repositories. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...errors import LyceumError
from .guard import Guard

OWNERS = "Owners"  # Gitea makes it with every organization; it cannot be empty
WRITE, READ = "write", "read"
UNITS = ("actions", "code", "issues", "packages", "projects", "pulls", "releases", "wiki")
SLOT = "organization "  # under what the journal remembers an organization
ARCHIVED = "archived with the project "


def units_of(team: str) -> dict[str, str]:
    """What the members of one of our teams may do in the repositories."""
    return {f"repo.{unit}": team for unit in UNITS}


@dataclass(frozen=True)
class WantedRepository:
    """protected: members may push to the default branch, but neither rewrite nor delete it."""

    name: str
    description: str = ""
    private: bool = True
    default_branch: str = "main"
    protected: bool = True
    archived: bool = False


@dataclass(frozen=True)
class Project:
    """full_name None: nobody manages it. owner: empty where nobody can be; the bot then holds the organization."""

    name: str
    full_name: str | None = None
    description: str = ""
    visibility: str = "private"
    state: str = "present"
    owner: str = ""
    write: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    repositories: tuple[WantedRepository, ...] = ()

    @classmethod
    def from_params(cls, entry: Mapping[str, Any]) -> Project:
        return cls(
            name=entry["name"],
            full_name=entry.get("full_name"),
            description=entry.get("description") or "",
            visibility=entry.get("visibility") or "private",
            state=entry.get("state") or "present",
            owner=entry.get("owner") or "",
            write=tuple(entry.get("write") or ()),
            read=tuple(entry.get("read") or ()),
            repositories=tuple(WantedRepository(**each) for each in entry.get("repositories") or ()),
        )

    def teams(self, bot: str) -> dict[str, tuple[str, ...]]:
        """Who belongs to each team. A project that has ended has no members, only its data."""
        if self.state != "present":
            return {OWNERS: (bot,), WRITE: (), READ: ()}
        return {OWNERS: (self.owner or bot,), WRITE: self.write, READ: self.read}


@dataclass(frozen=True)
class Wanted:
    """only: the one person whom the run is about, no others come or go. complete: the list is the whole registry.
    purge: absent projects whose repositories go with them."""

    projects: Sequence[Project]
    complete: bool = True
    only: str = ""
    purge: frozenset[str] = frozenset()
    protected: frozenset[str] = frozenset()
    guard: Guard = field(default_factory=Guard)

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Wanted:
        """From the parameters of the module. LyceumError with everything that makes no sense."""
        projects = [Project.from_params(entry) for entry in params["organizations"]]
        problems = _twice("organization", [project.name for project in projects])
        for project in projects:
            problems += _twice(f"repository of {project.name}", [each.name for each in project.repositories])
        if problems:
            raise LyceumError(f"{len(problems)} problem(s) in the list of organizations: {'; '.join(problems)}")
        return cls(
            projects,
            complete=not params["only"],
            only=params["only"],
            purge=frozenset(params["purge"]),
            protected=frozenset(params["protected"]),
            guard=Guard(params["max_removals"], params["max_removals_percent"], frozenset(params["allow_removals"])),
        )


def _twice(what: str, names: Sequence[str]) -> list[str]:
    counts = Counter(name.lower() for name in names)
    return [f"the {what} {name} is there {count} times" for name, count in counts.items() if count > 1]
