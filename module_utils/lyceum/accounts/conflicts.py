# SPDX-License-Identifier: GPL-3.0-or-later
"""Contradictions between the registry and what is on the host outside it: all found before anything is changed."""

from __future__ import annotations

from typing import NamedTuple

from .database import Database, Entry
from .edit import members_of, subid_start
from .model import Desired, PersonSpec
from .observe import Observed


def find_conflicts(desired: Desired, observed: Observed) -> list[str]:
    """Every contradiction between the registry and accounts outside it. Each sentence names the remedy."""
    database = observed.database
    by_uid: dict[int, str] = {}
    for name, fields in database.passwd.entries.items():
        by_uid.setdefault(int(fields[2]), name)
    by_gid: dict[int, str] = {}
    for name, fields in database.group.entries.items():
        by_gid.setdefault(int(fields[2]), name)
    found: list[str] = []
    shared_gids = {group.gid for group in desired.groups}
    for group in desired.groups:
        found += _gid_conflicts(group.name, group.gid, database, by_gid, moves=())
    for person in desired.people:
        entry = database.passwd.entries.get(person.name)
        if person.state == "absent" or not (person.create or entry):
            continue
        found += _person_conflicts(person, entry, by_uid, observed)
        if person.gid not in shared_gids:
            old_gid = (int(entry[3]),) if entry and person.migrate_uid else ()
            found += _gid_conflicts(person.name, person.gid, database, by_gid, moves=old_gid)
    if desired.policy.subid_count:
        found += _subid_conflicts(desired, database)
    return found


def find_unmanaged(desired: Desired, database: Database) -> list[str]:
    """Accounts in the registry's uid ranges, and memberships of people in groups, that the registry does not know."""
    known = {person.name for person in desired.people}
    managed_groups = {group.name for group in desired.groups}
    found = [
        f"account {name} (uid {entry[2]}) is not in the registry"
        for name, entry in database.passwd.entries.items()
        if name not in known and any(first <= int(entry[2]) <= last for first, last in desired.policy.uid_ranges)
    ]
    for name, entry in database.group.entries.items():
        if name in managed_groups or name in known:
            continue
        strangers = sorted(known & set(members_of(entry)))
        if strangers:
            found.append(f"group {name} (not managed) has {', '.join(strangers)} as member(s)")
    return found


def _gid_conflicts(
    name: str,
    gid: int,
    database: Database,
    by_gid: dict[int, str],
    moves: tuple[int, ...],
) -> list[str]:
    found = []
    group = database.group.entries.get(name)
    if group is not None and int(group[2]) != gid and int(group[2]) not in moves:
        found.append(f"group {name} has gid {group[2]} here but {gid} in the registry; change one of them")
    other = by_gid.get(gid)
    if other is not None and other != name:
        found.append(f"gid {gid} of {name} belongs to group {other} here; give {name} a free gid or remove {other}")
    return found


def _person_conflicts(
    person: PersonSpec,
    entry: Entry | None,
    by_uid: dict[int, str],
    observed: Observed,
) -> list[str]:
    found = []
    name, uid = person.name, person.uid
    if entry is not None and int(entry[2]) != uid and not person.migrate_uid:
        found.append(
            f"account {name} has uid {entry[2]} here but {uid} in the registry; set uid {entry[2]} in the registry,"
            " or migrate_uid: true to move the account and its files"
        )
    other = by_uid.get(uid)
    # Also when the registry moves or removes the other one in this very run: the numbers must not be in use by two
    # people at any moment, and files of the one would become the other's.
    if other is not None and other != name:
        found.append(f"uid {uid} of {name} belongs to account {other} here; give {name} a free uid or remove {other}")
    foreign = observed.foreign_names.get(uid)
    if foreign is not None and foreign != name:
        found.append(f"uid {uid} of {name} belongs to {foreign} in the directory service; give {name} a free uid")
    home = observed.homes.get(name)
    if home is not None and home.kind == "other":
        found.append(f"home {person.home} of {name} is not a directory; move it away")
    elif home is not None and home.kind == "directory" and entry is None and home.uid != uid:
        found.append(
            f"home {person.home} exists and belongs to uid {home.uid}, not to {name} ({uid}); move it away or chown it"
        )
    return found


class _Span(NamedTuple):
    """A range of subordinate ids: first, one past the last, whose, and whether it would be added by this run."""

    start: int
    end: int
    owner: str
    new: bool


def _subid_conflicts(desired: Desired, database: Database) -> list[str]:
    """Overlaps of the ranges that will be in subuid (subgid is kept alike), found in one pass over the sorted list."""
    policy = desired.policy
    gone = {person.name for person in desired.people if person.state == "absent"}
    spans = [
        _Span(int(start), int(start) + int(count), owner, False)
        for owner, start, count in database.subuid.all_entries()
        if start.isdigit() and count.isdigit() and owner not in gone
    ]
    have = {span.owner for span in spans}
    for person in desired.people:
        if person.name in gone or not (person.create or person.name in database.passwd.entries):
            continue
        if person.name not in have and str(person.uid) not in have:
            first = subid_start(person.uid, policy)
            spans.append(_Span(first, first + policy.subid_count, person.name, True))
    found = []
    spans.sort()
    widest: _Span | None = None
    for span in spans:
        if widest is not None and span.start < widest.end and (span.new or widest.new):
            new, old = (span, widest) if span.new else (widest, span)
            found.append(
                f"subordinate ids {new.start}-{new.end - 1} of {new.owner} overlap those of {old.owner} in /etc/subuid;"
                " remove that line or choose another accounts_subid_base"
            )
        if widest is None or span.end > widest.end:
            widest = span
        if span.new and (span.end > 2**32 - 1 or span.start < 0):
            found.append(f"subordinate ids {span.start}-{span.end - 1} of {span.owner} do not fit into 32 bits")
    return found
