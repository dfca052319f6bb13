# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is to be told that space runs out, and in which words. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence

from ..quota.model import KIB
from ..quota.plan import size
from .settings import Policy
from .usage import HOME, PROJECT, TOTAL, Row

# Points that use has to fall below a threshold before the warning goes: nobody is told twice for one file.
MARGIN = 3
# Where not even this is left, the next write fails.
LAST_BYTES = 64 * KIB


def percent(used: int | None, hard: int | None, last: int) -> float:
    """How much of a limit is used: 100 if all but `last` units, 0 without a limit.

    Nor does one of next to nothing count: who is given nothing at all need not be warned of having used it up.
    """
    if used is None or not hard or hard <= last or hard == 1:
        return 0.0
    return 100.0 if used >= hard - last else 100.0 * used / hard


def space_percent(row: Row) -> float:
    return percent(row.used_bytes, row.hard_bytes, LAST_BYTES)


def files_percent(row: Row) -> float:
    return percent(row.used_files, row.hard_files, 0)


def level(previous: int, share: float, thresholds: Sequence[int]) -> int:
    """The threshold that counts now: the highest reached, or the previous one as long as use is just below it."""
    reached = max((threshold for threshold in thresholds if share >= threshold), default=0)
    return previous if reached < previous <= share + MARGIN and previous in thresholds else reached


def levels(rows: Iterable[Row], previous: Mapping[str, int], thresholds: Sequence[int]) -> dict[str, int]:
    """The threshold of each limit, space and files, by a key of its own; those at none are left out."""
    found = {}
    for row in rows:
        for unit, share in (("space", space_percent(row)), ("files", files_percent(row))):
            key = f"{row.key}|{unit}"
            now = level(previous.get(key, 0), share, thresholds)
            if now:
                found[key] = now
    return found


def notices(policy: Policy, rows: Sequence[Row], now: Mapping[str, int]) -> dict[str, str | None]:
    """The text for each person who is present, None for those with nothing to be told. now: see `levels`."""
    projects = {row.name: row for row in rows if row.what == PROJECT}
    texts: dict[str, str | None] = {}
    for person in policy.people.values():
        if person.state != "present":
            texts[person.name] = None
            continue
        mine = [row for row in rows if row.person == person.name]
        mine += [
            projects[one.name] for one in policy.projects.values() if person.name in one.write and one.name in projects
        ]
        lines = [line for row in mine for line in sentences(row, now)]
        texts[person.name] = "\n".join([*lines, "See what you use: lyceum-limits"]) if lines else None
    return texts


def sentences(row: Row, now: Mapping[str, int]) -> list[str]:
    """What is to be said about one limit. The same words as long as nothing new has happened."""
    found = []
    for unit, limit, soft, ends in (
        ("space", size((row.hard_bytes or 0) // KIB), size((row.soft_bytes or 0) // KIB), row.space_ends),
        ("files", f"{row.hard_files} files", f"{row.soft_files} files", row.files_ends),
    ):
        reached = now.get(f"{row.key}|{unit}", 0)
        if reached >= 100:
            stopped = "nothing more can be written there" if row.enforced else "please make room"
            found.append(f"{title(row)}: all of {limit} is used; {stopped}.")
        elif reached:
            found.append(f"{title(row)}: more than {reached} % of {limit} is used.")
        if ends and row.enforced and reached < 100:
            found.append(
                f"{title(row)}: over the soft limit of {soft}; from {moment(ends)} on nothing more can be written."
            )
    return found


def title(row: Row) -> str:
    """What a limit is called when its person is spoken to."""
    if row.what == PROJECT:
        return f"Project {row.name}"
    if row.what == TOTAL:
        return f"All your files on {row.filesystem}"
    return "Your home" if row.what == HOME else "Your scratch"


def moment(seconds: int) -> str:
    """A time for the eye, in UTC."""
    return datetime.datetime.fromtimestamp(seconds, tz=datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
