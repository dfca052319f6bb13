# SPDX-License-Identifier: GPL-3.0-or-later
"""Who owns what in a directory tree: count it, and hand it over to another uid and gid, ACL entries included."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..acl import posix
from ..errors import LyceumError

CAPABILITY = "security.capability"


@dataclass(frozen=True)
class Ownership:
    """What an id has in one tree: number of files owned, number of ACL entries naming it, and some paths."""

    tree: str
    files: int
    acl_entries: int
    examples: tuple[str, ...] = ()


def survey(root: Path, trees: list[str], uid: int, gid: int | None) -> tuple[Ownership, ...]:
    """Count files owned by uid (or group gid, unless None) and ACL entries that name them. Empty trees are left out.

    Trees inside other trees are visited once. Does not cross file systems.
    """
    result = []
    for tree in _outermost(trees):
        files = entries = 0
        examples: list[str] = []
        for path, info in walk(root / tree.lstrip("/")):
            if info.st_uid == uid or (gid is not None and info.st_gid == gid):
                files += 1
                if len(examples) < 20:
                    examples.append(path)
            if gid is not None and not stat.S_ISLNK(info.st_mode):
                entries += sum(count for _name, _value, count in _acl_changes(path, uid, uid, gid, gid))
        if files or entries:
            result.append(Ownership(tree, files, entries, tuple(examples)))
    return tuple(result)


def hand_over(root: Path, trees: list[str], old: tuple[int, int], new: tuple[int, int]) -> None:
    """Change owner, group and ACL entries from `old` (uid, gid) to `new`. Safe to repeat after a crash.

    Raises LyceumError naming the first path that cannot be changed.
    """
    for tree in _outermost(trees):
        for path, info in walk(root / tree.lstrip("/")):
            try:
                _hand_over_one(path, info, old, new)
            except FileNotFoundError:
                continue
            except OSError as exc:
                raise LyceumError(f"cannot change the owner of {path}: {exc.strerror}") from exc


def rewrite_acl(value: bytes, uids: tuple[int, int], gids: tuple[int, int]) -> tuple[bytes, int]:
    """Replace ids in a posix_acl xattr. uids, gids: (old, new). Returns the new value and how many entries changed.

    An entry that is there for the new id already, from whoever had it before, gives way.
    Raises LyceumError for a version other than 2 (the kernel has had no other).
    """
    kept: dict[tuple[int, int], posix.Entry] = {}
    moved: dict[tuple[int, int], posix.Entry] = {}
    for entry in posix.unpack(value):
        old, new = uids if entry.tag == posix.USER else gids if entry.tag == posix.GROUP else (None, entry.number)
        if entry.number == old:
            moved[entry.tag, new] = entry._replace(number=new)
        else:
            kept[entry.tag, entry.number] = entry
    return posix.pack({**kept, **moved}.values()), len(moved)


def _hand_over_one(path: str, info: os.stat_result, old: tuple[int, int], new: tuple[int, int]) -> None:
    is_link = stat.S_ISLNK(info.st_mode)
    owned = info.st_uid == old[0] or info.st_gid == old[1]
    if not owned and (is_link or not any(_acl_changes(path, old[0], new[0], old[1], new[1]))):
        return
    # Others may rename what they own while root walks here: act on what was looked at, not on what has its name now.
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    try:
        if not os.path.samestat(os.fstat(descriptor), info):
            raise LyceumError(f"{path} was replaced while its owner was being changed; run again")
        opened = f"/proc/self/fd/{descriptor}"
        if not is_link:
            for name, value, _count in _acl_changes(opened, old[0], new[0], old[1], new[1]):
                os.setxattr(opened, name, value)
        if owned:
            _chown(opened, info, old, new)
    finally:
        os.close(descriptor)


def _chown(path: str, info: os.stat_result, old: tuple[int, int], new: tuple[int, int]) -> None:
    capability = None
    if stat.S_ISREG(info.st_mode):
        with contextlib.suppress(OSError):
            capability = os.getxattr(path, CAPABILITY)
    os.chown(path, new[0] if info.st_uid == old[0] else -1, new[1] if info.st_gid == old[1] else -1)
    # chown(2) drops set-id bits and capabilities; they belonged to the file, not to the move.
    if not stat.S_ISLNK(info.st_mode) and info.st_mode & (stat.S_ISUID | stat.S_ISGID):
        os.chmod(path, stat.S_IMODE(info.st_mode))
    if capability is not None:
        os.setxattr(path, CAPABILITY, capability)


def _acl_changes(path: str, old_uid: int, new_uid: int, old_gid: int, new_gid: int) -> Iterator[tuple[str, bytes, int]]:
    for name in posix.ATTRIBUTES:
        try:
            value = os.getxattr(path, name)
        except OSError as exc:
            if exc.errno in (errno.ENODATA, errno.EOPNOTSUPP, errno.ENOENT):
                continue
            raise LyceumError(f"cannot read the ACL of {path}: {exc.strerror}") from exc
        rewritten, hits = rewrite_acl(value, (old_uid, new_uid), (old_gid, new_gid))
        if hits:
            yield name, rewritten, hits


def _outermost(trees: list[str]) -> list[str]:
    kept: list[str] = []
    for tree in sorted({os.path.normpath(tree) for tree in trees}):
        if not any(tree == other or tree.startswith(f"{other.rstrip('/')}/") for other in kept):
            kept.append(tree)
    return kept


def walk(top: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Every path of a tree with its lstat, directories before their contents; other file systems are left out.

    Raises LyceumError naming what cannot be read. What disappears meanwhile is left out.
    """
    try:
        info = os.lstat(top)
    except FileNotFoundError:
        return
    except OSError as exc:
        raise LyceumError(f"cannot look at {top}: {exc.strerror}") from exc
    device = info.st_dev
    yield str(top), info
    pending = [str(top)] if stat.S_ISDIR(info.st_mode) else []
    while pending:
        directory = pending.pop()
        try:
            with os.scandir(directory) as entries:
                found = [(entry.path, status) for entry in entries if (status := _lstat(entry)) is not None]
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as exc:
            raise LyceumError(f"cannot read {directory}: {exc.strerror}") from exc
        for path, status in found:
            if status.st_dev == device:
                yield path, status
                if stat.S_ISDIR(status.st_mode):
                    pending.append(path)


def _lstat(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    except OSError as exc:
        # Not even root may look at somebody's FUSE mount, nor anybody at one whose program has died.
        if exc.errno in (errno.EACCES, errno.ENOTCONN, errno.ESTALE):
            return None
        raise
