# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has an account here, when it was last used and how much its home holds: one read, nothing is changed."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import shutil
import sqlite3
import stat
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import CommandError, LyceumError
from .database import Database, home_of
from .edit import members_of
from .model import last_day
from .ownership import walk

# lastlog(8), Debian 12: struct lastlog {int32 time; char line[32]; char host[256]} at offset uid * size.
LASTLOG = struct.Struct("<i32s256s")
# utmp(5) on Linux: 384 bytes; type 7 is a login.
WTMP = struct.Struct("<hxxi32s4s32s256shhiii16s20s")
USER_PROCESS = 7
# systemd's catalogue: "A new session ... has been created for user", with the field USER_ID (a login name).
LOGIND_NEW_SESSION = "8d45620c1a4348dbb17410da57c60c66"


def survey_accounts(
    root: Path, names: list[str], uid_ranges: list[tuple[int, int]], *, usage: bool
) -> tuple[list[dict[str, Any]], list[str]]:
    """Accounts listed in `names` or with a uid in `uid_ranges`, sorted by name, and the sources of last logins.

    Each: name, uid, gid, gecos, home, shell, groups, locked, expires (last day or None), last_login (UTC time or None),
    home_bytes and home_changed (newest modification inside) or None without `usage` or without a home, home_error (why
    a home could not be measured, or None).
    Raises LyceumError when the account files cannot be read.
    """
    database = Database.load(root)
    groups: dict[str, list[str]] = {}
    for name, entry in database.group.entries.items():
        for member in members_of(entry):
            groups.setdefault(member, []).append(name)
    logins, sources = last_logins(root)
    wanted = set(names)
    accounts = []
    for name, entry in sorted(database.passwd.entries.items()):
        uid = int(entry[2])
        if name not in wanted and not any(first <= uid <= last for first, last in uid_ranges):
            continue
        shadow = database.shadow.entries.get(name)
        size, changed, error = _usage(root, home_of(entry)) if usage else (None, None, None)
        accounts.append(
            {
                "name": name,
                "uid": uid,
                "gid": int(entry[3]),
                "gecos": entry[4].encode("latin-1").decode("utf-8", "replace"),
                "home": home_of(entry),
                "shell": entry[6],
                "groups": sorted(groups.get(name, [])),
                "locked": shadow is None or shadow[1].startswith("!"),
                "expires": str(last) if shadow and (last := last_day(shadow[7])) else None,
                "last_login": _time(max(logins.get(name, 0), logins.get(uid, 0))),
                "home_bytes": size,
                "home_changed": _time(changed or 0),
                "home_error": error,
            }
        )
    return accounts, sources


def last_logins(root: Path) -> tuple[dict[str | int, int], list[str]]:
    """Newest login by name or uid, in seconds since 1970, over every source this release keeps, and those sources."""
    newest: dict[str | int, int] = {}
    sources = []
    for source, reader in (
        ("/var/log/lastlog", _lastlog),
        ("/var/log/wtmp", _wtmp),
        ("/var/lib/lastlog/lastlog2.db", _lastlog2),
    ):
        path = root / source.lstrip("/")
        if not path.exists():
            continue
        sources.append(source)
        for key, moment in reader(path):
            newest[key] = max(newest.get(key, 0), moment)
    if str(root) == "/" and shutil.which("journalctl"):
        sources.append("journal")
        for key, moment in _journal():
            newest[key] = max(newest.get(key, 0), moment)
    return newest, sources


def _lastlog(path: Path) -> Iterator[tuple[int, int]]:
    """The file is sparse and as long as the highest uid: only the parts with data are read."""
    # A descriptor, no file object: one that buffers does not notice that lseek(2) moves it.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        position = 0
        while True:
            try:
                position = os.lseek(descriptor, position, os.SEEK_DATA)
            except OSError:
                return  # ENXIO: only holes are left
            hole = os.lseek(descriptor, position, os.SEEK_HOLE)
            first, last = position // LASTLOG.size, -(-hole // LASTLOG.size)
            data = os.pread(descriptor, (last - first) * LASTLOG.size, first * LASTLOG.size)
            for offset in range(0, len(data) - LASTLOG.size + 1, LASTLOG.size):
                moment = LASTLOG.unpack_from(data, offset)[0]
                if moment > 0:
                    yield first + offset // LASTLOG.size, moment
            position = hole
    finally:
        os.close(descriptor)


def _wtmp(path: Path) -> Iterator[tuple[str, int]]:
    with path.open("rb") as handle:
        while len(record := handle.read(WTMP.size)) == WTMP.size:
            fields = WTMP.unpack(record)
            if fields[0] == USER_PROCESS:
                yield fields[4].split(b"\0")[0].decode(errors="replace"), fields[9]


def _lastlog2(path: Path) -> Iterator[tuple[str, int]]:
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            yield from connection.execute("SELECT Name, Time FROM Lastlog2")
    except sqlite3.Error as exc:
        raise LyceumError(f"cannot read {path}: {exc}") from exc


def _journal() -> Iterator[tuple[str, int]]:
    command = ["journalctl", "--quiet", "--no-pager", "--output=json", "--output-fields=USER_ID"]
    done = subprocess.run([*command, f"MESSAGE_ID={LOGIND_NEW_SESSION}"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CommandError(f"journalctl exited with {done.returncode}: {done.stderr.strip()}")
    for line in done.stdout.splitlines():
        entry = json.loads(line)
        yield entry["USER_ID"], int(entry["__REALTIME_TIMESTAMP"]) // 1_000_000


def _usage(root: Path, home: str) -> tuple[int | None, int | None, str | None]:
    """Bytes on disk, the newest modification time and what could not be read in a home; nothing at all without one."""
    size = newest = None
    # Services live in / or nowhere.
    if not home.startswith("/") or home == "/":
        return None, None, None
    try:
        for _path, info in walk(root / home.lstrip("/")):
            size = (size or 0) + info.st_blocks * 512
            # Directories change when programs tidy up; files tell of a person.
            if stat.S_ISREG(info.st_mode):
                newest = max(newest or 0, int(info.st_mtime))
    except LyceumError as exc:
        return None, None, str(exc)
    return size, newest, None


def _time(seconds: int) -> str | None:
    if not seconds:
        return None
    return datetime.datetime.fromtimestamp(seconds, tz=datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
