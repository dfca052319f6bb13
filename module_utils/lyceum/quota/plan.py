# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare what quotas should be with what the host has. Pure: no file is touched here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import LyceumError
from .kernel import Tag
from .model import GIB, KIB, KINDS, Limits, Quota, Target
from .projid import rewrite, tag_sentence
from .tools import Record


@dataclass(frozen=True)
class Spec:
    """The parameters of the module. ranges: (kind, first, last) of the ids that the registry owns.

    grace_seconds: for soft limits, None leaves it. strict: fail where a quota cannot be enforced.
    """

    quotas: tuple[Quota, ...]
    complete: bool
    ranges: tuple[tuple[str, int, int], ...]
    grace_seconds: int | None
    recurse: bool
    strict: bool
    projid: str

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Spec:
        """Raises LyceumError for what cannot be meant."""
        percent, days = params["soft_percent"], params["grace_days"]
        if not 1 <= percent <= 100:
            raise LyceumError(f"soft_percent is {percent}; it must be between 1 and 100")
        if days is not None and not 0 < days <= 3650:
            raise LyceumError(f"grace_days is {days}; it must be more than 0 and at most 3650")
        return cls(
            quotas=tuple(Quota.from_params(entry, percent) for entry in params["quotas"]),
            complete=params["complete"],
            ranges=tuple((one["kind"], one["first"], one["last"]) for one in params["id_ranges"]),
            grace_seconds=None if days is None else round(days * 86400),
            recurse=params["recurse"],
            strict=params["when_unsupported"] == "fail",
            projid=params["projid"],
        )


@dataclass
class Observed:
    """The host as it is. The first three by (mount point, kind); only kinds that are counted have records.

    blocks: size of a block by mount point. tags: by directory; a sentence where it cannot be read. filled: directories
    that have content. untagged: by directory, how much below counts for another project (only if asked to recurse).
    errors: what could not be read.
    """

    records: dict[tuple[str, str], dict[int, Record]] = field(default_factory=dict)
    shortcomings: dict[tuple[str, str], str] = field(default_factory=dict)
    graces: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    blocks: dict[str, int] = field(default_factory=dict)
    tags: dict[str, Tag | str | None] = field(default_factory=dict)
    filled: set[str] = field(default_factory=set)
    untagged: dict[str, int] = field(default_factory=dict)
    projid: str = ""
    errors: list[str] = field(default_factory=list)


@dataclass
class Change:
    """What is to be done about one target. limits: the new ones, or None. tag: directories to give its project.

    recurse: directories below which everything is to be given it, too.
    """

    target: Target
    actions: list[str] = field(default_factory=list)
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    limits: Limits | None = None
    tag: list[str] = field(default_factory=list)
    recurse: list[str] = field(default_factory=list)


@dataclass
class QuotaPlan:
    """Everything to do. changes: by target. graces: (mount, kind) -> sentence. projid: the new content, or None.

    failures: why a target cannot be what it should, by target. not_enforced: for the result, see `shortfalls`.
    waiting: directories that are not there.
    """

    changes: dict[tuple[str, str, int], Change] = field(default_factory=dict)
    failures: dict[tuple[str, str, int], str] = field(default_factory=dict)
    graces: dict[tuple[str, str], str] = field(default_factory=dict)
    projid: str | None = None
    not_enforced: list[dict[str, Any]] = field(default_factory=list)
    unmanaged: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return bool(self.changes or self.graces) or self.projid is not None


def plan(spec: Spec, targets: Sequence[Target], observed: Observed) -> QuotaPlan:
    """Compare."""
    result = QuotaPlan(not_enforced=shortfalls(targets, observed))
    names: dict[int, str] = {}
    dropped: set[int] = set()
    for target in targets:
        records = observed.records.get((target.mount, target.kind))
        if records is None:
            continue
        change = Change(target)
        record = records.get(target.id, Record(Limits(), 0, 0))
        _plan_limits(change, record, observed.blocks[target.mount])
        for directory in target.directories:
            _plan_tag(result, change, directory, observed)
        if change.actions:
            result.changes[target.key] = change
        if target.kind == "project":
            if target.present:
                names[target.id] = target.name
            else:
                dropped.add(target.id)
    content = rewrite(observed.projid, names, dropped - names.keys())
    result.projid = content if content != observed.projid and (names or dropped) else None
    if spec.grace_seconds is not None:
        for place, (space, files) in observed.graces.items():
            if (space, files) != (spec.grace_seconds, spec.grace_seconds):
                before = days(space) if space == files else f"{days(space)} (space) and {days(files)} (files)"
                result.graces[place] = (
                    f"{place[1]} quotas on {place[0]}: grace time {before} -> {days(spec.grace_seconds)}"
                )
    if spec.complete:
        result.unmanaged = _unmanaged(spec, targets, observed)
    return result


def shortfalls(targets: Sequence[Target], observed: Observed) -> list[dict[str, Any]]:
    """Limits that stop nobody, `{filesystem, kinds, reason, quotas, people}` for each cause."""
    found: dict[tuple[str, str], list[Target]] = {}
    for target in targets:
        limited = target.present and any(limit and limit.hard is not None for limit in (target.space, target.files))
        reason = observed.shortcomings.get((target.mount, target.kind)) if limited or target.unbounded else None
        if reason is None and target.unbounded:
            reason = (
                f"{target.mount}: a {target.kind} quota counts all files of somebody there, and some of them are"
                f" unlimited, so that the limit of {' and '.join(target.unbounded)} stops nobody. Remedy: limit them"
                " all, or give homes project quotas, too."
            )
        elif reason is None and target.shared:
            reason = (
                f"{target.mount}: a {target.kind} quota counts all files of somebody there, so that"
                f" {' and '.join(target.shared)} may use what is left of {target.name} together. Remedy: give homes"
                " project quotas, too."
            )
        if reason is not None:
            found.setdefault((target.mount, reason), []).append(target)
    return [
        {
            "filesystem": mount,
            "kinds": sorted({target.kind for target in affected}, key=KINDS.index),
            "reason": reason,
            "quotas": [str(target) for target in affected],
            "people": sorted({target.person for target in affected if target.person}),
        }
        for (mount, reason), affected in found.items()
    ]


def shortfall(short: Mapping[str, Any]) -> str:
    """One of them as a sentence."""
    return f"{len(short['quotas'])} {' and '.join(short['kinds'])} quota(s) not enforced: {short['reason']}"


def size(kib: int) -> str:
    """A limit of space for the eye; 0 is no limit."""
    if not kib:
        return "unlimited"
    for unit, factor in (("TiB", KIB * GIB), ("GiB", GIB), ("MiB", KIB * KIB)):
        if kib * KIB >= factor:
            return (
                f"{kib * KIB / factor:.4g} {unit}" if kib * KIB < 1000 * factor else f"{kib * KIB / factor:.0f} {unit}"
            )
    return f"{kib} KiB"


def days(seconds: int) -> str:
    """A grace time for the eye."""
    return f"{seconds / 86400:.4g} days"


def _plan_limits(change: Change, record: Record, block: int) -> None:
    old = record.limits
    new = change.target.wanted(old, block)
    if new == old:
        return
    change.limits = new
    change.before, change.after = _lines(old), _lines(new)
    space_old, space_new = (old.space_soft, old.space_hard), (new.space_soft, new.space_hard)
    files_old, files_new = (old.files_soft, old.files_hard), (new.files_soft, new.files_hard)
    # Nothing is deleted by a limit; whoever is over it can only delete from now on, and should be told why.
    if space_old != space_new:
        over = 0 < new.space_hard < record.space_used
        note = f"; {size(record.space_used)} are used already, so that nothing more can be written" if over else ""
        change.actions.append(f"space {_pair(*map(size, space_old))} -> {_pair(*map(size, space_new))}{note}")
    if files_old != files_new:
        over = 0 < new.files_hard < record.files_used
        note = f"; there are {record.files_used} files already, so that none can be added" if over else ""
        change.actions.append(f"files {_pair(*map(_count, files_old))} -> {_pair(*map(_count, files_new))}{note}")


def _plan_tag(result: QuotaPlan, change: Change, directory: str, observed: Observed) -> None:
    target, tag = change.target, observed.tags[directory]
    if isinstance(tag, str):
        result.failures[target.key] = tag
        return
    if tag is None:
        # Somebody who is suspended before the first login, or a new host in check mode.
        result.waiting.append(
            f"{directory} does not exist; once it does, the next run makes it count for {target.name}"
        )
        return
    if (tag.project, tag.inherit) != (target.id, True):
        change.tag.append(directory)
        change.actions.append(f"{directory}: {tag_sentence(tag, target.id, target.name)}")
        old = f"project {tag.project}{' for new files, too' if tag.inherit else ''}" if tag.project else "no project"
        change.before.append(f"{directory}: {old}")
        change.after.append(f"{directory}: project {target.id} for new files, too")
        if directory in observed.filled and directory not in observed.untagged:
            change.actions[-1] += "; what is in it already does not count until a run with recurse"
    if observed.untagged.get(directory):
        change.recurse.append(directory)
        change.actions.append(f"{directory}: count {observed.untagged[directory]} files and folders below it")


def _unmanaged(spec: Spec, targets: Sequence[Target], observed: Observed) -> list[str]:
    """Limits of ids that the registry owns and does not know (any more)."""
    known = {target.key for target in targets}
    found = []
    for (mount, kind), records in sorted(observed.records.items()):
        ranges = [(first, last) for one, first, last in spec.ranges if one == kind]
        for number, record in sorted(records.items()):
            if (
                record.limits != Limits()
                and (mount, kind, number) not in known
                and any(first <= number <= last for first, last in ranges)
            ):
                limits = _pair(size(record.limits.space_soft), size(record.limits.space_hard))
                found.append(f"{kind} quota of id {number} on {mount} ({limits})")
    return found


def _lines(limits: Limits) -> list[str]:
    return [
        f"space: {_pair(size(limits.space_soft), size(limits.space_hard))}",
        f"files: {_pair(_count(limits.files_soft), _count(limits.files_hard))}",
    ]


def _pair(soft: str, hard: str) -> str:
    return hard if soft == "unlimited" else f"{hard} (soft {soft})"


def _count(number: int) -> str:
    return str(number) if number else "unlimited"


def kinds_of(targets: Sequence[Target]) -> list[tuple[str, str]]:
    """Every (mount point, kind) that occurs, in a stable order."""
    return sorted(
        {(target.mount, target.kind) for target in targets}, key=lambda place: (place[0], KINDS.index(place[1]))
    )
