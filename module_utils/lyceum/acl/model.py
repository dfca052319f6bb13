# SPDX-License-Identifier: GPL-3.0-or-later
"""What directories and links should look like, from parameters with names to objects with numbers."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Union

from ..errors import LyceumError
from . import posix
from .posix import Acl, Entry

SEALED_MODE = 0o700


@dataclass(frozen=True)
class Directory:
    """special: setuid, setgid and sticky bits. default: empty for none. create: whether to make it when it is missing.

    recurse: also own what is in it, see contents.py. person: whose it is, "" for nobody's in particular.
    """

    path: str
    owner: int
    group: int
    special: int
    access: Acl
    default: Acl
    create: bool
    recurse: bool
    sealed: bool
    person: str

    @property
    def mode(self) -> int:
        """As stat(2) shows it."""
        return self.special | posix.mode_of(self.access)


@dataclass(frozen=True)
class Link:
    """A symbolic link. create: as for a directory."""

    path: str
    target: str
    create: bool
    person: str


@dataclass(frozen=True)
class Folder:
    """A directory in which everything should be listed. links: where links in it point to that may be removed."""

    path: str
    links: str


Wanted = Union[Directory, Link]


@dataclass(frozen=True)
class Spec:
    """wanted: parents before what is in them. nameless: path -> which name in its entry nobody has on this host.

    people: path -> whose it is, for every path that is somebody's.
    """

    wanted: tuple[Wanted, ...]
    folders: tuple[Folder, ...]
    nameless: Mapping[str, str]
    people: Mapping[str, str]


class UnknownNameError(LyceumError):
    """Nobody on this host has that name (yet). The message completes "once ..."."""


class Names:
    """Users and groups of the host, read once; a name or an id that is not in that list is looked up by itself."""

    def __init__(self) -> None:
        self._uids = {entry.pw_name: entry.pw_uid for entry in reversed(pwd.getpwall())}
        self._gids = {entry.gr_name: entry.gr_gid for entry in reversed(grp.getgrall())}
        self._users = {uid: name for name, uid in self._uids.items()}
        self._groups = {gid: name for name, gid in self._gids.items()}

    def uid(self, name: str) -> int:
        """Raises UnknownNameError, which says what is missing."""
        if name.isdecimal():
            return int(name)
        try:
            return self._uids[name] if name in self._uids else pwd.getpwnam(name).pw_uid
        except KeyError:
            raise UnknownNameError(f"there is an account {name}") from None

    def gid(self, name: str) -> int:
        """See uid."""
        if name.isdecimal():
            return int(name)
        try:
            return self._gids[name] if name in self._gids else grp.getgrnam(name).gr_gid
        except KeyError:
            raise UnknownNameError(f"there is a group {name}") from None

    def user(self, uid: int) -> str:
        """The name, or the number of a uid that has none."""
        return self._users.get(uid) or str(uid)

    def group(self, gid: int) -> str:
        return self._groups.get(gid) or str(gid)

    def entry_text(self, entry: Entry) -> str:
        return posix.entry_text(entry, self.user, self.group)


def spec_from_params(params: Mapping[str, Any], names: Names) -> Spec:
    """Build from the module's parameters. Raises LyceumError naming the entry that makes no sense."""
    wanted: dict[str, Wanted] = {}
    nameless: dict[str, str] = {}
    for entry in params["entries"]:
        path = checked_path(entry["path"])
        if path in wanted or path in nameless:
            raise LyceumError(f"{path} is listed twice")
        if entry["target"] is not None:
            wanted[path] = _link(path, entry)
            continue
        try:
            wanted[path] = _directory(path, entry, names)
        except UnknownNameError as exc:
            nameless[path] = str(exc)
    return Spec(
        wanted=tuple(wanted[path] for path in sorted(wanted)),
        folders=tuple(Folder(checked_path(item["path"]), item["links"] or "") for item in params["folders"]),
        nameless=nameless,
        people={entry["path"]: entry["person"] for entry in params["entries"] if entry["person"]},
    )


def checked_path(path: str) -> str:
    """The path itself. Raises LyceumError for one that is relative, ambiguous or the root directory."""
    if not path.startswith("/") or path == "/" or os.path.normpath(path) != path:
        raise LyceumError(f"{path!r}: write an absolute path without `..`, `//` or a slash at the end, other than /")
    return path


def _link(path: str, entry: Mapping[str, Any]) -> Link:
    given = [key for key in ("mode", "acl", "default_acl") if entry[key]] + ["recurse"] * entry["recurse"]
    given += ["state sealed"] * (entry["state"] == "sealed")
    if given or not entry["target"]:
        raise LyceumError(f"{path}: a link has a target and no {', '.join(given) or 'empty one'}")
    return Link(path, entry["target"], entry["create"], entry["person"] or "")


def _directory(path: str, entry: Mapping[str, Any], names: Names) -> Directory:
    person = entry["person"] or ""
    if entry["state"] == "sealed":
        closed = posix.minimal(SEALED_MODE)
        return Directory(path, 0, 0, 0, closed, (), create=entry["create"], recurse=False, sealed=True, person=person)
    mode = _mode(path, entry["mode"])
    owner, group = names.uid(entry["owner"]), names.gid(entry["group"])
    access = posix.complete(mode, _entries(path, entry["acl"] or (), names))
    default: Acl = ()
    if entry["default_acl"] is not None:
        default = posix.complete(mode, _entries(path, entry["default_acl"], names))
    special = mode & (stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX)
    return Directory(
        path, owner, group, special, access, default,
        create=entry["create"], recurse=entry["recurse"], sealed=False, person=person,
    )  # fmt: skip


def _mode(path: str, text: str | None) -> int:
    try:
        mode = int(text or "", 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o7777:
        raise LyceumError(f'{path}: mode must be octal digits in quotes, such as "2770", not {text!r}')
    return mode


def _entries(path: str, texts: Iterable[str], names: Names) -> list[Entry]:
    entries: dict[tuple[int, int], Entry] = {}
    for text in texts:
        try:
            tag, name, permissions = posix.parse_entry(text)
        except LyceumError as exc:
            raise LyceumError(f"{path}: {exc}") from None
        number = posix.NO_ID
        if tag in (posix.USER, posix.GROUP):
            number = names.uid(name) if tag == posix.USER else names.gid(name)
        if (tag, number) in entries:
            raise LyceumError(f"{path}: {text!r} is in the ACL twice")
        entries[tag, number] = Entry(tag, permissions, number)
    return list(entries.values())
