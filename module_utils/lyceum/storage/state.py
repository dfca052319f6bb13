# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host tools remember and hand out, below /var/lib/lyceum/storage.

usage.json and purge/ are root's. people/<uid> (JSON), people/<uid>.banner and people/<uid>.purge can be read by their
person alone, `updated` by everybody.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import LyceumError
from ..files import write_all_atomically, write_atomically

BASE = Path("/var/lib/lyceum/storage")
USAGE = "usage.json"
UPDATED = "updated"
PEOPLE = "people"
# Readable through its name by whoever it belongs to, listable by root alone.
PASSABLE = 0o711


@contextlib.contextmanager
def locked(base: Path, command: str) -> Iterator[None]:
    """Make the directories, and wait until no other run of this command is under way. Raises LyceumError.

    A purge may take hours, during which use is still read: they write different files.
    """
    try:
        for directory, mode in ((base.parent, 0o755), (base, PASSABLE), (base / PEOPLE, PASSABLE)):
            if not directory.is_dir():
                directory.mkdir(parents=True)
                directory.chmod(mode)
        descriptor = os.open(base / f".{command}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise LyceumError(f"cannot use {base}: {exc.strerror}") from exc
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def read_usage(base: Path) -> dict[str, Any]:
    """What the last run wrote; empty before the first one. Raises LyceumError."""
    try:
        data: dict[str, Any] = json.loads((base / USAGE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as exc:
        raise LyceumError(f"cannot read {base / USAGE}: {exc}. Remove it; the next run writes it anew.") from exc
    return data


def write_usage(base: Path, data: Mapping[str, Any], now: str) -> None:
    """For the report and the next run, and when it was for everybody. Raises LyceumError."""
    write_atomically(base / USAGE, json.dumps(data, indent=1).encode(), 0o600)
    write_atomically(base / UPDATED, f"{now}\n".encode(), 0o644)


def write_people(base: Path, contents: Mapping[str, bytes], owners: Mapping[str, int], stay: set[str]) -> list[str]:
    """Hand out one person's files each, and remove those of people who are gone. Returns what failed.

    contents: by file name. owners: gid by file name. stay: names of files that other commands wrote.
    Only what has changed is written: most people use as much as ten minutes ago.
    """
    directory = base / PEOPLE
    problems: list[str] = []
    changed = {directory / name: content for name, content in contents.items() if _old(directory / name) != content}
    problems += write_all_atomically(changed, 0o640).values()
    for name in contents:
        try:
            # Also where the content is old: a run that was killed may have left it to root's group.
            if (directory / name).lstat().st_gid != owners[name]:
                os.chown(directory / name, 0, owners[name], follow_symlinks=False)
        except OSError as exc:
            problems.append(f"cannot hand out {directory / name}: {exc.strerror}")
    for path in directory.iterdir():
        # Names with a dot in front are files that another command is just writing.
        if path.name not in contents and path.name not in stay and not path.name.startswith("."):
            path.unlink()
    return problems


def _old(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
