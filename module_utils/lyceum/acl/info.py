# SPDX-License-Identifier: GPL-3.0-or-later
"""What directories are like, and how much is in them, for reports."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..accounts.ownership import walk
from ..errors import LyceumError
from . import posix
from .model import Directory, Names
from .observe import DIRECTORY, Found, Parents, observe

BLOCK = 512  # st_blocks counts in these, whatever the file system's own size


def describe(paths: Iterable[str], names: Names, *, usage: bool) -> list[dict[str, Any]]:
    """One entry for each path that is there. usage: also walk it for the number of files and the space they take."""
    wanted = [_any(path) for path in paths]
    with Parents() as parents:
        found = observe(wanted, (), parents).paths
    return [_one(path, entry, names, usage=usage) for path, entry in found.items() if entry.kind != "nothing"]


def _any(path: str) -> Directory:
    """Something to look at, whatever it should be."""
    return Directory(
        path, 0, 0, 0, posix.minimal(0), (), create=False, recurse=False, sealed=False, person=""
    )  # fmt: skip


def _one(path: str, found: Found, names: Names, *, usage: bool) -> dict[str, Any]:
    is_directory = found.kind == DIRECTORY
    entry: dict[str, Any] = {
        "path": path,
        "kind": found.kind,
        "owner": names.user(found.owner) if is_directory else None,
        "group": names.group(found.group) if is_directory else None,
        "mode": f"{found.special | posix.mode_of(found.access):04o}" if is_directory else None,
        "acl": [names.entry_text(item) for item in found.access],
        "default_acl": [names.entry_text(item) for item in found.default],
        "files": None,
        "bytes": None,
        "error": found.problem or None,
    }
    if is_directory and usage:
        try:
            entry["files"], entry["bytes"] = _usage(path)
        except (LyceumError, OSError) as exc:
            entry["error"] = str(exc)
    return entry


def _usage(path: str) -> tuple[int, int]:
    """(everything in it, space it takes); what has several names counts once."""
    seen: set[tuple[int, int]] = set()
    number = size = 0
    for _path, info in walk(Path(path)):
        number += 1
        if info.st_nlink > 1 and not stat.S_ISDIR(info.st_mode):
            if (info.st_dev, info.st_ino) in seen:
                continue
            seen.add((info.st_dev, info.st_ino))
        size += info.st_blocks * BLOCK
    return number - 1, size
