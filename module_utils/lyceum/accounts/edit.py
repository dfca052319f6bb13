# SPDX-License-Identifier: GPL-3.0-or-later
"""Edit the account files in memory: one person's or one group's lines as they should be, the rest byte for byte."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import replace

from .database import Database, Entry, Table
from .model import EPOCH, Desired, GroupSpec, PersonSpec, Policy


def edited_copy(database: Database, desired: Desired, today: datetime.date) -> Database:
    """The account files as they should be."""
    copy = Database(
        {kind: type(table)(kind, table.render()) for kind, table in database.tables.items()}, set(database.missing)
    )
    edit(copy, desired.people, desired.groups, desired.policy, today)
    return copy


def edit(
    database: Database,
    people: Iterable[PersonSpec],
    groups: Iterable[GroupSpec],
    policy: Policy,
    today: datetime.date,
    untouched: frozenset[str] = frozenset(),
) -> None:
    """Bring these people and groups into the account files, in place. Everything else stays byte for byte.

    untouched: people who are listed elsewhere but must keep what they have (their own step failed).
    """
    people, groups = list(people), list(groups)
    gone = {person.name for person in people if person.state == "absent" and person.name in database.passwd.entries}
    gone_gids = {int(database.passwd.entries[name][3]) for name in gone}
    _edit_groups(database, groups)
    shared_gids = {group.gid for group in groups}
    for person in people:
        if person.state != "absent" and (person.create or person.name in database.passwd.entries):
            if person.gid not in shared_gids:
                _ensure_group(database, person.name, person.gid)
            _edit_person(database, person, policy, today)
    _remove_people(database, {person.name for person in people if person.state == "absent"}, gone_gids, groups)
    _edit_memberships(database, people, groups, policy, untouched)


def lock_out(database: Database, people: Iterable[PersonSpec]) -> None:
    """Expire and lock accounts, in place, leaving everything else: the first step of removing or moving somebody."""
    for person in people:
        entry = database.passwd.entries.get(person.name)
        if entry is None:
            continue
        locked = replace(person, state="suspended")
        entry[6] = locked.login_shell
        shadow = database.shadow.entries.get(person.name)
        if shadow is not None:
            shadow[1] = _password(shadow[1], locked)
            shadow[7] = locked.shadow_expire


def _edit_groups(database: Database, groups: list[GroupSpec]) -> None:
    for group in groups:
        if group.state == "absent":
            continue
        _ensure_group(database, group.name, group.gid)
    _remove_groups(database, {group.name for group in groups if group.state == "absent"})


def _ensure_group(database: Database, name: str, gid: int) -> None:
    entry = database.group.entries.get(name)
    if entry is None:
        database.group.add([name, "x", str(gid), ""])
    else:
        entry[2] = str(gid)
    if name not in database.gshadow.entries:
        database.gshadow.add([name, "!", "", ",".join(members_of(entry)) if entry else ""])


def _remove_groups(database: Database, names: set[str]) -> None:
    """Drop groups, except those that are still somebody's primary group."""
    primary = {entry[3] for entry in database.passwd.entries.values()}
    free = {name for name in names if name in database.group.entries and database.group.entries[name][2] not in primary}
    database.group.remove(free)
    database.gshadow.remove(free)


def _edit_person(database: Database, person: PersonSpec, policy: Policy, today: datetime.date) -> None:
    entry = database.passwd.entries.get(person.name)
    old_uid = person.uid if entry is None else int(entry[2])
    gecos = person.gecos.encode("utf-8").decode("latin-1")  # the files are handled byte for byte
    # Nothing is moved for somebody who is suspended, so the account goes on pointing at where the files are.
    home = entry[5] if entry is not None and person.state == "suspended" else person.home
    fields = [person.name, "x", str(person.uid), str(person.gid), gecos, home, person.login_shell]
    if entry is None:
        database.passwd.add(fields)
    else:
        entry[:] = fields
    shadow = database.shadow.entries.get(person.name)
    if shadow is None:
        # "*": no password will ever match, yet the account is not locked (sshd without PAM refuses "!" altogether).
        days = str((today - EPOCH).days)
        shadow = [person.name, "*", days, "0", "99999", "7", "", "", ""]
        database.shadow.add(shadow)
    shadow[1] = _password(shadow[1], person)
    shadow[7] = person.shadow_expire
    if policy.subid_count:
        _ensure_subids(database, person, old_uid, policy)


def _password(old: str, person: PersonSpec) -> str:
    """The 2nd field of shadow(5). A leading "!" is the lock; what follows is kept for the way back."""
    if person.state != "present":
        return old if old.startswith("!") else f"!{old}"
    # "!" alone (as useradd writes it) and "!!" have nothing behind the lock to go back to.
    return old[1:] if old.startswith("!") and old[1:2] not in ("", "!") else old


def _ensure_subids(database: Database, person: PersonSpec, old_uid: int, policy: Policy) -> None:
    for table in (database.subuid, database.subgid):
        if old_uid != person.uid and str(old_uid) in table.entries:
            for entry in table.all_entries():
                if entry[0] == str(old_uid):
                    entry[0] = person.name
            table.entries[person.name] = table.entries.pop(str(old_uid))
    for table, other in ((database.subuid, database.subgid), (database.subgid, database.subuid)):
        if person.name not in table.entries and str(person.uid) not in table.entries:
            start, count = new_subids(other, person, policy)
            table.add([person.name, str(start), str(count)])


def new_subids(other: Table, person: PersonSpec, policy: Policy) -> tuple[int, int]:
    """(first, count) for somebody without a range in one of subuid and subgid: that in the `other` file, if any."""
    known = other.entries.get(person.name) or other.entries.get(str(person.uid))
    return (int(known[1]), int(known[2])) if known else (subid_start(person.uid, policy), policy.subid_count)


def subid_start(uid: int, policy: Policy) -> int:
    """First subordinate id: a function of the uid alone, so that it is the same on every host and never moves."""
    origin = min((first for first, _last in policy.uid_ranges), default=0)
    return policy.subid_base + (uid - origin) * policy.subid_count


def _remove_people(database: Database, names: set[str], gids: set[int], groups: list[GroupSpec]) -> None:
    # subuid(5) may name the owner by number.
    numbers = {database.passwd.entries[name][2] for name in names if name in database.passwd.entries}
    for table in (database.passwd, database.shadow):
        table.remove(names)
    for table in (database.subuid, database.subgid):
        table.remove(names | numbers)
    shared = {group.name for group in groups}
    own = {name for name in names if name in database.group.entries and int(database.group.entries[name][2]) in gids}
    for table in (database.group, database.gshadow):
        for entry in table.all_entries():
            for position in (2, 3) if table is database.gshadow else (3,):
                members = entry[position].split(",") if entry[position] else []
                if names.intersection(members):
                    entry[position] = ",".join(member for member in members if member not in names)
    _remove_groups(database, own - shared)


def _edit_memberships(
    database: Database, people: list[PersonSpec], groups: list[GroupSpec], policy: Policy, untouched: frozenset[str]
) -> None:
    """Members of managed groups: exactly the listed people when complete, otherwise only these people's places."""
    listed = {person.name for person in people}
    wanted: dict[str, set[str]] = {group.name: set() for group in groups if group.state == "present"}
    for person in people:
        if person.state == "absent" or person.name not in database.passwd.entries:
            continue
        for name in person.groups:
            if name in wanted:
                wanted[name].add(person.name)
    for group in groups:
        entry = database.group.entries.get(group.name)
        if group.state == "absent" or entry is None:
            continue
        members = wanted[group.name] | (group.extra_members & database.passwd.entries.keys())
        members |= set(members_of(entry)) & untouched if policy.complete else set(members_of(entry)) - listed
        if members != set(members_of(entry)):
            entry[3] = ",".join(sorted(members))
        shadow = database.gshadow.entries.get(group.name)
        if shadow is not None and set(members_of(shadow)) != members:
            shadow[3] = ",".join(sorted(members))


def members_of(entry: Entry) -> list[str]:
    return [member for member in entry[3].split(",") if member]
