# SPDX-License-Identifier: GPL-3.0-or-later
"""What was sent to a service and what came of it: one SQLite file for each service, private to who runs Ansible.

`sent` is committed before the call it is about. A process may be killed at any moment: its journal is whole, and what
it left as `sent` is looked up by the next run. (A power failure may lose the last lines, which costs nothing but that
looking up: every plan starts from what the service has. What is remembered is forced to the disk.)

Nothing in it is secret: messages come redacted, and values to remember are refused if a known secret is in them.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..errors import LyceumError
from .secret import SHOWN, Secret, redact
from .steps import Step

VERSION = 1
APPLICATION = 0x4C594345  # "LYCE": tells our file from any other SQLite database
KEPT_DAYS = 90

SCHEMA = """
CREATE TABLE runs (id INTEGER PRIMARY KEY, started REAL NOT NULL, finished REAL, stopped TEXT NOT NULL DEFAULT '');
CREATE TABLE steps (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs, person TEXT NOT NULL, key TEXT NOT NULL,
    sentence TEXT NOT NULL, status TEXT NOT NULL, origin TEXT NOT NULL DEFAULT '', external_id TEXT NOT NULL DEFAULT '',
    before TEXT NOT NULL, error TEXT NOT NULL DEFAULT '', sent REAL, ended REAL, settled INTEGER NOT NULL DEFAULT 0);
CREATE INDEX steps_of_run ON steps (run);
CREATE INDEX steps_open ON steps (person) WHERE settled = 0;
CREATE TABLE remembered (
    person TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, since REAL NOT NULL, PRIMARY KEY (person, key))
"""


class JournalError(LyceumError):
    """The journal cannot be read or written: nothing may be sent."""


@dataclass(frozen=True)
class Entry:
    """One step as recorded.

    status: planned | sent | verified | failed | deferred | compensated.
    origin: created | adopted (there before, or nobody knows) | changed; empty until verified.
    before: as the step said.
    """

    id: int
    run: int
    person: str
    key: str
    sentence: str
    status: str
    origin: str
    external_id: str
    before: Any


def journal_path(state_dir: Path, service: str, base_url: str) -> Path:
    """Where the journal of one instance of a service is: `<state_dir>/services/gitea-git.example.org.sqlite3`."""
    parts = urlsplit(base_url)
    place = "-".join(
        [parts.hostname or "", *([str(parts.port)] if parts.port else []), *parts.path.strip("/").split("/")]
    )
    safe = "".join(letter if letter.isalnum() or letter in ".-" else "_" for letter in place.rstrip("-"))
    return state_dir / "services" / f"{service}-{safe}.sqlite3"


class Journal:
    """An open journal. It holds the lock of its service: open it before the service is observed. Thread-safe."""

    def __init__(self, path: Path, secrets: Collection[Secret] = (), now: Callable[[], float] = time.time) -> None:
        """Open, or create, and lock. Raises LyceumError: another run is at work, or the file is not ours to use."""
        self.path = path
        self._secrets = tuple(secrets)
        self._now = now
        self._mutex = threading.Lock()
        self._lock = _lock(path)
        try:
            self._database = _open(path)
            self._forget_old_runs()
        except BaseException:
            os.close(self._lock)
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and let other runs in."""
        with self._mutex:
            self._database.close()
            os.close(self._lock)

    # What the engine records

    def open_entries(self) -> dict[tuple[str, str], Entry]:
        """By (person, key), the latest entry of each that an interrupted run left without an end, or with an end that
        a continued run may have to take back."""
        columns = [field.name for field in fields(Entry)]
        with self._use() as database:
            rows = database.execute(f"SELECT {', '.join(columns)} FROM steps WHERE settled = 0 ORDER BY id").fetchall()
        entries = [Entry(**{**dict(zip(columns, row, strict=True)), "before": json.loads(row[-1])}) for row in rows]
        return {(entry.person, entry.key): entry for entry in entries}

    def begin(self, steps: Sequence[Step]) -> tuple[int, dict[tuple[str, str], int]]:
        """Record a run and its plan. Returns its number, and the row of each step by (person, key)."""
        with self._transaction() as database:
            run = database.execute("INSERT INTO runs (started) VALUES (?)", (self._now(),)).lastrowid or 0
            first = database.execute("SELECT coalesce(max(id), 0) + 1 FROM steps").fetchone()[0]
            database.executemany(
                "INSERT INTO steps (id, run, person, key, sentence, before, status)"
                " VALUES (?, ?, ?, ?, ?, ?, 'planned')",
                [
                    (number, run, step.person, *(self._clean(text, step) for text in _texts(step)))
                    for number, step in enumerate(steps, first)
                ],
            )
        return run, {(step.person, step.key): number for number, step in enumerate(steps, first)}

    def sent(self, row: int) -> None:
        """To be called, and to return, before the call is made."""
        self._set("UPDATE steps SET status = 'sent', sent = coalesce(sent, ?) WHERE id = ?", (self._now(), row))

    def verified(self, row: int, origin: str, external_id: str = "") -> None:
        self._set(
            "UPDATE steps SET status = 'verified', origin = ?, external_id = ?, error = '', ended = ? WHERE id = ?",
            (origin, self._clean(external_id), self._now(), row),
        )

    def ended(self, row: int, status: str, error: str = "") -> None:
        """failed, deferred or compensated; `sent` with an error is a step of which nobody knows what came of it."""
        self._set(
            "UPDATE steps SET status = ?, error = ?, ended = ? WHERE id = ?",
            (status, self._clean(error), self._now(), row),
        )

    def finish(self, run: int, people: Iterable[str], done: Collection[str], stopped: str = "") -> None:
        """The run (0: one without steps) got to its end; it was about `people`, and has nothing left to do for `done`.

        What it and interrupted runs did for them is settled. What an earlier run left as `sent` stays open for those
        who are not done, and so does what this one leaves as `sent`, until a run has found out.
        """
        names = [(person,) for person in people]
        with self._transaction() as database:
            database.execute(
                "UPDATE runs SET finished = ?, stopped = ? WHERE id = ?", (self._now(), self._clean(stopped), run)
            )
            database.execute("UPDATE steps SET settled = 1 WHERE run = ? AND status <> 'sent'", (run,))
            if database.execute("SELECT 1 FROM steps WHERE settled = 0 AND run <> ? LIMIT 1", (run,)).fetchone():
                database.executemany(
                    "UPDATE steps SET settled = 1 WHERE settled = 0 AND person = ? AND status <> 'sent'", names
                )
                database.executemany(
                    "UPDATE steps SET settled = 1 WHERE settled = 0 AND person = ? AND run <> ?",
                    [(person, run) for person in done],
                )

    # What a suspension took away, for the return

    def remember(self, values: Mapping[tuple[str, str], Any]) -> None:
        """Keep values by (person, key) for good: on the disk when this returns, so call it before taking away.

        A key for each object, not one for all: a second suspension, or one that was interrupted, sees only what is
        left and must not replace what was remembered first.
        """
        rows = [
            (person, key, json.dumps(value, sort_keys=True), self._now()) for (person, key), value in values.items()
        ]
        for person, key, text, _ in rows:
            if SHOWN in redact(f"{key} {text}", self._secrets):
                raise LyceumError(f"a secret was to be remembered for {person}; nothing was")
        with self._use() as database:
            database.execute("PRAGMA synchronous = FULL")
            with _transaction(database):
                database.executemany(
                    "INSERT INTO remembered VALUES (?, ?, ?, ?)"
                    " ON CONFLICT (person, key) DO UPDATE SET value = excluded.value, since = excluded.since",
                    rows,
                )
            database.execute("PRAGMA synchronous = NORMAL")

    def remembered(self) -> dict[str, dict[str, Any]]:
        """Everything, person -> key -> value."""
        with self._use() as database:
            rows = database.execute("SELECT person, key, value FROM remembered ORDER BY person, key").fetchall()
        people: dict[str, dict[str, Any]] = {}
        for person, key, value in rows:
            people.setdefault(person, {})[key] = json.loads(value)
        return people

    def forget(self, person: str, keys: Collection[str] | None = None) -> None:
        """Drop these keys of a person, or all."""
        with self._transaction() as database:
            if keys is None:
                database.execute("DELETE FROM remembered WHERE person = ?", (person,))
            else:
                database.executemany(
                    "DELETE FROM remembered WHERE person = ? AND key = ?", [(person, key) for key in keys]
                )

    def history(self, run: int) -> list[dict[str, Any]]:
        """The steps of one run as recorded, for people."""
        names = ("person", "key", "sentence", "status", "origin", "external_id", "error")
        with self._use() as database:
            rows = database.execute(
                f"SELECT {', '.join(names)} FROM steps WHERE run = ? ORDER BY id", (run,)
            ).fetchall()
        return [dict(zip(names, row, strict=True)) for row in rows]

    def _clean(self, text: str, step: Step | None = None) -> str:
        return redact(text, (*self._secrets, *(step.secrets if step else ())))

    def _set(self, statement: str, values: tuple[object, ...]) -> None:
        with self._use() as database:
            database.execute(statement, values)  # autocommit: one statement is one transaction

    @contextmanager
    def _use(self) -> Iterator[sqlite3.Connection]:
        with self._mutex:
            try:
                yield self._database
            except sqlite3.Error as exc:
                raise _unusable(self.path, exc) from exc

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._use() as database, _transaction(database):
            yield database

    def _forget_old_runs(self) -> None:
        """Drop runs that are settled and old; the audit log keeps what they did."""
        limit = self._now() - KEPT_DAYS * 86400
        with self._transaction() as database:
            old = "SELECT id FROM runs WHERE started < ? AND id NOT IN (SELECT run FROM steps WHERE settled = 0)"
            database.execute(f"DELETE FROM steps WHERE run IN ({old})", (limit,))
            database.execute("DELETE FROM runs WHERE started < ? AND id NOT IN (SELECT run FROM steps)", (limit,))


def _texts(step: Step) -> tuple[str, str, str]:
    return step.key, step.sentence, "null" if step.before is None else json.dumps(step.before)


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if database.in_transaction:  # a full disk has ended it already
            database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def _lock(path: Path) -> int:
    """The lock of the service, held until the process ends or closes it. Raises LyceumError when another run has it."""
    name = path.with_name(path.name + ".lock")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise LyceumError(f"open {name}: {exc.strerror or exc}; lyceum_state_dir must be yours to write") from exc
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        holder = os.pread(descriptor, 100, 0).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise LyceumError(
            f"another run (process {holder}) is at work on {path.stem}; wait until it ends, then run this again"
        ) from exc
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def _open(path: Path) -> sqlite3.Connection:
    try:
        # Made here, not by SQLite, for the mode; its side files get the same.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as exc:
        raise LyceumError(f"open journal {path}: {exc}") from exc
    try:
        # The lock keeps others out already; without sharing, SQLite needs no shared memory and works on NFS, too.
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        _check(path, database)
    except sqlite3.Error as exc:
        database.close()
        raise _unusable(path, exc) from exc
    except LyceumError:
        database.close()
        raise
    return database


def _check(path: Path, database: sqlite3.Connection) -> None:
    """Make the tables of a new journal; refuse one that is not ours, of another version, or damaged."""
    application, version, tables = (
        database.execute(f"SELECT * FROM {source}").fetchone()[0]
        for source in ("pragma_application_id", "pragma_user_version", "(SELECT count(*) FROM sqlite_master)")
    )
    if (application, version, tables) == (0, 0, 0):
        with _transaction(database):
            for statement in SCHEMA.split(";"):
                database.execute(statement)
            database.execute(f"PRAGMA application_id = {APPLICATION}")
            database.execute(f"PRAGMA user_version = {VERSION}")
        return
    if application != APPLICATION:
        raise LyceumError(f"{path} is not a journal of Lyceum; move it away")
    if version != VERSION:
        raise LyceumError(
            f"journal {path} has version {version}, this Lyceum reads {VERSION}: use the Lyceum that wrote it, or move"
            " the file away (what suspended people get back on their return is then no longer known)"
        )
    damage = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    if damage != "ok":
        raise _unusable(path, damage)


def _unusable(path: Path, why: object) -> JournalError:
    words = " ".join(str(why).split())
    return JournalError(
        f"journal {path} cannot be used: {words}. Put back a copy, or move it away and run again: the plan starts from"
        " what the service has; only what suspended people get back on their return is lost with the journal"
    )
