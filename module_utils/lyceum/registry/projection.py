# SPDX-License-Identifier: GPL-3.0-or-later
"""What one role sees of the registry: exactly the keys it needs, dates and access already decided.

Roles never see the whole registry. Whatever is not decided here is closed: no keys, no shell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from ..errors import LyceumError
from .model import Person, Registry
from .suggest import did_you_mean

NO_LOGIN = "/usr/sbin/nologin"


@dataclass(frozen=True)
class Options:
    """only: names of the people wanted, or None for all.
    extra_keys: name -> public keys to add to those of the registry (the lab's throw-away identities).
    allowed_groups: groups or projects whose members may use the host; empty for everyone.
    """

    only: tuple[str, ...] | None
    extra_keys: Mapping[str, Iterable[str]]
    allowed_groups: frozenset[str]


def registry_for(
    raw: Mapping[str, Any],
    role: str,
    *,
    today: date,
    only: str | Iterable[str] | None = None,
    extra_keys: Mapping[str, Iterable[str]] | None = None,
    allowed_groups: Iterable[str] | None = None,
) -> list[dict[str, Any]]:
    """The entries of a valid registry that `role` works with, in the order of the registry.

    only: one name or several; LyceumError for a name that is not in the registry.
    LyceumError for an unknown role.
    """
    if role not in ROLES:
        raise LyceumError(
            f"registry_for has nothing for {role!r}.{did_you_mean(role, ROLES)} It serves {', '.join(ROLES)}."
        )
    registry = Registry.from_raw(raw, today=today)
    names = None if only is None else tuple(dict.fromkeys([only] if isinstance(only, str) else only))
    for name in names or ():
        registry.person(name)
    return ROLES[role](registry, Options(names, extra_keys or {}, frozenset(allowed_groups or ())))


def _accounts(registry: Registry, options: Options) -> list[dict[str, Any]]:
    people = registry.people if options.only is None else tuple(registry.person(name) for name in options.only)
    return [_account(registry, person, options) for person in people]


def _account(registry: Registry, person: Person, options: Options) -> dict[str, Any]:
    state, reason = person.effective_state(registry.today)
    groups = registry.unix_groups_of(person)
    if state == "present" and options.allowed_groups and options.allowed_groups.isdisjoint(groups):
        state, reason = "suspended", f"in none of the groups allowed here: {', '.join(sorted(options.allowed_groups))}"
    shell = person.access == "shell"
    keys = [*person.ssh_keys, *options.extra_keys.get(person.name, ())] if shell and state == "present" else []
    return {
        "name": person.name,
        "uid": person.uid,
        "gid": person.gid,
        "gecos": person.full_name,
        # Profiles other than shell are closed until the role that serves them opens them.
        "shell": person.shell if shell else NO_LOGIN,
        "home": person.home,
        "groups": groups,
        "state": state,
        "reason": reason,
        "expires": None if person.ends is None else person.ends.isoformat(),
        # Nobody who could not log in needs a new account; one that exists stays, locked.
        "create": state == "present",
        "migrate_uid": person.migrate_uid,
        "ssh_keys": [key.strip() for key in keys],
    }


def _account_groups(registry: Registry, options: Options) -> list[dict[str, Any]]:
    found = [(group.name, group.gid, group.state) for group in registry.groups]
    found += [(project.name, project.gid, project.state) for project in registry.projects]
    if options.only is not None:
        wanted = {group for name in options.only for group in registry.unix_groups_of(registry.person(name))}
        found = [group for group in found if group[0] in wanted]
    return [{"name": name, "gid": gid, "state": state, "extra_members": []} for name, gid, state in found]


def _uid_ranges(registry: Registry, options: Options) -> list[dict[str, Any]]:
    people = registry.id_ranges["people"]
    return [{"first": people.first, "last": people.last}]


ROLES: Mapping[str, Callable[[Registry, Options], list[dict[str, Any]]]] = {
    "accounts": _accounts,
    "accounts_groups": _account_groups,
    "accounts_uid_ranges": _uid_ranges,
}
