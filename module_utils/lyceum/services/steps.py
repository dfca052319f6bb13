# SPDX-License-Identifier: GPL-3.0-or-later
"""What an adapter plans: one step for each call that changes something in a service."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import LyceumError
from ..results import RESULTS
from .secret import Secret


@dataclass(frozen=True)
class Found:
    """What `Step.confirm` may return instead of True, when it knows more.

    external_id: the service's own id of the object. ours: it is certain that this step made it (its random marker or
    password is on it), not somebody else in the same moment.
    """

    external_id: str = ""
    ours: bool = False


@dataclass(frozen=True)
class Step:
    """One call that changes something, and how to find out whether it happened.

    person: for whom, as in the registry; "" for what belongs to nobody (an organization).
    key: names the object and what is done to it, the same in every run, without a secret: "user", "ssh_key SHA256:...",
        "member retina/write". (person, key) is unique in a run.
    sentence: what the step does, for people: "create account amartin". The same words are shown in check mode.
    send: make the call, exactly once and without retries of its own. Returns the service's id of the object, or None.
        Raises a class of `errors`.
    confirm: read only: True (or Found) if the object is as this step leaves it, False if certainly not, None if
        reading cannot tell. Raises a class of `errors`. Called after an unclear answer, after Exists and NotFound, and
        before anything that a killed run may have sent already.
    undo: take back what `send` did; called only if this run did it. Must be harmless when repeated, and disable
        rather than delete where data could hang on the object. None: nothing can be taken back, or need not be.
    after: keys of earlier steps of the same lane without which this one makes no sense; if one of them fails, this one
        is skipped. Steps without it are still carried out in order.
    result: what it makes of the person in the run's table: created | changed | suspended | removed.
    creates: an object comes into being. If nobody knows whether we or others made it, it is adopted, never undone.
    repeatable: sending it twice is the same as once; so it is sent again when confirm returns None.
    read_back: the service's "done" is no proof: call confirm after it, too.
    lane: steps of a lane are carried out one after the other; lanes go in parallel. Empty: the person.
    secrets: what this step sends and nobody may see in an error.
    before: what `undo_earlier` of an adapter needs to know to undo this step in another process (JSON, no secret).
    """

    person: str
    key: str
    sentence: str
    send: Callable[[], str | None]
    confirm: Callable[[], bool | Found | None]
    undo: Callable[[], None] | None = None
    after: tuple[str, ...] = ()
    result: str = "changed"
    creates: bool = False
    repeatable: bool = False
    read_back: bool = False
    lane: str = ""
    secrets: Collection[Secret] = ()
    before: Any = None

    @property
    def track(self) -> str:
        """The lane this step really goes in."""
        return self.lane or self.person


def lanes(steps: Sequence[Step]) -> list[list[Step]]:
    """The steps by lane, both in the order given. Raises LyceumError for a plan that makes no sense."""
    tracks: dict[str, list[Step]] = {}
    seen: set[tuple[str, str]] = set()
    known: dict[str, set[str]] = {}
    for step in steps:
        if (step.person, step.key) in seen:
            raise LyceumError(f"the plan has {step.key!r} of {step.person or 'nobody'!r} twice: {step.sentence}")
        if step.result not in RESULTS[1:-1]:
            raise LyceumError(f"the plan calls {step.sentence!r} {step.result!r}; that is no result of a person")
        missing = [key for key in step.after if key not in known.get(step.track, ())]
        if missing:
            raise LyceumError(
                f"the plan has {step.sentence!r} after {missing[0]!r}, which is not before it in its lane"
            )
        seen.add((step.person, step.key))
        known.setdefault(step.track, set()).add(step.key)
        tracks.setdefault(step.track, []).append(step)
    return list(tracks.values())
