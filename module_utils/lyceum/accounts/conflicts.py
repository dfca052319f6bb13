# SPDX-License-Identifier: GPL-3.0-or-later
"""Contradictions between the registry and what is on the host outside it: all found before anything is changed."""

from __future__ import annotations

import bisect
from typing import NamedTuple

from .database import Database, Entry, Table, home_of
from .edit import members_of, new_subids
from .model import Desired, PersonSpec
from .observe import Observed


def find_conflicts(desired: Desired, observed: Observed) -> list[str]:
    """Every contradiction between the registry and accounts outside it. Each sentence names the remedy."""
    database = observed.database
    by_uid, by_gid = _by_number(database.passwd), _by_number(database.group)
    found = _damaged_lines(desired, database)
    shared_gids = {group.gid for group in desired.groups}
    for group in desired.groups:
        found += _gid_conflicts(group.name, group.gid, database, by_gid, moves=())
    for person in desired.people:
        entry = database.passwd.entries.get(person.name)
        if entry is not None:
            found += _identity_conflicts(person, int(entry[2]), by_uid)
        if person.state == "absent" or not (person.create or entry):
            continue
        found += _person_conflicts(person, entry, by_uid, observed)
        if person.gid not in shared_gids:
            old_gid = (int(entry[3]),) if entry and person.migrate_uid else ()
            found += _gid_conflicts(person.name, person.gid, database, by_gid, moves=old_gid)
    if desired.policy.subid_count:
        for table, other in ((database.subuid, database.subgid), (database.subgid, database.subuid)):
            found += _subid_conflicts(desired, database, table, other)
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


def _by_number(table: Table) -> dict[int, list[str]]:
    """Names by uid (passwd) or gid (group)."""
    found: dict[int, list[str]] = {}
    for name, fields in table.entries.items():
        found.setdefault(int(fields[2]), []).append(name)
    return found


def _damaged_lines(desired: Desired, database: Database) -> list[str]:
    """Lines about people and groups of the registry that programs read in different ways: nothing is built on them."""
    people = {person.name for person in desired.people}
    groups = people | {group.name for group in desired.groups}
    return [
        f"the line of {name} in /etc/{kind} is damaged; correct or delete it by hand"
        for kind, table in database.tables.items()
        for name in sorted(table.damaged & (groups if kind in ("group", "gshadow") else people))
    ]


def _identity_conflicts(person: PersonSpec, actual: int, by_uid: dict[int, list[str]]) -> list[str]:
    """An account of the person's name that cannot be the person's: it must be neither changed nor removed."""
    name = person.name
    if actual == 0:
        return [f"account {name} is a name of root (uid 0) here; rename it by hand"]
    if actual != person.uid and not person.migrate_uid:
        where = f"account {name} has uid {actual} here but {person.uid} in the registry"
        return [f"{where}; set uid {actual} in the registry, or migrate_uid: true to move the account and its files"]
    others = [other for other in by_uid[actual] if other != name]
    if others:
        return [f"uid {actual} of {name} belongs to account {others[0]} here too; give {others[0]} another uid"]
    return []


def _gid_conflicts(
    name: str,
    gid: int,
    database: Database,
    by_gid: dict[int, list[str]],
    moves: tuple[int, ...],
) -> list[str]:
    found = []
    group = database.group.entries.get(name)
    if group is not None and int(group[2]) != gid and int(group[2]) not in moves:
        found.append(f"group {name} has gid {group[2]} here but {gid} in the registry; change one of them")
    found += [
        f"gid {gid} of {name} belongs to group {other} here; give {name} a free gid or remove {other}"
        for other in by_gid.get(gid, [])
        if other != name
    ]
    return found


def _person_conflicts(
    person: PersonSpec,
    entry: Entry | None,
    by_uid: dict[int, list[str]],
    observed: Observed,
) -> list[str]:
    found = []
    name, uid = person.name, person.uid
    # Also when the registry moves or removes the other one in this very run: the numbers must not be in use by two
    # people at any moment, and files of the one would become the other's.
    if entry is None or int(entry[2]) != uid:
        found += [
            f"uid {uid} of {name} belongs to account {other} here; give {name} a free uid or remove {other}"
            for other in by_uid.get(uid, [])
            if other != name
        ]
    foreign = observed.foreign_names.get(uid)
    if foreign is not None and foreign != name:
        found.append(f"uid {uid} of {name} belongs to {foreign} in the directory service; give {name} a free uid")
    home = observed.homes.get(name)
    if home is None or person.state != "present":
        return found
    own = {uid} if entry is None else {uid, int(entry[2])}
    if home.kind == "other":
        found.append(f"home {person.home} of {name} is not a directory; move it away")
    elif home.kind == "directory" and home.uid not in own:
        # Drift is only what the account has as its home already, if no other person owns it (a restored backup).
        drift = entry is not None and home_of(entry) == person.home and (home.uid == 0 or home.uid not in by_uid)
        if drift:
            return found
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


def _subid_conflicts(desired: Desired, database: Database, table: Table, other: Table) -> list[str]:
    """What ranges that will be added to subuid (or subgid) overlap, found in one pass over the sorted list.

    Not only other ranges: a uid inside one could be taken on by whoever has the range.
    """
    policy = desired.policy
    gone = {person.name for person in desired.people if person.state == "absent"}
    spans = [
        _Span(int(start), int(start) + int(count), owner, False)
        for owner, start, count in table.all_entries()
        if owner not in gone
    ]
    have = {span.owner for span in spans}
    for person in desired.people:
        if person.name in gone or not (person.create or person.name in database.passwd.entries):
            continue
        old = database.passwd.entries.get(person.name)
        if not have & {person.name, str(person.uid), *([old[2]] if old else [])}:
            first, count = new_subids(other, person, policy)
            spans.append(_Span(first, first + count, person.name, True))
    real = database.passwd if table.kind == "subuid" else database.group
    taken = sorted({int(entry[2]) for entry in real.all_entries()} | _wanted_ids(desired, table.kind))
    found = []
    spans.sort()
    widest: _Span | None = None
    for span in spans:
        if widest is not None and span.start < widest.end and (span.new or widest.new):
            new, old_span = (span, widest) if span.new else (widest, span)
            found.append(
                f"subordinate ids {new.start}-{new.end - 1} of {new.owner} overlap those of {old_span.owner} in"
                f" /etc/{table.kind}; remove that line or choose another accounts_subid_base"
            )
        if widest is None or span.end > widest.end:
            widest = span
        if not span.new:
            continue
        name = f"subordinate ids {span.start}-{span.end - 1} of {span.owner}"
        if span.end > 2**32 - 1 or span.start <= 0:
            found.append(f"{name} do not fit into 32 bits; see accounts_subid_base and uid_ranges")
        elif (position := bisect.bisect_left(taken, span.start)) < len(taken) and taken[position] < span.end:
            found.append(
                f"{name} contain {'uid' if table.kind == 'subuid' else 'gid'} {taken[position]}, which is somebody's;"
                " choose another accounts_subid_base"
            )
    return found


def _wanted_ids(desired: Desired, kind: str) -> set[int]:
    people = [person for person in desired.people if person.state != "absent"]
    if kind == "subuid":
        return {person.uid for person in people}
    return {person.gid for person in people} | {group.gid for group in desired.groups if group.state == "present"}
