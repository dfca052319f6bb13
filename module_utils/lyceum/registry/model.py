# SPDX-License-Identifier: GPL-3.0-or-later
"""The registry as typed, frozen objects.

Built from the raw dict of a *validated* registry (see `validate`); nothing here checks what the validator checks.
"Today" is always an argument, so that every date rule can be tested and a site can look into the future.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from types import MappingProxyType
from typing import Any, TypeVar

from ..errors import LyceumError
from .suggest import did_you_mean

# Section of the raw dict -> the Ansible variable that carries it. The one place where the two are tied together.
VARIABLES: Mapping[str, str] = MappingProxyType(
    {
        "people": "lyceum_people",
        "groups": "lyceum_groups",
        "projects": "lyceum_projects",
        "trees": "lyceum_trees",
        "limits": "lyceum_limits",
        "id_ranges": "lyceum_id_ranges",
        "classify": "lyceum_classify",
        "affiliations": "lyceum_affiliations",
        "hardware": "lyceum_hardware",
        "allow_empty": "lyceum_allow_empty",
    }
)

DEFAULT_SHELL = "/bin/bash"
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True)
class IdRange:
    """first and last are both inside the range."""

    first: int
    last: int

    def __contains__(self, number: int) -> bool:
        return self.first <= number <= self.last

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


# What holds where lyceum_id_ranges says nothing. They do not overlap because a person's uid is also their gid.
DEFAULT_ID_RANGES: Mapping[str, IdRange] = MappingProxyType(
    {
        "people": IdRange(2001, 9999),
        "groups": IdRange(10001, 10999),
        "projects": IdRange(11001, 19999),
        "access": IdRange(59901, 59999),
    }
)


# What a login may do, from nothing to everything. The groups that carry all but the last take their ids from the range
# `access`, in this order.
ACCESS_PROFILES = ("none", "git", "sftp", "rsync", "jail", "shell")


@dataclass(frozen=True)
class Affiliation:
    name: str
    access: str
    description: str = ""
    services: Mapping[str, Any] = field(default_factory=dict)


# The eduPerson terms a site has without declaring them; lyceum_affiliations adds to them or changes them.
DEFAULT_AFFILIATIONS: Mapping[str, Affiliation] = MappingProxyType(
    {
        name: Affiliation(name, "shell", description)
        for name, description in (
            ("student", "Enrolled students"),
            ("researcher", "Doctoral and postdoctoral researchers"),
            ("faculty", "Professors and group leaders"),
            ("staff", "Technical and administrative staff"),
            ("admin", "People who run the machines"),
        )
    }
)


@dataclass(frozen=True)
class Person:
    name: str
    uid: int
    gid: int
    full_name: str
    email: str
    affiliation: str
    groups: tuple[str, ...]
    ssh_keys: tuple[str, ...]
    access: str  # resolved: the person's own, else the affiliation's
    shell: str
    home: str
    aliases: tuple[str, ...]
    starts: date | None
    ends: date | None  # the last day on which the person may use the machines
    state: str  # as declared: present | suspended | absent
    reason: str
    migrate_uid: bool
    services: Mapping[str, Mapping[str, Any]]  # those the person has, with the settings of the affiliation below
    denied_services: tuple[str, ...]  # written as null: what the person had there is closed
    limits: Mapping[str, Any]

    def effective_state(self, today: date) -> tuple[str, str]:
        """(present | suspended | absent, why in a few words; "" when simply present)."""
        if self.state == "absent":
            return "absent", self.reason or "removed in the registry"
        if self.state == "suspended":
            return "suspended", self.reason or "suspended in the registry"
        if self.starts is not None and today < self.starts:
            return "suspended", f"starts on {self.starts}"
        if self.ends is not None and today > self.ends:
            return "suspended", f"ended on {self.ends}"
        return "present", ""


@dataclass(frozen=True)
class Group:
    name: str
    gid: int
    description: str
    state: str  # present | absent


@dataclass(frozen=True)
class Project:
    name: str
    gid: int
    description: str
    owner: str
    members: Mapping[str, str]  # name -> read | write
    services: Mapping[str, Mapping[str, Any]]
    limits: Mapping[str, Any]
    starts: date | None
    ends: date | None
    state: str  # present | absent

    def live(self, today: date) -> bool:
        """Whether it gives access and limits today. An ended project keeps its group and data, not its members."""
        started = self.starts is None or self.starts <= today
        ended = self.ends is not None and self.ends < today
        return self.state == "present" and started and not ended

    def people(self) -> tuple[str, ...]:
        """Owner first, then every member, readers included; no name twice."""
        return tuple(dict.fromkeys((self.owner, *self.members)))

    def writers(self) -> tuple[str, ...]:
        """The members of the project's Unix group: the owner and who may write."""
        return tuple(dict.fromkeys((self.owner, *(name for name, mode in self.members.items() if mode == "write"))))


@dataclass(frozen=True)
class Tree:
    """A shared directory of the site. write, read: names of people, groups and projects, which never coincide."""

    path: str
    strategy: str  # user_subdirs | group_shared | posix_acl
    description: str
    owner: str  # a person, or "" for root
    group: str  # a group or project, or "" for none
    write: tuple[str, ...]
    read: tuple[str, ...]
    state: str  # present | absent


@dataclass(frozen=True)
class LimitException:
    person: str
    limits: Mapping[str, Any]
    reason: str
    approved_by: str
    starts: date | None
    expires: date  # the last day on which it holds

    def live(self, today: date) -> bool:
        return (self.starts is None or self.starts <= today) and today <= self.expires


@dataclass(frozen=True)
class LimitLayers:
    defaults: Mapping[str, Any] = field(default_factory=dict)
    affiliations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    exceptions: tuple[LimitException, ...] = ()
    affiliation_totals: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


_Named = TypeVar("_Named", Person, Group, Project)


@dataclass(frozen=True)
class Registry:
    people: tuple[Person, ...]
    groups: tuple[Group, ...]
    projects: tuple[Project, ...]
    trees: tuple[Tree, ...]
    limits: LimitLayers
    id_ranges: Mapping[str, IdRange]
    affiliations: Mapping[str, Affiliation]
    classify: Mapping[str, Any]
    hardware: Mapping[str, Any]
    today: date

    @classmethod
    def from_raw(cls, raw: Mapping[str, Any], *, today: date) -> Registry:
        """Build from the raw dict {people, groups, ...}; sections that are missing or null are empty."""
        affiliations = affiliations_of(raw)
        limits = raw.get("limits") or {}
        return cls(
            people=tuple(_person(entry, affiliations) for entry in raw.get("people") or []),
            groups=tuple(_group(entry) for entry in raw.get("groups") or []),
            projects=tuple(_project(entry) for entry in raw.get("projects") or []),
            trees=tuple(_tree(entry) for entry in raw.get("trees") or []),
            limits=LimitLayers(
                defaults=limits.get("defaults") or {},
                affiliations={name: values or {} for name, values in (limits.get("affiliations") or {}).items()},
                exceptions=tuple(_exception(entry) for entry in limits.get("exceptions") or []),
                affiliation_totals={
                    name: values or {} for name, values in (limits.get("affiliation_totals") or {}).items()
                },
            ),
            id_ranges=id_ranges_of(raw),
            affiliations=affiliations,
            classify=raw.get("classify") or {},
            hardware=raw.get("hardware") or {},
            today=today,
        )

    @cached_property
    def _people_by_name(self) -> dict[str, Person]:
        return {person.name: person for person in self.people}

    def person(self, name: str) -> Person:
        """The person of this login name. LyceumError (with a suggestion) when there is none."""
        return _lookup(self._people_by_name, name, "person")

    def group(self, name: str) -> Group:
        return _lookup({group.name: group for group in self.groups}, name, "group")

    def project(self, name: str) -> Project:
        return _lookup({project.name: project for project in self.projects}, name, "project")

    def find_person(self, name_or_alias: str) -> Person:
        """Like `person`, but an alias or an e-mail address will do."""
        if name_or_alias not in self._people_by_name:
            wanted = name_or_alias.lower()
            for person in self.people:
                if wanted in (alias.lower() for alias in (*person.aliases, person.email)):
                    return person
        return self.person(name_or_alias)

    @cached_property
    def _live_projects_by_person(self) -> dict[str, list[Project]]:
        found: dict[str, list[Project]] = {}
        for project in self.projects:
            if project.live(self.today):
                for name in project.people():
                    found.setdefault(name, []).append(project)
        return found

    def live_projects_of(self, name: str) -> list[Project]:
        """The projects the person owns or is a member of (reading is enough) and that are live today."""
        return self._live_projects_by_person.get(name, [])

    def unix_groups_of(self, person: Person) -> list[str]:
        """Sorted supplementary groups: the person's own, and of each live project they own or may write to."""
        projects = (p.name for p in self.live_projects_of(person.name) if person.name in p.writers())
        return sorted({*person.groups, *projects})


def _lookup(known: Mapping[str, _Named], name: str, kind: str) -> _Named:
    if name not in known:
        raise LyceumError(f"There is no {kind} {name!r} in the registry.{did_you_mean(name, known)}")
    return known[name]


def parse_date(value: Any) -> date | None:
    """A `YYYY-MM-DD` string or a date; None stays None. ValueError for anything else."""
    if value is None:
        return None
    if isinstance(value, datetime):
        raise ValueError(f"a date without a time is wanted, not {value}")
    if isinstance(value, date):
        return value
    if not _DATE.fullmatch(value):  # date.fromisoformat of newer Pythons also takes 20260901 and 2026-W36-2
        raise ValueError(f"not a date as YYYY-MM-DD: {value!r}")
    return date.fromisoformat(value)


def id_ranges_of(raw: Mapping[str, Any]) -> dict[str, IdRange]:
    """kind (people, groups, projects, access) -> range: the defaults, changed by lyceum_id_ranges."""
    declared = raw.get("id_ranges") or {}
    return {
        kind: IdRange(declared[kind]["first"], declared[kind]["last"]) if declared.get(kind) else default
        for kind, default in DEFAULT_ID_RANGES.items()
    }


def affiliations_of(raw: Mapping[str, Any]) -> dict[str, Affiliation]:
    """name -> affiliation: the built-in ones, changed and extended by lyceum_affiliations."""
    found = dict(DEFAULT_AFFILIATIONS)
    for name, entry in (raw.get("affiliations") or {}).items():
        found[name] = Affiliation(name, entry["access"], entry.get("description") or "", entry.get("services") or {})
    return found


def _person(entry: Mapping[str, Any], affiliations: Mapping[str, Affiliation]) -> Person:
    affiliation = entry.get("affiliation") or ""
    # Only a tombstone may lack an affiliation, and a tombstone has no access.
    default_access = affiliations[affiliation].access if affiliation else "none"
    uid = _number(entry["uid"])
    return Person(
        name=entry["name"],
        uid=uid,
        gid=uid if entry.get("gid") is None else _number(entry["gid"]),
        full_name=entry.get("full_name") or "",
        email=entry.get("email") or "",
        affiliation=affiliation,
        groups=_strings(entry.get("groups")),
        ssh_keys=_strings(entry.get("ssh_keys")),
        access=entry.get("access") or default_access,
        shell=entry.get("shell") or DEFAULT_SHELL,
        home=entry.get("home") or f"/home/{entry['name']}",
        aliases=_strings(entry.get("aliases")),
        starts=parse_date(entry.get("starts")),
        ends=parse_date(entry.get("ends")),
        state=entry.get("state") or "present",
        reason=entry.get("reason") or "",
        migrate_uid=bool(entry.get("migrate_uid")),
        services=_services(entry.get("services") or {}, affiliations[affiliation].services if affiliation else {}),
        denied_services=tuple(name for name, found in (entry.get("services") or {}).items() if found is None),
        limits=entry.get("limits") or {},
    )


def _group(entry: Mapping[str, Any]) -> Group:
    return Group(
        name=entry["name"],
        gid=_number(entry["gid"]),
        description=entry.get("description") or "",
        state=entry.get("state") or "present",
    )


def _project(entry: Mapping[str, Any]) -> Project:
    return Project(
        name=entry["name"],
        gid=_number(entry["gid"]),
        description=entry.get("description") or "",
        owner=entry.get("owner") or "",
        members=entry.get("members") or {},
        services=_services(entry.get("services") or {}, {}),
        limits=entry.get("limits") or {},
        starts=parse_date(entry.get("starts")),
        ends=parse_date(entry.get("ends")),
        state=entry.get("state") or "present",
    )


def _tree(entry: Mapping[str, Any]) -> Tree:
    return Tree(
        path=entry["path"],
        strategy=entry["strategy"],
        description=entry.get("description") or "",
        owner=entry.get("owner") or "",
        group=entry.get("group") or "",
        write=_strings(entry.get("write")),
        read=_strings(entry.get("read")),
        state=entry.get("state") or "present",
    )


def service_settings(own: Mapping[str, Any], default: Mapping[str, Any], service: str) -> dict[str, Any] | None:
    """The settings of one service, key by key `own` before `default`; None: no account there.

    own, default: service -> settings, {} for an account without any. None in `own`: none, whatever `default` has.
    """
    if service in own and own[service] is None:
        return None
    if own.get(service) is None and default.get(service) is None:
        return None
    return {**(default.get(service) or {}), **(own.get(service) or {})}


def _services(own: Mapping[str, Any], default: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    found = {name: service_settings(own, default, name) for name in {**default, **own}}
    return {name: values for name, values in found.items() if values is not None}


def _exception(entry: Mapping[str, Any]) -> LimitException:
    expires = parse_date(entry["expires"])
    if expires is None:
        raise ValueError("an exception needs a date in `expires`")
    return LimitException(
        person=entry["person"],
        limits=entry.get("limits") or {},
        reason=entry["reason"],
        approved_by=entry["approved_by"],
        starts=parse_date(entry.get("starts")),
        expires=expires,
    )


def _number(value: Any) -> int:
    """Ids are what must never be wrong, so they are looked at even here."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"an id must be a whole number, not {value!r}")
    return value


def _strings(values: Iterable[str] | None) -> tuple[str, ...]:
    return tuple(values or ())
