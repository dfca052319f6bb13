# SPDX-License-Identifier: GPL-3.0-or-later
"""Totals per person that outlive the slices: a slice and its counters are gone soon after the last logout.

Pure. The state is what is kept in a file between two looks. Every counter of every control group is in it as it was
last seen: a look adds exactly what has come since, and what a killed one could not write is added by the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .usage import COUNTERS, Usage

VERSION = 1

# Who was not seen for so long is forgotten.
KEEP_SECONDS = 366 * 86400

State = dict[str, Any]


def empty(boot: str) -> State:
    return {"version": VERSION, "boot": boot, "people": {}}


def accumulate(state: State, looks: Iterable[Usage], names: Mapping[int, str], *, boot: str, now: float) -> State:
    """The state after a look at some slices. names: whose uids those are. boot: differs from uptime to uptime."""
    restarted = state["boot"] != boot
    people = {
        uid: {**person, "groups": {} if restarted else person["groups"]} for uid, person in state["people"].items()
    }
    for usage in looks:
        name = names.get(usage.uid, "")
        known = people.get(str(usage.uid))
        # A uid that has a new name is somebody else; a directory that does not answer gives no name at all.
        person = known if known is not None and name in ("", known["name"]) else _new(name, now)
        people[str(usage.uid)] = _added(person, usage, now)
    return {"version": VERSION, "boot": boot, "people": people}


def forget(state: State, now: float) -> State:
    """Without people who were not here for a year."""
    people = {uid: person for uid, person in state["people"].items() if person["seen"] > now - KEEP_SECONDS}
    return {**state, "people": people}


def _new(name: str, now: float) -> dict[str, Any]:
    return {
        "name": name,
        "since": now,
        "seen": now,
        "peak": None,
        "peak_at": None,
        "totals": dict.fromkeys(COUNTERS, 0),
        "groups": {},
    }


def _added(person: Mapping[str, Any], usage: Usage, now: float) -> dict[str, Any]:
    totals = dict(person["totals"])
    for group, counters in usage.counters.items():
        before = person["groups"].get(group, {})
        for counter, value in counters.items():
            # A counter never falls; one that did belongs to a new group that got the number of an old one.
            grown = value - before.get(counter, 0)
            totals[counter] += grown if grown >= 0 else value
    higher = usage.memory_peak is not None and usage.memory_peak > (person["peak"] or 0)
    return {
        **person,
        "seen": now,
        "totals": totals,
        "peak": usage.memory_peak if higher else person["peak"],
        "peak_at": now if higher else person["peak_at"],
        "groups": usage.counters,
    }
