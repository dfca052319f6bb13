# SPDX-License-Identifier: GPL-3.0-or-later
"""What quotas should be: entries of a list, added up to one limit for each file system, kind and id."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import LyceumError

KINDS = ("user", "group", "project")
UNLIMITED = "unlimited"
KIB = 1024
GIB = 1024**3
# What an entry that leaves a key out means.
BLANK: Mapping[str, Any] = {
    "person": None,
    "hard_gib": None,
    "soft_gib": None,
    "hard_files": None,
    "soft_files": None,
    "secondary": False,
    "state": "present",
}
# Project names stand in /etc/projid, whose lines are name:id.
PROJECT_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Limit:
    """Soft and hard limit of one resource, in bytes or files. None: as much as there is. 0: nothing at all."""

    soft: int | None
    hard: int | None


@dataclass(frozen=True)
class Limits:
    """The limits of one id as the kernel keeps them: space in KiB; 0 means no limit."""

    space_soft: int = 0
    space_hard: int = 0
    files_soft: int = 0
    files_hard: int = 0


@dataclass(frozen=True)
class Quota:
    """One entry of the list. space, files: None if nobody manages it, so that it stays as it is.

    path: for users and groups anything on the file system; for projects the directory whose contents count.
    secondary: another quota limits the same more tightly, so that it is no loss if a sum swallows this one.
    """

    path: str
    kind: str
    id: int
    name: str
    person: str | None
    space: Limit | None
    files: Limit | None
    present: bool
    secondary: bool = False

    @classmethod
    def from_params(cls, entry: Mapping[str, Any], soft_percent: int) -> Quota:
        """Build from one entry of the module's parameter `quotas`. Raises LyceumError naming it."""
        entry = {**BLANK, **entry}
        where = f"quotas: {entry['kind']} {entry['id']} ({entry['name']}) at {entry['path']}"
        if not entry["path"].startswith("/"):
            raise LyceumError(f"{where}: the path must be absolute")
        if not 0 < entry["id"] < 2**32 - 1:
            raise LyceumError(f"{where}: the id must be between 1 and {2**32 - 2}; 0 is root's and everybody's")
        if entry["kind"] == "project" and not PROJECT_NAME.fullmatch(entry["name"]):
            raise LyceumError(f"{where}: the name of a project has only letters, digits, '.', '_' and '-'")
        return cls(
            path=entry["path"],
            kind=entry["kind"],
            id=entry["id"],
            name=entry["name"],
            person=entry["person"],
            space=_limit(entry, "gib", GIB, soft_percent, where),
            files=_limit(entry, "files", 1, soft_percent, where),
            present=entry["state"] == "present",
            secondary=entry["secondary"],
        )


@dataclass
class Target:
    """What one id may use of one file system: the sum over its entries.

    mount: where the file system is mounted. directories: those whose contents count for a project.
    unbounded: names of limits that nothing enforces, because the file system holds something unlimited of the same id.
    shared: names of limits that hold only together with the others of the sum.
    """

    mount: str
    kind: str
    id: int
    names: list[str] = field(default_factory=list)
    person: str | None = None
    space: Limit | None = None
    files: Limit | None = None
    directories: list[str] = field(default_factory=list)
    present: bool = False
    unbounded: list[str] = field(default_factory=list)
    shared: list[str] = field(default_factory=list)

    @property
    def key(self) -> tuple[str, str, int]:
        return self.mount, self.kind, self.id

    @property
    def name(self) -> str:
        return " + ".join(self.names)

    def __str__(self) -> str:
        if self.kind == "user":
            return f"{self.person or f'uid {self.id}'} on {self.mount} ({self.name})"
        return f"{self.kind} {self.name} ({self.id}) on {self.mount}"

    def wanted(self, current: Limits, block: int) -> Limits:
        """These limits in the kernel's terms. block: size of a block; what nobody manages is as in `current`."""
        space = (current.space_soft, current.space_hard)
        files = (current.files_soft, current.files_hard)
        if not self.present:
            return Limits()
        if self.space is not None:
            space = _kernel(self.space, lambda size: math.ceil(max(size, 1) / block) * (block // KIB))
        if self.files is not None:
            files = _kernel(self.files, lambda count: max(count, 1))
        return Limits(*space, *files)


def add_up(quotas: Iterable[Quota], mount_of: Callable[[str], str]) -> list[Target]:
    """One target for each file system, kind and id. mount_of: the mount point of a path.

    Limits of the same user or group on one file system add up, because the kernel counts all its files there together;
    with something unlimited among them, or something without a limit, the sum is unlimited.
    Raises LyceumError when a project id is given twice.
    """
    entries: dict[tuple[str, str, int], list[Quota]] = {}
    for quota in quotas:
        entries.setdefault((mount_of(quota.path), quota.kind, quota.id), []).append(quota)
    return [_target(mount, kind, number, found) for (mount, kind, number), found in entries.items()]


def _target(mount: str, kind: str, number: int, entries: Sequence[Quota]) -> Target:
    live = [entry for entry in entries if entry.present]
    if kind == "project" and len({entry.path for entry in live}) > 1:
        paths = " and ".join(sorted({entry.path for entry in live}))
        raise LyceumError(f"quotas: project {number} is given for {paths}; each directory needs an id of its own")
    counted = live or entries
    found = Target(
        mount=mount,
        kind=kind,
        id=number,
        names=list(dict.fromkeys(entry.name for entry in counted)),
        person=next((entry.person for entry in counted if entry.person), None),
        space=_sum([entry.space for entry in live]),
        files=_sum([entry.files for entry in live]),
        directories=[entry.path for entry in live[:1]] if kind == "project" else [],
        present=bool(live),
    )
    for entry in live:
        for limit, total in ((entry.space, found.space), (entry.files, found.files)):
            if limit is None or limit.hard is None or entry.secondary or total is None or total == limit:
                continue
            names = found.unbounded if total.hard is None else found.shared
            names += [entry.name] if entry.name not in names else []
    return found


def _sum(limits: Sequence[Limit | None]) -> Limit | None:
    """None if nobody manages any of them; what nobody manages beside something managed is unlimited."""
    managed = [limit for limit in limits if limit is not None]
    if not managed:
        return None
    hard = [limit.hard for limit in managed if limit.hard is not None]
    soft = [limit.soft for limit in managed if limit.soft is not None]
    return Limit(
        sum(soft) if len(soft) == len(limits) else None,
        sum(hard) if len(hard) == len(limits) else None,
    )


def _limit(entry: Mapping[str, Any], unit: str, factor: int, soft_percent: int, where: str) -> Limit | None:
    hard = _number(entry[f"hard_{unit}"], factor, f"{where}: hard_{unit}")
    soft = _number(entry[f"soft_{unit}"], factor, f"{where}: soft_{unit}")
    if hard is None:
        if soft is not None:
            raise LyceumError(f"{where}: soft_{unit} needs hard_{unit}, which may be {UNLIMITED}")
        return None
    ceiling = None if hard == math.inf else int(hard)
    if soft is None:
        return Limit(None if ceiling is None else ceiling * soft_percent // 100, ceiling)
    if soft > hard:
        raise LyceumError(f"{where}: soft_{unit} is more than hard_{unit}")
    return Limit(None if soft == math.inf else int(soft), ceiling)


def _number(value: Any, factor: int, where: str) -> float | None:
    if value is None:
        return None
    if value == UNLIMITED:
        return math.inf
    try:
        number = float(value) * factor
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not 0 <= number < 2**63:
        raise LyceumError(f"{where} is {value!r}; it must be a number from 0 on, or {UNLIMITED}")
    return float(math.ceil(number))


def _kernel(limit: Limit, units: Callable[[int], int]) -> tuple[int, int]:
    soft = 0 if limit.soft is None else units(limit.soft)
    return soft, 0 if limit.hard is None else units(limit.hard)
