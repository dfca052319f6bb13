# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that is wrong with a registry, all at once, before any host is touched.

`schema` checks the shape. The checks here compare entries with one another and with the calendar; each looks only at
values that have the right shape, so that a typo in one key never hides a clash in another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from . import identities, load, schema, services, trees
from .capacity import check as check_capacity
from .findings import Findings, Locate
from .identities import entries
from .load import Loaded
from .model import Registry, affiliations_of, parse_date
from .names import RESERVED
from .positions import DataPath
from .problem import ERROR, WARNING, Problem, errors
from .suggest import did_you_mean

__all__ = ["ERROR", "WARNING", "Locate", "Problem", "errors", "inventory", "problems"]

_DATES = (("starts", "ends"), ("starts", "expires"))


def problems(raw: Mapping[str, Any], *, today: date, locate: Locate | None = None) -> list[Problem]:
    """Structure (JSON Schema) and meaning of a raw registry, in the order of sections and entries. [] when all is well.

    locate: `Loaded.locate`; without it problems carry no file and line.
    """
    findings = Findings(raw, locate)
    schema.check(raw, findings)
    _not_empty(raw, findings)
    identities.check(raw, findings)
    _people(raw, findings)
    _projects(raw, findings)
    trees.check(raw, findings)
    services.check(raw, findings)
    _limits(raw, findings, today)
    _classify(raw, findings)
    for section in ("people", "projects"):
        for path, entry in entries(raw, section):
            _dates(path, entry, findings)
    if not findings.failed:
        check_capacity(Registry.from_raw(raw, today=today), findings)
    return findings.sorted()


def inventory(inventory_dir: Path | str, *, today: date) -> tuple[Loaded, list[Problem]]:
    """Read the registry of an inventory and check it: problems of the files first, then those of the data.

    When a file cannot be read at all, only the files are reported: what is missing from it would look wrong everywhere.
    """
    loaded = load.read(inventory_dir)
    found = list(loaded.problems)
    if not loaded.broken:
        found += problems(loaded.raw, today=today, locate=loaded.locate)
    return loaded, found


def _not_empty(raw: Mapping[str, Any], findings: Findings) -> None:
    if (
        not raw.get("people")
        and isinstance(raw.get("people"), (list, type(None)))
        and raw.get("allow_empty") is not True
    ):
        findings.error(
            ("people",),
            "names nobody, so a run could take everybody's access away",
            "Add people, or set `lyceum_allow_empty: true` next to it if an empty registry is meant.",
            show=False,
        )


def _people(raw: Mapping[str, Any], findings: Findings) -> None:
    affiliations = _affiliation_names(raw)
    groups = {entry["name"]: entry.get("state") for _, entry in entries(raw, "groups") if _named(entry)}
    projects = {entry["name"] for _, entry in entries(raw, "projects") if _named(entry)}
    for path, entry in entries(raw, "people"):
        affiliation = entry.get("affiliation")
        if isinstance(affiliation, str):
            _known_affiliation((*path, "affiliation"), affiliation, affiliations, findings)
        elif affiliation is None and entry.get("state") != "absent":
            findings.error(
                (*path, "affiliation"),
                "is missing",
                f"Add `affiliation:` with one of {', '.join(affiliations)}: access and limits follow from it.",
                show=False,
            )
        for index, name in enumerate(_list(entry.get("groups"))):
            at = (*path, "groups", index)
            if not isinstance(name, str) or (name in groups and groups[name] != "absent"):
                continue
            if name in groups:
                findings.error(
                    at, "is a removed group", "Take it off this list, or make the group present.", value=name
                )
            elif name in projects:
                findings.error(
                    at,
                    "is a project, not a group",
                    f"List the person under `members` of lyceum_projects[{name}] instead.",
                    value=name,
                )
            elif name in RESERVED:
                findings.error(
                    at,
                    "is a group of the operating system",
                    "The registry gives only its own groups (lyceum_groups); system groups carry powers.",
                    value=name,
                )
            else:
                findings.error(
                    at,
                    f"is not in lyceum_groups.{did_you_mean(name, groups)}",
                    "Correct the name, or add the group to groups.yml.",
                    value=name,
                )


def _projects(raw: Mapping[str, Any], findings: Findings) -> None:
    people = _people_states(raw)
    if not people:
        return  # reported once by _not_empty, not again for every name in a project
    for path, entry in entries(raw, "projects"):
        gone = entry.get("state") == "absent"
        owner = entry.get("owner")
        if isinstance(owner, str):
            _known_person((*path, "owner"), owner, people, findings, may_be_absent=gone)
        elif owner is None and not gone:
            findings.error(
                (*path, "owner"), "is missing", "Add `owner:` with the person who answers for it.", show=False
            )
        for name in _dict(entry.get("members")):
            if isinstance(name, str):
                _known_person((*path, "members", name), name, people, findings, may_be_absent=gone, show=False)


def _limits(raw: Mapping[str, Any], findings: Findings, today: date) -> None:
    people, affiliations = _people_states(raw), _affiliation_names(raw)
    limits = _dict(raw.get("limits"))
    for name in _dict(limits.get("affiliations")):
        if isinstance(name, str):
            _known_affiliation(("limits", "affiliations", name), name, affiliations, findings, show=False)
    for name in _dict(limits.get("affiliation_totals")):
        if isinstance(name, str):
            _known_affiliation(("limits", "affiliation_totals", name), name, affiliations, findings, show=False)
    for index, entry in enumerate(_list(limits.get("exceptions"))):
        if not isinstance(entry, dict):
            continue
        path = ("limits", "exceptions", index)
        _dates(path, entry, findings)
        if people and isinstance(entry.get("person"), str):
            _known_person((*path, "person"), entry["person"], people, findings)
        if people and isinstance(entry.get("approved_by"), str):
            _known_person((*path, "approved_by"), entry["approved_by"], people, findings, may_be_absent=True)
        expires = _date(entry.get("expires"))
        if expires is not None and expires < today:
            findings.warning(
                (*path, "expires"),
                f"is over: the exception for {entry.get('person')} no longer has any effect",
                "Remove it, or keep it as a record.",
                value=entry["expires"],
            )


def _classify(raw: Mapping[str, Any], findings: Findings) -> None:
    affiliations = _affiliation_names(raw)
    classify = _dict(raw.get("classify"))
    for index, rule in enumerate(_list(classify.get("rules"))):
        if not isinstance(rule, dict):
            continue
        path = ("classify", "rules", index)
        if isinstance(rule.get("pattern"), str):
            try:
                re.compile(rule["pattern"])
            except (re.error, RecursionError, OverflowError) as exc:
                findings.error(
                    (*path, "pattern"),
                    f"is not a regular expression ({exc})",
                    "Mind brackets and backslashes, and put it in single quotes.",
                    value=rule["pattern"],
                )
        if isinstance(rule.get("affiliation"), str):
            _known_affiliation((*path, "affiliation"), rule["affiliation"], affiliations, findings)
    for name, affiliation in _dict(classify.get("overrides")).items():
        if isinstance(affiliation, str):
            _known_affiliation(("classify", "overrides", str(name)), affiliation, affiliations, findings)
    if isinstance(classify.get("default"), str):
        _known_affiliation(("classify", "default"), classify["default"], affiliations, findings)


def _dates(path: DataPath, entry: Mapping[str, Any], findings: Findings) -> None:
    for key in {key for pair in _DATES for key in pair}:
        value = entry.get(key)
        if isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[01][0-9]-[0-3][0-9]", value) and _date(value) is None:
            findings.error((*path, key), "is not a day of the calendar", "Correct the date.", value=value)
    for first, last in _DATES:
        begin, end = _date(entry.get(first)), _date(entry.get(last))
        if begin is not None and end is not None and end < begin:
            findings.error(
                (*path, last),
                f"lies before `{first}` ({begin})",
                "Correct one of the two dates.",
                value=str(end),
            )


def _date(value: Any) -> date | None:
    """The date, or None for whatever is not one (the schema reports that)."""
    try:
        return parse_date(value)
    except (ValueError, TypeError):
        return None


def _known_person(
    path: DataPath,
    name: str,
    people: Mapping[str, Any],
    findings: Findings,
    *,
    may_be_absent: bool = False,
    show: bool = True,
) -> None:
    if name not in people:
        findings.error(
            path,
            f"is not in lyceum_people.{did_you_mean(name, people)}",
            "Correct the name, or add the person to people.yml.",
            value=name,
            show=show,
        )
    elif people[name] == "absent" and not may_be_absent:
        remedy = "Name somebody else, or take the entry out."
        findings.error(path, "is a person who was removed", remedy, value=name, show=show)


def _known_affiliation(path: DataPath, name: str, known: list[str], findings: Findings, *, show: bool = True) -> None:
    if name not in known:
        findings.error(
            path,
            f"is not an affiliation.{did_you_mean(name, known)}",
            f"Use one of {', '.join(known)}, or declare it in lyceum_affiliations.",
            value=name,
            show=show,
        )


def _affiliation_names(raw: Mapping[str, Any]) -> list[str]:
    own = _dict(raw.get("affiliations"))
    return [*affiliations_of({}), *(name for name in own if isinstance(name, str) and name not in affiliations_of({}))]


def _people_states(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {entry["name"]: entry.get("state") for _, entry in entries(raw, "people") if _named(entry)}


def _named(entry: Mapping[str, Any]) -> bool:
    return isinstance(entry.get("name"), str)


def _dict(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
