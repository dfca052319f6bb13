# SPDX-License-Identifier: GPL-3.0-or-later
"""plan(desired, observed) -> Plan. Pure: no file is read or written here.

`changed`, the diff, check mode and the sentences all come from the plan, so check mode cannot differ from a run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import LyceumError
from .dropin import DEFAULT, DropIn, parse, render, slice_of, uid_of
from .limits import Person, Rules, checked, shared_cpus, unlimited, values_of
from .observe import Live, Observed
from .properties import PROPERTIES, Value, Values, for_people
from .units import size_text

APPLY = "apply"
DEFER = "defer"
USUAL_WEIGHT = 100


@dataclass(frozen=True)
class Desired:
    """people: everybody, also when only one (`only`) is to be touched. defaults: limits of people without an own entry.
    exempt: names of accounts that nothing limits; accounts below exempt_below that can log in are exempt too.
    """

    people: tuple[Person, ...]
    only: str
    defaults: Mapping[str, float | None]
    exempt: frozenset[str]
    exempt_below: int
    rules: Rules
    when_over: str

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Desired:
        """Build from the module's parameters. Raises LyceumError on duplicates, unknown names and bad values."""
        people = tuple(Person.from_params(entry) for entry in params["people"])
        for key in ("name", "uid"):
            seen: set[Any] = set()
            for person in people:
                value = getattr(person, key)
                if value in seen:
                    raise LyceumError(f"people: {key} given twice: {value}")
                seen.add(value)
        only = params["only"]
        if only and only not in {person.name for person in people}:
            raise LyceumError(f"only: there is nobody called {only} in people")
        if not only and not people:
            raise LyceumError("people is empty although it is said to be everybody; refusing to go on")
        return cls(
            people=people,
            only=only,
            defaults=checked(params["defaults"], "defaults"),
            exempt=frozenset(params["exempt"]),
            exempt_below=params["exempt_below"],
            rules=Rules.from_params(params),
            when_over=params["when_over"],
        )


@dataclass
class Change:
    """One drop-in to write (content) or to remove (None). person: whose result it is, "" for nobody's in particular."""

    slice_name: str
    person: str
    result: str
    before: str
    content: str | None
    actions: list[str]


@dataclass
class Plan:
    """changes: by slice. drift: uid -> sentences about live slices whose file is right and whose limits are not.
    wanted: uid -> what should hold for it from now on, of the live slices that are looked at.
    pending: name -> what waits, or what it costs not to. asked: the values of all drop-ins that are to be there.
    """

    changes: dict[str, Change] = field(default_factory=dict)
    unchanged: list[str] = field(default_factory=list)
    drift: dict[int, list[str]] = field(default_factory=dict)
    wanted: dict[int, Values] = field(default_factory=dict)
    pending: dict[str, str] = field(default_factory=dict)
    conflicts: list[str] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    asked: list[Values] = field(default_factory=list)
    reload_waits: bool = False

    @property
    def changed(self) -> bool:
        return bool(self.changes or self.drift or self.reload_waits)

    def actions(self) -> list[str]:
        """Every sentence: what nobody in particular owns first, then people in the order of the registry."""
        lines = ["reload systemd: an earlier run was interrupted before that"] if self.reload_waits else []
        changes = sorted(self.changes.values(), key=lambda change: bool(change.person))
        for change in changes:
            lines += [f"{change.person or _nobody(change)}: {action}" for action in change.actions]
        for uid, sentences in sorted(self.drift.items()):
            lines += [f"{self.names.get(uid, f'uid {uid}')}: {sentence}" for sentence in sentences]
        return lines


def plan(desired: Desired, observed: Observed) -> Plan:
    """Compare. Raises LyceumError where people contradict one another."""
    result = Plan(reload_waits=observed.reload_waits)
    exempt = _exempt(desired, observed)
    cpus = shared_cpus(desired.people, observed.cpus)
    kept: dict[str, DropIn] = {}
    if not desired.only:
        kept.update(_of_nobody(desired, exempt))
        names = {slice_of(person.uid): person.name for person in desired.people}
        for slice_name, dropin in kept.items():
            _compare(result, observed, slice_name, dropin, names.get(slice_name, ""))
    for person in desired.people:
        if desired.only in ("", person.name) and person.uid not in exempt:
            wanted = _of_person(person, desired, observed, cpus, result)
            if wanted is not None:
                kept[slice_of(person.uid)] = wanted
            _compare(result, observed, slice_of(person.uid), wanted, person.name, person.state)
        elif desired.only == person.name:
            result.unchanged.append(person.name)
    if not desired.only:
        _remove_stale(result, observed, kept, {slice_of(person.uid) for person in desired.people})
    result.asked = [dropin.values for dropin in kept.values()]
    result.names = {**observed.accounts, **{person.uid: person.name for person in desired.people}}
    _look_at_live(result, desired, observed, kept)
    _find_conflicts(result, desired, observed)
    return result


def _exempt(desired: Desired, observed: Observed) -> dict[int, str]:
    """uid -> name of whoever nothing limits. root always: a limit that was a mistake must leave a way in."""
    found = {0: "root"}
    for uid, name in observed.accounts.items():
        if name in desired.exempt or uid < desired.exempt_below:
            found[uid] = name
    return found


def _of_nobody(desired: Desired, exempt: Mapping[int, str]) -> dict[str, DropIn]:
    """The drop-ins that no entry of `people` stands behind."""
    found = {slice_of(uid): DropIn(f"{name}, whom nothing limits", unlimited()) for uid, name in sorted(exempt.items())}
    values = values_of(desired.defaults, desired.rules)
    if values:
        found[DEFAULT] = DropIn("people without a file of their own", values)
    return found


def _of_person(
    person: Person, desired: Desired, observed: Observed, cpus: Mapping[str, tuple[int, ...]], result: Plan
) -> DropIn | None:
    """None for somebody who has no slice to limit. Whoever gets a reused uid must not inherit anything."""
    if person.state != "present":
        return None
    values = values_of(person.limits, desired.rules)
    if person.affiliation_cores is not None:
        values["AllowedCPUs"] = cpus.get(person.affiliation)
    if not values:
        return None
    live = observed.live.get(person.uid)
    limit = values.get("MemoryMax")
    if live is None or not isinstance(limit, int) or not over(live, limit):
        return DropIn(person.name, values)
    now = live.kernel.get("MemoryMax")
    used = size_text((live.unreclaimable or 0) >> 20 << 20)
    if desired.when_over == APPLY:
        result.pending[person.name] = (
            f"MemoryMax {size_text(limit)} is below the {used} in use: the kernel ends processes of {person.name}"
        )
        return DropIn(person.name, values)
    pending: dict[str, Value] = {"MemoryMax": limit}
    if values["MemoryHigh"] is None:
        pending["MemoryHigh"] = None
        values["MemoryHigh"] = limit
    values["MemoryMax"] = now
    pressed = f"MemoryHigh {for_people('MemoryHigh', values['MemoryHigh'])} presses it down"
    result.pending[person.name] = (
        f"MemoryMax stays {for_people('MemoryMax', now)} until less than {size_text(limit)} is in use (now {used});"
        f" {'nothing presses it down here' if 'MemoryHigh' in observed.obstacles else pressed}"
    )
    return DropIn(person.name, values, pending)


def over(live: Live, limit: int) -> bool:
    """Whether lowering MemoryMax to `limit` now would make the kernel kill something."""
    now = live.kernel.get("MemoryMax")
    lowers = now is None or (isinstance(now, int) and now > limit)
    return lowers and live.unreclaimable is not None and live.unreclaimable > limit


def _compare(
    result: Plan, observed: Observed, slice_name: str, wanted: DropIn | None, person: str, state: str = "present"
) -> None:
    old = observed.files.get(slice_name)
    content = None if wanted is None else render(wanted)
    if old == content:
        if person:
            result.unchanged.append(person)
        return
    before = parsed(old)
    if wanted is None:
        why = "no limits in the registry" if state == "present" else state
        actions = [f"remove the limits: {why}"]
        outcome = {"suspended": "suspended", "absent": "removed"}.get(state, "changed")
    else:
        actions = [*_differences(before.values, wanted.values)] or ["rewrite the file: order or comments differ"]
        outcome = "created" if old is None else "changed"
    if person in result.pending and wanted is not None:
        actions.append(result.pending[person])
    result.changes[slice_name] = Change(slice_name, person, outcome, old or "", content, actions)


def _differences(before: Values, after: Values) -> Iterator[str]:
    for name in PROPERTIES:
        old, new = before.get(name, "absent"), after.get(name, "absent")
        if old == new:
            continue
        if new == "absent":
            yield f"{name} no longer set"
        elif old == "absent":
            yield f"{name} {for_people(name, after[name])}"
        else:
            yield f"{name} {for_people(name, before[name])} -> {for_people(name, after[name])}"


def _remove_stale(result: Plan, observed: Observed, kept: Mapping[str, DropIn], people: set[str]) -> None:
    """Files of ours for uids that nobody has any more, and for those who are not exempt any more."""
    for slice_name in sorted(observed.files.keys() - kept.keys() - people):
        old = observed.files[slice_name]
        whose = parsed(old).whose
        known = whose if uid_of(slice_name) is not None and " " not in whose else ""
        result.changes[slice_name] = Change(
            slice_name, known, "removed", old, None, [f"remove the limits of {slice_name}: not in the registry"]
        )


def _look_at_live(result: Plan, desired: Desired, observed: Observed, kept: Mapping[str, DropIn]) -> None:
    only = next((person.uid for person in desired.people if person.name == desired.only), None)
    after = {name: parsed(text) for name, text in observed.files.items() if name not in result.changes}
    after.update(kept)
    for uid, live in observed.live.items():
        if only is not None and uid != only:
            continue
        dropin = after.get(slice_of(uid), after.get(DEFAULT, DropIn("")))
        result.wanted[uid] = _ruling(dropin.values, uid, observed)
        sentences = mismatches(live, result.wanted[uid])
        if sentences and not {slice_of(uid), DEFAULT} & result.changes.keys():
            result.drift[uid] = [f"apply again: {sentence}" for sentence in sentences]


def _ruling(values: Values, uid: int, observed: Observed) -> dict[str, Value]:
    """The values that can come true: not overridden by a drop-in that is read later, and known to the kernel."""
    lost = {
        name
        for foreign in (*observed.foreign.get(DEFAULT, ()), *observed.foreign.get(slice_of(uid), ()))
        if foreign.wins
        for name in foreign.properties
    }
    return {name: value for name, value in values.items() if name not in lost}


def mismatches(live: Live, wanted: Values) -> list[str]:
    """Where systemd or the kernel holds something else than wanted, as sentences; [] when all is well."""
    found = []
    for name, value in wanted.items():
        if name in live.shown and not same(name, live.shown[name], value):
            found.append(f"{name} of systemd is {for_people(name, live.shown[name])}, not {for_people(name, value)}")
        elif name in live.kernel and not same(name, live.kernel[name], value):
            found.append(
                f"{name} of the kernel is {for_people(name, live.kernel[name])}, not {for_people(name, value)}"
            )
    return found


def same(name: str, one: Value, other: Value) -> bool:
    """Equal, as far as the scales of unit files, systemd and the kernel can tell."""
    if name == "CPUQuota" and isinstance(one, int) and isinstance(other, int):
        return abs(one - other) <= 1  # a small quota costs systemd the last digit
    if name in ("CPUWeight", "IOWeight"):
        return (USUAL_WEIGHT if one is None else one) == (USUAL_WEIGHT if other is None else other)
    return one == other


def _find_conflicts(result: Plan, desired: Desired, observed: Observed) -> None:
    uids = {person.uid for person in desired.people if desired.only in ("", person.name)}
    for slice_name, foreign in sorted(observed.foreign.items()):
        uid = uid_of(slice_name)
        if desired.only and uid not in uids:
            continue
        whose = "everybody" if uid is None else result.names.get(uid, f"uid {uid}")
        for one in foreign:
            what = ", ".join(one.properties)
            if one.wins:
                result.conflicts.append(f"{one.path} overrides {what} of {whose}: remove the file")
            elif one.by_set_property:
                result.conflicts.append(
                    f"{one.path} (systemctl set-property) sets {what} of {whose} until systemd is reloaded:"
                    " remove the file"
                )


def parsed(text: str | None) -> DropIn:
    """A drop-in of ours as it lies there; empty when a hand wrote something into it that is no value."""
    try:
        return parse(text or "")
    except ValueError:
        return DropIn("")  # the file is replaced as a whole, and the diff shows what was there


def _nobody(change: Change) -> str:
    return "defaults" if change.slice_name == DEFAULT else change.slice_name
