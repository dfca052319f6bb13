# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever becomes confined has nothing left from before: shells, tmux, containers that were started outside.

A note per person says as what they are confined here. A note that is missing or says something else means that what
runs may be from before, so it is ended, and only then the note is written: a run that is killed does it again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..accounts import observe, sessions
from ..errors import LyceumError
from ..files import write_all_atomically

SUBUID = Path("/etc/subuid")
MODE = 0o644
Spans = dict[str, list[tuple[int, int]]]
"""Subordinate ids by login name: (first, count)."""


@dataclass(frozen=True)
class Confined:
    """One person with less than a shell here."""

    name: str
    uid: int
    profile: str


@dataclass(frozen=True)
class Change:
    """What to do about one person. profile None: no longer confined. running: processes that may be from before."""

    uid: int
    profile: str | None
    running: int = 0

    @property
    def actions(self) -> list[str]:
        if self.profile is None:
            return ["no longer confined"]
        return [
            *([f"end {self.running} process(es) from before"] if self.running else []),
            f"confine as {self.profile}",
        ]


def notes(directory: Path) -> dict[str, str]:
    """What is noted, by name. Raises LyceumError."""
    try:
        # A killed run leaves a temporary file, which is no person.
        files = [path for path in directory.iterdir() if not path.name.startswith(".")]
        return {path.name: path.read_text(encoding="ascii").strip() for path in files}
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as exc:
        raise LyceumError(f"cannot read the notes in {directory}: {exc}") from exc


def subordinate_ids(path: Path = SUBUID) -> Spans:
    """The ranges of /etc/subuid. Raises LyceumError."""
    found: Spans = {}
    try:
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except FileNotFoundError:
        return found
    except OSError as exc:
        raise LyceumError(f"cannot read {path}: {exc.strerror}") from exc
    for fields in (line.split(":") for line in lines):
        if len(fields) == 3 and fields[1].isdigit() and fields[2].isdigit():
            found.setdefault(fields[0], []).append((int(fields[1]), int(fields[2])))
    return found


def plan(
    people: Mapping[str, Confined],
    free: Collection[str],
    noted: Mapping[str, str],
    running: Mapping[str, int],
    *,
    complete: bool,
) -> dict[str, Change]:
    """Changes by name. free: names of people who are not confined. running: number of processes by name.

    complete: nobody else is confined either.
    """
    changes = {
        name: Change(person.uid, person.profile, running.get(name, 0))
        for name, person in people.items()
        if noted.get(name) != person.profile
    }
    gone = [name for name in noted if name not in people and (complete or name in free)]
    changes.update({name: Change(0, None) for name in gone})
    return changes


def running(people: Mapping[str, Confined], spans: Spans) -> dict[str, int]:
    """How many processes each of them has, those of containers included."""
    own = {name: spans.get(name, []) for name in people}
    found = observe.process_ids(
        [person.uid for person in people.values()], [span for some in own.values() for span in some]
    )
    counts = {}
    for name, person in people.items():
        pids = {
            pid
            for uid, some in found.items()
            for pid in some
            if uid == person.uid or any(first <= uid < first + count for first, count in own[name])
        }
        counts[name] = len(pids)
    return counts


def apply(
    directory: Path,
    changes: Mapping[str, Change],
    spans: Spans,
    end: Callable[[dict[str, tuple[int, list[tuple[int, int]]]]], dict[str, str]] = sessions.end_sessions,
) -> dict[str, str]:
    """End what has to end, then write the notes. Returns what went wrong, by name. Raises LyceumError."""
    failures = end({name: (one.uid, spans.get(name, [])) for name, one in changes.items() if one.profile is not None})
    contents = {}
    try:
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        for name, change in changes.items():
            if change.profile is None:
                (directory / name).unlink(missing_ok=True)
            elif name not in failures:
                contents[directory / name] = f"{change.profile}\n".encode("ascii")
    except OSError as exc:
        raise LyceumError(f"cannot write the notes in {directory}: {exc.strerror}") from exc
    failures.update({path.name: why for path, why in write_all_atomically(contents, MODE).items()})
    return failures


def result(
    people: Mapping[str, Confined], changes: Mapping[str, Change], failures: Mapping[str, str]
) -> dict[str, Any]:
    """What the module returns."""
    results = {
        name: {
            "result": "failed" if name in failures else "changed",
            "actions": change.actions,
            "error": failures.get(name),
        }
        for name, change in changes.items()
    }
    return {
        "changed": bool(changes),
        "actions": [f"{name}: {action}" for name, change in changes.items() for action in change.actions],
        "lyceum": {
            "kind": "logins",
            "results": results,
            "unchanged": [name for name in people if name not in changes],
            "unmanaged": [],
            "conflicts": [],
        },
    }
