# SPDX-License-Identifier: GPL-3.0-or-later
"""The report's sections on shared directories, from what was read on a host. Pure."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

Section = dict[str, Any]


def sections(found: Mapping[str, Any]) -> list[Section]:
    """[{title, header, rows, notes}] as playbooks/report.yml prints them, with the host's name added there.

    found: {projects: of the registry's projection; shared, sealed: `directories` of acl_tree_info; archives: `files` of
    ansible.builtin.find; drift, unmanaged: sentences and paths of acl_tree; blocked: why drift is unknown, or "";
    share: the state file of lyceum-share, {} for none}.
    """
    return [_shared(found), _sealed(found), _archives(found), _drift(found)]


def _shared(found: Mapping[str, Any]) -> Section:
    names = {str(project["gid"]): project["name"] for project in found["projects"]}
    trees = found["share"].get("trees", {})
    rows = []
    for entry in found["shared"]:
        base = entry["path"].rpartition("/")[2]
        named = [item for item in entry["acl"] if item.startswith(("user:", "group:")) and "::" not in item]
        files = trees.get(entry["path"])
        rows.append(
            [
                entry["path"],
                names.get(base, "-"),
                f"{entry['owner']}:{entry['group']} {entry['mode']}",
                " ".join(named) or "-",
                "-" if files is None else str(files["looked_at"]),
            ]
        )
    notes = []
    if found["share"]:
        moment = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(found["share"]["finished"]))
        mended = sum(tree["mended"] for tree in trees.values())
        notes.append(f"last look at their files {moment}, {found['share']['seconds']:.1f} s, {mended} shared anew")
        notes += found["share"]["problems"]
        notes += [
            f"{path}: {tree['left']} left alone: {'; '.join(tree['examples'])}"
            for path, tree in trees.items()
            if tree["left"]
        ]
    header = ["shared directory", "project", "owner and mode", "entries of the ACL", "files"]
    return {"title": "Shared directories", "header": header, "rows": rows, "notes": notes}


def _sealed(found: Mapping[str, Any]) -> Section:
    why = {str(project["gid"]): f"project {project['name']}: {project['reason']}" for project in found["projects"]}
    rows = [
        [
            entry["path"],
            why.get(entry["path"].rpartition("/")[2], "left or no longer entitled"),
            _gib(entry["bytes"]),
            "-" if entry["files"] is None else str(entry["files"]),
        ]
        for entry in found["sealed"]
    ]
    notes = [f"{entry['path']}: {entry['error']}" for entry in found["sealed"] if entry["error"]]
    header = ["sealed directory", "why", "GiB", "files"]
    return {"title": "Sealed directories (for root alone)", "header": header, "rows": rows, "notes": notes}


def _archives(found: Mapping[str, Any]) -> Section:
    rows = [
        [file["path"], _gib(file["size"]), time.strftime("%Y-%m-%d", time.gmtime(file["mtime"]))]
        for file in found["archives"]
    ]
    return {"title": "Archives of people who left", "header": ["archive", "GiB", "made"], "rows": rows, "notes": []}


def _drift(found: Mapping[str, Any]) -> Section:
    notes = [*found["drift"], *(f"not in the registry: {path}" for path in found["unmanaged"])]
    notes += [f"unknown: {found['blocked']}"] if found["blocked"] else []
    return {"title": "Drift of shared directories", "header": ["directory"], "rows": [], "notes": notes}


def _gib(size: int | None) -> str:
    if size is None:
        return "-"
    return "<0.1" if size < 0.05 * 2**30 else f"{size / 2**30:.1f}"
