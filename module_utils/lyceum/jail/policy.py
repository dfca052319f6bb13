# SPDX-License-Identifier: GPL-3.0-or-later
"""What root has written down about confined logins: one file for the host, one for each person.

Read at every login, so nothing slow is imported here (dataclasses and pathlib would double the time). A file that is
missing, that somebody else could have written, or that says something unknown means: no login.
"""

from __future__ import annotations

import json
import os
import stat
from typing import Any, NamedTuple

from ..errors import LyceumError

HOST_FILE = "/etc/lyceum/sshd_jail.json"
PEOPLE_DIRECTORY = "/etc/lyceum/sshd_jail.d"
PROFILES = ("sftp", "rsync", "jail")
MOST_BYTES = 1 << 20


class Host(NamedTuple):
    """What holds for everybody on this host.

    shell: what runs inside. network: whether jails share the host's. system: paths seen read-only besides /usr and
    /etc. hidden: paths that are empty inside. devices: device files seen inside. sftp_server: the program inside.
    """

    shell: str
    network: bool
    system: list[str]
    hidden: list[str]
    devices: list[str]
    sftp_server: str


class Person(NamedTuple):
    """What one person may see: write and read are directories; those that are not there are left out."""

    uid: int
    profile: str
    home: str
    write: list[str]
    read: list[str]


def load_host(path: str = HOST_FILE) -> Host:
    """Raises LyceumError."""
    raw = _load(path)
    lists = {key: _paths(path, raw, key) for key in ("system", "hidden", "devices")}
    host = Host(
        shell=_path(path, raw.get("shell")),
        network=raw.get("network") is True,
        sftp_server=_path(path, raw.get("sftp_server")),
        **lists,
    )
    _no_more(path, raw, Host._fields)
    return host


def load_person(name: str, uid: int, directory: str = PEOPLE_DIRECTORY) -> Person:
    """Raises LyceumError, also when the file is about another uid: a login name may have changed hands."""
    if name.startswith(".") or "/" in name:
        raise LyceumError(f"{name!r} is not a login name")
    path = f"{directory}/{name}.json"
    raw = _load(path)
    if raw.get("uid") != uid:
        raise LyceumError(f"{path} is about uid {raw.get('uid')}, not {uid}")
    if raw.get("profile") not in PROFILES:
        raise LyceumError(f"{path}: profile {raw.get('profile')!r} is none of {', '.join(PROFILES)}")
    person = Person(
        uid=uid,
        profile=raw["profile"],
        home=_path(path, raw.get("home")),
        write=_paths(path, raw, "write"),
        read=_paths(path, raw, "read"),
    )
    _no_more(path, raw, Person._fields)
    return person


def _load(path: str) -> dict[str, Any]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as exc:
        raise LyceumError(f"cannot read {path}: {exc.strerror}") from exc
    try:
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode) or info.st_uid != 0 or info.st_mode & 0o022:
            raise LyceumError(f"{path} could have been written by somebody else than root")
        raw = json.loads(os.read(descriptor, MOST_BYTES))
    except ValueError as exc:
        raise LyceumError(f"{path} is not JSON: {exc}") from exc
    finally:
        os.close(descriptor)
    if not isinstance(raw, dict):
        raise LyceumError(f"{path} is not a JSON object")
    return raw


def _path(where: str, value: Any) -> str:
    """An absolute path without detours, so that comparing text compares places."""
    if not isinstance(value, str) or not value.startswith("/") or "\0" in value or value != os.path.normpath(value):
        raise LyceumError(f"{where}: {value!r} is not a plain absolute path")
    return value


def _paths(where: str, raw: dict[str, Any], key: str) -> list[str]:
    values = raw.get(key)
    if not isinstance(values, list):
        raise LyceumError(f"{where}: {key} is not a list")
    return [_path(where, value) for value in values]


def _no_more(where: str, raw: dict[str, Any], known: tuple[str, ...]) -> None:
    unknown = sorted(set(raw) - set(known))
    if unknown:
        raise LyceumError(f"{where}: unknown key {unknown[0]!r}")
