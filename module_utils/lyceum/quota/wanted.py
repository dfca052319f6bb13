# SPDX-License-Identifier: GPL-3.0-or-later
"""Which quotas the limits of the registry come to. Pure; runs on the controller.

- A home is limited by the person's user quota on its file system, which counts everything the person owns there. Where
  that is also scratch or projects, the home can be given a project quota of its own.
- Scratch and projects are limited by project quotas on their directories, whoever owns what is in them.
- Whoever owns a file may move it to another project (`chattr -p 0`), out of reach of those. So everybody who has such
  limits also gets a user quota: the sum of what they may fill on that file system. Nobody who plays fair meets it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .model import UNLIMITED

Entry = dict[str, Any]


def quotas(registry: Mapping[str, Any], places: Mapping[str, Any]) -> list[Entry]:
    """The parameter `quotas` of disk_quotas.

    registry: as `registry_for('groups_and_acls')` gives it. places: {scratch, projects: directories, empty for none;
    home_projects: whether homes get a project quota, too; home_base, scratch_base: added to a uid for the id of one;
    other_gib, other_files: what everybody may have beside scratch, and beside projects, on their file systems}.
    """
    projects = registry["projects"] if places["projects"] else []
    return [
        *(entry for person in registry["people"] for entry in of_person(person, projects, places)),
        *(entry for project in projects for entry in of_project(project, places)),
    ]


def policies(registry: Mapping[str, Any], places: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """What the tools on the host know, see module_utils/lyceum/storage/settings.py: {people, projects}."""
    projects = registry["projects"] if places["projects"] else []
    return {
        "people": [
            {
                **{key: person[key] for key in ("name", "uid", "gid", "home", "email", "state")},
                "quotas": of_person(person, projects, places),
            }
            for person in registry["people"]
        ],
        "projects": [
            {
                **{key: project[key] for key in ("name", "gid", "state", "write")},
                "quotas": of_project(project, places),
            }
            for project in projects
        ],
    }


def of_person(
    person: Mapping[str, Any], projects: Iterable[Mapping[str, Any]], places: Mapping[str, Any]
) -> list[Entry]:
    """The quotas of one person. projects: at least those the person writes to."""
    limits, gone = person["limits"], person["state"] == "absent"
    about = {"person": person["name"], "state": "absent" if gone else "present"}
    home, scratch = _limited(limits, "home"), _limited(limits, "scratch") if places["scratch"] else {}
    totals = _totals(
        scratch, [project for project in projects if person["name"] in project["write"]], places, gone=gone
    )
    found: list[Entry] = []
    # What has no limit is listed, too: it is counted, and may share a file system with what has one.
    found.append({"path": person["home"], "kind": "user", "name": "home", "secondary": places["home_projects"], **home})
    if places["home_projects"]:
        number, name = places["home_base"] + person["uid"], f"home-{person['name']}"
        found.append({"path": person["home"], "kind": "project", "id": number, "name": name, **home})
    if places["scratch"]:
        number, name = places["scratch_base"] + person["uid"], f"scratch-{person['name']}"
        path = f"{places['scratch']}/{person['name']}"
        found.append({"path": path, "kind": "project", "id": number, "name": name, **scratch})
    return [{"id": person["uid"], **entry, **about} for entry in (*found, *totals)]


def of_project(project: Mapping[str, Any], places: Mapping[str, Any]) -> list[Entry]:
    """The quota of one project. Sealed ones keep it: what they hold stays."""
    limits = _limited(project["limits"], "storage")
    path = f"{places['projects']}/.gid/{project['gid']}"
    return [{"path": path, "kind": "project", "id": project["gid"], "name": project["name"], **limits}]


def _totals(scratch: Entry, mine: Sequence[Mapping[str, Any]], places: Mapping[str, Any], *, gone: bool) -> list[Entry]:
    """What a person may fill in all, as user quotas; nothing if none of it has a limit."""
    parts = [("scratch", places["scratch"], scratch)] if places["scratch"] else []
    parts += [("projects", places["projects"], _limited(project["limits"], "storage")) for project in mine]
    if gone:
        parts = [(name, places[name], {}) for name in ("scratch", "projects") if places[name]]
    elif any(limits for _name, _path, limits in parts):
        other = {"hard_gib": places["other_gib"], "hard_files": places["other_files"]}
        limits = {unit: other[unit] for unit in other if any(unit in part for _name, _path, part in parts)}
        # Whether scratch and projects share a file system, the host knows.
        parts += [("other", path, limits) for path in dict.fromkeys(path for _name, path, _part in parts)]
    else:
        return []
    return [{"path": path, "kind": "user", "name": name, "secondary": True, **limits} for name, path, limits in parts]


def _limited(limits: Mapping[str, Any], what: str) -> Entry:
    """The limits of something as disk_quotas takes them. What nobody manages is left out."""
    names = {"hard_gib": f"{what}_gib", "hard_files": f"{what}_files"}
    return {unit: UNLIMITED if limits[name] is None else limits[name] for unit, name in names.items() if name in limits}
