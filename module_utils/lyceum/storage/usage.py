# SPDX-License-Identifier: GPL-3.0-or-later
"""How much everybody uses of what they may: from the kernel's count, or by walking where it does not count."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Optional

from ..quota.model import KIB, Limits, Target
from ..quota.observe import locate, read_places
from ..quota.plan import Observed
from ..quota.tools import Record
from ..quota.trees import DIRECTORY, walk
from .settings import Policy

HOME, SCRATCH, PROJECT, TOTAL = "home", "scratch", "project", "total"
BLOCK = 512
# How long one run may walk; what it does not get to is measured by the next.
WALK_SECONDS = 300.0

# Bytes, files, and when somebody walked (None: the kernel counts).
Measured = tuple[Optional[int], Optional[int], Optional[float]]


@dataclass(frozen=True)
class Row:
    """What is used of one limit. what: home, scratch, project, or total for all files of a person on a file system.

    name: of the project, or the person. used_*: None if nothing counts it. *_ends: when writing stops, being over the
    soft limit. enforced: whether the limits stop anybody; why_not says why. measured: when it was walked through (None:
    the kernel counts).
    """

    what: str
    name: str
    person: str | None
    filesystem: str
    kind: str
    id: int
    used_bytes: int | None
    soft_bytes: int | None
    hard_bytes: int | None
    used_files: int | None
    soft_files: int | None
    hard_files: int | None
    space_ends: int | None
    files_ends: int | None
    enforced: bool
    why_not: str
    measured: float | None

    @property
    def key(self) -> str:
        return f"{self.filesystem}|{self.kind}|{self.id}"


@dataclass
class Usage:
    """All of it at one time, and the sums {bytes, files}. errors: what could not be read."""

    time: float
    rows: list[Row]
    people: dict[str, dict[str, int]] = field(default_factory=dict)
    projects: dict[str, dict[str, int]] = field(default_factory=dict)
    groups: dict[str, dict[str, int]] = field(default_factory=dict)
    institution: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def rows_of(data: Mapping[str, Any]) -> list[Row]:
    """The rows of what `as_dict` gave. Raises TypeError for anything else."""
    return [Row(**row) for row in data.get("rows", ())]


def collect(
    policy: Policy,
    before: Iterable[Row],
    members: Mapping[str, Sequence[str]],
    clock: Callable[[], float],
) -> Usage:
    """Read all quotas, walk where need be, add up. before: the rows of the last run. members: names by group.

    Raises LyceumError if the policy makes no sense.
    """
    quotas = [quota for person in policy.people.values() for quota in person.quotas]
    quotas += [quota for project in policy.projects.values() for quota in project.quotas]
    targets, points = locate(quotas)
    observed = read_places(targets, points, check=False)
    homes = {person.name: person.home for person in policy.people.values()}
    usage = Usage(clock(), [], errors=list(observed.errors))
    walker = _Walker(policy.settings.walk_hours, before, clock, usage.errors)
    for target in sorted((one for one in targets if one.present), key=lambda one: walker.age(one), reverse=True):
        usage.rows.append(_row(target, observed, homes, walker))
    usage.rows.sort(key=lambda row: (row.person is None, row.name, row.what, row.filesystem))
    add_up_usage(usage, members)
    return usage


def add_up_usage(usage: Usage, members: Mapping[str, Sequence[str]]) -> None:
    """Sums per person, project, group and over all, in which no file counts twice.

    Where homes have a user quota, it is what counts all files of a person there, those in scratch and projects too;
    elsewhere directories count.
    """
    owned = {row.filesystem for row in usage.rows if (row.what, row.kind) == (HOME, "user") and row.measured is None}
    for row in usage.rows:
        if row.used_bytes is None:
            continue
        if row.what == PROJECT:
            _add(usage.projects, row.name, row)
        counts = row.kind == "user" if row.what == HOME else row.what != TOTAL and row.filesystem not in owned
        if counts and row.person is not None:
            _add(usage.people, row.person, row)
        if counts:
            usage.institution = _sum(usage.institution, _used(row))
    for group, names in members.items():
        usage.groups[group] = {"bytes": 0, "files": 0}
        for name in names:
            usage.groups[group] = _sum(usage.groups[group], usage.people.get(name, {}))


def measure(path: str, complain: Callable[[str], None]) -> tuple[int, int] | None:
    """Bytes and files of a directory by walking through it; None if it does not exist. Raises OSError."""
    try:
        top = os.open(path, DIRECTORY)
    except FileNotFoundError:
        return None
    try:
        info = os.fstat(top)
        size, files = info.st_blocks * BLOCK, 1
        linked: set[int] = set()  # files with several names take their space once
        for entry in walk(top, path, complain):
            if entry.leaving or entry.info.st_ino in linked:
                continue
            if entry.own is None and entry.info.st_nlink > 1:
                linked.add(entry.info.st_ino)
            size, files = size + entry.info.st_blocks * BLOCK, files + 1
        return size, files
    finally:
        os.close(top)


class _Walker:
    """Measures the directories whose last measurement is oldest, as long as there is time."""

    def __init__(self, hours: float, before: Iterable[Row], clock: Callable[[], float], errors: list[str]) -> None:
        self.hours, self.clock, self.errors = hours, clock, errors
        self.known = {row.key: row for row in before if row.measured is not None}
        self.end = clock() + WALK_SECONDS

    def age(self, target: Target) -> float:
        """Seconds since it was measured; the never measured come first."""
        old = self.known.get("|".join(map(str, target.key)))
        return self.clock() - old.measured if old and old.measured is not None else math.inf

    def look(self, target: Target, path: str) -> Measured:
        """Bytes, files and when they were measured; Nones if they never were."""
        old = self.known.get("|".join(map(str, target.key)))
        due = self.hours > 0 and self.age(target) >= self.hours * 3600 and self.clock() < self.end
        if due:
            try:
                found = measure(path, self.errors.append)
                return (*(found or (0, 0)), self.clock())
            except OSError as exc:
                self.errors.append(f"cannot measure {path}: {exc.strerror}")
        return (old.used_bytes, old.used_files, old.measured) if old else (None, None, None)


def _row(target: Target, observed: Observed, homes: Mapping[str, str], walker: _Walker) -> Row:
    place = (target.mount, target.kind)
    path = target.directories[0] if target.directories else homes.get(target.person or "", "")
    if target.kind == "user":
        what = HOME if HOME in target.names else TOTAL
    else:
        what = PROJECT if target.person is None else HOME if path == homes.get(target.person) else SCRATCH
    if place in observed.records:
        record = observed.records[place].get(target.id, Record(Limits(), 0, 0))
        found: Measured = (record.space_used * KIB, record.files_used, None)
    else:
        record = Record(target.wanted(Limits(), 4 * KIB), 0, 0)
        found = walker.look(target, path) if what != TOTAL else (None, None, None)
    limits = record.limits
    return Row(
        what=what,
        name=target.name if what == PROJECT else target.person or "",
        person=target.person,
        filesystem=target.mount,
        kind=target.kind,
        id=target.id,
        used_bytes=found[0],
        soft_bytes=limits.space_soft * KIB or None,
        hard_bytes=limits.space_hard * KIB or None,
        used_files=found[1],
        soft_files=limits.files_soft or None,
        hard_files=limits.files_hard or None,
        space_ends=record.space_ends,
        files_ends=record.files_ends,
        enforced=place in observed.records and place not in observed.shortcomings,
        why_not=observed.shortcomings.get(place, ""),
        measured=found[2],
    )


def _add(sums: dict[str, dict[str, int]], name: str, row: Row) -> None:
    sums[name] = _sum(sums.get(name, {}), _used(row))


def _used(row: Row) -> dict[str, int]:
    return {"bytes": row.used_bytes or 0, "files": row.used_files or 0}


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {unit: one.get(unit, 0) + other.get(unit, 0) for unit in ("bytes", "files")}
