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
from . import limits, service_projection
from .model import ACCESS_PROFILES, Person, Project, Registry, Tree
from .suggest import did_you_mean

NO_LOGIN = "/usr/sbin/nologin"
JAIL = "/usr/local/lib/lyceum/sshd_jail/jail"
"""The program of role sshd_jail that confines a login. As login shell it also confines what does not come by SSH."""

SHELLS: Mapping[str, str] = {"sftp": NO_LOGIN, "rsync": JAIL, "jail": JAIL}
"""Login shell of the profiles that are let in without a shell of the person's choice; none and git are not let in."""

EVERYBODY = "lyceum-people"
"""The group of all people of the registry, and of nobody else: what they share is shared with no service of a host."""

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Options:
    """only: names of the people wanted, or None for all.
    extra_keys: name -> public keys to add to those of the registry (the lab's throw-away identities).
    allowed_groups: groups or projects whose members may use the host; empty for everyone.
    profiles: access profiles that the host serves. Whoever has another one is kept out.
    """

    only: tuple[str, ...] | None
    extra_keys: Mapping[str, Iterable[str]]
    allowed_groups: frozenset[str]
    profiles: frozenset[str]


def registry_for(
    raw: Mapping[str, Any],
    role: str,
    *,
    today: date,
    only: str | Iterable[str] | None = None,
    extra_keys: Mapping[str, Iterable[str]] | None = None,
    allowed_groups: Iterable[str] | None = None,
    profiles: Iterable[str] = ("shell",),
) -> Any:
    """The entries of a valid registry that `role` works with, in the order of the registry: a list, or lists by name.

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
    return ROLES[role](registry, Options(names, extra_keys or {}, frozenset(allowed_groups or ()), frozenset(profiles)))


def _people(registry: Registry, options: Options) -> tuple[Person, ...]:
    return registry.people if options.only is None else tuple(registry.person(name) for name in options.only)


def _state(registry: Registry, person: Person, options: Options) -> tuple[str, str]:
    """(state on the host, why): nobody is present where none of their groups is allowed."""
    state, reason = person.effective_state(registry.today)
    allowed = options.allowed_groups
    if state == "present" and allowed and allowed.isdisjoint(registry.unix_groups_of(person)):
        return "suspended", f"in none of the groups allowed here: {', '.join(sorted(allowed))}"
    return state, reason


def _present(registry: Registry, options: Options) -> set[str]:
    """Everybody who is present on the host, whoever the run is about."""
    return {person.name for person in registry.people if _state(registry, person, options)[0] == "present"}


def _admins(registry: Registry, options: Options) -> list[str]:
    """Who runs the machine; not who did, or will again."""
    present = _present(registry, options)
    return [person.name for person in registry.people if person.affiliation == "admin" and person.name in present]


def _accounts(registry: Registry, options: Options) -> Rows:
    return [_account(registry, person, options) for person in _people(registry, options)]


def _account(registry: Registry, person: Person, options: Options) -> dict[str, Any]:
    state, reason = _state(registry, person, options)
    groups = sorted([*registry.unix_groups_of(person), EVERYBODY])
    if person.access in options.profiles and person.access != "shell":
        groups = sorted([*groups, f"lyceum-{person.access}"])
    shell = NO_LOGIN
    if person.access in options.profiles:
        shell = person.shell if person.access == "shell" else SHELLS.get(person.access, NO_LOGIN)
    let_in = state == "present" and person.access in options.profiles and person.access not in ("none", "git")
    keys = [*person.ssh_keys, *options.extra_keys.get(person.name, ())] if let_in else []
    return {
        "name": person.name,
        "uid": person.uid,
        "gid": person.gid,
        "gecos": person.full_name,
        "access": person.access,
        "shell": shell,
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


def _account_groups(registry: Registry, options: Options) -> Rows:
    found = [(group.name, group.gid, group.state) for group in registry.groups]
    found += [(project.name, project.gid, project.state) for project in registry.projects]
    if options.only is not None:
        wanted = {group for name in options.only for group in registry.unix_groups_of(registry.person(name))}
        found = [group for group in found if group[0] in wanted]
    first = registry.id_ranges["access"].first
    found += [
        (f"lyceum-{profile}", first + number, "present")
        for number, profile in enumerate(ACCESS_PROFILES[:-1])
        if profile in options.profiles
    ]
    found.append((EVERYBODY, first + len(ACCESS_PROFILES) - 1, "present"))
    return [{"name": name, "gid": gid, "state": state, "extra_members": []} for name, gid, state in found]


def _uid_ranges(registry: Registry, options: Options) -> Rows:
    people = registry.id_ranges["people"]
    return [{"first": people.first, "last": people.last}]


def _limits_of(registry: Registry, name: str, keys: Iterable[str]) -> dict[str, Any]:
    """Effective limits of a person. A key that nobody sets is not in it; None is unlimited."""
    found = limits.effective(registry, name)
    return {key: found[key].value for key in keys if key in found}


def _storage(registry: Registry, options: Options) -> dict[str, Any]:
    people = _people(registry, options)
    present = _present(registry, options)
    mine = None if options.only is None else {person.name for person in people}
    return {
        "people": [
            {
                "name": person.name,
                "uid": person.uid,
                "gid": person.gid,
                "home": person.home,
                "email": person.email,
                "affiliation": person.affiliation,
                "state": _state(registry, person, options)[0],
                "limits": _limits_of(registry, person.name, ("home_gib", "home_files", "scratch_gib", "scratch_files")),
            }
            for person in people
        ],
        # Of everybody: what is one person's to read may be another's to write.
        "uids": {person.name: person.uid for person in registry.people},
        "projects": [
            _project(registry, project, present)
            for project in registry.projects
            if mine is None or not mine.isdisjoint(project.people())
        ],
        "admins": _admins(registry, options),
        "groups": [{"name": group.name, "gid": group.gid, "state": group.state} for group in registry.groups],
        "trees": [_tree(registry, tree, present) for tree in registry.trees if _concerns(registry, tree, mine)],
    }


def _project(registry: Registry, project: Project, present: set[str]) -> dict[str, Any]:
    live = project.live(registry.today)
    over = "removed in the registry" if project.state == "absent" else "not running today"
    found = limits.effective_project(registry, project.name)
    return {
        "name": project.name,
        "gid": project.gid,
        "state": "present" if live else "sealed",
        "reason": "" if live else over,
        # Before it begins and after its end it has a directory, closed; once removed, only what there is left.
        "create": project.state == "present",
        "owner": project.owner,
        "write": [name for name in project.writers() if live and name in present],
        "read": [
            name
            for name, mode in project.members.items()
            if live and mode == "read" and name in present and name != project.owner
        ],
        "limits": {key: found[key].value for key in ("storage_gib", "storage_files") if key in found},
    }


def _concerns(registry: Registry, tree: Tree, mine: set[str] | None) -> bool:
    if mine is None or tree.strategy == "user_subdirs":
        return True
    groups = {group for name in mine for group in registry.unix_groups_of(registry.person(name))}
    return not (mine | groups).isdisjoint((tree.owner, tree.group, *tree.write, *tree.read))


def _tree(registry: Registry, tree: Tree, present: set[str]) -> dict[str, Any]:
    groups = {person.name: registry.unix_groups_of(person) for person in registry.people}

    def entries(names: Iterable[str]) -> list[str]:
        return [
            f"person:{name}" if name in groups else f"group:{name}"
            for name in names
            if name not in groups or name in present
        ]

    # Whoever writes through a group is no reader: in an ACL the entry of a person counts for more than that of a group.
    writing = {*tree.write, tree.group}
    read = [name for name in tree.read if writing.isdisjoint((name, *groups.get(name, ())))]
    write = list(tree.write)
    if tree.strategy == "user_subdirs" and writing != {""}:
        write = [name for name, own in groups.items() if not writing.isdisjoint((name, *own))]
    elif tree.strategy == "user_subdirs":
        write = list(groups)
    return {
        "path": tree.path,
        "strategy": tree.strategy,
        "owner": tree.owner if tree.owner in present else "",
        "group": tree.group,
        "write": entries(write),
        "read": entries(read),
        "state": tree.state,
    }


def _slices(registry: Registry, options: Options) -> Rows:
    keys = ("cpu_cores", "cpu_weight", "memory_gib", "memory_swap_gib", "tasks", "io_weight")
    return [
        {
            "name": person.name,
            "uid": person.uid,
            "affiliation": person.affiliation,
            "state": _state(registry, person, options)[0],
            "limits": _limits_of(registry, person.name, keys),
            "affiliation_cpu_cores": registry.limits.affiliation_totals.get(person.affiliation, {}).get("cpu_cores"),
        }
        for person in _people(registry, options)
    ]


def _containers(registry: Registry, options: Options) -> dict[str, Any]:
    keys = ("containers", "container_memory_gib", "container_cpu_cores", "idle_minutes", "runtime_hours")
    return {
        "people": [
            {
                "name": person.name,
                "uid": person.uid,
                "gid": person.gid,
                "home": person.home,
                "email": person.email,
                "state": _state(registry, person, options)[0],
                "access": person.access,
                "limits": _limits_of(registry, person.name, keys),
            }
            for person in _people(registry, options)
        ],
        "admins": _admins(registry, options),
    }


def _logins(registry: Registry, options: Options) -> Rows:
    found = []
    for person in _people(registry, options):
        live = registry.live_projects_of(person.name)
        found.append(
            {
                "name": person.name,
                "uid": person.uid,
                "gid": person.gid,
                "home": person.home,
                "access": person.access,
                "state": _state(registry, person, options)[0],
                "projects": {
                    "write": [project.name for project in live if person.name in project.writers()],
                    "read": [project.name for project in live if person.name not in project.writers()],
                },
            }
        )
    return found


def _gitea(registry: Registry, options: Options) -> dict[str, Any]:
    return service_projection.gitea(registry, _people(registry, options), everybody=options.only is None)


def _postgres(registry: Registry, options: Options) -> dict[str, Any]:
    return service_projection.postgres(registry, _people(registry, options), everybody=options.only is None)


ROLES: Mapping[str, Callable[[Registry, Options], Rows | dict[str, Rows]]] = {
    "accounts": _accounts,
    "accounts_groups": _account_groups,
    "accounts_uid_ranges": _uid_ranges,
    "groups_and_acls": _storage,
    "sshd_jail": _logins,
    "cgroups": _slices,
    "containers": _containers,
    "gitea": _gitea,
    "postgres": _postgres,
}
