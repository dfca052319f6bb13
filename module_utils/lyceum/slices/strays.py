# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes of people that run outside their slice, where no limit of theirs holds.

Only PAM moves a login into the person's slice: su, sudo and runuser stay where their caller is, and so does a service
that starts something as a person.
"""

from __future__ import annotations

import bisect
import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .hierarchy import UNIFIED, slice_path


@dataclass(frozen=True)
class Stray:
    """group: the path of the control group it is in instead."""

    uid: int
    pid: int
    program: str
    group: str


def find(people: Mapping[int, str], layout: str, root: Path) -> list[Stray]:
    """All of them. people: uid -> name of whom to look for, their subordinate ids (rootless containers) included.

    root: where /proc and /etc are.
    """
    owners = _Owners(people, root / "etc/subuid")
    found = []
    for pid, uid, program in _processes(root / "proc", owners):
        group = _group(root / f"proc/{pid}/cgroup", layout)
        inside = f"/{slice_path(uid)}"
        if group is not None and group != inside and not group.startswith(f"{inside}/"):
            found.append(Stray(uid, pid, program, group))
    return found


class _Owners:
    """Whose a uid is: the person's own, or one of the subordinate ids."""

    def __init__(self, people: Mapping[int, str], subuid: Path) -> None:
        self._people = people
        uids = {name: uid for uid, name in people.items()}
        self._ranges: list[tuple[int, int, int]] = []
        with contextlib.suppress(FileNotFoundError):
            for line in subuid.read_text(encoding="utf-8", errors="replace").splitlines():
                fields = line.split(":")
                if len(fields) == 3 and fields[0] in uids and fields[1].isdigit() and fields[2].isdigit():
                    self._ranges.append((int(fields[1]), int(fields[2]), uids[fields[0]]))
        self._ranges.sort()

    def owner(self, uid: int) -> int | None:
        if uid in self._people:
            return uid
        place = bisect.bisect(self._ranges, (uid, 2**32, 0)) - 1
        if place < 0:
            return None
        first, count, owner = self._ranges[place]
        return owner if uid < first + count else None


def _processes(proc: Path, owners: _Owners) -> Iterator[tuple[int, int, str]]:
    """(pid, uid of the person, program) of every running process of the people."""
    for folder in proc.iterdir():
        if not folder.name.isdigit():
            continue
        # A process may end at any moment.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            fields = dict(
                line.partition(":\t")[::2]
                for line in (folder / "status").read_text(encoding="utf-8", errors="replace").splitlines()
            )
            if fields.get("State", "Z").startswith(("Z", "X")):
                continue
            real, effective = (int(number) for number in fields["Uid"].split()[:2])
            uid = owners.owner(real)
            uid = owners.owner(effective) if uid is None else uid
            if uid is not None:
                yield int(folder.name), uid, fields.get("Name", "?")


def _group(path: Path, layout: str) -> str | None:
    """The group that systemd put a process into; None when it has ended."""
    wanted = "" if layout == UNIFIED else "name=systemd"
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            _number, _colon, rest = line.partition(":")
            controllers, _colon, group = rest.partition(":")
            if controllers == wanted:
                return group
    return None
