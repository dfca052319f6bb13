# SPDX-License-Identifier: GPL-3.0-or-later
"""Carry out the steps of a plan against a service that may be slow, locked, restarting, or gone.

What each answer of `Step.send` leads to:

    done         recorded as verified (after `confirm`, if `read_back`)
    NotReady     nothing happened: wait until the service is ready, at most `ready_s`, and send again
    Transient    wait (full jitter, Retry-After), `confirm`, and send again unless it is there; `tries` in all
    Ambiguous    the same, but when `confirm` cannot tell, only a `repeatable` step is sent again
    Exists       `confirm`: adopted when it is what was asked for, a failure when not
    NotFound     `confirm`: done when there is nothing left to do, a failure when not
    Permanent    a failure of this step; steps that come `after` it are skipped, everything else goes on
    AuthRefused  the service is left alone at once; everything not yet sent is deferred

A killed run leaves steps recorded as `sent`: the next one confirms them before it sends anything.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from .journal import Entry, Journal
from .outcome import Outcome
from .secret import Secret
from .steps import Step


@dataclass(frozen=True)
class Policy:
    """How hard to try.

    writers: lanes at once. on_failure: keep (what was done stays, the next run goes on) or rollback_person (what this
    run did for a person is undone, last first, when one of the person's steps is refused; not when it is deferred).
    tries: how often a step is sent. ready_s: how long to wait for a service that is down. deadline_s: for the whole
    run; what is left then is deferred. breaker_after: steps in a row that the service left unanswered before it is
    left alone.
    """

    writers: int = 4
    on_failure: str = "keep"
    tries: int = 6
    ready_s: float = 120.0
    deadline_s: float = 3600.0
    breaker_after: int = 5


def preview(steps: Sequence[Step]) -> Outcome:
    """What `run` would do if nothing went wrong: for check mode."""
    raise NotImplementedError


def run(
    steps: Sequence[Step],
    policy: Policy,
    journal: Journal,
    *,
    scope: Collection[str] | None = None,
    ready: Callable[[], None] | None = None,
    read_back: Callable[[], Collection[tuple[str, str]]] | None = None,
    undo_earlier: Callable[[Entry], Callable[[], None] | None] | None = None,
    secrets: Collection[Secret] = (),
) -> Outcome:
    """Carry out the steps; every error ends up in the outcome, none is raised.

    journal: opened before the service was observed, so that no other run works on the same plan.
    scope: the people the plan is about, also those who need nothing; what an interrupted run left open about them is
        settled by this run. Default: those of the steps.
    ready: cheap probe (a health check); raises NotReady or Transient while the service cannot work.
    read_back: called once at the end: observe and plan again; returns (person, key) of the steps still to be done.
        They are failures: a service that said "done" and did not.
    undo_earlier: how to undo what an interrupted run, which this one continues, had created; for rollback_person.
    secrets: what may not appear in any message, such as the credentials of the service.
    """
    raise NotImplementedError
