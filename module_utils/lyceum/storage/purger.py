# SPDX-License-Identifier: GPL-3.0-or-later
"""Carry out the purge of scratch: walk, delete what was announced, announce what is next, tell the person.

Whatever happens in between, nothing goes that was not announced: announcements count from the moment they are written,
which is after the person has been told. Each deletion is logged before it is done.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import LyceumError
from ..files import write_atomically
from ..notices import post
from ..quota.trees import DIRECTORY, Entry, walk
from .purge import ANNOUNCE, DELETE, Announced, Candidate, after_pause, decide, due, excluded, listing, newest, notice
from .settings import Person, Policy

SOURCE = "purge"
STATE = Path("/var/lib/lyceum/storage/purge")
LISTS = Path("/var/lib/lyceum/storage/people")
LOG = Path("/var/log/lyceum/purge.log")
MOST_LISTED = 100_000
SUMMARY_DAYS = 30


@dataclass
class Found:
    """What a walk through one person's scratch came to."""

    deleted: list[Candidate] = field(default_factory=list)
    pending: list[tuple[Candidate, float]] = field(default_factory=list)
    announced: dict[str, Announced] = field(default_factory=dict)


def purge_all(policy: Policy, now: float, complain: Callable[[str], None], *, dry_run: bool) -> None:
    """Everybody's scratch. What goes wrong for one is passed to `complain` and leaves the others."""
    active = policy.settings.purge.after_days > 0
    for person in policy.people.values():
        try:
            if active and person.state == "present" and person.name not in policy.settings.purge.exempt:
                purge_one(policy, person, now, complain, dry_run=dry_run)
            elif not dry_run:
                # Whoever cannot see a notice loses nothing, and gets the whole time of notice after coming back.
                forget(person)
        except (LyceumError, OSError) as exc:
            complain(f"{person.name}: {exc}")


def purge_one(
    policy: Policy, person: Person, now: float, complain: Callable[[str], None], *, dry_run: bool
) -> Found | None:
    """One person's scratch; None if there is none. Raises LyceumError, OSError."""
    where = f"{policy.settings.scratch}/{person.name}"
    top = _open(policy.settings.scratch, person)
    if top is None:
        return None
    try:
        found = _walk(policy, person, top, where, now, complain, dry_run=dry_run)
    finally:
        os.close(top)
    if not dry_run:
        tell(policy, person, where, found)
        _write_state(person, found, now)
    return found


def tell(policy: Policy, person: Person, where: str, found: Found) -> None:
    """Give the person the list and the notice. Raises LyceumError, OSError."""
    purge = policy.settings.purge
    path = LISTS / f"{person.uid}.purge"
    text = notice(where, found.pending, found.deleted, purge)
    if text is None:
        path.unlink(missing_ok=True)
    else:
        write_atomically(path, listing(found.pending, found.deleted, MOST_LISTED).encode(), 0o640)
        os.chown(path, 0, person.gid)
    post(person.recipient, SOURCE, text, mail=policy.settings.mail)


def forget(person: Person) -> None:
    """Take back every announcement. Raises LyceumError, OSError."""
    (STATE / f"{person.uid}.json").unlink(missing_ok=True)
    (LISTS / f"{person.uid}.purge").unlink(missing_ok=True)
    post(person.recipient, SOURCE, None)


def summary(people: Iterable[Person], now: float) -> list[dict[str, Any]]:
    """For each person with any: files and bytes deleted and deletions failed lately, files announced now."""
    sums: dict[str, dict[str, Any]] = {}

    def of(name: str) -> dict[str, Any]:
        return sums.setdefault(name, {"person": name, "files": 0, "bytes": 0, "failed": 0, "announced": 0})

    since = _time(now - SUMMARY_DAYS * 86400)
    for entry in _log_entries():
        if entry["time"] >= since:
            failed = entry["result"] != "delete"
            one = of(entry["person"])
            # A failure follows the line that said what was about to be done.
            one["files"] += -1 if failed else 1
            one["bytes"] += -entry["bytes"] if failed else entry["bytes"]
            one["failed"] += int(failed)
    for person in people:
        announced = len(_read_state(person, lambda _why: None)[0])
        if announced:
            of(person.name)["announced"] = announced
    return [sums[name] for name in sorted(sums)]


def _open(scratch: str, person: Person) -> int | None:
    """The person's directory itself, in a directory that nobody else can change. Raises LyceumError, OSError."""
    above = os.open(scratch, DIRECTORY)
    try:
        info = os.fstat(above)
        if info.st_uid != 0 or info.st_mode & 0o022:
            raise LyceumError(f"{scratch} can be changed by others than root; nothing is deleted below it")
        try:
            top = os.open(person.name, DIRECTORY, dir_fd=above)
        except FileNotFoundError:
            return None
    finally:
        os.close(above)
    if os.fstat(top).st_uid != person.uid:
        os.close(top)
        raise LyceumError(f"{scratch}/{person.name} is not the person's; nothing is deleted in it")
    return top


def _walk(
    policy: Policy, person: Person, top: int, where: str, now: float, complain: Callable[[str], None], *, dry_run: bool
) -> Found:
    purge = policy.settings.purge
    kept = excluded(purge.exclude)
    announced, last = _read_state(person, complain)
    announced = after_pause(announced, last, now)
    found = Found()
    with _Log(person, now, dry_run=dry_run) as log:
        for entry in walk(top, where, complain):
            if entry.own is not None and not (entry.leaving and _empty(entry.own)):
                continue
            info = entry.info if entry.own is None else os.fstat(entry.own)
            size = info.st_blocks * 512
            one = Candidate(entry.path, info.st_dev, info.st_ino, newest(info, purge.age_by), size)
            what, since = decide(one, announced.get(entry.path), purge, kept, now)
            if what == DELETE:
                if log.delete(entry, one, since, lambda status: newest(status, purge.age_by)):
                    found.deleted.append(one)
                    continue
                what = ANNOUNCE
            if what == ANNOUNCE:
                found.announced[entry.path] = Announced(one.device, one.inode, since)
                found.pending.append((one, due(one, since, purge)))
    return found


class _Log:
    """Deletes, and says so before it does: a line of JSON in the log and a line of text in the journal."""

    def __init__(self, person: Person, now: float, *, dry_run: bool) -> None:
        self.person, self.now, self.dry_run = person, now, dry_run
        self.descriptor: int | None = None

    def __enter__(self) -> _Log:
        if not self.dry_run:
            LOG.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            self.descriptor = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        return self

    def __exit__(self, *_exc: object) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)

    def delete(self, entry: Entry, one: Candidate, since: float, age: Callable[[os.stat_result], float]) -> bool:
        """Whether it is gone (or would be). A failure is logged and leaves it announced."""
        self._say("delete", one, since)
        if self.dry_run:
            return True
        try:
            # It may have been used or replaced since it was looked at, a moment ago.
            status = os.stat(entry.name, dir_fd=entry.descriptor, follow_symlinks=False)
            if (status.st_ino, status.st_dev, age(status)) != (one.inode, one.device, one.newest):
                raise OSError(0, "it changed at the last moment")
            if entry.own is None:
                os.unlink(entry.name, dir_fd=entry.descriptor)
            else:
                os.rmdir(entry.name, dir_fd=entry.descriptor)
        except OSError as exc:
            self._say("failed", one, since, exc.strerror)
            return False
        return True

    def _say(self, result: str, one: Candidate, since: float, error: str | None = None) -> None:
        days = (self.now - one.newest) / 86400
        line = {
            "time": _time(self.now),
            "person": self.person.name,
            "uid": self.person.uid,
            "path": one.path,
            "bytes": one.size,
            "unused_days": round(days, 1),
            "announced": _time(since),
            "result": result,
            **({"error": error} if error else {}),
        }
        if self.descriptor is not None:
            os.write(self.descriptor, (json.dumps(line) + "\n").encode("ascii"))
        words = "would delete" if self.dry_run else f"{result}{f' ({error})' if error else ''}"
        sys.stdout.write(f"{self.person.name}: {words} {one.path!a}, {one.size} bytes, unused for {days:.0f} days\n")


def _empty(descriptor: int) -> bool:
    with os.scandir(descriptor) as entries:
        return next(entries, None) is None


def _read_state(person: Person, complain: Callable[[str], None]) -> tuple[dict[str, Announced], float]:
    """Announcements by path and when they were written. What cannot be read was never announced."""
    path = STATE / f"{person.uid}.json"
    try:
        data = json.loads(path.read_text(encoding="ascii"))
        return {name: Announced(*one) for name, one in data["announced"].items()}, float(data["last"])
    except FileNotFoundError:
        return {}, 0.0
    except (LookupError, TypeError, ValueError, AttributeError) as exc:
        complain(f"{path} is not understood ({exc}); everything of {person.name} is announced anew")
        return {}, 0.0


def _write_state(person: Person, found: Found, now: float) -> None:
    STATE.mkdir(mode=0o700, parents=True, exist_ok=True)
    announced = {path: [one.device, one.inode, one.since] for path, one in found.announced.items()}
    content = json.dumps({"last": now, "announced": announced})
    write_atomically(STATE / f"{person.uid}.json", content.encode("ascii"), 0o600)


def _log_entries() -> Iterator[dict[str, Any]]:
    """The log and the one before it."""
    for path in (LOG.with_name(f"{LOG.name}.1"), LOG):
        if path.exists():
            for line in path.read_text(encoding="ascii", errors="replace").splitlines():
                # A power failure may have cut a line short.
                with contextlib.suppress(ValueError):
                    yield json.loads(line)


def _time(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, tz=datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
