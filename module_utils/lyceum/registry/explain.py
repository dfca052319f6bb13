# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person is, may and has, and why: plain data for `./lyceum explain` and `./lyceum list`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from . import limits, sshkeys
from .model import Person, Project, Registry
from .projection import registry_for

_HOST_RESULT = re.compile(r"^(\S+) \| SUCCESS => ", re.MULTILINE)


def person(registry: Registry, name: str) -> dict[str, Any]:
    """Everything the registry says about one person. LyceumError when there is none of this name.

    {person: identity, state, reason, access_from, keys: [...], projects: [{name, role, live}],
     limits: {key: {value (None: unlimited), unit, layer, trail: [{layer, value}, ...]}}}
    """
    found = registry.person(name)
    state, reason = found.effective_state(registry.today)
    default = registry.affiliations[found.affiliation].access if found.affiliation else "none"
    return {
        "person": _identity(found),
        "state": state,
        "reason": reason,
        "access_from": f"as for every {found.affiliation}" if found.access == default else "the person's own",
        "keys": [_key(line) for line in found.ssh_keys],
        "projects": [
            {"name": project.name, "role": _role(project, name), "live": project.live(registry.today)}
            for project in registry.projects
            if name in project.people()
        ],
        "limits": {key: _limit(key, limit) for key, limit in sorted(limits.effective(registry, name).items())},
    }


def hosts_argv(inventory: str) -> list[str]:
    """The command that says which hosts have accounts and whose; it contacts none of them."""
    return [
        "env", "ANSIBLE_CALLBACK_RESULT_FORMAT=json", "ansible", "accounts", "-i", inventory,
        "-m", "ansible.builtin.debug", "-a", "msg={{ [accounts_allowed_groups, accounts_profiles] }}",
    ]  # fmt: skip


def parse_hosts(output: str) -> dict[str, tuple[list[str], list[str]]]:
    """host -> (groups allowed on it, [] for everyone; access profiles it serves), from the output of `hosts_argv`."""
    found = {}
    for match in _HOST_RESULT.finditer(output):
        result, _ = json.JSONDecoder().raw_decode(output, match.end())
        allowed, profiles = result["msg"]
        found[match[1]] = ([str(group) for group in allowed], [str(profile) for profile in profiles])
    return dict(sorted(found.items()))


def hosts(
    raw: Mapping[str, Any],
    name: str,
    rules_by_host: Mapping[str, tuple[Sequence[str], Sequence[str]]],
    *,
    today: date,
) -> list[dict[str, str]]:
    """What a person has on each host, as the role `accounts` would make it: {host, account, why}.

    rules_by_host: see `parse_hosts`.
    """
    rows = []
    for host, (allowed, profiles) in rules_by_host.items():
        [account] = registry_for(raw, "accounts", today=today, only=name, allowed_groups=allowed, profiles=profiles)
        keys, access = len(account["ssh_keys"]), account["access"]
        login = account["shell"] if access == "shell" else f"access {access}"
        what = {
            "present": f"account, {login}, {keys} key{'' if keys == 1 else 's'}",
            "suspended": "no login; what exists stays",
            "absent": "removed, home archived",
        }[account["state"]]
        matching = sorted(set(allowed) & set(account["groups"]))
        why = account["reason"] or (
            f"in {', '.join(matching)}, allowed here" if allowed else "everyone may use this host"
        )
        if account["state"] == "present" and access not in profiles:
            why = f"the host does not serve access {access} (role sshd_jail); {why}"
        rows.append({"host": host, "account": what, "why": why})
    return rows


def rows(registry: Registry, section: str) -> list[dict[str, Any]]:
    """One flat mapping per entry of people, groups, projects or limits, for tables and JSON."""
    return {"people": _people, "groups": _groups, "projects": _projects, "limits": _limits}[section](registry)


def _people(registry: Registry) -> list[dict[str, Any]]:
    return [
        {
            "name": found.name,
            "uid": found.uid,
            "state": found.effective_state(registry.today)[0],
            "affiliation": found.affiliation,
            "access": found.access,
            "groups": registry.unix_groups_of(found),
            "keys": len(found.ssh_keys),
            "ends": _iso(found.ends),
            "full_name": found.full_name,
            "why": found.effective_state(registry.today)[1],
        }
        for found in registry.people
    ]


def _groups(registry: Registry) -> list[dict[str, Any]]:
    members: dict[str, list[str]] = {}
    for found in registry.people:
        for name in found.groups:
            members.setdefault(name, []).append(found.name)
    return [
        {
            "name": group.name,
            "gid": group.gid,
            "state": group.state,
            "members": members.get(group.name, []),
            "description": group.description,
        }
        for group in registry.groups
    ]


def _projects(registry: Registry) -> list[dict[str, Any]]:
    return [
        {
            "name": project.name,
            "gid": project.gid,
            "state": project.state,
            "live": "yes" if project.live(registry.today) else "no",
            "owner": project.owner,
            "members": dict(project.members),
            "ends": _iso(project.ends),
            "description": project.description,
        }
        for project in registry.projects
    ]


def _limits(registry: Registry) -> list[dict[str, Any]]:
    found = []
    for key, about in limits.KEYS.items():
        columns: dict[str, Any] = {"limit": key, "unit": about.unit}
        for name, values in {"defaults": registry.limits.defaults, **registry.limits.affiliations}.items():
            columns[name] = ("unlimited" if values[key] is None else values[key]) if key in values else None
        columns["exceptions"] = [
            f"{exception.person} {exception.limits[key]} until {exception.expires}"
            for exception in registry.limits.exceptions
            if key in exception.limits and exception.live(registry.today)
        ]
        found.append(columns)
    return found


def _identity(found: Person) -> dict[str, Any]:
    return {
        "name": found.name,
        "uid": found.uid,
        "gid": found.gid,
        "full_name": found.full_name,
        "email": found.email,
        "affiliation": found.affiliation,
        "aliases": list(found.aliases),
        "access": found.access,
        "shell": found.shell,
        "home": found.home,
        "starts": _iso(found.starts),
        "ends": _iso(found.ends),
        "groups": list(found.groups),
        "services": sorted(found.services),
    }


def _key(line: str) -> dict[str, Any]:
    key = sshkeys.parse(line)
    return {"fingerprint": key.fingerprint, "type": key.type, "bits": key.bits, "comment": key.comment}


def _limit(key: str, limit: limits.Effective) -> dict[str, Any]:
    return {
        "value": limit.value,
        "unit": limits.KEYS[key].unit if key in limits.KEYS else "",
        "layer": limit.layer,
        "trail": [{"layer": layer, "value": value} for layer, value in limit.trail],
    }


def _role(project: Project, name: str) -> str:
    return "owner" if project.owner == name else project.members[name]


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
