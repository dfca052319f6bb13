# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything of a Gitea that stands still, kept before an upgrade, and put back when it fails.

The database is dumped by PostgreSQL's own program; with SQLite it is a file among the data. `gitea dump` is not used:
what it writes of a database has to be adapted by hand before it can be read back.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import LyceumError
from ..files import flush_directory
from .host import PATH, Host, run

DATABASE, DATA, COMPLETE = "database.sql", "data.tar", "complete"
HOUR = 3600


@dataclass(frozen=True)
class Backups:
    """folder: one directory below it for each. database: how libpq reaches it; '' is SQLite."""

    host: Host
    folder: Path
    data: Path
    database: str = ""
    with_data: bool = True

    def make(self, name: str) -> Path:
        """A backup of that name, of a server that does not run. CommandError or LyceumError; nothing half remains."""
        place = self.folder / name
        place.mkdir(mode=0o700, parents=True)
        try:
            if self.database:
                self._write(
                    place / DATABASE, ["pg_dump", "--format=plain", "--no-password", self.database], as_user=True
                )
            if self.with_data or not self.database:
                self._write(place / DATA, ["tar", "--create", "--sparse", "--directory", str(self.data), "."])
            (place / COMPLETE).touch(mode=0o600)
            flush_directory(place)
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
        return place

    def _write(self, path: Path, argv: Sequence[str], *, as_user: bool = False) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            if as_user:
                self.host.as_user(argv, stdout=descriptor, seconds=4 * HOUR)
            else:
                run(argv, stdout=descriptor, seconds=24 * HOUR, env={"PATH": PATH, "LC_ALL": "C.UTF-8"})
            os.fsync(descriptor)
        except OSError as exc:
            raise LyceumError(f"cannot write {path}: {exc.strerror}") from exc
        finally:
            os.close(descriptor)

    def put_back(self, place: Path) -> None:
        """Database and data as they were. What a new release added to the data besides stays where it is."""
        if not (place / COMPLETE).exists():
            raise LyceumError(f"{place} is not complete: nothing is put back from it")
        if self.database:
            self._read_database(place / DATABASE)
        if (place / DATA).exists():
            for suffix in ("-wal", "-shm", "-journal"):  # of SQLite: they belong to the database of the failed release
                for path in self.data.glob(f"data/*.db{suffix}"):
                    path.unlink()
            words = ["tar", "--extract", "--same-owner", "--preserve-permissions", "--directory", str(self.data)]
            run([*words, "--file", str(place / DATA)], seconds=24 * HOUR, env={"PATH": PATH, "LC_ALL": "C.UTF-8"})

    def _read_database(self, path: Path) -> None:
        """In one transaction: the database is as it was, or nothing has changed."""
        words = [
            "psql",
            "-X",
            "-q",
            "--no-password",
            "--single-transaction",
            "-v",
            "ON_ERROR_STOP=1",
            "-d",
            self.database,
        ]
        words += ["-c", "SET client_min_messages = warning", "-c", "DROP SCHEMA public CASCADE"]
        words += ["-c", "CREATE SCHEMA public", "-f", "-"]
        with path.open("rb") as stream:
            self.host.as_user(words, seconds=4 * HOUR, stdin=stream.fileno(), stdout=subprocess.DEVNULL)

    def prune(self, keep: int) -> list[str]:
        """Remove all but the newest, and what a killed run left half made. Their names."""
        places = sorted(path for path in self.folder.iterdir() if path.is_dir())
        whole = [path for path in places if (path / COMPLETE).exists()]
        gone = [path for path in places if path not in whole[max(0, len(whole) - keep) :]]
        for path in gone:
            shutil.rmtree(path)
        return [path.name for path in gone]
