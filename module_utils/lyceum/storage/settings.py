# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host tools know: settings of the role, and a file for each person and each project."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..errors import LyceumError
from ..notices import Recipient
from ..quota.model import Quota

ETC = Path("/etc/lyceum")
SETTINGS = "groups_and_acls.json"
PEOPLE = "groups_and_acls.d"
PROJECTS = "groups_and_acls.projects.d"
AGES = ("read", "changed", "arrived")

Found = TypeVar("Found")


@dataclass(frozen=True)
class Purge:
    """When files in scratch go. after_days: 0 for never. age_by: which times count, the newest of them is the age.

    exclude: shell patterns of paths below a person's scratch that stay. exempt: names of people who are left out.
    """

    after_days: float
    notice_days: float
    age_by: tuple[str, ...]
    exclude: tuple[str, ...]
    exempt: frozenset[str]


@dataclass(frozen=True)
class Settings:
    """warn_percent: ascending. walk_hours: how old a measurement may get where quotas do not count; 0 for no walking.

    groups: name -> gid. textfile_dir: for Prometheus, None where there is none.
    """

    scratch: str
    soft_percent: int
    warn_percent: tuple[int, ...]
    mail: bool
    walk_hours: float
    textfile_dir: str
    groups: Mapping[str, int]
    purge: Purge

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Settings:
        purge = data["purge"]
        unknown = sorted(set(purge["age_by"]) - set(AGES))
        if unknown or not purge["age_by"]:
            raise ValueError(f"age_by must be some of {', '.join(AGES)}, not {purge['age_by']}")
        return cls(
            scratch=str(data["scratch"]),
            soft_percent=int(data["soft_percent"]),
            warn_percent=tuple(sorted(int(percent) for percent in data["warn_percent"])),
            mail=bool(data["mail"]),
            walk_hours=float(data["walk_hours"]),
            textfile_dir=str(data["textfile_dir"]),
            groups={str(name): int(gid) for name, gid in data["groups"].items()},
            purge=Purge(
                after_days=float(purge["after_days"]),
                notice_days=float(purge["notice_days"]),
                age_by=tuple(purge["age_by"]),
                exclude=tuple(purge["exclude"]),
                exempt=frozenset(purge["exempt"]),
            ),
        )


@dataclass(frozen=True)
class Person:
    """Somebody of the registry. state: present, suspended or absent."""

    name: str
    uid: int
    gid: int
    home: str
    email: str | None
    state: str
    quotas: tuple[Quota, ...]

    @property
    def recipient(self) -> Recipient:
        return Recipient(self.name, self.uid, self.gid, self.email)


@dataclass(frozen=True)
class Project:
    """A project of the registry. write: who may write to it now, its owner included."""

    name: str
    gid: int
    state: str
    write: tuple[str, ...]
    quotas: tuple[Quota, ...]


@dataclass(frozen=True)
class Policy:
    """Everything together, people and projects by name."""

    settings: Settings
    people: Mapping[str, Person]
    projects: Mapping[str, Project]


def load(etc: Path = ETC) -> Policy:
    """Read all of it. Raises LyceumError naming the file that is missing or not understood."""
    settings = _read(etc / SETTINGS, Settings.from_json)

    def quotas(data: Mapping[str, Any]) -> tuple[Quota, ...]:
        return tuple(Quota.from_params(entry, settings.soft_percent) for entry in data["quotas"])

    def person(data: Mapping[str, Any]) -> Person:
        numbers = int(data["uid"]), int(data["gid"])
        return Person(data["name"], *numbers, data["home"], data["email"], data["state"], quotas(data))

    def project(data: Mapping[str, Any]) -> Project:
        return Project(data["name"], int(data["gid"]), data["state"], tuple(data["write"]), quotas(data))

    people = [_read(path, person) for path in sorted((etc / PEOPLE).glob("*.json"))]
    projects = [_read(path, project) for path in sorted((etc / PROJECTS).glob("*.json"))]
    return Policy(settings, {one.name: one for one in people}, {one.name: one for one in projects})


def _read(path: Path, build: Callable[[Mapping[str, Any]], Found]) -> Found:
    try:
        return build(json.loads(path.read_text(encoding="utf-8")))
    except OSError as exc:
        raise LyceumError(f"cannot read {path}: {exc.strerror}. The role groups_and_acls writes it.") from exc
    except (LookupError, TypeError, ValueError, AttributeError) as exc:
        raise LyceumError(f"{path} is not understood: {exc}. The role groups_and_acls writes it anew.") from exc
