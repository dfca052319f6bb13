# SPDX-License-Identifier: GPL-3.0-or-later
"""Use and limits for the eye: lines of the login banner and of lyceum-limits, tables of the report, metrics. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..quota.model import GIB, KIB
from ..quota.plan import size
from .usage import HOME, PROJECT, SCRATCH, TOTAL, Row, Usage
from .warn import files_percent, moment, space_percent

# Lines of the banner, so that it never pushes away what else is said at login.
MOST_LINES = 5


def amount(used: int) -> str:
    """Bytes that are used; size() calls nothing unlimited."""
    return size(max(used // KIB, 1)) if used else "nothing"


def line(row: Row) -> str:
    """One limit in one line: `home       4.2 GiB of 100 GiB (4 %), 1203 of 20000 files`."""
    name = {HOME: "home", SCRATCH: "scratch", TOTAL: f"all on {row.filesystem}"}.get(row.what, row.name)
    if row.used_bytes is None or row.used_files is None:
        limit = f"limit {size(row.hard_bytes // KIB)}, " if row.hard_bytes else ""
        return f"{name:<10} {limit}use unknown"
    text = amount(row.used_bytes)
    if row.hard_bytes:
        text += f" of {size(row.hard_bytes // KIB)} ({space_percent(row):.0f} %)"
    text += f", {row.used_files}" + (f" of {row.hard_files}" if row.hard_files else "") + " files"
    if (row.hard_bytes or row.hard_files) and not row.enforced:
        text += "; not enforced"
    for ends in (row.space_ends, row.files_ends):
        text += f"; over the soft limit, writing stops {moment(ends)}" if ends else ""
    return f"{name:<10} {text}" + (f" (measured {moment(int(row.measured))[:10]})" if row.measured else "")


def banner(rows: Iterable[Row], most: int = MOST_LINES) -> list[str]:
    """The lines that are shown at login: home, scratch, then projects, fullest first."""
    kept = [row for row in rows if row.what != TOTAL or max(space_percent(row), files_percent(row)) >= 80]
    order = {HOME: 0, SCRATCH: 1, TOTAL: 2, PROJECT: 3}
    kept.sort(key=lambda row: (order[row.what], -max(space_percent(row), files_percent(row)), row.name))
    # A home with a project quota of its own is shown by that, not by all the files of the person around it.
    homes = [row for row in kept if row.what == HOME]
    if len(homes) > 1:
        kept = [row for row in kept if row.what != HOME or row.kind == "project"]
    if len(kept) <= most:
        return [line(row) for row in kept]
    return [*(line(row) for row in kept[: most - 1]), f"and {len(kept) - most + 1} more: lyceum-limits"]


def sections(usage: Usage, purged: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The tables of the report. purged: see purge.summary."""
    rows = [row for row in usage.rows if row.what != TOTAL]
    sums = [(f"group {name}", found) for name, found in sorted(usage.groups.items())]
    sums.append(("everybody together", usage.institution or {"bytes": 0, "files": 0}))
    deaf: dict[str, list[str]] = {}
    for row in usage.rows:
        if (row.hard_bytes or row.hard_files) and not row.enforced:
            deaf.setdefault(row.why_not, []).append(row.name)
    return [
        {
            "title": "Storage by person and project",
            "header": ["whose", "what", "used", "limit", "full", "files", "file limit"],
            "rows": [_cells(row) for row in rows],
            "notes": list(usage.errors),
        },
        {
            "title": "Storage by group and in all",
            "header": ["whose", "used", "files"],
            "rows": [[name, amount(found["bytes"]), str(found["files"])] for name, found in sums],
            "notes": [],
        },
        {
            "title": "Limits of storage that are not enforced",
            "header": ["why", "limits", "people and projects"],
            "rows": [[why, str(len(names)), _some(sorted(set(names)))] for why, names in sorted(deaf.items())],
            "notes": [],
        },
        {
            "title": "Purge of scratch in the last 30 days",
            "header": ["person", "deleted", "GiB", "failed", "announced"],
            "rows": [
                [
                    one["person"],
                    str(one["files"]),
                    f"{one['bytes'] / GIB:.1f}",
                    str(one["failed"]),
                    str(one["announced"]),
                ]
                for one in purged
            ],
            "notes": [],
        },
    ]


def metrics(usage: Usage, problems: int) -> str:
    """Everything for Prometheus, in its text format."""
    lines = []

    def family(name: str, text: str, samples: Iterable[tuple[Mapping[str, str], float | None]]) -> None:
        lines.append(f"# HELP lyceum_storage_{name} {text}")
        lines.append(f"# TYPE lyceum_storage_{name} gauge")
        for labels, value in samples:
            if value is not None:
                joined = ",".join(f'{key}="{_escaped(label)}"' for key, label in labels.items())
                lines.append(f"lyceum_storage_{name}{f'{{{joined}}}' if joined else ''} {value:.0f}")

    def labelled(pick: str) -> list[tuple[Mapping[str, str], float | None]]:
        return [(_labels(row), getattr(row, pick)) for row in usage.rows]

    family("used_bytes", "Space in use.", labelled("used_bytes"))
    family("soft_bytes", "Soft limit of space; none if absent.", labelled("soft_bytes"))
    family("hard_bytes", "Hard limit of space; none if absent.", labelled("hard_bytes"))
    family("used_files", "Files and folders.", labelled("used_files"))
    family("hard_files", "Hard limit of files and folders; none if absent.", labelled("hard_files"))
    limited = [row for row in usage.rows if row.hard_bytes or row.hard_files]
    family("enforced", "Whether a limit stops anybody.", [(_labels(row), float(row.enforced)) for row in limited])
    for what, sums in (("person", usage.people), ("project", usage.projects), ("group", usage.groups)):
        for unit in ("bytes", "files"):
            family(
                f"{what}_{unit}",
                f"Sum per {what}.",
                [({what: name}, found[unit]) for name, found in sorted(sums.items())],
            )
    for unit in ("bytes", "files"):
        family(f"institution_{unit}", "Sum over everybody.", [({}, usage.institution.get(unit, 0))])
    family("problems", "What the last run could not read or tell.", [({}, problems)])
    family("last_run_timestamp_seconds", "When this was written.", [({}, usage.time)])
    return "\n".join(lines) + "\n"


def _labels(row: Row) -> dict[str, str]:
    return {
        "what": row.what,
        "project" if row.what == PROJECT else "person": row.name,
        "filesystem": row.filesystem,
        "kind": row.kind,
    }


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _cells(row: Row) -> list[str]:
    return [
        row.name,
        row.what,
        "unknown" if row.used_bytes is None else amount(row.used_bytes),
        size(row.hard_bytes // KIB) if row.hard_bytes else "-",
        f"{max(space_percent(row), files_percent(row)):.0f} %" if row.hard_bytes or row.hard_files else "-",
        "unknown" if row.used_files is None else str(row.used_files),
        str(row.hard_files or "-"),
    ]


def _some(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
