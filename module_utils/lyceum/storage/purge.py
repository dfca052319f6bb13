# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files of scratch go, which are announced, which stay. Pure.

A file is as old as the newest of the times that count (settings: age_by):

- `read` (atime): what is read is in use. Backups that do not open with O_NOATIME keep everything alive; file systems
  mounted noatime never set it, so that the other times decide.
- `changed` (mtime): when the content was written, perhaps elsewhere: tar, rsync and cp -p bring old times along.
- `arrived` (ctime): when it came here, or its name or permissions changed. Only this one cannot be set at will.

Without `arrived`, data unpacked today may be announced today; without `read`, data in daily use goes. All three is the
default: the worst it does is to keep something.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from re import Pattern

from ..quota.plan import size
from .settings import Purge
from .warn import moment

DAY = 86400.0
# The tool runs daily. After a longer pause (host switched off, clock set) nobody could see the notices meanwhile.
LONGEST_GAP = 2 * DAY
KEEP, ANNOUNCE, DELETE = "keep", "announce", "delete"


@dataclass(frozen=True)
class Candidate:
    """A file, link or empty directory. path: below the person's scratch. newest: the time that counts."""

    path: str
    device: int
    inode: int
    newest: float
    size: int


@dataclass(frozen=True)
class Announced:
    """What was announced, and since when."""

    device: int
    inode: int
    since: float


def newest(info: os.stat_result, age_by: Iterable[str]) -> float:
    """The newest of the times that count."""
    times = {"read": info.st_atime, "changed": info.st_mtime, "arrived": info.st_ctime}
    return max(times[which] for which in age_by)


def excluded(patterns: Sequence[str]) -> Pattern[str]:
    """One expression for all shell patterns. `*` also matches slashes, so that `keep/*` is all that is below it."""
    return re.compile("|".join(fnmatch.translate(pattern) for pattern in patterns) or r"(?!)")


def decide(
    candidate: Candidate, announced: Announced | None, purge: Purge, kept: Pattern[str], now: float
) -> tuple[str, float]:
    """What to do with it, and since when it is announced. It is deleted only if the very file was announced in time."""
    idle = now - candidate.newest
    if idle < (purge.after_days - purge.notice_days) * DAY or kept.match(candidate.path):
        return KEEP, now
    same = announced is not None and (announced.device, announced.inode) == (candidate.device, candidate.inode)
    if announced is None or not same or announced.since > now:
        return ANNOUNCE, now
    if idle >= purge.after_days * DAY and now - announced.since >= purge.notice_days * DAY:
        return DELETE, announced.since
    return ANNOUNCE, announced.since


def due(candidate: Candidate, since: float, purge: Purge) -> float:
    """From when on it may go."""
    return max(candidate.newest + purge.after_days * DAY, since + purge.notice_days * DAY)


def after_pause(announced: Mapping[str, Announced], last: float, now: float) -> dict[str, Announced]:
    """The announcements with a pause since the last run left out of the time of notice."""
    pause = now - last
    late = pause - DAY if pause > LONGEST_GAP else 0.0
    return {path: Announced(one.device, one.inode, one.since + late) for path, one in announced.items()}


def notice(
    where: str, pending: Sequence[tuple[Candidate, float]], deleted: Sequence[Candidate], purge: Purge
) -> str | None:
    """What the person is told. pending: with the time each is due; None if there is nothing to tell."""
    lines = []
    if deleted:
        total = size(max(sum(one.size for one in deleted) // 1024, 1))
        lines.append(f"{len(deleted)} files ({total}) of {where}, announced before, were deleted.")
    if pending:
        total = size(max(sum(one.size for one, _due in pending) // 1024, 1))
        first = min(when for _one, when in pending)
        lines += [
            (
                f"{len(pending)} files ({total}) of {where} have not been used for long. They are deleted after"
                f" {purge.after_days:g} days, the first from {moment(int(first))} on."
            ),
            "To keep one, read or change it, or move it elsewhere. Which: lyceum-limits --purge",
        ]
    return "\n".join(lines) or None


def listing(pending: Sequence[tuple[Candidate, float]], deleted: Sequence[Candidate], most: int) -> str:
    """The file that tells the person which, soonest first. Names are shown so that each stays one line."""
    lines = [f"deleted           {_shown(one)}" for one in deleted[:most]]
    ordered = sorted(pending, key=lambda pair: (pair[1], pair[0].path))
    lines += [f"{moment(int(when))[:16]}  {_shown(one)}" for one, when in ordered[:most]]
    left = max(len(deleted) - most, 0) + max(len(pending) - most, 0)
    lines += [f"and {left} more"] if left else []
    return "".join(f"{line}\n" for line in lines)


def _shown(one: Candidate) -> str:
    name = one.path if one.path.isprintable() and not one.path.startswith(("'", '"')) else ascii(one.path)
    return f"{size(max(one.size // 1024, 1)):>10}  {name}"
