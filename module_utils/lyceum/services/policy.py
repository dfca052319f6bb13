# SPDX-License-Identifier: GPL-3.0-or-later
"""How hard the engine tries, and what becomes of a person half of whose steps succeeded."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..errors import LyceumError
from .backoff import Backoff

KEEP = "keep"
ROLLBACK = "rollback_person"


@dataclass(frozen=True)
class Policy:
    """on_failure: keep (what was done stays, the next run goes on) or rollback_person (what this run did for a person
    is undone, last first, when one of the person's steps is refused; not when it is deferred).

    writers: lanes at once. tries: how often a step is sent or looked for. ready_s: how long to wait for a service that
    is down. deadline_s: for the whole run; what is left then is deferred. breaker_after: steps in a row that the
    service left unanswered before it is left alone.
    """

    writers: int = 4
    on_failure: str = KEEP
    tries: int = 6
    ready_s: float = 120.0
    deadline_s: float = 3600.0
    breaker_after: int = 5
    backoff: Backoff = field(default_factory=Backoff)

    def __post_init__(self) -> None:
        if self.on_failure not in (KEEP, ROLLBACK):
            raise LyceumError(f"on_failure is {self.on_failure!r}; it can be {KEEP} or {ROLLBACK}")
        if min(self.writers, self.tries, self.breaker_after) < 1:
            raise LyceumError("writers, tries and breaker_after must be at least 1")
