# SPDX-License-Identifier: GPL-3.0-or-later
"""observe -> plan -> apply -> verify for the accounts of one host.

The order is the safety: accounts that leave are locked first, what runs is ended, data is archived and verified, and
only then the account disappears. Every step may be killed; the next run finds the rest to do.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import LyceumError
from . import homes, ownership, sessions
from .database import Database, home_of, locked
from .edit import edit, lock_out
from .model import Desired
from .observe import ATJOBS, CRONTABS, MAIL, Observed, observe, subordinate_ranges, trees_of
from .ownership import Ownership, survey
from .plan import PersonPlan, Plan, plan

RUN_LOCK = "run/lyceum-accounts.lock"

EndSessions = Callable[[dict[str, tuple[int, list[tuple[int, int]]]]], dict[str, str]]


@dataclass
class Outcome:
    """What a run planned and did. failures: name -> why. archives: name -> path. reports: sentences to look into."""

    plan: Plan
    failures: dict[str, str] = field(default_factory=dict)
    archives: dict[str, str] = field(default_factory=dict)
    reports: list[str] = field(default_factory=list)


def run(
    desired: Desired,
    *,
    check: bool,
    root: Path = Path("/"),
    today: datetime.date,
    end_sessions: EndSessions = sessions.end_sessions,
) -> Outcome:
    """Make the accounts of this host match, or only say what would change.

    Raises ConflictError or RefusedError before anything is changed, LyceumError when the account files cannot be
    written. What fails for one person is in `failures` and stops nobody else.
    """
    if check:
        return Outcome(plan(desired, observe(desired, root), today))
    with _only_run(root):
        observed = observe(desired, root)
        outcome = Outcome(plan(desired, observed, today))
        if outcome.plan.changed:
            _Application(desired, observed, outcome, root, today, end_sessions).apply()
            _verify(desired, outcome, root, today)
        return outcome


@contextlib.contextmanager
def _only_run(root: Path) -> Iterator[None]:
    """One run per host at a time: a second one would take the first one's half-made homes for leftovers."""
    path = root / RUN_LOCK
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("w", encoding="ascii")
    except OSError as exc:
        raise LyceumError(f"cannot open {path}: {exc.strerror}; the module must run as root") from exc
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LyceumError(
                "another run is changing the accounts of this host; run again when it has finished"
            ) from None
        yield


class _Application:
    """One application of a plan; its methods are the steps in their order."""

    def __init__(
        self,
        desired: Desired,
        observed: Observed,
        outcome: Outcome,
        root: Path,
        today: datetime.date,
        end_sessions: EndSessions,
    ) -> None:
        self.desired = desired
        self.observed = observed
        self.outcome = outcome
        self.people = outcome.plan.people
        self.root = root
        self.today = today
        self.end_sessions = end_sessions
        self.aside: list[str] = []

    def apply(self) -> None:
        for path in self.outcome.plan.leftovers:
            self._delete(self.root / path.lstrip("/"))
        self._lock_leaving()
        self._end_sessions()
        self._homes()
        self._commit()
        for aside in self.aside:
            self._delete(Path(aside))
        self._report_elsewhere()

    def _delete(self, path: Path) -> None:
        """Delete a directory left by a killed run or put aside by this one. What resists stops nobody else."""
        try:
            homes.delete_tree(path)
        except LyceumError as exc:
            self.outcome.failures[homes.name_of_aside(path)] = str(exc)

    def _lock_leaving(self) -> None:
        leaving = [one.person for one in self.people.values() if one.end_sessions]
        if not leaving:
            return
        with locked(self.root):
            database = Database.load(self.root)
            lock_out(database, leaving)
            database.commit(self.root)

    def _end_sessions(self) -> None:
        accounts = self.observed.database.passwd.entries
        uids = {name: int(accounts[name][2]) for name, one in self.people.items() if one.end_sessions}
        if not uids:
            return
        ranges = subordinate_ranges(self.observed.database, uids)
        ending = {name: (uid, ranges[name]) for name, uid in uids.items()}
        try:
            self.outcome.failures.update(self.end_sessions(ending))
        except LyceumError as exc:
            self.outcome.failures.update(dict.fromkeys(ending, str(exc)))

    def _homes(self) -> None:
        skeleton = None
        for name, one in self.people.items():
            if name in self.outcome.failures:
                continue
            try:
                if one.create_home:
                    skeleton = skeleton or homes.Skeleton(self.root, self.desired.policy.skel)
                    owner = (one.person.uid, one.person.gid)
                    homes.create(self.root, one.person.home, owner, self.desired.policy.home_mode, skeleton)
                else:
                    self._treat_home(name, one)
            except (LyceumError, OSError) as exc:
                self.outcome.failures[name] = str(exc)

    def _treat_home(self, name: str, one: PersonPlan) -> None:
        person = one.person
        if one.move_home and one.old_home is not None:
            homes.move(self.root, one.old_home, person.home)
        if one.old_ids is not None:
            home = one.home if one.move_home else home_of(self.observed.database.passwd.entries[name])
            trees = trees_of(home, self.desired.policy.search_paths)
            ownership.hand_over(self.root, trees, one.old_ids, (person.uid, person.gid))
        if one.repair_home:
            homes.repair(self.root, one.home, (person.uid, person.gid), self.desired.policy.home_mode)
        if one.archive:
            self._archive(name, one)
        if one.clear_schedule:
            uid = int(self.observed.database.passwd.entries[name][2])
            sessions.clear_schedule(self.root, name, uid, keep_mail=self.desired.policy.keep_data)

    def _archive(self, name: str, one: PersonPlan) -> None:
        uid = int(self.observed.database.passwd.entries[name][2])
        traces = self.observed.traces[name]
        paths = [one.home] if one.archive_home else []
        paths += [f"/{CRONTABS}/{name}"] if traces.crontab else []
        paths += [f"/{ATJOBS}/{job}" for job in traces.atjobs]
        paths += [f"/{MAIL}/{name}"] if traces.mail else []
        if one.archive_home:
            homes.refuse_mounts(self.root, one.home)
        archived = homes.archive(self.root, name, uid, paths, self.desired.policy.archive_dir, time.time())
        self.outcome.archives[name] = archived
        if one.archive_home:
            self.aside.append(homes.put_aside(self.root, one.home, uid))

    def _commit(self) -> None:
        """The account files as planned, for everybody whose steps before succeeded, on what is in the files *now*."""
        failed = frozenset(self.outcome.failures)
        people = [person for person in self.desired.people if person.name not in failed]
        with locked(self.root):
            database = Database.load(self.root)
            edit(database, people, self.desired.groups, self.desired.policy, self.today, untouched=failed)
            database.commit(self.root)

    def _report_elsewhere(self) -> None:
        """Files that people who were removed still own outside their homes: reported, never deleted."""
        for name, one in self.people.items():
            entry = self.observed.database.passwd.entries.get(name)
            if one.result != "removed" or entry is None or name in self.outcome.failures:
                continue
            trees = list(self.desired.policy.search_paths)
            try:
                for owned in survey(self.root, trees, int(entry[2]), None):
                    self.outcome.reports.append(_report(name, int(entry[2]), owned))
            except LyceumError as exc:
                self.outcome.reports.append(f"{name}: not all files elsewhere are known: {exc}")


def _report(name: str, uid: int, owned: Ownership) -> str:
    more = "" if owned.files <= len(owned.examples) else ", ..."
    return f"{name} (uid {uid}) still owns {owned.files} file(s) below {owned.tree}: {', '.join(owned.examples)}{more}"


def _verify(desired: Desired, outcome: Outcome, root: Path, today: datetime.date) -> None:
    """Read back: whoever still differs has failed, whatever the steps said. Exit status 0 is no proof."""
    left = plan(desired, observe(desired, root), today)
    for name, one in left.people.items():
        if name not in outcome.failures:
            outcome.failures[name] = f"applied, yet still to do: {'; '.join(one.actions)}"
    if (left.groups or left.leftovers) and not outcome.failures:
        raise LyceumError(
            f"applied, yet still to do: {'; '.join([*left.groups, *left.leftovers])}", diff_left=left.actions()
        )
