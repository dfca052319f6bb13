# SPDX-License-Identifier: GPL-3.0-or-later
"""Carry a plan out: one transaction for all that can be in one, then databases, then read back.

Within the transaction every role has a savepoint: what fails for one person is undone for that person, the others go
on. A run that is killed leaves each step done or not done, and the next one completes it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..errors import LyceumError
from . import sql
from .connection import Server, Session, is_there, session
from .model import PRESENT, Desired
from .observe import Observed, observe, readable
from .plan import Change, NewDatabase, Plan, plan

# Where Debian's clusters are: VERSION/NAME.
CLUSTERS = Path("/var/lib/postgresql")
_SESSION_SECONDS = 10


@dataclass
class Outcome:
    """failures: role -> what went wrong. after: what the server has now; None when nothing was done."""

    plan: Plan
    observed: Observed
    failures: dict[str, str] = field(default_factory=dict)
    after: Observed | None = None


def run(desired: Desired, server: Server, *, check: bool, clusters: Path = CLUSTERS) -> Outcome:
    """observe, plan, apply, verify. Raises LyceumError when nothing can be done at all.

    check: on a host that has no server yet, everything would be new. Of one that does not run nothing is known.
    """
    if check and not is_there(server):
        empty = Observed(superuser=server.superuser)
        if any(clusters.glob("*/*/PG_VERSION")):
            unknown = (
                f"nothing listens on {server.socket}: who has what in PostgreSQL is not known and was not compared"
            )
            return Outcome(Plan(conflicts=[unknown]), empty)
        return Outcome(plan(desired, empty), empty)
    with session(server) as main:
        if not check:
            main.lock()
        observed = look(main, server, desired)
        todo = plan(desired, observed)
        outcome = Outcome(todo, observed, dict(todo.failures))
        if check or not todo.changed:
            return outcome
        _Runner(desired, server, main, outcome).run()
        outcome.after = look(main, server, desired)
        _verify(desired, outcome, outcome.after)
    return outcome


def look(main: Session, server: Server, desired: Desired) -> Observed:
    """What the server has, and what readers of projects will be able to read."""
    with main.transaction():
        main.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        seen = observe(main.query)
    for database in desired.databases.values():
        found = seen.databases.get(database.name)
        if found is None or database.readers is None or database.state != PRESENT or not found.allow_connections:
            continue
        with session(server, database.name) as inside:
            seen.databases[database.name] = replace(
                found, readable=readable(inside.query, database.owner, database.readers)
            )
    return seen


class _Runner:
    def __init__(self, desired: Desired, server: Server, main: Session, outcome: Outcome) -> None:
        self.desired, self.server, self.main, self.outcome = desired, server, main, outcome
        self.changes = outcome.plan.changes
        self.stopped: set[str] = set()

    def run(self) -> None:
        with self.main.transaction():
            for change in self.changes.values():
                self.attempt(change, change.first)
            for change in self.going_on():
                self.attempt(change, change.second)
        self.databases()
        for change in self.going_on():
            self.inside(change)
        self.end_sessions()
        for change in self.going_on():
            self.drop(change)
        for change in self.going_on():
            self.leave(change)

    def going_on(self) -> list[Change]:
        return [change for change in self.changes.values() if change.name not in self.stopped]

    def fail(self, change: Change, why: str) -> None:
        """Nothing more is done for this role, except that sessions that have to end do."""
        self.stopped.add(change.name)
        self.outcome.failures[change.name] = why

    def attempt(self, change: Change, statements: list[str]) -> None:
        if statements:
            why = self.main.attempt(statements)
            if why is not None:
                self.fail(change, why)

    def databases(self) -> None:
        """New ones, each made closed; then all of them are opened in one transaction."""
        made: list[tuple[Change, NewDatabase]] = []
        for change in self.going_on():
            for database in change.new:
                try:
                    self.main.run(database.create)
                    made.append((change, database))
                except LyceumError as exc:
                    self.fail(change, f"cannot create the database {database.name}: {exc}")
        if made:
            with self.main.transaction():
                for change, database in made:
                    self.attempt(change, database.after)
                names = {database.name for _change, database in made}
                for change in self.going_on():
                    self.attempt(change, [statement for name, statement in change.third if name in names])

    def inside(self, change: Change) -> None:
        for database, statements in change.inside.items():
            try:
                with session(self.server, database) as inside, inside.transaction():
                    inside.run(*statements)
            except LyceumError as exc:
                self.fail(change, f"in the database {database}: {exc}")

    def end_sessions(self) -> None:
        """End them, and see to it that they are gone: an ended transaction may take a while to be undone."""
        wanted = {pair for change in self.changes.values() for pair in change.end}
        deadline = time.monotonic() + _SESSION_SECONDS
        left = wanted
        while left:
            left = set()
            for role, database in sorted(wanted, key=str):
                found = self.main.query(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                    " WHERE usename = %(role)s AND (%(database)s::text IS NULL OR datname = %(database)s)"
                    " AND pid <> pg_backend_pid()",
                    {"role": role, "database": database},
                )
                if found[0][0]:
                    left.add((role, database))
            if left and time.monotonic() > deadline:
                for role, _database in left:
                    self.outcome.failures[role] = f"its sessions did not end within {_SESSION_SECONDS} seconds"
                return
            if left:
                time.sleep(0.05)

    def drop(self, change: Change) -> None:
        for database in change.drop:
            try:
                self.main.run(f"DROP DATABASE {sql.name(database)} WITH (FORCE)")
            except LyceumError as exc:
                self.fail(change, f"cannot drop the database {database}: {exc}")

    def leave(self, change: Change) -> None:
        """Pass on what the role owns, database by database, then drop it."""
        if change.leave is None:
            return
        role = sql.name(change.name)
        try:
            for database in change.leave:
                with session(self.server, database) as inside, inside.transaction():
                    inside.run(f"REASSIGN OWNED BY {role} TO {sql.name(self.desired.heir(database))}")
                    inside.run(f"DROP OWNED BY {role}")
            with self.main.transaction():
                # What is shared by all databases, such as the right to connect to one of them.
                self.main.run(f"DROP OWNED BY {role}", f"DROP ROLE {role}")
        except LyceumError as exc:
            self.fail(change, f"cannot remove the role: {exc}")


def _verify(desired: Desired, outcome: Outcome, after: Observed) -> None:
    """What is still to do, although no statement failed, is a failure."""
    try:
        left: Mapping[str, Change] = plan(desired, after).changes
    except LyceumError as exc:
        raise LyceumError(f"After the changes: {exc}") from exc
    for name, change in left.items():
        outcome.failures.setdefault(name, f"done, but the server still says otherwise: {'; '.join(change.actions)}")
