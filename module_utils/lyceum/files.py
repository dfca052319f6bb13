# SPDX-License-Identifier: GPL-3.0-or-later
"""Write files so that a reader, or a crash, sees the old content or the new one and never half of it."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Mapping
from pathlib import Path

from .errors import LyceumError


def write_atomically(path: Path, content: bytes, mode: int) -> None:
    """Write one file through a flushed temporary one in the same directory. It belongs to whoever runs this.

    Raises LyceumError naming the path.
    """
    failures = write_all_atomically({path: content}, mode)
    if failures:
        raise LyceumError(failures[path])


def write_all_atomically(
    contents: Mapping[Path, bytes], mode: int, owner: tuple[int, int] = (-1, -1)
) -> dict[Path, str]:
    """Write many files of one file system the same way, with one flush for all. Returns what failed, by path.

    owner: uid and gid; -1 is whoever runs this.

    A flush per file costs a commit of the file system's journal each: seconds for a thousand small files.
    """
    failures: dict[Path, str] = {}
    temporaries: dict[Path, Path] = {}
    for path, content in contents.items():
        temporary = path.with_name(f".{path.name}.lyceum")
        try:
            temporary.unlink(missing_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as handle:
                handle.write(content)
                os.fchown(descriptor, *owner)
                os.fchmod(descriptor, mode)
                if len(contents) == 1:
                    handle.flush()
                    os.fsync(descriptor)
            temporaries[path] = temporary
        except OSError as exc:
            failures[path] = f"cannot write {path}: {exc.strerror}"
            _tidy(temporary)
    if len(contents) > 1 and temporaries:
        flush_file_system(next(iter(temporaries)).parent)
    for path, temporary in temporaries.items():
        try:
            temporary.rename(path)
        except OSError as exc:
            failures[path] = f"cannot write {path}: {exc.strerror}"
            _tidy(temporary)
    return failures


def _tidy(temporary: Path) -> None:
    # The first failure is the one to tell; a temporary file that stays is replaced by the next run.
    with contextlib.suppress(OSError):
        temporary.unlink()


def flush_file_system(directory: Path) -> None:
    """syncfs(2), which Python does not offer. Raises LyceumError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syncfs(descriptor) != 0:
            raise LyceumError(f"cannot flush {directory} to disk: {os.strerror(ctypes.get_errno())}")
    finally:
        os.close(descriptor)


def flush_directory(directory: Path) -> None:
    """fsync(2) a directory: names made, renamed or removed in it survive a power failure. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
