# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers for new people, groups and projects. A number that was ever given is never given again."""

from __future__ import annotations

from ..errors import LyceumError
from .model import Registry


def taken(registry: Registry) -> frozenset[int]:
    """Every number in use or reserved by a tombstone.

    Users and groups have separate number spaces in Unix, but a person's uid is by default also the gid of their
    private group, so one common set is the only one that cannot collide.
    """
    numbers = {person.uid for person in registry.people}
    numbers.update(person.gid for person in registry.people)
    numbers.update(group.gid for group in registry.groups)
    numbers.update(project.gid for project in registry.projects)
    return frozenset(numbers)


def next_free(registry: Registry, kind: str) -> int:
    """The number for the next entry of `kind` (people | groups | projects).

    It is one above the highest number given so far, so that even an entry deleted by hand does not hand its number (and
    its files) to the next person; gaps are used only when the range is full to its end.
    LyceumError when no number is left.
    """
    span = registry.id_ranges[kind]
    used = taken(registry)
    above = max((number for number in used if number in span), default=span.first - 1) + 1
    if above in span:
        return above
    for number in range(span.first, span.last + 1):
        if number not in used:
            return number
    raise LyceumError(
        f"No id is left for {kind}: all of {span} are given or reserved by tombstones. "
        f"Extend lyceum_id_ranges.{kind}.last."
    )
