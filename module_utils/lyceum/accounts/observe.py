# SPDX-License-Identifier: GPL-3.0-or-later
"""What is: one bulk read of the account files, homes, sessions and spool files of a host."""

from __future__ import annotations

import bisect
import contextlib
import os
import pwd
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import LyceumError
from .database import Database
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
        home = entry[5] if entry and person.state == "absent" else person.home
        homes[person.name] = look_at_home(root, home)
        if entry and entry[5] != home:
            old_homes[person.name] = look_at_home(root, entry[5])
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
    try:
        info = os.lstat(f"{root}{home}" if str(root) != "/" else home)
    except (FileNotFoundError, NotADirectoryError):
        return Home("missing")
    except OSError as exc:
        raise LyceumError(f"cannot look at {home}: {exc.strerror}") from exc
    kind = "directory" if stat.S_ISDIR(info.st_mode) else "other"
    return Home(kind, info.st_uid, info.st_gid, stat.S_IMODE(info.st_mode))


def subordinate_ranges(database: Database, name: str, uid: int) -> list[tuple[int, int]]:
    """(first, count) of every subuid range of a person, whether the file names the login or the number."""
    return [
        (int(start), int(count))
        for owner, start, count in database.subuid.all_entries()
        if owner in (name, str(uid)) and start.isdigit() and count.isdigit()
    ]


def process_ids(uids: Iterable[int], ranges: Iterable[tuple[int, int]], proc: str = "/proc") -> dict[int, list[int]]:
    """Running processes by uid: real, effective, saved or filesystem uid is in `uids` or in one of `ranges`.

    ranges: (first, count), the subordinate ids of rootless containers. One pass over `proc`; none if it is missing.
    """
    wanted = set(uids)
    # Ids in use are few and looked up often; ranges may be as many as people and do not overlap.
    spans = sorted(ranges)
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
            for line in handle:
                if line.startswith(b"State:\tZ"):
                    break  # dead already, only not yet reaped
                if line.startswith(b"Uid:"):
                    for one in {int(word) for word in line.split()[1:]}:
                        if matches(one):
                            found.setdefault(one, []).append(int(name))
                    break
    return found


def _traces(database: Database, people: list[PersonSpec], root: Path) -> dict[str, Traces]:
    """Sessions and jobs of those who leave or move; people without an account on this host have none."""
    accounts = {p.name: int(database.passwd.entries[p.name][2]) for p in people if p.name in database.passwd.entries}
    if not accounts:
        return {}
    ranges = {name: subordinate_ranges(database, name, uid) for name, uid in accounts.items()}
    spans = [span for own in ranges.values() for span in own]
    running = process_ids(accounts.values(), spans, proc=str(root / "proc"))
    jobs: dict[int, list[str]] = {}
    for path in _spool_files(root / ATJOBS):
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
        trees = [entry[5], *desired.policy.search_paths, f"/{CRONTABS}", f"/{ATJOBS}", f"/{MAIL}"]
        result[person.name] = survey(root, trees, old_uid, old_gid)
    return result


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
        with contextlib.suppress(FileNotFoundError), os.scandir(directory) as entries:
            found += [
                f"{parent}/{e.name}"
                for e in entries
                if e.name.startswith(".lyceum-") and e.name.endswith((".new", ".removed"))
            ]
    return tuple(sorted(found))
