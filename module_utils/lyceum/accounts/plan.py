# SPDX-License-Identifier: GPL-3.0-or-later
"""plan(desired, observed) -> Plan. Pure: no file is read or written here.

`changed`, the diff, check mode and the sentences all come from the plan, so check mode cannot differ from a run.
"""

from __future__ import annotations

import datetime
import functools
from collections.abc import Iterable
from dataclasses import dataclass, field

from ..errors import ConflictError, RefusedError
from .conflicts import find_conflicts, find_unmanaged
from .database import Database, Entry, home_of
from .edit import edited_copy, members_of
from .model import EXPIRED_DAY, Desired, PersonSpec, Policy, last_day
from .observe import Home, Observed, Traces

# Below this many removals a percentage says nothing: one of five people is 20 %.
SMALL_REMOVAL = 3
NO_TRACES = Traces()
MISSING = Home("missing")


@dataclass
class PersonPlan:
    """What happens to one person. `before`/`after` are the lines of the person's diff, `home` is where it is now."""

    person: PersonSpec
    result: str
    home: str
    actions: list[str] = field(default_factory=list)
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    create_home: bool = False
    repair_home: bool = False
    end_sessions: bool = False
    clear_schedule: bool = False
    archive: bool = False
    archive_home: bool = False
    move_home: bool = False
    old_home: str | None = None
    old_ids: tuple[int, int] | None = None


@dataclass
class Plan:
    """people: by name, only those that change. groups: sentences about groups that belong to nobody in particular."""

    people: dict[str, PersonPlan]
    groups: list[str]
    unchanged: list[str]
    unmanaged: list[str]
    leftovers: tuple[str, ...]

    @property
    def changed(self) -> bool:
        return bool(self.people or self.groups or self.leftovers)

    def actions(self) -> list[str]:
        """Every sentence of the plan, groups first, then people in the order of the registry."""
        cleaning = [f"delete {path}, left by an interrupted run" for path in self.leftovers]
        return (
            cleaning
            + self.groups
            + [f"{name}: {action}" for name, one in self.people.items() for action in one.actions]
        )


def plan(desired: Desired, observed: Observed, today: datetime.date) -> Plan:
    """Compare. Raises ConflictError with every conflict at once, RefusedError when a guard stops the removals."""
    conflicts = find_conflicts(desired, observed)
    if conflicts:
        raise ConflictError(
            f"{len(conflicts)} conflict(s) with accounts that are not in the registry; nothing was changed: "
            + "; ".join(conflicts),
            conflicts=conflicts,
        )
    database = observed.database
    after = edited_copy(database, desired, today)
    people: dict[str, PersonPlan] = {}
    unchanged: list[str] = []
    before_of, after_of = _Describer(database), _Describer(after)
    for person in desired.people:
        one = _plan_person(person, desired, observed, before_of, after_of)
        if one is None:
            unchanged.append(person.name)
        else:
            people[person.name] = one
    _guard(desired, people, database)
    groups = _group_actions(desired, database, after)
    if not people and not groups:
        # What has no sentence of its own: a missing gshadow line, a password field that is not "x".
        groups = [
            f"bring /etc/{kind} in line"
            for kind, table in after.tables.items()
            if table.changed and kind not in after.missing
        ]
    return Plan(
        people=people,
        groups=groups,
        unchanged=unchanged,
        unmanaged=find_unmanaged(desired, database) if desired.policy.complete else [],
        leftovers=observed.leftovers,
    )


class _Describer:
    """Lines that describe a person in one version of the account files. Never a password, only whether there is one."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.memberships: dict[str, list[str]] = {}
        for name, entry in database.group.entries.items():
            for member in members_of(entry):
                self.memberships.setdefault(member, []).append(name)

    @functools.cached_property
    def living_below(self) -> dict[str, set[str]]:
        """Names of the accounts whose home a directory is, or contains; for every such directory."""
        found: dict[str, set[str]] = {}
        for name, entry in self.database.passwd.entries.items():
            directory = home_of(entry)
            while directory not in ("", "/"):
                found.setdefault(directory, set()).add(name)
                directory = directory.rpartition("/")[0]
        return found

    def not_own_home(self, name: str, path: str, home: Home) -> str | None:
        """Why a directory is not one to move or delete with the account `name`, although it is its home; or None."""
        uid = int(self.database.passwd.entries[name][2])
        if home.uid != uid:
            return f"it belongs to uid {home.uid}"
        others = self.living_below.get(path, set()) - {name}
        return f"{', '.join(sorted(others)[:3])} lives in it too" if others else None

    def lines(self, person: PersonSpec) -> list[str]:
        entry = self.database.passwd.entries.get(person.name)
        if entry is None:
            return []
        shadow = self.database.shadow.entries.get(person.name)
        private = self.database.group.entries.get(person.name)
        lines = [
            f"uid: {entry[2]}",
            f"gid: {entry[3]}",
            f"full name: {entry[4].encode('latin-1').decode('utf-8', 'replace')}",
            f"home: {home_of(entry)}",
            f"shell: {entry[6]}",
            f"own group: {private[2] if private else 'none'}",
            f"groups: {', '.join(sorted(self.memberships.get(person.name, []))) or 'none'}",
        ]
        if shadow is None:
            lines.append("shadow: missing")
        else:
            lines.append(
                f"password: {'locked' if shadow[1].startswith('!') else 'none' if shadow[1] == '*' else 'set'}"
            )
            lines.append(f"expires: {_date(shadow[7])}")
        for table in (self.database.subuid, self.database.subgid):
            own = [entry for entry in (table.entries.get(person.name), table.entries.get(entry[2])) if entry]
            lines += [f"{table.kind}: {start}:{count}" for _name, start, count in own]
        return lines


def _date(days: str) -> str:
    return "already" if days == EXPIRED_DAY else str(last_day(days) or days or "never")


def _plan_person(
    person: PersonSpec, desired: Desired, observed: Observed, before_of: _Describer, after_of: _Describer
) -> PersonPlan | None:
    entry = observed.database.passwd.entries.get(person.name)
    if entry is None and (person.state == "absent" or not person.create):
        return _plan_orphan(person, before_of)
    path = home_of(entry) if entry is not None and person.state != "present" else person.home
    one = PersonPlan(person, "changed", path, before=before_of.lines(person), after=after_of.lines(person))
    traces = observed.traces.get(person.name, NO_TRACES)
    home = observed.homes.get(person.name, MISSING)
    if person.state == "absent" and entry is not None:
        _plan_removal(one, entry, home, traces, desired.policy, before_of)
        return one
    _plan_account(one, entry, observed, before_of)
    if person.state == "present":
        _plan_home(one, home, observed, desired.policy)
    elif entry is not None and home.kind == "directory" and before_of.not_own_home(person.name, path, home) is None:
        # The home of a suspended person is not made, but it stays as private as everybody's.
        _plan_repair(one, home, desired.policy)
    if person.state != "present":
        _plan_silence(one, traces)
    if not one.actions and one.before == one.after:
        return None
    if not entry:
        one.result = "created"
    elif person.state == "suspended":
        one.result = "suspended"
    return one


def _plan_orphan(person: PersonSpec, before_of: _Describer) -> PersonPlan | None:
    """Lines about somebody without an account (a half-finished removal by another tool): shadow, groups, subids."""
    if person.state != "absent":
        return None
    database = before_of.database
    lines = [
        table.kind for table in (database.shadow, database.subuid, database.subgid) if person.name in table.entries
    ]
    lines += [f"group {name}" for name in before_of.memberships.get(person.name, [])]
    if not lines:
        return None
    return PersonPlan(
        person, "removed", person.home, [f"remove what is left of the account in {', '.join(lines)}"], before=lines
    )


def _plan_account(one: PersonPlan, entry: Entry | None, observed: Observed, before_of: _Describer) -> None:
    person = one.person
    if entry is None:
        one.actions.append(f"create account (uid {person.uid}, gid {person.gid}, shell {person.login_shell})")
        return
    old_home = observed.old_homes.get(person.name, MISSING)
    if old_home.kind == "directory":
        why_not = before_of.not_own_home(person.name, home_of(entry), old_home)
        if why_not is None:
            one.old_home = home_of(entry)
        else:
            one.actions.append(f"leave {home_of(entry)} where it is: {why_not}")
    before, after = dict(_pairs(one.before)), dict(_pairs(one.after))
    for key in [*after, *(key for key in before if key not in after)]:
        if before.get(key) != after.get(key):
            one.actions.append(f"{key}: {before.get(key, 'none')} -> {after.get(key, 'none')}")
    if person.name in observed.migrations or before["uid"] != after["uid"]:
        one.old_ids = (int(entry[2]), int(entry[3]))
        one.end_sessions = True
        for owned in observed.migrations.get(person.name, ()):
            what = f"{owned.files} file(s) and {owned.acl_entries} ACL entr(ies) below {owned.tree}"
            one.actions.append(f"hand over {what} from {entry[2]} to {person.uid}")
            one.before.append(f"{what}: {entry[2]}")
            one.after.append(f"{what}: {person.uid}")


def _pairs(lines: list[str]) -> Iterable[tuple[str, str]]:
    for line in lines:
        key, _colon, value = line.partition(": ")
        yield key, value


def _plan_home(one: PersonPlan, home: Home, observed: Observed, policy: Policy) -> None:
    person = one.person
    if home.kind == "missing" and one.old_home is not None:
        one.move_home = True
        one.actions.append(f"move the files of {one.old_home} to {person.home}")
        home = observed.old_homes[person.name]
    if home.kind == "missing":
        one.create_home = True
        one.actions.append(f"create home {person.home} from {policy.skel}")
        one.after.append(f"home directory: {person.uid}:{person.gid} {policy.home_mode:04o}")
        return
    _plan_repair(one, home, policy)


def _plan_repair(one: PersonPlan, home: Home, policy: Policy) -> None:
    person = one.person
    # During a move to another uid the owner changes with the rest of the files.
    old_uid, old_gid = one.old_ids or (None, None)
    owner = (person.uid if home.uid == old_uid else home.uid, person.gid if home.gid == old_gid else home.gid)
    if (*owner, home.mode) != (person.uid, person.gid, policy.home_mode):
        one.repair_home = True
        one.before.append(f"home directory: {home.uid}:{home.gid} {home.mode:04o}")
        one.after.append(f"home directory: {person.uid}:{person.gid} {policy.home_mode:04o}")
        one.actions.append(
            f"home {one.home}: owner {home.uid}:{home.gid} mode {home.mode:04o}"
            f" -> {person.uid}:{person.gid} {policy.home_mode:04o}"
        )


def _plan_silence(one: PersonPlan, traces: Traces) -> None:
    """End what a suspended person has running; crontab and at jobs stay: PAM refuses to run them."""
    if traces.processes or traces.linger:
        one.end_sessions = True
        lingering = ", stop lingering" if traces.linger else ""
        one.actions.append(f"end {len(traces.processes)} process(es){lingering}")


def _plan_removal(
    one: PersonPlan, entry: Entry, home: Home, traces: Traces, policy: Policy, before_of: _Describer
) -> None:
    one.result = "removed"
    _plan_silence(one, traces)
    one.end_sessions = True
    scheduled = [
        word
        for word, there in (("crontab", traces.crontab), ("at jobs", traces.atjobs), ("mail", traces.mail))
        if there
    ]
    why_not = "keep_data" if policy.keep_data else None
    if home.kind == "other":
        why_not = "it is not a directory"
    elif home.kind == "directory" and why_not is None:
        why_not = before_of.not_own_home(one.person.name, one.home, home)
    one.archive_home = home.kind == "directory" and why_not is None
    if home.kind != "missing" and why_not is not None:
        one.actions.append(f"keep home {one.home}: {why_not}")
    if not policy.keep_data and (one.archive_home or scheduled):
        one.archive = True
        what = ([f"home {one.home}"] if one.archive_home else []) + scheduled
        one.actions.append(f"archive {', '.join(what)} to {policy.archive_dir}, verify, then delete")
    deleted = [word for word in scheduled if word != "mail"] if policy.keep_data else scheduled
    one.clear_schedule = bool(deleted)
    if policy.keep_data and deleted:
        one.actions.append(f"delete {', '.join(deleted)}")
    one.actions.append(f"remove account (uid {entry[2]} stays reserved in the registry)")


def _guard(desired: Desired, people: dict[str, PersonPlan], database: Database) -> None:
    """Refuse a plan that removes or suspends more accounts than the policy allows."""
    policy = desired.policy
    # Not by the locked password: an account that only ever used keys is locked, and in daily use.
    already = f"expires: {_date(EXPIRED_DAY)}"
    shrinking = [
        name
        for name, one in people.items()
        if name not in policy.allow_removals
        and (one.result == "removed" or (one.result == "suspended" and already not in one.before))
    ]
    have_account = sum(1 for person in desired.people if person.name in database.passwd.entries)
    allowed = min(policy.max_removals, max(SMALL_REMOVAL, have_account * policy.max_removals_percent // 100))
    if len(shrinking) > allowed:
        names = ", ".join(sorted(shrinking)[:10]) + (", ..." if len(shrinking) > 10 else "")
        raise RefusedError(
            f"the plan removes or suspends {len(shrinking)} of {have_account} accounts ({names}), more than the"
            f" {allowed} allowed; nothing was changed. If it is meant, name them in allow_removals"
            " (accounts_allow_removals) or raise max_removals and max_removals_percent"
        )


def _group_actions(desired: Desired, before: Database, after: Database) -> list[str]:
    """Sentences about managed groups: created, removed, and members outside the list of people that leave."""
    actions = []
    people = {person.name for person in desired.people}
    for group in desired.groups:
        old, new = before.group.entries.get(group.name), after.group.entries.get(group.name)
        if old is None and new is not None:
            actions.append(f"create group {group.name} (gid {group.gid})")
        elif old is not None and new is None:
            actions.append(f"remove group {group.name} (gid {old[2]})")
        elif old is not None and new is not None:
            strangers = set(members_of(old)) - set(members_of(new)) - people
            joined = set(members_of(new)) - set(members_of(old)) - people
            actions += [f"group {group.name}: remove {name}, who is not in the registry" for name in sorted(strangers)]
            actions += [f"group {group.name}: add {name}" for name in sorted(joined)]
    return actions
