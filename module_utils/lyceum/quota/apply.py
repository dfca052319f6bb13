# SPDX-License-Identifier: GPL-3.0-or-later
"""Read all quotas of the file systems concerned, plan, write in bulk, read back."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import LyceumError
from ..files import write_atomically
from . import kernel, tools
from .filesystem import Mount
from .model import Limits, Target
from .observe import locate, read_places
from .plan import Observed, QuotaPlan, Spec, plan, shortfall
from .trees import DIRECTORY, walk

RECURSABLE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOATIME


@dataclass
class Outcome:
    """What a run found, did and left. before, after: the host as it was and as read back (the same in check mode).

    failures: by target; general: what failed and belongs to none. uncounted: notes about what recursion left out.
    """

    spec: Spec
    targets: list[Target]
    plan: QuotaPlan
    before: Observed
    after: Observed
    failures: dict[tuple[str, str, int], str]
    general: list[str]
    uncounted: list[str]


def run(spec: Spec, *, check: bool) -> Outcome:
    """observe, plan, apply, verify. Raises LyceumError for what concerns all quotas."""
    targets, points = locate(spec.quotas)
    uncounted: list[str] = []
    observed = observe(spec, targets, points, uncounted, check=check)
    todo = plan(spec, targets, observed)
    outcome = Outcome(spec, targets, todo, observed, observed, dict(todo.failures), list(observed.errors), uncounted)
    if spec.strict:
        outcome.general += [shortfall(short) for short in todo.not_enforced]
    if todo.changed and not check:
        complaints = _apply(spec, todo, outcome)
        outcome.after = observe(spec, targets, points, [], check=False)
        _verify(outcome, complaints)
    return outcome


def observe(
    spec: Spec, targets: Sequence[Target], points: dict[str, Mount], uncounted: list[str], *, check: bool
) -> Observed:
    """Everything the plan needs."""
    result = read_places(targets, points, check=check)
    result.projid = _text(Path(spec.projid))
    for target in targets:
        if (target.mount, target.kind) in result.records:
            for directory in target.directories:
                _observe_directory(spec, result, target, directory, uncounted)
    return result


def _observe_directory(spec: Spec, result: Observed, target: Target, directory: str, uncounted: list[str]) -> None:
    try:
        tag = result.tags[directory] = kernel.read_tag(directory)
        if tag is not None and spec.recurse:
            result.untagged[directory] = recurse(directory, target.id, uncounted.append, write=False)
        if tag is not None and tag.project != target.id:
            with os.scandir(directory) as entries:
                result.filled |= {directory} if next(entries, None) is not None else set()
    except OSError as exc:
        result.tags[directory] = f"cannot read the project of {directory}: {exc.strerror}"


def _apply(spec: Spec, todo: QuotaPlan, outcome: Outcome) -> dict[tuple[str, str], str]:
    """Write everything; returns what setquota complained about, by (mount, kind).

    Directories first: a limit on a project that nothing counts for would look right and stop nobody.
    """
    for key, change in todo.changes.items():
        try:
            for directory in change.tag:
                kernel.write_tag(directory, change.target.id)
            for directory in change.recurse:
                recurse(directory, change.target.id, outcome.uncounted.append, write=True)
        except OSError as exc:
            outcome.failures[key] = (
                f"cannot give {exc.filename or directory} to project {change.target.id}: {exc.strerror}"
            )
    if todo.projid is not None:
        try:
            write_atomically(Path(spec.projid), todo.projid.encode("utf-8", "surrogateescape"), 0o644)
        except LyceumError as exc:
            outcome.general.append(str(exc))
    for mount, kind in todo.graces:
        try:
            tools.write_grace(mount, kind, spec.grace_seconds or 0)
        except LyceumError as exc:
            outcome.general.append(str(exc))
    batches: dict[tuple[str, str], dict[int, Limits]] = {}
    for change in todo.changes.values():
        if change.limits is not None:
            batches.setdefault((change.target.mount, change.target.kind), {})[change.target.id] = change.limits
    return {place: tools.write(*place, limits) for place, limits in batches.items()}


def _verify(outcome: Outcome, complaints: dict[tuple[str, str], str]) -> None:
    """What is still to be done after it was done has failed."""
    left = plan(outcome.spec, outcome.targets, outcome.after)
    for key, change in left.changes.items():
        words = complaints.get(key[:2]) or "; ".join(change.actions)
        outcome.failures.setdefault(key, f"set, yet still different: {words}")
    outcome.general += [f"{sentence}: set, yet still different" for sentence in left.graces.values()]


def recurse(directory: str, project: int, complain: Callable[[str], None], *, write: bool) -> int:
    """Make all that is below a directory count for a project, or only count what does not. Returns how many.

    Links, sockets and devices cannot belong to a project; they take no space either. Raises OSError.
    """
    top = os.open(directory, DIRECTORY)
    found = 0
    try:
        for entry in walk(top, directory, complain):
            if entry.leaving or not (stat.S_ISDIR(entry.info.st_mode) or stat.S_ISREG(entry.info.st_mode)):
                continue
            try:
                descriptor = (
                    os.open(entry.name, RECURSABLE, dir_fd=entry.descriptor) if entry.own is None else entry.own
                )
                try:
                    found += _claim(descriptor, project, write=write)
                finally:
                    if entry.own is None:
                        os.close(descriptor)
            except FileNotFoundError:
                continue
            except OSError as exc:
                complain(f"{directory}/{entry.path}: {exc.strerror}")
    finally:
        os.close(top)
    return found


def _claim(descriptor: int, project: int, *, write: bool) -> bool:
    """Whether an open file or directory counts for another project; it then is given this one if asked."""
    info = os.fstat(descriptor)
    # Between being listed and being opened it may have become anything.
    if not (stat.S_ISDIR(info.st_mode) or stat.S_ISREG(info.st_mode)):
        return False
    tag = kernel.tag_of(descriptor)
    if tag.project == project and (tag.inherit or not stat.S_ISDIR(info.st_mode)):
        return False
    if write:
        kernel.set_tag(descriptor, project)
    return True


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return ""
    except OSError as exc:
        raise LyceumError(f"cannot read {path}: {exc.strerror}") from exc
