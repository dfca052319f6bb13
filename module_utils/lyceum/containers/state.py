# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tool remembers between two looks: /var/lib/lyceum/containers/state.json.

Written in one step, after people were told and before anything is stopped: a tool that is killed warns twice at worst.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import LyceumError
from ..files import write_atomically
from .rules import Memory

VERSION = 1
EVENT_SECONDS = 7 * 86400
MOST_EVENTS = 20


@dataclass
class Event:
    """Something that happened to a person's container, told until it is old. at: seconds since 1970."""

    at: float
    text: str


@dataclass
class PersonState:
    """containers: by id. told: a notice lies in wait. stops: how many, by rule, ever."""

    containers: dict[str, Memory] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    told: bool = False
    stops: dict[str, int] = field(default_factory=dict)

    def note(self, at: float, text: str) -> None:
        self.events = [*self.events, Event(at, text)][-MOST_EVENTS:]

    def forget_old(self, now: float) -> None:
        """Events of the future are from a clock that was wrong."""
        self.events = [event for event in self.events if 0 <= now - event.at < EVENT_SECONDS]


@dataclass
class State:
    """people: by login name."""

    boot: str
    people: dict[str, PersonState] = field(default_factory=dict)

    def person(self, name: str) -> PersonState:
        return self.people.setdefault(name, PersonState())


def load(directory: Path, boot: str) -> tuple[State, str | None]:
    """The state and, where it had to be begun anew, why. What ran before a boot does not run any more."""
    path = directory / "state.json"
    try:
        data = json.loads(path.read_text())
        if data["version"] != VERSION:
            raise ValueError(f"version {data['version']}")
        state = State(boot, {name: _person(entry) for name, entry in data["people"].items()})
    except FileNotFoundError:
        return State(boot), None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        # Nothing announced yet, so nothing is stopped before it is announced again.
        return State(boot), f"{path} is begun anew: {type(exc).__name__}: {exc}"
    if data["boot"] != boot:
        for person in state.people.values():
            person.containers = {}
    return state, None


def _person(entry: dict[str, Any]) -> PersonState:
    return PersonState(
        containers={identity: Memory(**memory) for identity, memory in entry["containers"].items()},
        events=[Event(**event) for event in entry["events"]],
        told=bool(entry["told"]),
        stops={str(kind): int(number) for kind, number in entry["stops"].items()},
    )


def save(directory: Path, state: State) -> None:
    """Replace the file. Who has nothing worth remembering is left out. Raises LyceumError."""
    people = {name: asdict(person) for name, person in sorted(state.people.items()) if person != PersonState()}
    content = {"version": VERSION, "boot": state.boot, "people": people}
    write_atomically(directory / "state.json", f"{json.dumps(content, indent=1)}\n".encode(), 0o600)


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the state: the timer's look and an admin's own never meet. Raises LyceumError."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise LyceumError(f"cannot use {directory}: {exc.strerror}") from exc
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
