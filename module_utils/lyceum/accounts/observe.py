# SPDX-License-Identifier: GPL-3.0-or-later
"""What is: one bulk read of the account files, homes, sessions and spool files of a host."""

from __future__ import annotations

import bisect
import contextlib
import os
import pwd
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import LyceumError
from .database import Database, home_of
from .model import Desired, PersonSpec
from .ownership import Ownership, survey

CRONTABS = "var/spool/cron/crontabs"
ATJOBS = "var/spool/cron/atjobs"
LINGER = "var/lib/systemd/linger"
MAIL = "var/mail"


@dataclass(frozen=True)
class Home:
    """lstat(2) of a home: kind is "directory", "other" or "missing"; mode has the permission bits only."""

    kind: str
    uid: int = -1
    gid: int = -1
    mode: int = 0


@dataclass(frozen=True)
class Traces:
    """What a person who leaves has left running or scheduled."""

    processes: tuple[int, ...] = ()
    linger: bool = False
    crontab: bool = False
    atjobs: tuple[str, ...] = ()
    mail: bool = False


@dataclass(frozen=True)
class Observed:
    """The actual state. `foreign_names` maps a wanted uid to an account of another source (LDAP) that has it."""

    database: Database
    homes: dict[str, Home]
    traces: dict[str, Traces]
    old_homes: dict[str, Home] = field(default_factory=dict)
    migrations: dict[str, tuple[Ownership, ...]] = field(default_factory=dict)
    foreign_names: dict[int, str] = field(default_factory=dict)
    leftovers: tuple[str, ...] = ()


def observe(desired: Desired, root: Path) -> Observed:
    """Read everything the plan needs. Constant number of passes, whatever the number of people.

    Raises LyceumError when the account files cannot be read.
    """
    database = Database.load(root)
    leaving = [person for person in desired.people if person.state != "present" or person.migrate_uid]
    homes: dict[str, Home] = {}
    old_homes: dict[str, Home] = {}
    for person in desired.people:
        entry = database.passwd.entries.get(person.name)
        # The home that is archived is the one the account really has.
        home = home_of(entry) if entry and person.state != "present" else person.home
        homes[person.name] = look_at_home(root, home)
        if entry and home_of(entry) != home:
            old_homes[person.name] = look_at_home(root, home_of(entry))
    return Observed(
        database=database,
        homes=homes,
        old_homes=old_homes,
        traces=_traces(database, leaving, root),
        migrations=_migrations(database, desired, root),
        foreign_names=_foreign_names(database, desired.people, root),
        leftovers=_leftovers(desired.people, root),
    )


def look_at_home(root: Path, home: str) -> Home:
    """The state of one home directory, without following a symlink."""
    if not home.startswith("/"):
        return Home("missing")
    try:
        info = os.lstat(f"{root}{home}" if str(root) != "/" else home)
    except (FileNotFoundError, NotADirectoryError):
        return Home("missing")
    except OSError as exc:
        raise LyceumError(f"cannot look at {home}: {exc.strerror}") from exc
    kind = "directory" if stat.S_ISDIR(info.st_mode) else "other"
    return Home(kind, info.st_uid, info.st_gid, stat.S_IMODE(info.st_mode))


def subordinate_ranges(database: Database, accounts: Mapping[str, int]) -> dict[str, list[tuple[int, int]]]:
    """(first, count) of every subuid range of accounts (name -> uid), whether the file has the login or the number.

    A range with the uid of an account in it is left out: what runs there is not (only) this person's.
    """
    names = {**{str(uid): name for name, uid in accounts.items()}, **{name: name for name in accounts}}
    taken = sorted(int(entry[2]) for entry in database.passwd.all_entries())
    found: dict[str, list[tuple[int, int]]] = {name: [] for name in accounts}
    for owner, start, count in database.subuid.all_entries():
        if owner not in names:
            continue
        first, end = int(start), int(start) + int(count)
        if bisect.bisect_left(taken, first) == bisect.bisect_left(taken, end):
            found[names[owner]].append((first, int(count)))
    return found


def process_ids(uids: Iterable[int], ranges: Iterable[tuple[int, int]], proc: str = "/proc") -> dict[int, list[int]]:
    """Running processes by uid: real, effective, saved or filesystem uid is in `uids` or in one of `ranges`.

    ranges: (first, count), the subordinate ids of rootless containers. One pass over `proc`; none if it is missing.
    """
    wanted = set(uids)
    # Ids in use are few and looked up often; ranges may be as many as people.
    spans = _disjoint(ranges)
    starts = [first for first, _count in spans]

    def matches(number: int) -> bool:
        if number in wanted:
            return True
        place = bisect.bisect(starts, number) - 1
        return place >= 0 and number < starts[place] + spans[place][1]

    found: dict[int, list[int]] = {}
    if not wanted or not os.path.isdir(proc):
        return found
    for name in os.listdir(proc):
        if not name.isdigit():
            continue
        # A process may end between the listing and the reading.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f"{proc}/{name}/status", "rb") as handle:
            for one in _ids_of_running(handle):
                if matches(one):
                    found.setdefault(one, []).append(int(name))
    return found


def _disjoint(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """(first, count) in order, with those that touch or overlap (files from before Lyceum may) made into one."""
    merged: list[tuple[int, int]] = []
    for first, count in sorted(ranges):
        if merged and first <= sum(merged[-1]):
            start, width = merged[-1]
            merged[-1] = (start, max(width, first + count - start))
        else:
            merged.append((first, count))
    return merged


def _ids_of_running(status: Iterable[bytes]) -> set[int]:
    """The ids in /proc/PID/status; none for a process that is dead and only not yet reaped.

    A process whose first thread has ended looks dead too, yet its other threads go on.
    """
    ids: set[int] = set()
    zombie = False
    for line in status:
        if line.startswith(b"State:"):
            zombie = line.split()[1] == b"Z"
        elif line.startswith(b"Uid:"):
            ids = {int(word) for word in line.split()[1:]}
            if not zombie:
                return ids
        elif line.startswith(b"Threads:"):
            return ids if int(line.split()[1]) > 1 else set()
    return ids


def _traces(database: Database, people: list[PersonSpec], root: Path) -> dict[str, Traces]:
    """Sessions and jobs of those who leave or move; people without an account on this host have none."""
    accounts = {p.name: int(database.passwd.entries[p.name][2]) for p in people if p.name in database.passwd.entries}
    if not accounts:
        return {}
    ranges = subordinate_ranges(database, accounts)
    spans = [span for own in ranges.values() for span in own]
    running = process_ids(accounts.values(), spans, proc=str(root / "proc"))
    jobs: dict[int, list[str]] = {}
    for path in _spool_files(root / ATJOBS):
        with contextlib.suppress(FileNotFoundError):  # at(1) may just have run it
            jobs.setdefault(path.lstat().st_uid, []).append(path.name)
    result = {}
    for name, uid in accounts.items():
        inside = [
            pid for one, pids in running.items() for pid in pids if any(f <= one < f + c for f, c in ranges[name])
        ]
        result[name] = Traces(
            processes=tuple(sorted({*running.get(uid, []), *inside})),
            linger=(root / LINGER / name).exists(),
            crontab=(root / CRONTABS / name).exists(),
            atjobs=tuple(sorted(jobs.get(uid, []))),
            mail=(root / MAIL / name).exists(),
        )
    return result


def _spool_files(directory: Path) -> list[Path]:
    try:
        return [path for path in directory.iterdir() if not path.name.startswith(".")]
    except FileNotFoundError:
        return []


def _migrations(database: Database, desired: Desired, root: Path) -> dict[str, tuple[Ownership, ...]]:
    """What would change hands, per tree, for people who move to another uid and are allowed to."""
    result = {}
    for person in desired.people:
        entry = database.passwd.entries.get(person.name)
        if not entry or not person.migrate_uid or person.state == "absent":
            continue
        old_uid, old_gid = int(entry[2]), int(entry[3])
        if (old_uid, old_gid) == (person.uid, person.gid):
            continue
        result[person.name] = survey(root, trees_of(home_of(entry), desired.policy.search_paths), old_uid, old_gid)
    return result


def trees_of(home: str, search_paths: Iterable[str]) -> list[str]:
    """Where files of a person are looked for. A home at / or missing in passwd is no tree of the person's."""
    homes = [home] if home.startswith("/") and home != "/" else []
    return [*homes, *search_paths, f"/{CRONTABS}", f"/{ATJOBS}", f"/{MAIL}"]


def _foreign_names(database: Database, people: tuple[PersonSpec, ...], root: Path) -> dict[int, str]:
    """Accounts that LDAP or another source gives the uids wanted here. Asked only where there is such a source."""
    if str(root) != "/":
        return {}
    try:
        configuration = Path("/etc/nsswitch.conf").read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    sources = next((line.split()[1:] for line in configuration.splitlines() if line.startswith("passwd:")), [])
    if not set(sources) - {"files", "systemd", "compat"}:
        return {}
    found = {}
    for person in people:
        if person.state == "absent" or person.name in database.passwd.entries:
            continue
        with contextlib.suppress(KeyError):
            found[person.uid] = pwd.getpwuid(person.uid).pw_name
    return found


def _leftovers(people: tuple[PersonSpec, ...], root: Path) -> tuple[str, ...]:
    """Directories that a killed run left behind: half-made homes and homes already archived."""
    parents = {os.path.dirname(person.home) for person in people}
    found = []
    for parent in sorted(parents):
        directory = root / parent.lstrip("/")
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(directory) as entries:
            found += [
                f"{parent}/{e.name}"
                for e in entries
                if e.name.startswith(".lyceum-")
                and e.name.endswith((".new", ".removed"))
                and e.is_dir(follow_symlinks=False)
            ]
    return tuple(sorted(found))
