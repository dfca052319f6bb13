# SPDX-License-Identifier: GPL-3.0-or-later
"""Carry a plan out: files first, one reload of systemd, then what live slices really have is read back."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import CommandError, LyceumError
from ..files import write_all_atomically
from . import observe, systemd
from .dropin import MODE, UNITS, DropIn, path_of, render, slice_of, uid_of
from .hierarchy import Hierarchy
from .observe import MARK, Live, Observed, below, dropins, live_slices
from .plan import Desired, Plan, mismatches, over, parsed, plan
from .properties import Value, Values, for_people

# Held by whoever changes drop-ins: else the timer on the host, which completes limits, could write over those that a
# run has changed since it looked.
LOCK = Path("/run/lyceum/slices.lock")
_DIRECTORY_MODE = 0o755


@dataclass
class Outcome:
    """failures: person (or slice, where nobody stands behind it) -> what went wrong."""

    plan: Plan
    observed: Observed
    failures: dict[str, str] = field(default_factory=dict)


def run(desired: Desired, *, check: bool) -> Outcome:
    """observe, plan, apply, verify. Raises LyceumError when nothing can be done at all."""
    uids = {person.uid for person in desired.people if person.name == desired.only} if desired.only else None
    with contextlib.nullcontext() if check else locked(below(LOCK), _DIRECTORY_MODE):
        observed = observe.observe(uids)
        todo = plan(desired, observed)
        outcome = Outcome(todo, observed)
        if todo.changed and not check:
            outcome.failures = _write(todo)
            outcome.failures.update(enforce(observed.hierarchy, todo.wanted, todo.names))
    return outcome


@contextlib.contextmanager
def locked(path: Path, mode: int) -> Iterator[None]:
    """Hold a lock, which ends with its process, however that ends. mode: of a new folder. Raises LyceumError."""
    try:
        path.parent.mkdir(mode=mode, parents=True, exist_ok=True)
        handle = path.open("a")
    except OSError as exc:
        raise LyceumError(f"cannot lock {path}: {exc.strerror}") from exc
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _write(todo: Plan) -> dict[str, str]:
    """All files, and the note that systemd has to read them. Returns what failed. Raises LyceumError."""
    failures: dict[str, str] = {}
    contents: dict[Path, bytes] = {}
    owners: dict[Path, str] = {}
    mark_reload()
    for change in todo.changes.values():
        path = path_of(change.slice_name, below(UNITS))
        owners[path] = change.person or change.slice_name
        try:
            if change.content is None:
                remove(path)
            else:
                path.parent.mkdir(mode=_DIRECTORY_MODE, exist_ok=True)
                contents[path] = change.content.encode()
        except OSError as exc:
            failures[owners[path]] = f"cannot change {path}: {exc.strerror}"
    failures.update({owners[path]: why for path, why in write_all_atomically(contents, MODE).items()})
    return failures


def mark_reload() -> None:
    """Note that files change, so that a run killed before the reload is made good by the next. Raises LyceumError."""
    try:
        below(MARK).parent.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
        below(MARK).touch()
    except OSError as exc:
        raise LyceumError(f"cannot write {MARK}: {exc.strerror}; nothing was changed") from exc


def remove(path: Path) -> None:
    """Delete a drop-in, what a killed run left beside it, and their directory if nothing else is in it."""
    path.unlink(missing_ok=True)
    path.with_name(f".{path.name}.lyceum").unlink(missing_ok=True)
    # Another's file keeps the directory.
    with contextlib.suppress(OSError):
        path.parent.rmdir()


def enforce(hierarchy: Hierarchy | None, wanted: Mapping[int, Values], names: Mapping[int, str]) -> dict[str, str]:
    """Have systemd read its files once, and see to it that live slices are as `wanted` says.

    Returns what is still different, by name. Raises CommandError when systemd cannot be reloaded; the note stays then.
    """
    systemd.reload()
    live = live_slices(hierarchy, wanted)
    behind = {uid: values for uid, one in live.items() if (values := _behind(one))}
    for uid, values in behind.items():
        # A slice that has vanished since needs nothing any more; one that has not is looked at below.
        with contextlib.suppress(CommandError):
            systemd.apply_live(uid, values)
    if behind:
        systemd.reload()
        live.update(live_slices(hierarchy, behind))
    below(MARK).unlink(missing_ok=True)
    left = {uid: mismatches(one, wanted[uid]) for uid, one in live.items()}
    return {names.get(uid, f"uid {uid}"): "; ".join(sentences) for uid, sentences in left.items() if sentences}


def _behind(live: Live) -> dict[str, Value]:
    """What systemd holds and the kernel does not have: properties and the values to write."""
    return {
        name: live.shown[name]
        for name in live.kernel
        if name in live.shown and mismatches(Live({}, live.kernel), {name: live.shown[name]})
    }


def settle() -> list[str]:
    """Complete what waited for people to use less memory (see plan.py). Returns sentences. Raises LyceumError.

    For the timer on the host: nobody has to run anything again for a limit to become true.
    """
    with locked(below(LOCK), _DIRECTORY_MODE):
        return _complete()


def _complete() -> list[str]:
    files, _foreign = dropins()
    waiting = {name: dropin for name, text in files.items() if (dropin := parsed(text)).pending}
    if not waiting:
        return []
    hierarchy = Hierarchy.read(observe.ROOT)
    live = live_slices(hierarchy, [uid for name in waiting if (uid := uid_of(name)) is not None])
    ready: dict[str, DropIn] = {}
    for name, dropin in waiting.items():
        now = live.get(uid_of(name) or 0)
        limit = dropin.pending.get("MemoryMax")
        if now is None or not isinstance(limit, int) or not over(now, limit):
            ready[name] = DropIn(dropin.whose, {**dropin.values, **dropin.pending})
    if not ready:
        return []
    mark_reload()
    failures = write_all_atomically(
        {path_of(name, below(UNITS)): render(dropin).encode() for name, dropin in ready.items()}, MODE
    )
    wanted = {uid: dropin.values for name, dropin in ready.items() if (uid := uid_of(name)) in live and uid is not None}
    wrong = enforce(hierarchy, wanted, {uid: ready[slice_of(uid)].whose for uid in wanted})
    if failures or wrong:
        raise LyceumError("; ".join([*failures.values(), *(f"{name}: {why}" for name, why in wrong.items())]))
    return [
        f"{dropin.whose}: MemoryMax {for_people('MemoryMax', dropin.values['MemoryMax'])}" for dropin in ready.values()
    ]
