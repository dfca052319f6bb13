# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared directories of the site (`lyceum_trees`): where they may lie, and whom they name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..accounts.model import SYSTEM_TREES
from .findings import Findings
from .identities import entries
from .positions import DataPath
from .suggest import did_you_mean

# Of these Lyceum makes the content itself: projects, scratch, homes.
OWN_TREES = ("/srv/projects", "/srv/scratch", "/home")
# strategy -> keys that it takes no account of, and why.
WITHOUT: Mapping[str, tuple[tuple[str, ...], str]] = {
    "user_subdirs": (("owner", "read"), "everybody has a directory of their own in it"),
    "group_shared": (("write", "read"), "it knows one group; more need posix_acl"),
}


def check(raw: Mapping[str, Any], findings: Findings) -> None:
    """Add a finding for every tree in a wrong place, every key without a meaning, and every name that nobody has."""
    paths: dict[str, tuple[str, int]] = {}
    known = _names(raw)
    for at, entry in entries(raw, "trees"):
        path = entry.get("path")
        if isinstance(path, str):
            _place(at, path, paths, findings)
        if entry.get("state") == "absent":
            continue  # closed, whomever it names
        if known:
            for where, name, kinds in _named(at, entry):
                _known(where, name, known, kinds, findings)
        if entry.get("strategy") == "group_shared" and entry.get("group") is None:
            findings.error(
                (*at, "group"),
                "is missing: with the strategy group_shared the directory belongs to one group",
                "Add `group:` with a group or project, or choose posix_acl.",
                show=False,
            )
        keys, why = WITHOUT.get(str(entry.get("strategy")), ((), ""))
        for key in keys:
            if entry.get(key):
                message = f"means nothing with the strategy {entry['strategy']}: {why}"
                findings.error((*at, key), message, "Take it out, or choose another strategy.", show=False)


def _place(entry: tuple[str, int], path: str, paths: dict[str, tuple[str, int]], findings: Findings) -> None:
    at = (*entry, "path")
    parts = path.split("/")
    if parts[1:2] and parts[1] in SYSTEM_TREES:
        findings.error(
            at, f"lies in /{parts[1]}, which belongs to the system", "Put it below /srv or a disk of its own.",
            value=path,
        )  # fmt: skip
    for own in OWN_TREES:
        if _inside(path, own) or _inside(own, path):
            findings.error(
                at, f"meets {own}, whose content follows from people and projects", "Put it next to it.", value=path
            )
    for other, where in paths.items():
        if _inside(path, other) or _inside(other, path):
            message = f"is the same as, or lies inside or around, {other} ({findings.place(where)})"
            findings.error(at, message, "Put the two next to each other: only one of them can decide.", value=path)
    paths.setdefault(path, entry)


def _inside(path: str, tree: str) -> bool:
    return path == tree or path.startswith(f"{tree}/")


def _names(raw: Mapping[str, Any]) -> dict[str, tuple[str, Any]]:
    """name -> (kind, state) of everybody and everything that can be named."""
    return {
        entry["name"]: (kind, entry.get("state"))
        for section, kind in (("people", "person"), ("groups", "group"), ("projects", "project"))
        for _, entry in entries(raw, section)
        if isinstance(entry.get("name"), str)
    }


def _named(at: DataPath, entry: Mapping[str, Any]) -> Iterator[tuple[DataPath, str, tuple[str, ...]]]:
    """(place, name, kinds it may be of) of each name in a tree."""
    for key, kinds in (("owner", ("person",)), ("group", ("group", "project"))):
        if isinstance(entry.get(key), str):
            yield (*at, key), entry[key], kinds
    for key in ("write", "read"):
        names = entry.get(key)
        for index, name in enumerate(names if isinstance(names, list) else []):
            if isinstance(name, str):
                yield (*at, key, index), name, ("person", "group", "project")


def _known(
    at: DataPath, name: str, known: Mapping[str, tuple[str, Any]], kinds: tuple[str, ...], findings: Findings
) -> None:
    kind, state = known.get(name, ("", None))
    if kind not in kinds:
        candidates = [other for other, (what, _) in known.items() if what in kinds]
        what = " or ".join(kinds) if len(kinds) < 3 else "person, group or project"
        findings.error(
            at, f"is no {what} of the registry.{did_you_mean(name, candidates)}", "Correct the name.", value=name
        )
    elif state == "absent":
        findings.error(at, f"is a {kind} that was removed", "Name another one, or take the entry out.", value=name)
