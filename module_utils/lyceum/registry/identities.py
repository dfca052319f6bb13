# SPDX-License-Identifier: GPL-3.0-or-later
"""Names, numbers, addresses and keys: usable, inside their ranges, and nobody else's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

from ..accounts.model import SYSTEM_TREES
from . import names, sshkeys
from .findings import Findings
from .model import ACCESS_PROFILES, DEFAULT_ID_RANGES, IdRange
from .positions import DataPath

_KINDS = {"people": "person", "groups": "group", "projects": "project"}

# Numbers Debian and systemd use for themselves. A range of ours must stay clear of them.
SYSTEM_IDS = (
    (IdRange(0, 999), "system accounts"),
    (IdRange(60001, 60513), "systemd-homed"),
    (IdRange(60514, 60577), "users mapped into containers"),
    (IdRange(61184, 65519), "systemd's dynamic users"),
    (IdRange(65534, 65535), "nobody and the invalid id"),
    (IdRange(524288, 1879048191), "subordinate ids and containers"),
    (IdRange(2147352576, 4294967295), "numbers that many programs misread"),
)
# Each uid owns SUBID_COUNT subordinate ids, counted from SUBID_BASE in the order of the people's range.
SUBID_BASE = 524288
SUBID_COUNT = 65536
MAX_PEOPLE_IDS = (2**32 - SUBID_BASE) // SUBID_COUNT


def entries(raw: Mapping[str, Any], section: str) -> Iterator[tuple[tuple[str, int], dict[str, Any]]]:
    """(path, entry) of the entries of a section that are mappings; whatever else stands there the schema reports."""
    found = raw.get(section)
    for index, entry in enumerate(found if isinstance(found, list) else []):
        if isinstance(entry, dict):
            yield (section, index), entry


def check(raw: Mapping[str, Any], findings: Findings) -> None:
    """Add a finding for every unusable, misplaced or doubled name, id, address and key."""
    _names(raw, findings)
    numbers = _Numbers(raw, _ranges(raw, findings), findings)
    numbers.uids()
    numbers.gids()
    _homes(raw, findings)
    _addresses(raw, findings)
    _keys(raw, findings)


def _ranges(raw: Mapping[str, Any], findings: Findings) -> dict[str, IdRange]:
    """The ranges (the default where one is missing or misshapen), checked against the system's and each other."""
    section = raw.get("id_ranges")
    declared = section if isinstance(section, dict) else {}
    found = dict(DEFAULT_ID_RANGES)
    for kind in found:
        entry = declared.get(kind)
        if not isinstance(entry, dict) or not _is_id(entry.get("first")) or not _is_id(entry.get("last")):
            continue
        path = ("id_ranges", kind)
        span = IdRange(entry["first"], entry["last"])
        if span.last < span.first:
            findings.error((*path, "last"), f"is below `first` ({span.first})", "Swap the two.", value=span.last)
            continue
        found[kind] = span
        for system, owner in SYSTEM_IDS:
            if _overlap(span, system):
                message = f"overlaps {system}, the ids of {owner}"
                findings.error(path, message, f"Stay clear of {system}.", value=span)
        if kind == "people" and span.last - span.first >= MAX_PEOPLE_IDS:
            message = f"is too long for {SUBID_COUNT} subordinate ids each"
            findings.error(path, message, f"Let it hold at most {MAX_PEOPLE_IDS} ids.", value=span)
        # One for each profile but `shell`, and the last for the group of everybody.
        if kind == "access" and span.last - span.first + 1 < len(ACCESS_PROFILES):
            message = "has too few ids for the groups of the access profiles and that of all people"
            findings.error(path, message, f"Let it hold at least {len(ACCESS_PROFILES)} ids.", value=span)
    kinds = list(found)
    for position, kind in enumerate(kinds):
        for other in kinds[position + 1 :]:
            if _overlap(found[kind], found[other]):
                mine, theirs = (other, kind) if other in declared else (kind, other)
                findings.error(
                    ("id_ranges", mine),
                    f"overlaps the range of {theirs}, {found[theirs]}",
                    "Keep them apart: a person's uid is also the gid of their private group.",
                    value=found[mine],
                )
    return found


def _overlap(one: IdRange, other: IdRange) -> bool:
    return one.first <= other.last and other.first <= one.last


def _names(raw: Mapping[str, Any], findings: Findings) -> None:
    first: dict[str, tuple[str, int]] = {}
    for section, kind in _KINDS.items():
        for path, entry in entries(raw, section):
            name = entry.get("name")
            # A name of the wrong shape is the schema's to report, with its own message.
            if not isinstance(name, str) or not names.NAME.fullmatch(name):
                continue
            wrong = names.problem(name)
            if wrong:
                findings.error((*path, "name"), *wrong, value=name)
            other = first.setdefault(name, path)
            if other == path:
                continue
            remedy = f"Merge the two entries, or rename the newer {kind}."
            if section != other[0]:
                remedy = "People, groups and projects share one set of Unix group names: choose another one."
            elif "absent" in (entry.get("state"), _entry(raw, other).get("state")):
                remedy = f"A removed {kind} keeps the name for ever: choose another one."
            message = f"is also the name of the {_KINDS[other[0]]} {findings.place(other)}"
            findings.error((*path, "name"), message, remedy, value=name)


class _Numbers:
    """uids and gids: nobody else's, in their range, and none that ever belonged to somebody who was removed."""

    def __init__(self, raw: Mapping[str, Any], ranges: Mapping[str, IdRange], findings: Findings) -> None:
        self.raw = raw
        self.ranges = ranges
        self.findings = findings
        used = {
            number
            for section in _KINDS
            for _, entry in entries(raw, section)
            for number in (entry.get("uid"), entry.get("gid"))
            if _is_id(number)
        }
        self.next = {
            kind: max((number for number in used if number in span), default=span.first - 1) + 1
            for kind, span in ranges.items()
        }

    def uids(self) -> None:
        people = [(path, entry) for path, entry in entries(self.raw, "people") if _is_id(entry.get("uid"))]
        removed: dict[int, tuple[str, int]] = {}
        first: dict[int, tuple[str, int]] = {}
        # Tombstones first: whoever was removed keeps the number, wherever the newcomer stands in the file.
        for path, entry in sorted(people, key=lambda found: found[1].get("state") != "absent"):
            uid = entry["uid"]
            at = (*path, "uid")
            if entry.get("state") == "absent":
                other = removed.setdefault(uid, path)
                if other != path:
                    self._taken(at, uid, f"is also the uid of {self.findings.place(other)}", "people")
            elif uid in removed:
                owner = self.findings.place(removed[uid])
                self._taken(at, uid, f"belongs to {owner}, who was removed; a uid is never given again", "people")
            elif uid in first:
                self._taken(at, uid, f"is also the uid of {self.findings.place(first[uid])}", "people")
            else:
                first[uid] = path
                self._in_range(at, uid, "people")

    def gids(self) -> None:
        """One set for groups, projects and the private groups of people; clashing uids have been reported already."""
        first: dict[int, tuple[str, int]] = {}
        for path, entry in entries(self.raw, "people"):
            if entry.get("gid") is None and _is_id(entry.get("uid")):
                first.setdefault(entry["uid"], path)
        for section in _KINDS:
            for path, entry in entries(self.raw, section):
                gid = entry.get("gid")
                if not _is_id(gid):
                    continue
                at = (*path, "gid")
                other = first.setdefault(gid, path)
                if other != path:
                    owner = f"the {_KINDS[other[0]]} {self.findings.place(other)}"
                    self._taken(at, gid, f"is also the gid of {owner}", section)
                elif entry.get("state") != "absent" and not (section == "people" and gid == entry.get("uid")):
                    self._in_range(at, gid, section)

    def _taken(self, path: DataPath, number: int, message: str, kind: str) -> None:
        self.findings.error(path, message, self._advice(path, kind), value=number)

    def _in_range(self, path: DataPath, number: int, kind: str) -> None:
        message = ""
        remedy = self._advice(path, kind)
        if number not in self.ranges[kind]:
            message = f"is outside the range of {kind}, {self.ranges[kind]}"
            remedy += f" Or widen lyceum_id_ranges.{kind}."
        for system, owner in SYSTEM_IDS:
            if number in system:
                message = f"lies in {system}, the ids of {owner}"
        if message:
            self.findings.error(path, message, remedy, value=number)

    def _advice(self, path: DataPath, kind: str) -> str:
        span, above = self.ranges[kind], self.next[kind]
        return f"The next free {path[-1]} is {above}." if above in span else f"Choose a free {path[-1]} in {span}."


def _homes(raw: Mapping[str, Any], findings: Findings) -> None:
    """A home is given away, archived and deleted with its owner: it must be nobody else's and not the system's."""
    owners: dict[str, tuple[str, int]] = {}
    for path, entry in entries(raw, "people"):
        home = _home(entry)
        other = owners.setdefault(home, path) if home else path
        # Two default homes are the same only when the names are, and that has been reported.
        if other != path and not (entry.get("home") is None and _entry(raw, other).get("home") is None):
            message = f"is also the home of {findings.place(other)}"
            findings.error((*path, "home"), message, "Give everybody a home of their own.", value=home)
        elif home.split("/")[1:2] and home.split("/")[1] in SYSTEM_TREES:
            message = f"lies in /{home.split('/')[1]}, which belongs to the system"
            findings.error((*path, "home"), message, "Put homes below /home or a disk of their own.", value=home)
    for home, path in owners.items():
        parts = home.split("/")
        above = next((tree for end in range(2, len(parts)) if (tree := "/".join(parts[:end])) in owners), None)
        if above:
            message = f"lies inside the home of {findings.place(owners[above])}"
            findings.error((*path, "home"), message, "Put it next to the other one.", value=home)


def _home(entry: Mapping[str, Any]) -> str:
    home, name = entry.get("home"), entry.get("name")
    if home is None:
        return f"/home/{name}" if isinstance(name, str) and name else ""
    return home.rstrip("/") if isinstance(home, str) else ""


def _addresses(raw: Mapping[str, Any], findings: Findings) -> None:
    """An e-mail address or alias must lead to one person. Those of removed people are free for who comes back."""
    logins = {entry["name"]: path for path, entry in entries(raw, "people") if isinstance(entry.get("name"), str)}
    emails: dict[str, tuple[str, int]] = {}
    aliases: dict[str, tuple[str, int]] = {}

    def unique(at: DataPath, value: str, person: tuple[str, int], first: dict[str, tuple[str, int]], what: str) -> None:
        other = first.setdefault(value.lower(), person)
        if other != person:
            message = f"is also {what} of {findings.place(other)}"
            findings.error(at, message, "It must lead to one person: remove it from one of the two.", value=value)

    for path, entry in entries(raw, "people"):
        if entry.get("state") == "absent":
            continue
        if isinstance(entry.get("email"), str):
            unique((*path, "email"), entry["email"], path, emails, "the e-mail address")
        values = entry.get("aliases")
        for index, alias in enumerate(values if isinstance(values, list) else []):
            if not isinstance(alias, str):
                continue
            at = (*path, "aliases", index)
            if logins.get(alias, path) != path:
                message = f"is the login name of {findings.place(logins[alias])}"
                findings.error(at, message, "An alias must lead to one person: remove it here.", value=alias)
            unique(at, alias, path, aliases, "an alias")


def _keys(raw: Mapping[str, Any], findings: Findings) -> None:
    first: dict[str, tuple[str, int]] = {}
    for path, entry in entries(raw, "people"):
        lines = entry.get("ssh_keys")
        own: set[str] = set()
        for index, line in enumerate(lines if isinstance(lines, list) else []):
            if not isinstance(line, str):
                continue
            at = (*path, "ssh_keys", index)
            try:
                fingerprint = sshkeys.parse(line).fingerprint
            except sshkeys.SshKeyError as exc:
                findings.error(at, str(exc), exc.remedy, value=line, show=sshkeys.is_public(line))
                continue
            # Who comes back after having been removed may bring the old key along.
            other = path if entry.get("state") == "absent" else first.setdefault(fingerprint, path)
            if other != path:
                message = f"the key {fingerprint} is also a key of {findings.place(other)}"
                remedy = "A key tells who logs in: let one of the two make a key of their own."
                findings.error(at, message, remedy, show=False)
            elif fingerprint in own:
                findings.error(at, f"the key {fingerprint} is listed twice", "Remove one of the two.", show=False)
            own.add(fingerprint)


def _entry(raw: Mapping[str, Any], path: tuple[str, int]) -> dict[str, Any]:
    entry = raw[path[0]][path[1]]
    return entry if isinstance(entry, dict) else {}


def _is_id(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**32
