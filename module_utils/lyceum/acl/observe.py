# SPDX-License-Identifier: GPL-3.0-or-later
"""What is there: every listed path and folder, in one pass, without a process and without following a link."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import stat
from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import LyceumError
from . import contents, posix
from .model import Directory, Folder, Wanted
from .posix import Acl

MISSING, DIRECTORY, LINK, OTHER = "nothing", "a directory", "a link", "neither a directory nor a link"
SPECIAL = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX


@dataclass(frozen=True)
class Found:
    """One path. parent: whether the directory it would be in exists. identity: device and inode.

    acls: whether its file system has any. inside: of a directory to recurse into. problem: why it could not be read.
    """

    kind: str = MISSING
    parent: bool = True
    owner: int = 0
    group: int = 0
    special: int = 0
    access: Acl = ()
    default: Acl = ()
    target: str = ""
    acls: bool = True
    identity: tuple[int, int] = (0, 0)
    inside: contents.Counts | None = None
    problem: str = ""


@dataclass(frozen=True)
class Observed:
    """paths: every listed one. children: of each folder, its entries: name -> target if it is a link, else None."""

    paths: dict[str, Found]
    children: dict[str, dict[str, str | None]]


class Parents:
    """The directories that paths are in, opened component by component without following links, and kept open."""

    def __init__(self) -> None:
        self._open: dict[str, int] = {}

    def __enter__(self) -> Parents:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 1 << 16)), hard))
        self._open["/"] = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
        return self

    def __exit__(self, *_exc: object) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()

    def of(self, path: str) -> tuple[int, str]:
        """(descriptor of the directory that `path` is in, last component).

        Raises FileNotFoundError when that directory is missing, and LyceumError when it cannot be entered safely.
        """
        parent, name = os.path.split(path)
        return self.directory(parent), name

    def directory(self, path: str) -> int:
        """A descriptor of the directory itself, which stays open; see `of`."""
        if path not in self._open:
            above, name = self.of(path)
            self._open[path] = open_directory(above, name, path)
        return self._open[path]


def open_directory(parent: int, name: str, path: str) -> int:
    """Open `name` in an open directory. path: its full name, for messages.

    Raises FileNotFoundError, and LyceumError when it is no directory or cannot be opened.
    """
    try:
        return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    except FileNotFoundError:
        raise
    except OSError as exc:
        if exc.errno in (errno.ENOTDIR, errno.ELOOP):
            raise LyceumError(
                f"{path} is a link or a file, not a directory: nothing in it is touched. Move it away, or mount the"
                " real directory there"
            ) from exc
        raise LyceumError(f"cannot open {path}: {exc.strerror}") from exc


def observe(wanted: Iterable[Wanted], folders: Iterable[Folder], parents: Parents) -> Observed:
    """Read all these paths and folders."""
    return Observed(
        {one.path: _observe(one, parents) for one in wanted},
        {folder.path: _children(folder, parents) for folder in folders},
    )


def _observe(wanted: Wanted, parents: Parents) -> Found:
    try:
        parent, name = parents.of(wanted.path)
    except FileNotFoundError:
        return Found(parent=False)
    except LyceumError as exc:
        return Found(problem=str(exc))
    try:
        info = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if stat.S_ISLNK(info.st_mode):
            return Found(LINK, target=os.readlink(name, dir_fd=parent))
        if not stat.S_ISDIR(info.st_mode):
            return Found(OTHER)
        return _directory(wanted, parent, name, info)
    except FileNotFoundError:
        return Found()
    except OSError as exc:
        return Found(problem=f"cannot read {wanted.path}: {exc.strerror}")
    except LyceumError as exc:
        return Found(problem=f"{wanted.path}: {exc}")


def _directory(wanted: Wanted, parent: int, name: str, info: os.stat_result) -> Found:
    place = f"/proc/self/fd/{parent}/{name}"
    access, acls = posix.minimal(info.st_mode), True
    default: Acl = ()
    try:
        access = posix.read(place, posix.ACCESS) or access
        default = posix.read(place, posix.DEFAULT)
    except posix.NoAclError:
        acls = False
    inside = None
    if isinstance(wanted, Directory) and wanted.recurse:
        opened = open_directory(parent, name, wanted.path)
        try:
            inside = contents.check(opened, wanted.path, rule_of(wanted))
        finally:
            os.close(opened)
    return Found(
        DIRECTORY, True, info.st_uid, info.st_gid, info.st_mode & SPECIAL, access, default,
        acls=acls, identity=(info.st_dev, info.st_ino), inside=inside,
    )  # fmt: skip


def rule_of(wanted: Directory) -> contents.Rule:
    """What is to be inherited below it."""
    return contents.Rule(wanted.group, wanted.special, wanted.access, wanted.default)


def _children(folder: Folder, parents: Parents) -> dict[str, str | None]:
    try:
        descriptor = parents.directory(folder.path)
    except (FileNotFoundError, LyceumError):
        return {}  # not made yet, or told where the directory itself is listed
    found: dict[str, str | None] = {}
    with os.scandir(descriptor) as entries:
        for entry in entries:
            found[entry.name] = None
            if entry.is_symlink():
                with contextlib.suppress(FileNotFoundError):
                    found[entry.name] = os.readlink(entry.name, dir_fd=descriptor)
    return found
