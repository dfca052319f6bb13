# SPDX-License-Identifier: GPL-3.0-or-later
"""From what is wanted and what is there to what has to be done. Pure: nothing here touches the system."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from posixpath import dirname, normpath

from . import posix
from .model import Directory, Folder, Link, Names, Spec, Wanted
from .observe import DIRECTORY, LINK, MISSING, Found, Observed
from .posix import Acl

NO_ACLS = (
    "its file system has no POSIX ACLs: mount it with them (option acl), or choose the strategy group_shared or"
    " user_subdirs, which need none"
)


@dataclass(frozen=True)
class Change:
    """What happens to one path. result: created or changed. before, after: lines of a diff."""

    wanted: Wanted
    found: Found
    result: str
    actions: list[str]
    before: list[str]
    after: list[str]


@dataclass
class Plan:
    """changes: in the order in which they have to be made. stale: links to remove. problems: path -> why not.

    waiting: path -> which name nobody has on this host. A preview on a new host, where accounts are still to be made,
    cannot say more.
    """

    changes: dict[str, Change] = field(default_factory=dict)
    stale: dict[str, str] = field(default_factory=dict)
    unchanged: list[str] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)
    unmanaged: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return bool(self.changes or self.stale or self.waiting)

    def actions_by_path(self) -> dict[str, list[str]]:
        return {
            **{path: change.actions for path, change in self.changes.items()},
            **{path: [f"remove link to {target}, a name no longer used"] for path, target in self.stale.items()},
            **{path: [f"set owner and permissions once {why}"] for path, why in self.waiting.items()},
        }

    def actions(self) -> list[str]:
        return [f"{path}: {action}" for path, actions in self.actions_by_path().items() for action in actions]


def plan(spec: Spec, observed: Observed, names: Names) -> Plan:
    """Compare. What is unexpected at a path is a problem of that path; the others go on."""
    result = Plan(waiting=dict(spec.nameless))
    made: set[str] = set()
    for wanted in spec.wanted:
        found = observed.paths[wanted.path]
        problem = _problem(wanted, found, made)
        if problem:
            result.problems[wanted.path] = problem
            continue
        if found.kind == MISSING and not wanted.create:
            result.unchanged.append(wanted.path)
            continue
        change = _link(wanted, found) if isinstance(wanted, Link) else _directory(wanted, found, names)
        if change is None:
            result.unchanged.append(wanted.path)
        else:
            result.changes[wanted.path] = change
            made.add(wanted.path)
    listed = {path for wanted in spec.wanted for path in _path_and_parents(wanted.path)} | spec.nameless.keys()
    for folder in spec.folders:
        _unlisted(folder, observed.children[folder.path], listed, result)
    return result


def _path_and_parents(path: str) -> Iterator[str]:
    while path != "/":
        yield path
        path = dirname(path)


def _problem(wanted: Wanted, found: Found, made: set[str]) -> str:
    """Why nothing can be done at a path, "" if something can."""
    expected = LINK if isinstance(wanted, Link) else DIRECTORY
    if found.problem:
        return found.problem
    if isinstance(wanted, Link) and found.kind == DIRECTORY:
        target = normpath(f"{dirname(wanted.path)}/{wanted.target}")
        return (
            f"{wanted.path} is a directory, not a link; it was left alone. To take over what is in it: mv -T"
            f" {wanted.path} {target}, then run again"
        )
    if found.kind not in (MISSING, expected):
        return f"{wanted.path} is {found.kind}, not {expected}; it was left alone. Move it away"
    if found.kind == MISSING:
        parent = dirname(wanted.path)
        if wanted.create and not found.parent and parent not in made:
            return f"{wanted.path}: there is no directory {parent}. Mount or make it, or list it as well"
        return ""
    if isinstance(wanted, Link):
        if dirname(found.target) != dirname(wanted.target):
            return f"{wanted.path} is a link to {found.target}, which is none of ours; it was left alone. Move it away"
        return ""
    if wanted.person and not wanted.sealed and found.owner not in (0, wanted.owner):
        return (
            f"{wanted.path} belongs to uid {found.owner}, not to {wanted.person} (uid {wanted.owner}); it was left"
            " alone. Move it away, or hand it over with chown"
        )
    if not found.acls and (posix.extended(wanted.access) or posix.extended(wanted.default)):
        return f"{wanted.path}: {NO_ACLS}"
    return ""


def _link(wanted: Link, found: Found) -> Change | None:
    after = [f"-> {wanted.target}"]
    if found.kind == MISSING:
        return Change(wanted, found, "created", [f"create link to {wanted.target}"], [], after)
    if found.target == wanted.target:
        return None
    actions = [f"link to {wanted.target} instead of {found.target}"]
    return Change(wanted, found, "changed", actions, [f"-> {found.target}"], after)


def _directory(wanted: Directory, found: Found, names: Names) -> Change | None:
    after = _lines(wanted.owner, wanted.group, wanted.special, wanted.access, wanted.default, names)
    if found.kind == MISSING:
        actions = [f"create, {names.user(wanted.owner)}:{names.group(wanted.group)} {wanted.mode:04o}"]
        actions += [f"ACL {', '.join(named)}" for named in [_named(wanted.access, names)] if named]
        actions += [f"default ACL {', '.join(map(names.entry_text, wanted.default))}"] if wanted.default else []
        return Change(wanted, found, "created", actions, [], after)
    before = _lines(found.owner, found.group, found.special, found.access, found.default, names)
    actions = list(_differences(wanted, found, names))
    if wanted.sealed and actions:
        actions = ["seal: " + ", ".join(actions)]
    if found.inside is not None and found.inside.wrong:
        wrong = found.inside.wrong
        actions.append(f"in it: {wrong} of {found.inside.looked_at} do not have what it hands down")
        before, after = [*before, f"# wrong in it: {wrong}"], [*after, "# wrong in it: 0"]
    return Change(wanted, found, "changed", actions, before, after) if actions else None


def _differences(wanted: Directory, found: Found, names: Names) -> Iterator[str]:
    if found.owner != wanted.owner:
        yield f"owner {names.user(found.owner)} -> {names.user(wanted.owner)}"
    if found.group != wanted.group:
        yield f"group {names.group(found.group)} -> {names.group(wanted.group)}"
    old_mode = found.special | posix.mode_of(found.access)
    if old_mode != wanted.mode:
        yield f"mode {old_mode:04o} -> {wanted.mode:04o}"
    if found.access != wanted.access and (posix.extended(found.access) or posix.extended(wanted.access)):
        yield f"ACL: {_acl_difference(found.access, wanted.access, names)}"
    if found.default != wanted.default:
        yield f"default ACL: {_acl_difference(found.default, wanted.default, names)}"


def _acl_difference(before: Acl, after: Acl, names: Names) -> str:
    parts = [f"remove {names.entry_text(entry)}" for entry in before if entry not in after]
    parts += [f"add {names.entry_text(entry)}" for entry in after if entry not in before]
    return ", ".join(parts)


def _named(acl: Acl, names: Names) -> list[str]:
    return [names.entry_text(entry) for entry in acl if entry.tag in (posix.USER, posix.GROUP)]


def _lines(owner: int, group: int, special: int, access: Acl, default: Acl, names: Names) -> list[str]:
    """As getfacl shows a directory."""
    flags = "".join(letter if special & bit else "-" for letter, bit in (("s", 0o4000), ("s", 0o2000), ("t", 0o1000)))
    return [
        f"# owner: {names.user(owner)}",
        f"# group: {names.group(group)}",
        *([f"# flags: {flags}"] if special else []),
        *map(names.entry_text, access),
        *(f"default:{names.entry_text(entry)}" for entry in default),
    ]


def _unlisted(folder: Folder, children: dict[str, str | None], listed: set[str], result: Plan) -> None:
    for name, target in sorted(children.items()):
        path = f"{folder.path}/{name}"
        if path in listed:
            continue
        if target is not None and folder.links and dirname(target) == folder.links:
            result.stale[path] = target
        else:
            result.unmanaged.append(path)
