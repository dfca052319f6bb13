# SPDX-License-Identifier: GPL-3.0-or-later
"""POSIX ACLs as the kernel keeps them, in extended attributes: read, written and shown without a process per file."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable, Iterable
from typing import NamedTuple

from ..errors import LyceumError

ACCESS = "system.posix_acl_access"
DEFAULT = "system.posix_acl_default"
ATTRIBUTES = (ACCESS, DEFAULT)

# linux/posix_acl_xattr.h, version 2. The numbers of the tags are also the order in which the kernel wants them.
VERSION = 2
USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
NO_ID = 0xFFFFFFFF
_HEADER = struct.Struct("<I")
_ENTRY = struct.Struct("<HHI")
_WORDS = {USER_OBJ: "user", USER: "user", GROUP_OBJ: "group", GROUP: "group", MASK: "mask", OTHER: "other"}


class Entry(NamedTuple):
    """One line of an ACL. number: uid or gid of a named entry, NO_ID of the others."""

    tag: int
    permissions: int
    number: int = NO_ID


Acl = tuple[Entry, ...]
"""Sorted as the kernel wants it; empty where there is none."""


class NoAclError(LyceumError):
    """The file system has no POSIX ACLs."""


def unpack(value: bytes) -> Acl:
    """The entries of an attribute's value. Raises LyceumError for a version other than 2: there has been no other."""
    (version,) = _HEADER.unpack_from(value)
    if version != VERSION:
        raise LyceumError(f"ACL attribute of unknown version {version}")
    return tuple(Entry(*fields) for fields in _ENTRY.iter_unpack(value[_HEADER.size :]))


def pack(acl: Iterable[Entry]) -> bytes:
    """The value of the attribute, in the kernel's order whatever the order of the entries."""
    return _HEADER.pack(VERSION) + b"".join(_ENTRY.pack(*entry) for entry in in_order(acl))


def in_order(entries: Iterable[Entry]) -> Acl:
    """The entries as an ACL, ascending by tag and by id within a tag."""
    return tuple(sorted(entries, key=lambda entry: (entry.tag, entry.number)))


def minimal(mode: int) -> Acl:
    """The ACL that the nine permission bits of a mode stand for."""
    return (Entry(USER_OBJ, mode >> 6 & 7), Entry(GROUP_OBJ, mode >> 3 & 7), Entry(OTHER, mode & 7))


def complete(mode: int, extra: Iterable[Entry]) -> Acl:
    """The ACL of a mode and further entries. An entry of the same kind replaces that of the mode.

    The mask is what the group class is granted at most, as setfacl computes it, unless `extra` has one.
    """
    entries = {(entry.tag, entry.number): entry for entry in (*minimal(mode), *extra)}
    named = [entry for entry in entries.values() if entry.tag in (USER, GROUP)]
    if named and (MASK, NO_ID) not in entries:
        granted = entries[GROUP_OBJ, NO_ID].permissions
        for entry in named:
            granted |= entry.permissions
        entries[MASK, NO_ID] = Entry(MASK, granted)
    return in_order(entries.values())


def extended(acl: Acl) -> bool:
    """Whether it says more than a mode can."""
    return len(acl) > 3


def mode_of(acl: Acl) -> int:
    """The permission bits that stat(2) shows for it: of the group class, those are the mask's."""
    by_tag = {entry.tag: entry.permissions for entry in acl}
    return by_tag[USER_OBJ] << 6 | by_tag.get(MASK, by_tag[GROUP_OBJ]) << 3 | by_tag[OTHER]


def inherited(default: Acl, owner: int) -> Acl:
    """The access ACL of something shared below a directory whose default ACL is `default`.

    owner: the permissions that the owner has. What the owner may do, those entitled by the directory may do: the kernel
    makes it so for a file created with the usual modes, but not for one that was moved here or whose program chose its
    mode (mv, cp -p, tar, mktemp).
    """
    result = []
    for entry in default:
        if entry.tag == USER_OBJ:
            entry = entry._replace(permissions=owner)
        elif entry.tag in (MASK, OTHER) or (entry.tag == GROUP_OBJ and not extended(default)):
            entry = entry._replace(permissions=entry.permissions & owner)
        result.append(entry)
    return tuple(result)


def raw(path: str | int, attribute: str) -> bytes:
    """The value of an attribute of an open file or, without following it, of a path; empty when there is none.

    Raises NoAclError and OSError.
    """
    try:
        return os.getxattr(path, attribute, follow_symlinks=isinstance(path, int))
    except OSError as exc:
        if exc.errno == errno.ENODATA:
            return b""
        if exc.errno == errno.EOPNOTSUPP:
            raise NoAclError("its file system has no POSIX ACLs") from exc
        raise


def read(path: str | int, attribute: str) -> Acl:
    """The same as entries. Raises LyceumError for an unknown format, too."""
    value = raw(path, attribute)
    return unpack(value) if value else ()


def write(descriptor: int, attribute: str, acl: Acl) -> None:
    """Set an ACL of an open file, or remove its default ACL when `acl` is empty. Raises NoAclError and OSError.

    A minimal access ACL becomes the mode: the kernel keeps nothing else of it.
    """
    try:
        if acl:
            os.setxattr(descriptor, attribute, pack(acl))
        else:
            os.removexattr(descriptor, attribute)
    except OSError as exc:
        if exc.errno == errno.ENODATA:
            return
        if exc.errno == errno.EOPNOTSUPP:
            raise NoAclError("its file system has no POSIX ACLs") from exc
        raise


def permissions_text(permissions: int) -> str:
    return "".join(letter if permissions & bit else "-" for letter, bit in (("r", 4), ("w", 2), ("x", 1)))


def entry_text(entry: Entry, user: Callable[[int], str], group: Callable[[int], str]) -> str:
    """As getfacl prints it. user, group: names for ids."""
    name = user(entry.number) if entry.tag == USER else group(entry.number) if entry.tag == GROUP else ""
    return f"{_WORDS[entry.tag]}:{name}:{permissions_text(entry.permissions)}"


def parse_entry(text: str) -> tuple[int, str, int]:
    """(tag, name or number, permissions) of one line such as `user:amartin:rwX`; X counts as x.

    Raises LyceumError saying what is wrong.
    """
    kinds = {"u": "user", "g": "group", "m": "mask", "o": "other"}
    kind, _, rest = text.partition(":")
    name, colon, letters = rest.partition(":")
    kind = kinds.get(kind, kind)
    if not colon or kind not in kinds.values():
        raise LyceumError(f"{text!r} is no ACL entry; write user:NAME:rwx, group:NAME:r-x, mask::rwx or other::---")
    if name and kind in ("mask", "other"):
        raise LyceumError(f"{text!r}: {kind} takes no name")
    chosen = letters.replace("-", "").lower()
    if not letters or sorted(chosen) != sorted(set(chosen) & set("rwx")):
        raise LyceumError(f"{text!r}: permissions are letters of rwx and -, not {letters!r}")
    permissions = sum({"r": 4, "w": 2, "x": 1}[letter] for letter in chosen)
    tags = {"user": USER if name else USER_OBJ, "group": GROUP if name else GROUP_OBJ, "mask": MASK, "other": OTHER}
    return tags[kind], name, permissions
