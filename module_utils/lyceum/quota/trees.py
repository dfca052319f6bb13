# SPDX-License-Identifier: GPL-3.0-or-later
"""Walk a directory tree that belongs to somebody who may change it meanwhile, as root, without being led astray.

Every directory is opened through the one above it and never through a link, so that a name that is replaced by a link
while we look leads nowhere else. Other file systems, bind mounts and FUSE mounts are left alone.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .filesystem import mounts

# Each level costs an open file. Whoever nests deeper is reported.
MOST_LEVELS = 500
# Looking is not using: the times of directories stay as they are.
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOATIME


@dataclass(frozen=True)
class Entry:
    """One name in a tree. path: relative to the top. descriptor: of the directory that holds it, only for now.

    own: of the entry itself if it is a directory, else None. leaving: a directory whose contents were all seen.
    """

    path: str
    name: str
    descriptor: int
    info: os.stat_result
    own: int | None = None
    leaving: bool = False


@dataclass
class _Level:
    path: str
    descriptor: int
    entries: Iterator[os.DirEntry[str]]
    entry: Entry | None


def walk(top: int, shown: str, complain: Callable[[str], None]) -> Iterator[Entry]:
    """Everything below the open directory `top`; directories twice, before and after what is in them.

    shown: its path, for messages. complain: told of what could not be looked at. Keep nothing of an entry's descriptors
    beyond the next step. Closing the iterator closes all it opened, but never `top`.
    """
    device, mount = os.fstat(top).st_dev, mount_id(top)
    covered = {one.point for one in mounts()}
    levels = [_Level("", top, _listing(top), None)]
    try:
        while levels:
            level = levels[-1]
            found = next(level.entries, None)
            if found is None:
                if level.entry is not None:
                    yield Entry(
                        level.path,
                        level.entry.name,
                        level.entry.descriptor,
                        level.entry.info,
                        level.descriptor,
                        leaving=True,
                    )
                    os.close(level.descriptor)
                levels.pop()
                continue
            path = f"{level.path}/{found.name}" if level.path else found.name
            # Not even looked at: the program behind somebody's FUSE mount could keep us waiting for ever.
            if f"{shown}/{path}" in covered:
                complain(f"{shown}/{path}: something is mounted there; left alone")
                continue
            try:
                info = found.stat(follow_symlinks=False)
                if not stat.S_ISDIR(info.st_mode):
                    yield Entry(path, found.name, level.descriptor, info)
                    continue
                own = _enter(found.name, level.descriptor, device, mount)
            except FileNotFoundError:
                continue
            except OSError as exc:
                complain(f"{shown}/{path}: {exc.strerror}")
                continue
            if own is None or len(levels) > MOST_LEVELS:
                deep = "more than one can go into" if own is not None else "another file system"
                complain(f"{shown}/{path}: {deep}; left alone")
                if own is not None:
                    os.close(own)
                continue
            entry = Entry(path, found.name, level.descriptor, os.fstat(own), own)
            levels.append(_Level(path, own, _listing(own), entry))
            yield entry
    finally:
        for level in levels:
            if level.entry is not None:
                os.close(level.descriptor)


def mount_id(descriptor: int) -> str:
    """Which mount an open file was reached through; unlike the device it also tells bind mounts apart."""
    lines = Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii").splitlines()
    return next(line.split()[1] for line in lines if line.startswith("mnt_id:"))


def _enter(name: str, parent: int, device: int, mount: str) -> int | None:
    """Open a directory; None if it is not of this mount. Raises OSError."""
    descriptor = os.open(name, DIRECTORY, dir_fd=parent)
    if os.fstat(descriptor).st_dev == device and mount_id(descriptor) == mount:
        return descriptor
    os.close(descriptor)
    return None


def _listing(descriptor: int) -> Iterator[os.DirEntry[str]]:
    """What is in it, in no order. A directory may be changed while it is read."""
    with os.scandir(descriptor) as entries:
        yield from entries
