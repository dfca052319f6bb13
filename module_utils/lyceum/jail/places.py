# SPDX-License-Identifier: GPL-3.0-or-later
"""Which directories of the host a confined person sees, and under which names."""

# No Path objects: see policy.py.
# ruff: noqa: PTH112, PTH116, PTH120

from __future__ import annotations

import os
import stat
from typing import NamedTuple

from ..errors import LyceumError
from .policy import Person

# Nobody's data: seeing one of these, or anything that contains one, would be seeing the system or everybody.
SYSTEM = frozenset(
    {"bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "proc", "root", "run", "sbin", "sys", "tmp", "usr"}
)
SHARED = ("/home", "/mnt", "/media", "/opt", "/srv", "/srv/projects", "/srv/scratch", "/var", "/var/lib")


class Place(NamedTuple):
    """A directory seen at its own path."""

    path: str
    writable: bool


def visible(person: Person) -> tuple[list[Place], dict[str, str]]:
    """The directories, parents first, and links (name -> path) for those that have another name on the host.

    Directories that do not exist are left out: a project may not have its storage yet. The home must exist.
    Raises LyceumError for a directory that would show more than data of people, or that somebody could exchange for a
    link to one between this look and the mount.
    """
    found: dict[str, bool] = {}
    links = {}
    for path, writable in [*((path, False) for path in person.read), *((path, True) for path in person.write)]:
        real = os.path.realpath(path)
        if not os.path.isdir(real):
            continue
        _refuse_system(path, real)
        _refuse_movable(path, real)
        found[real] = writable
        if real != path:
            links[path] = real
    home = os.path.realpath(person.home)
    if not os.path.isdir(home):
        raise LyceumError(f"there is no home directory {person.home}")
    if home != person.home:
        links[person.home] = home
    _refuse_system(person.home, home)
    _refuse_movable(person.home, home)
    found[home] = True
    return [Place(path, found[path]) for path in sorted(found)], links


def _refuse_system(path: str, real: str) -> None:
    if real == "/" or real.split("/")[1] in SYSTEM or real in SHARED:
        raise LyceumError(f"{path} is not a directory of one person or group, so it cannot be shown to a confined one")


def _refuse_movable(path: str, real: str) -> None:
    """Only root may be able to change where a name leads, so nobody else may write to any directory above it."""
    for name in dict.fromkeys([path, real]):
        while name != "/":
            name = os.path.dirname(name)
            if _others_write(name):
                raise LyceumError(f"{path} could be exchanged for something else by whoever may write to {name}")


def _others_write(directory: str) -> bool:
    """Whether somebody but root may write to it. ACLs count: their mask stands in the mode."""
    info = os.stat(directory)
    return info.st_uid != 0 or bool(info.st_mode & (stat.S_IWGRP | stat.S_IWOTH))
