# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run did to whom: the `lyceum` part of module results over tasks and hosts, as a table and as data."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# Of several results of one person on one host (keys, account) the last of these is the one to show.
RESULTS = ("unchanged", "changed", "created", "suspended", "removed", "failed")
MAX_ROWS = 40


@dataclass
class PersonResult:
    """One person on one host: the weightiest result, every action in order, the errors."""

    result: str = "unchanged"
    actions: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def add(self, result: str, actions: Iterable[str] = (), error: str | None = None) -> None:
        self.result = max(self.result, result, key=RESULTS.index)
        self.actions += [str(action) for action in actions if action not in self.actions]
        if error and error not in self.errors:
            self.errors.append(str(error))


@dataclass
class HostResult:
    """One host: people by name, what is there but not in the registry, what stands in the way.

    not_enforced: what the host cannot hold anybody to, though the registry says so.
    """

    people: dict[str, PersonResult] = field(default_factory=dict)
    unmanaged: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    not_enforced: list[str] = field(default_factory=list)
    unreachable: str | None = None

    def person(self, name: str) -> PersonResult:
        return self.people.setdefault(str(name), PersonResult())


class RunResults:
    """Everything a run reports about people. `only`: the run was about this one person, who is then always shown."""

    def __init__(self, only: str | None = None) -> None:
        self.only = only
        self.hosts: dict[str, HostResult] = {}

    def __bool__(self) -> bool:
        return any(host.people or host.conflicts or host.unmanaged or host.not_enforced for host in self.hosts.values())

    def add(self, host: str, lyceum: Mapping[str, Any], *, preview: bool = False) -> None:
        """Add the `lyceum` key of one module result.

        preview: the task only looked ahead (check mode inside a real run), so that its changes did not happen and
        what it found unmanaged is told again by the real one; its conflicts and failures still count.
        """
        target = self.hosts.setdefault(str(host), HostResult())
        for name, item in (lyceum.get("results") or {}).items():
            if not preview or item["result"] == "failed":
                target.person(name).add(item["result"], item.get("actions") or (), item.get("error"))
        _extend(target.conflicts, lyceum.get("conflicts"))
        if not preview:
            for name in lyceum.get("unchanged") or ():
                target.person(name)
            _extend(target.unmanaged, lyceum.get("unmanaged"))
            _extend(target.not_enforced, lyceum.get("not_enforced"))

    def unreachable(self, host: str, why: str) -> None:
        self.hosts.setdefault(str(host), HostResult()).unreachable = why

    def as_dict(self) -> dict[str, Any]:
        """For the audit log: `{host: {people: {name: {result, actions, errors}}, unchanged: N, ...}}`."""
        return {
            name: {
                "people": {
                    person: {"result": item.result, "actions": item.actions, "errors": item.errors}
                    for person, item in sorted(host.people.items())
                    if item.result != "unchanged"
                },
                "unchanged": sum(item.result == "unchanged" for item in host.people.values()),
                "conflicts": host.conflicts,
                **({"not_enforced": host.not_enforced} if host.not_enforced else {}),
                **({"unreachable": host.unreachable} if host.unreachable else {}),
            }
            for name, host in sorted(self.hosts.items())
        }

    def lines(self, *, check: bool = False, width: int | None = None) -> list[str]:
        """The text for the end of a run, without trailing newlines; nothing when there is nothing to say."""
        if not self:
            return []
        width = width or shutil.get_terminal_size((120, 24)).columns
        names = self._names()
        return [
            f"People{' (check run: nothing was changed)' if check else ''}",
            *self._table(names[:MAX_ROWS], width),
            *self._totals(len(names)),
            *self._details(names[:MAX_ROWS]),
        ]

    def _names(self) -> list[str]:
        """People worth a row: anything but unchanged, failures first because the table may be cut."""
        weight: dict[str, int] = {}
        for host in self.hosts.values():
            for name, item in host.people.items():
                if item.result != "unchanged" or name == self.only:
                    weight[name] = max(weight.get(name, 0), RESULTS.index(item.result))
        return sorted(weight, key=lambda name: (weight[name] != RESULTS.index("failed"), name))

    def _table(self, names: Sequence[str], width: int) -> list[str]:
        if not names:
            return []
        hosts = sorted(self.hosts)
        rows = [[name, *(self._cell(host, name) for host in hosts)] for name in names]
        lines = table(["person", *hosts], rows)
        if max(map(len, lines)) <= width:
            return lines
        cells = [[name, host, self._cell(host, name)] for name in names for host in hosts]
        return table(["person", "host", "result"], [cell for cell in cells if cell[2] != "-"])

    def _cell(self, host: str, name: str) -> str:
        entry = self.hosts[host]
        if entry.unreachable and name not in entry.people:
            return "unreachable"
        return entry.people[name].result if name in entry.people else "-"

    def _totals(self, shown: int) -> list[str]:
        lines = [f"  ... and {shown - MAX_ROWS} more people, all of them in the audit log"] if shown > MAX_ROWS else []
        for name, host in sorted(self.hosts.items()):
            counts = Counter(item.result for item in host.people.values())
            parts = [f"{counts[result]} {result}" for result in reversed(RESULTS) if counts[result]]
            if host.unreachable:
                parts.append(f"unreachable: {host.unreachable}")
            lines.append(f"{name}: {', '.join(parts) or 'no result'}")
        return lines

    def _details(self, names: Sequence[str]) -> list[str]:
        lines = []
        for name, host in sorted(self.hosts.items()):
            lines += [f"FAILED {name}: {p}: {why}" for p in names if p in host.people for why in host.people[p].errors]
            lines += [f"CONFLICT {name}: {text}" for text in host.conflicts]
            lines += [f"NOT ENFORCED {name}: {text}" for text in host.not_enforced]
            if host.unmanaged:
                more = f" and {len(host.unmanaged) - MAX_ROWS} more" if len(host.unmanaged) > MAX_ROWS else ""
                lines.append(f"unmanaged on {name} (left alone): {', '.join(host.unmanaged[:MAX_ROWS])}{more}")
        return lines


def _extend(known: list[str], more: Iterable[object] | None) -> None:
    known += [text for text in map(str, more or ()) if text not in known]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Left-aligned columns, two spaces apart, indented by two, with a rule under the header."""
    widths = [max(len(str(row[column])) for row in (header, *rows)) for column in range(len(header))]
    lines = [header, ["-" * width for width in widths], *rows]
    return ["  " + "  ".join(str(cell).ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines]
