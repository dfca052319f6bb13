# SPDX-License-Identifier: GPL-3.0-or-later
"""From the registry's limits to the properties of a slice, with every rule stated.

- A key that is absent manages nothing; null is unlimited; a weight of null is systemd's own (100).
- `MemoryHigh` lies a little under `MemoryMax`: there the kernel slows the person's processes down and reclaims, so that
  a slow leak is felt before something is killed.
- `MemorySwapMax` is, unless the registry says memory_swap_gib, a tenth of the memory: without it swap would take up
  what MemoryMax refuses. A tenth is what Arbiter 3 (University of Utah, Center for High Performance Computing) gives
  its users on login nodes.
- The cap of a whole affiliation is a set of CPUs (`AllowedCPUs`) that its people share: user-<uid>.slice always lies
  directly in user.slice, so that no slice of the affiliation could hold theirs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from ..errors import LyceumError
from .properties import Value
from .units import CORE, GIB, bytes_of, whole_mib

KEYS = ("cpu_cores", "cpu_weight", "memory_gib", "memory_swap_gib", "tasks", "io_weight")
WEIGHTS = ("cpu_weight", "io_weight")
HIGHEST_WEIGHT = 10_000
# Below these a login does not even come to its prompt, and nobody could find out why.
MIN_CORES = 0.05
MIN_MEMORY_GIB = 0.0625
MIN_TASKS = 16
STATES = ("present", "suspended", "absent")
HIGHEST_UID = 2**32 - 2


@dataclass(frozen=True)
class Rules:
    """memory_high_percent of MemoryMax is MemoryHigh; 100: none. memory_swap_percent of memory_gib is swap."""

    memory_high_percent: float
    memory_swap_percent: float

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Rules:
        """Build from the module's parameters. Raises LyceumError."""
        high, swap = params["memory_high_percent"], params["memory_swap_percent"]
        if not 50 <= high <= 100:
            raise LyceumError(f"memory_high_percent {high:g} must be 50 to 100 (100: no MemoryHigh below MemoryMax)")
        if swap < 0:
            raise LyceumError(f"memory_swap_percent {swap:g} must be 0 (no swap) or more")
        return cls(high, swap)


@dataclass(frozen=True)
class Person:
    """One person on this host. limits: checked, keys of KEYS. affiliation_cores: of all people of it, or None."""

    name: str
    uid: int
    state: str
    limits: Mapping[str, float | None]
    affiliation: str
    affiliation_cores: float | None

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Person:
        """Build from one element of `people`. Raises LyceumError naming person, key and value."""
        name, uid = params["name"], params["uid"]
        # The name stands in a comment of the unit file: a line break would begin a line of its own.
        if not name or not name.isprintable():
            raise LyceumError(f"people: name {name!r} is not a login name")
        if uid == 0:
            raise LyceumError(f"people: {name}: uid 0 is root, who is never limited")
        if not 0 < uid <= HIGHEST_UID:
            raise LyceumError(f"people: {name}: uid {uid} is not allowed; it must be 1-{HIGHEST_UID}")
        cores = params.get("affiliation_cpu_cores")
        if cores is not None:
            _check(f"people: {name}: affiliation_cpu_cores", "cpu_cores", cores)
        return cls(
            name=name,
            uid=uid,
            state=params.get("state") or "present",
            limits=checked(params.get("limits") or {}, f"people: {name}"),
            affiliation=params.get("affiliation") or "",
            affiliation_cores=cores,
        )


def checked(limits: Mapping[str, Any], whose: str) -> dict[str, float | None]:
    """The limits, if all of them make sense. Raises LyceumError naming key, value and remedy."""
    for key, value in limits.items():
        if key not in KEYS:
            close = get_close_matches(key, KEYS, n=1)
            hint = f" Did you mean {close[0]}?" if close else f" It knows {', '.join(KEYS)}."
            raise LyceumError(f"{whose}: limits.{key} is not a limit of a slice.{hint}")
        if value is not None:
            _check(f"{whose}: limits.{key}", key, value)
    return dict(limits)


def _check(where: str, key: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise LyceumError(f"{where} is {value!r}; it must be a number, or null for unlimited")
    if key in WEIGHTS and not (1 <= value <= HIGHEST_WEIGHT and value == int(value)):
        raise LyceumError(f"{where} is {value:g}; a weight is a whole number from 1 to {HIGHEST_WEIGHT}, usually 100")
    lowest = {"cpu_cores": MIN_CORES, "memory_gib": MIN_MEMORY_GIB, "tasks": MIN_TASKS}.get(key, 0)
    if value < lowest:
        raise LyceumError(
            f"{where} is {value:g}, which is too little to log in with; it must be at least {lowest:g}, or null for"
            " unlimited. To keep somebody out: access: none, or state: suspended"
            if lowest
            else f"{where} is {value:g}; it must be 0 or more, or null for unlimited"
        )
    if key == "tasks" and value != int(value):
        raise LyceumError(f"{where} is {value:g}; tasks are counted in whole numbers")


def values_of(limits: Mapping[str, float | None], rules: Rules) -> dict[str, Value]:
    """The properties of the slice. limits: as `checked` gives them back."""
    values: dict[str, Value] = {}
    if "cpu_weight" in limits:
        values["CPUWeight"] = _whole(limits["cpu_weight"])
    if "cpu_cores" in limits:
        cores = limits["cpu_cores"]
        values["CPUQuota"] = None if cores is None else round(cores * CORE)
    if "memory_gib" in limits:
        memory = None if limits["memory_gib"] is None else bytes_of(limits["memory_gib"])
        values["MemoryHigh"] = memory_high(memory, rules)
        values["MemoryMax"] = memory
    if "memory_gib" in limits or "memory_swap_gib" in limits:
        values["MemorySwapMax"] = _swap(limits, rules)
    if "tasks" in limits:
        values["TasksMax"] = _whole(limits["tasks"])
    if "io_weight" in limits:
        values["IOWeight"] = _whole(limits["io_weight"])
    return values


def _swap(limits: Mapping[str, float | None], rules: Rules) -> int | None:
    if "memory_swap_gib" in limits:
        given = limits["memory_swap_gib"]
        return None if given is None else bytes_of(given)
    memory = limits["memory_gib"]
    return None if memory is None else whole_mib(memory * GIB * rules.memory_swap_percent / 100)


def memory_high(memory_max: int | None, rules: Rules) -> int | None:
    """MemoryHigh of a MemoryMax, in whole MiB."""
    if memory_max is None or rules.memory_high_percent >= 100:
        return None
    return whole_mib(memory_max * rules.memory_high_percent / 100)


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)


def unlimited() -> dict[str, Value]:
    """Every property taken back: for root and for those who must get in when a limit was a mistake."""
    return dict.fromkeys(("CPUQuota", "AllowedCPUs", "MemoryHigh", "MemoryMax", "MemorySwapMax", "TasksMax"))


def shared_cpus(people: Iterable[Person], online: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """affiliation -> the CPUs its people share, for each affiliation with a cap that is below the number of CPUs.

    Each affiliation gets the CPUs after those of the one before (by name), so that they are in each other's way only
    where there are not enough; whole CPUs, rounded up. Raises LyceumError when people of one affiliation differ.
    """
    caps: dict[str, float] = {}
    for person in people:
        cores = person.affiliation_cores
        if cores is not None and caps.setdefault(person.affiliation, cores) != cores:
            raise LyceumError(
                f"people: {person.name}: affiliation_cpu_cores is {cores:g}, but {caps[person.affiliation]:g} for"
                f" others of the affiliation {person.affiliation}; it is one cap for all of them"
            )
    result = {}
    position = 0
    for affiliation, cores in sorted(caps.items()):
        count = math.ceil(cores)
        if count < len(online):
            result[affiliation] = tuple(sorted(online[(position + i) % len(online)] for i in range(count)))
            position += count
    return result
