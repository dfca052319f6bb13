# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is in groups that are as good as root (docker): nobody whom the registry does not call an admin should be."""

from __future__ import annotations

import grp
import pwd
import subprocess
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ..errors import CommandError

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}


@dataclass(frozen=True)
class Membership:
    """Somebody in a group who should not be. primary: it is the account's own group, which is not changed here."""

    group: str
    name: str
    primary: bool

    @property
    def sentence(self) -> str:
        how = "has it as primary group" if self.primary else "is a member"
        return f"group {self.group} is as good as root: {self.name} {how} and is no admin of the registry"


def observe(groups: Sequence[str], admins: Collection[str]) -> list[Membership]:
    """Everybody in one of the groups who is neither root nor an admin, sorted."""
    found = []
    for name in groups:
        try:
            group = grp.getgrnam(name)
        except KeyError:
            continue
        primary = {entry.pw_name for entry in pwd.getpwall() if entry.pw_gid == group.gr_gid}
        allowed = {"root", *admins}
        found += [Membership(name, who, who in primary) for who in {*primary, *group.gr_mem} - allowed]
    return sorted(found, key=lambda item: (item.group, item.name))


def removable(drift: Sequence[Membership]) -> list[Membership]:
    return [item for item in drift if not item.primary]


def remove(item: Membership) -> None:
    """Take somebody out of a group. Raises CommandError."""
    argv = ["gpasswd", "--delete", item.name, item.group]
    try:
        done = subprocess.run(argv, capture_output=True, env=ENVIRONMENT, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise CommandError(f"cannot take {item.name} out of group {item.group}: {exc}") from exc
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip()[-300:]
        raise CommandError(f"cannot take {item.name} out of group {item.group}: {words}")
