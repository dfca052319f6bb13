# SPDX-License-Identifier: GPL-3.0-or-later
"""What each person has and uses: limits, live use, totals since the first look, processes outside the own slice."""

from __future__ import annotations

import json
import pwd
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import LyceumError
from ..files import write_atomically
from . import observe, strays, totals, usage
from .dropin import DEFAULT, DropIn, slice_of, uid_of
from .hierarchy import Hierarchy
from .plan import parsed
from .properties import PROPERTIES, Value

STATE = Path("/var/lib/lyceum/slices/state.json")
STATE_MODE = 0o600


def boot_id() -> str:
    """Differs from uptime to uptime."""
    return (observe.ROOT / "proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def load_state(path: Path, boot: str) -> totals.State:
    """What the last look left. Raises LyceumError when the file is not what `save_state` wrote."""
    try:
        state: totals.State = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return totals.empty(boot)
    except (OSError, ValueError) as exc:
        raise LyceumError(f"cannot read {path}: {exc}; move it away to begin anew") from exc
    if not isinstance(state, dict) or state.get("version") != totals.VERSION:
        raise LyceumError(f"{path} is not of version {totals.VERSION}; move it away to begin anew")
    return state


def save_state(path: Path, state: totals.State) -> None:
    """Old or new, never half. Raises LyceumError."""
    write_atomically(path, (json.dumps(state, sort_keys=True) + "\n").encode(), STATE_MODE)


def look(hierarchy: Hierarchy | None, state: totals.State, first_uid: int, only: int | None = None) -> totals.State:
    """The state with what the live slices of people have counted since. only: one uid, to be quick about it."""
    uids = [] if hierarchy is None else [uid for uid in hierarchy.live() if uid >= first_uid and only in (None, uid)]
    looks = [] if hierarchy is None else [usage.read(hierarchy, uid) for uid in uids]
    now = time.time()
    return totals.forget(totals.accumulate(state, looks, names_of(uids), boot=boot_id(), now=now), now)


def names_of(uids: Iterable[int]) -> dict[int, str]:
    """uid -> login name, for those that have an account."""
    found = {}
    for uid in uids:
        try:
            found[uid] = pwd.getpwuid(uid).pw_name
        except KeyError:
            continue
    return found


def people(hierarchy: Hierarchy | None, state: totals.State, first_uid: int) -> list[dict[str, Any]]:
    """One record per person: those with limits, those with a live slice and those with totals, by name.

    Limits are those of the kernel where the slice is live, and those of the unit file elsewhere; null is unlimited and
    a limit nobody set is not there. The use of a slice that is not live is null.
    """
    files = {name: parsed(text) for name, text in observe.dropins()[0].items()}
    limited = {uid: dropin.whose for name, dropin in files.items() if (uid := uid_of(name)) is not None}
    live = set() if hierarchy is None else {uid for uid in hierarchy.live() if uid >= first_uid}
    uids = {uid for uid in limited if uid >= first_uid} | live | {int(uid) for uid in state["people"]}
    names = {uid: limited.get(uid, f"uid {uid}") for uid in uids} | names_of(uids)
    outside: dict[int, list[strays.Stray]] = {}
    if hierarchy is not None:
        for stray in strays.find(names, hierarchy.layout, observe.ROOT):
            outside.setdefault(stray.uid, []).append(stray)
    records = []
    for uid in uids:
        dropin = files.get(slice_of(uid), files.get(DEFAULT, DropIn("")))
        record = _record(uid, names[uid], dropin, state["people"].get(str(uid), {}), outside.get(uid, []))
        if hierarchy is not None and uid in live:
            record.update(_use(hierarchy, uid, record["limits"]))
        records.append(record)
    return sorted(records, key=lambda record: str(record["name"]))


def _record(
    uid: int, name: str, dropin: DropIn, remembered: Mapping[str, Any], outside: list[strays.Stray]
) -> dict[str, Any]:
    groups = Counter(stray.group for stray in outside)
    return {
        "name": name,
        "uid": uid,
        "live": False,
        "limits": dict(dropin.values),
        "pending": dict(dropin.pending),
        "memory": None,
        "swap": None,
        "tasks": None,
        "peak": remembered.get("peak"),
        "peak_at": remembered.get("peak_at"),
        "since": remembered.get("since"),
        "totals": remembered.get("totals", dict.fromkeys(usage.COUNTERS, 0)),
        "outside": [{"group": group, "processes": count} for group, count in sorted(groups.items())],
    }


def _use(hierarchy: Hierarchy, uid: int, written: Mapping[str, Value]) -> dict[str, Any]:
    seen = usage.read(hierarchy, uid)
    # What the kernel does not tell of (weights of disks) is taken from the file.
    limits = {**{name: written[name] for name in written if name == "IOWeight"}, **hierarchy.limits(uid)}
    return {"live": True, "limits": limits, "memory": seen.memory, "swap": seen.swap, "tasks": seen.tasks}


def survey(first_uid: int, path: Path) -> dict[str, Any]:
    """Everything at this moment, changing nothing: `{people, layout, not_effective}`. Raises LyceumError.

    path: where `save_state` keeps the totals. not_effective: limits in force in no sense on this kernel, as sentences.
    """
    hierarchy = Hierarchy.read(observe.ROOT)
    state = load_state(path, boot_id())
    found = people(hierarchy, look(hierarchy, state, first_uid), first_uid)
    used = {name for record in found for name, value in record["limits"].items() if value is not None}
    files = [parsed(text).values for text in observe.dropins()[0].values()]
    used |= {name for values in files for name, value in values.items() if value is not None}
    obstacles = {} if hierarchy is None else hierarchy.obstacles(name for name in PROPERTIES if name in used)
    return {
        "people": found,
        "layout": "none" if hierarchy is None else hierarchy.layout,
        "not_effective": [f"{name}: {why}" for name, why in obstacles.items()],
    }
