# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in a shared directory: find, and on demand mend, what does not inherit its permissions.

Files that programs create in a directory with a default ACL get its permissions from the kernel, whatever the umask.
Those that keep the mode of another place do not: mv, cp -p, tar, programs that choose the mode of a new file. Here the
owner's permissions decide: what the owner may do with such a file, those whom the directory entitles may do as well.

The people who own all this may rename and replace it while root walks through. Every file is opened relative to the
directory it was found in and never through a link; it is judged after it was opened, and what is then changed is the
open file, whatever has its name by then.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Union

from ..errors import LyceumError
from . import posix
from .posix import Acl

# One descriptor is held per level; nobody nests directories this deep who wants them to be found.
MAX_DEPTH = 400
EXAMPLES = 5

# An open file, or a path that leads through an open directory.
Place = Union[int, str]


class Rule:
    """What everything below a directory should have, from what the directory itself has.

    Permissions: as its default ACL says or, without one, its mode. group, and setgid for directories: the directory's,
    if it is setgid; None leaves groups alone. readers: uids that may only read; what they own here from when they could
    write goes to root.
    """

    def __init__(self, group: int, special: int, access: Acl, default: Acl) -> None:
        source = default or access
        self.setgid = special & stat.S_ISGID
        self.group = group if self.setgid else None
        self.acls = posix.extended(source)
        self.readers = frozenset(e.number for e in source if e.tag == posix.USER and not e.permissions & 2)
        self.default = posix.pack(source) if self.acls else b""
        # By the owner's permissions, compared with a million files as the bytes the kernel has.
        shared = [posix.inherited(source, owner) for owner in range(8)]
        self.modes = [posix.mode_of(acl) for acl in shared]
        self.access = [posix.pack(acl) for acl in shared]


@dataclass
class Counts:
    """looked_at: files and directories. wrong: those that differ from the rule. mended: those of them put right.

    left: what was passed over or could not be looked at or changed; examples: sentences about the first of it.
    """

    looked_at: int = 0
    wrong: int = 0
    mended: int = 0
    left: int = 0
    examples: list[str] = field(default_factory=list)

    def leave(self, path: str, why: object) -> None:
        self.left += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(f"{printable(path)}: {why}")

    def failed(self, path: str, exc: Exception) -> None:
        """What vanished meanwhile is no failure."""
        if not isinstance(exc, FileNotFoundError):
            self.leave(path, exc.strerror if isinstance(exc, OSError) else exc)


def printable(path: str) -> str:
    """A name that somebody chose, safe to show on a terminal and to send as JSON."""
    return "".join(letter if letter.isprintable() else "?" for letter in path)


def check(top: int, path: str, rule: Rule) -> Counts:
    """Count what differs below the open directory `top`. path: its name, for sentences."""
    return _Walk(top, rule, mend=False).run(top, path)


def mend(top: int, path: str, rule: Rule) -> Counts:
    """Count it and put it right. Other file systems are left out; devices, sockets and links have nothing to share."""
    return _Walk(top, rule, mend=True).run(top, path)


class _Walk:
    def __init__(self, top: int, rule: Rule, *, mend: bool) -> None:
        self.rule = rule
        self.mend = mend
        self.counts = Counts()
        self.device = os.fstat(top).st_dev

    def run(self, top: int, path: str) -> Counts:
        # Directories being worked on, the innermost last, each with the subdirectories that are still to be visited.
        levels: list[tuple[int, str, Iterator[str]]] = [(os.dup(top), path, iter(self._files(top, path)))]
        try:
            while levels:
                directory, where, names = levels[-1]
                name = next(names, None)
                if name is None:
                    levels.pop()
                    os.close(directory)
                elif len(levels) == MAX_DEPTH:
                    self.counts.leave(f"{where}/{name}", "nested too deep to be looked at")
                else:
                    opened = self._open(directory, name, where)
                    if opened is not None:
                        below = f"{where}/{name}"
                        levels.append((opened, below, iter(self._files(opened, below))))
        finally:
            for directory, _where, _names in levels:
                os.close(directory)
        return self.counts

    def _open(self, parent: int, name: str, where: str) -> int | None:
        """A subdirectory, opened and put right; None if it is to be passed over."""
        try:
            opened = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
        except OSError as exc:
            self.counts.failed(f"{where}/{name}", exc)
            return None
        info = os.fstat(opened)
        if info.st_dev != self.device:
            os.close(opened)
            return None
        self._judge(opened, f"{where}/{name}", info)
        return opened

    def _files(self, directory: int, path: str) -> list[str]:
        """Work on the files of an open directory; return the names of its subdirectories."""
        subdirectories = []
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        subdirectories.append(entry.name)
                    elif entry.is_file(follow_symlinks=False):
                        self._file(directory, entry, f"{path}/{entry.name}")
        except OSError as exc:
            self.counts.failed(path, exc)
        return subdirectories

    def _file(self, directory: int, entry: os.DirEntry[str], path: str) -> None:
        try:
            info = entry.stat(follow_symlinks=False)
            place = f"/proc/self/fd/{directory}/{entry.name}"
            if not self.mend or not differs(place, info, self.rule):
                self._judge(place, path, info)
                return
            opened = os.open(entry.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
            try:
                info = os.fstat(opened)
                if stat.S_ISREG(info.st_mode) and info.st_dev == self.device:
                    self._judge(opened, path, info)
            finally:
                os.close(opened)
        except (OSError, LyceumError) as exc:
            self.counts.failed(path, exc)

    def _judge(self, place: Place, path: str, info: os.stat_result) -> None:
        """Count one file or directory and, if it is open and wrong, put it right."""
        counts, rule = self.counts, self.rule
        counts.looked_at += 1
        try:
            if not differs(place, info, rule):
                return
            if _named_elsewhere(info, rule):
                counts.leave(path, "has another name elsewhere, in somebody else's care")
                return
            counts.wrong += 1
            if self.mend and isinstance(place, int):
                _put_right(place, info, rule)
                counts.mended += 1
        except (OSError, LyceumError) as exc:
            counts.failed(path, exc)


def differs(place: Place, info: os.stat_result, rule: Rule) -> bool:
    """Whether a file or directory has not what the rule says. Raises OSError, and NoAclError where it needs ACLs."""
    owner = info.st_mode >> 6 & 7
    if _wrong_group(info, rule) or info.st_uid in rule.readers or info.st_mode & 0o777 != rule.modes[owner]:
        return True
    is_directory = stat.S_ISDIR(info.st_mode)
    if is_directory and info.st_mode & stat.S_ISGID != rule.setgid:
        return True
    if _raw(place, posix.ACCESS, rule) != (rule.access[owner] if rule.acls else b""):
        return True
    return is_directory and _raw(place, posix.DEFAULT, rule) != rule.default


def _wrong_group(info: os.stat_result, rule: Rule) -> bool:
    return rule.group is not None and info.st_gid != rule.group


def _raw(place: Place, attribute: str, rule: Rule) -> bytes:
    try:
        return posix.raw(place, attribute)
    except posix.NoAclError:
        if rule.acls:
            raise
        return b""


def _named_elsewhere(info: os.stat_result, rule: Rule) -> bool:
    """Whether a file has a second name that may be in another shared directory, or the system's.

    Whoever may write a file can give it a name here; that must not hand it to the people of this directory.
    """
    if stat.S_ISDIR(info.st_mode) or info.st_nlink == 1 or info.st_gid == rule.group:
        return False
    return info.st_uid == 0 or info.st_gid != info.st_uid


def _put_right(opened: int, info: os.stat_result, rule: Rule) -> None:
    is_directory = stat.S_ISDIR(info.st_mode)
    owner = 0 if info.st_uid in rule.readers else -1
    if owner == 0 and not is_directory:
        os.chmod(opened, info.st_mode & 0o777)  # somebody's setuid program must not become root's
    if owner == 0 or _wrong_group(info, rule):
        os.chown(opened, owner, -1 if rule.group is None else rule.group)
    permissions = info.st_mode >> 6 & 7
    if rule.acls or _raw(opened, posix.ACCESS, rule):
        os.setxattr(opened, posix.ACCESS, rule.access[permissions])
    if is_directory:
        if _raw(opened, posix.DEFAULT, rule) != rule.default:
            posix.write(opened, posix.DEFAULT, posix.unpack(rule.default) if rule.default else ())
        os.chmod(opened, rule.modes[permissions] | rule.setgid | info.st_mode & stat.S_ISVTX)
    elif not rule.acls:
        os.chmod(opened, rule.modes[permissions])
