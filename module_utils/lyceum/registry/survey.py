# SPDX-License-Identifier: GPL-3.0-or-later
"""What survey.sh found on a host: its accounts, groups, expiry dates and public keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from ..errors import LyceumError

SCRIPT = Path(__file__).with_name("survey.sh")
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class Account:
    """expires: last day of access, or None. locked: an administrator locked the password. keys: lines as found."""

    name: str
    uid: int
    gid: int
    gecos: str
    home: str
    shell: str
    expires: date | None = None
    locked: bool = False
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class HostGroup:
    name: str
    gid: int
    members: tuple[str, ...]


@dataclass(frozen=True)
class Survey:
    """notes: what the host itself had to say, e.g. that the script did not run as root."""

    accounts: tuple[Account, ...] = ()
    groups: tuple[HostGroup, ...] = ()
    uid_min: int = 1000
    notes: tuple[str, ...] = ()


def parse(text: str) -> Survey:
    """Read the output of survey.sh. LyceumError when it is cut off or a line cannot be read."""
    facts: dict[str, list[str]] = {}
    for line in text.replace("\r\n", "\n").split("\n"):
        kind, colon, rest = line.partition(":")
        if colon:
            facts.setdefault(kind, []).append(rest)
    if "end" not in facts:
        raise LyceumError("The answer of the host is cut off: its last line must be `end:`. Run survey.sh again.")
    try:
        return _survey(facts)
    except (ValueError, IndexError, OverflowError) as error:
        raise LyceumError(f"The answer of the host has a line that cannot be read: {error}") from error


def _survey(facts: Mapping[str, list[str]]) -> Survey:
    shadow = {}
    for line in facts.get("shadow", []):
        name, state, expires = line.rsplit(":", 2)
        # PAM refuses from the day in shadow(5) on (seen on Debian 12 and 13): the last day of access is the one before.
        days = int(expires or 0) - 1
        shadow[name] = (state == "locked", _EPOCH + timedelta(days=days) if days >= 0 else None)
    keys: dict[str, list[str]] = {}
    for line in facts.get("key", []):
        name, _, key = line.partition(":")
        keys.setdefault(name, []).append(key)
    accounts = []
    for line in facts.get("passwd", []):
        if not line:
            continue
        name, _, uid, gid, gecos, home, shell = line.split(":")
        locked, ends = shadow.get(name, (False, None))
        found = tuple(dict.fromkeys(keys.get(name, [])))
        accounts.append(Account(name, int(uid), int(gid), gecos, home, shell, ends, locked, found))
    groups = []
    for line in facts.get("group", []):
        name, _, gid, members = line.split(":")
        groups.append(HostGroup(name, int(gid), tuple(member for member in members.split(",") if member)))
    return Survey(
        accounts=tuple(sorted(accounts, key=lambda account: (account.uid, account.name))),
        groups=tuple(sorted(groups, key=lambda group: group.gid)),
        uid_min=int(facts.get("uid_min", ["1000"])[0]),
        notes=tuple(facts.get("note", [])),
    )
