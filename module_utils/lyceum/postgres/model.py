# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wanted of a server: roles, databases, who is a member of what. Checked on the way in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import LyceumError
from . import scram, sql

PRESENT, SUSPENDED, ABSENT = "present", "suspended", "absent"
PERSON, PROJECT, SERVICE = "person", "project", "service"
UNLIMITED = -1

# Names that PostgreSQL keeps for itself, or takes for something else in GRANT and SET ROLE.
_RESERVED = frozenset({"public", "none", "postgres", "current_user", "session_user", "current_role", "user"})
_RESERVED_DATABASES = frozenset({"postgres", "template0", "template1"})
_PREFIX = "pg_"


@dataclass(frozen=True)
class Role:
    """kind: who is behind it. A project's role cannot log in; others are its members.

    verifier: None leaves the password as it is, so that people may set one of their own with \\password.
    password: of a service, in clear; it is never sent, only compared and made into a verifier.
    """

    name: str
    kind: str = PERSON
    state: str = PRESENT
    reason: str = ""
    connection_limit: int = UNLIMITED
    verifier: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    members: tuple[str, ...] = ()
    member_of: tuple[str, ...] = ()

    @property
    def login(self) -> bool:
        return self.kind != PROJECT and self.state == PRESENT


@dataclass(frozen=True)
class Database:
    """owner: does everything in it, and so do the members of a project's role. readers: a role that reads all of it.

    connect: further roles that may connect, and nothing else. locale: only looked at when it is made.
    """

    name: str
    owner: str
    readers: str | None = None
    connect: tuple[str, ...] = ()
    connection_limit: int = UNLIMITED
    state: str = PRESENT
    locale: str = "C.UTF-8"


@dataclass(frozen=True)
class Desired:
    """only: the one person whom the run is about; empty: the lists are everything that is managed.

    estate: the role that owns what people leave behind. closed: databases of the system that nobody else connects to.
    drop: databases that may really go, by name. allow: roles that may go whatever max_removals says.
    """

    roles: Mapping[str, Role]
    databases: Mapping[str, Database]
    only: str = ""
    estate: str = "lyceum_estate"
    closed: tuple[str, ...] = ("postgres", "template1")
    drop: frozenset[str] = frozenset()
    allow: frozenset[str] = frozenset()
    max_removals: int = 10

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Desired:
        """Raises LyceumError with everything that is wrong."""
        roles = [_role(entry) for entry in params["roles"]]
        databases = [_database(entry) for entry in params["databases"]]
        desired = cls(
            {role.name: role for role in roles},
            {database.name: database for database in databases},
            only=params["only"],
            estate=params["estate"],
            closed=tuple(params["closed_databases"]),
            drop=frozenset(params["drop_databases"]),
            allow=frozenset(params["allow_removals"]),
            max_removals=params["max_removals"],
        )
        problems = [*_twice("roles", roles), *_twice("databases", databases), *_problems(desired)]
        if problems:
            raise LyceumError("; ".join(problems))
        return desired

    def edges(self) -> dict[str, dict[str, None]]:
        """role -> those who are to be its members, of what is present."""
        found: dict[str, dict[str, None]] = {
            role.name: {} for role in self.roles.values() if role.kind == PROJECT and role.state == PRESENT
        }
        for role in self.roles.values():
            if role.state == PRESENT:
                for member in role.members:
                    found.setdefault(role.name, {})[member] = None
                for group in role.member_of:
                    found.setdefault(group, {})[role.name] = None
        return found

    def heir(self, database: str) -> str:
        """Who gets what somebody who leaves has made in a database: its project, or else nobody in particular."""
        entry = self.databases.get(database)
        owner = self.roles.get(entry.owner) if entry is not None and entry.state == PRESENT else None
        return owner.name if owner is not None and owner.state == PRESENT and owner.kind == PROJECT else self.estate


def _role(entry: Mapping[str, Any]) -> Role:
    return Role(
        name=entry["name"],
        kind=entry["kind"],
        state=entry["state"],
        reason=entry.get("reason") or "",
        connection_limit=entry["connection_limit"],
        verifier=entry.get("verifier"),
        password=entry.get("password"),
        members=tuple(entry.get("members") or ()),
        member_of=tuple(entry.get("member_of") or ()),
    )


def _database(entry: Mapping[str, Any]) -> Database:
    return Database(
        name=entry["name"],
        owner=entry["owner"],
        readers=entry.get("readers"),
        connect=tuple(entry.get("connect") or ()),
        connection_limit=entry["connection_limit"],
        state=entry["state"],
        locale=entry["locale"],
    )


def _twice(what: str, entries: Iterable[Role] | Iterable[Database]) -> list[str]:
    counts = Counter(entry.name for entry in entries)
    return [f"{what}: {name} is in the list {count} times" for name, count in counts.items() if count > 1]


def _problems(desired: Desired) -> list[str]:
    found: list[str] = []
    for role in desired.roles.values():
        where = f"roles: {role.name}"
        if role.name == desired.estate:
            found.append(f"{where}: is the role that owns what people leave behind (estate)")
        elif role.name.lower() in _RESERVED or role.name.startswith(_PREFIX):
            found.append(f"{where}: PostgreSQL keeps this name for itself")
        elif problem := sql.name_problem(role.name):
            found.append(f"{where}: {problem}")
        found += _credentials(where, role)
        found += _limit(where, role.connection_limit)
    for database in desired.databases.values():
        where = f"databases: {database.name}"
        if database.name in _RESERVED_DATABASES or database.name in desired.closed:
            found.append(f"{where}: is a database of the system")
        elif problem := sql.name_problem(database.name):
            found.append(f"{where}: {problem}")
        owner = desired.roles.get(database.owner)
        if owner is None:
            found.append(f"{where}: its owner {database.owner} is not among the roles")
        elif database.state == PRESENT and owner.state == ABSENT:
            found.append(f"{where}: its owner {database.owner} is absent")
        if database.state == ABSENT and owner is not None and owner.state != ABSENT:
            found.append(f"{where}: is absent while its owner {database.owner} is {owner.state}")
        found += _limit(where, database.connection_limit)
    if desired.only and desired.roles.get(desired.only, Role("", kind=PROJECT)).kind != PERSON:
        found.append(f"only: {desired.only} is not a person among the roles")
    return found


def _credentials(where: str, role: Role) -> list[str]:
    if role.kind == PROJECT and (role.verifier is not None or role.password is not None):
        return [f"{where}: the role of a project cannot log in and has no password"]
    if role.verifier is not None and role.password is not None:
        return [f"{where}: has a verifier and a password; give one"]
    if role.verifier is not None and scram.parse(role.verifier) is None:
        return [
            f"{where}: its verifier is not one of SCRAM-SHA-256 (SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY)"
        ]
    return []


def _limit(where: str, limit: int) -> list[str]:
    return [] if limit >= UNLIMITED else [f"{where}: connection_limit {limit} is less than -1 (no limit)"]
