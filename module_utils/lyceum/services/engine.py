# SPDX-License-Identifier: GPL-3.0-or-later
"""Carry out the steps of a plan against a service that may be slow, locked, restarting, or gone.

What each answer of `Step.send` leads to:

    done         recorded as verified (after `confirm`, if `read_back`)
    NotReady     wait until the service is ready, at most `ready_s`; `confirm`, and send again unless it is there
    Transient    wait (full jitter, Retry-After); `confirm`, and send again unless it is there; `tries` in all
    Ambiguous    the same, but when `confirm` cannot tell, only a `repeatable` step is sent again
    Exists       `confirm`: adopted when it is what was asked for, a failure when not
    NotFound     `confirm`: done when there is nothing left to do, a failure when not
    Permanent    a failure of this step; steps that come `after` it are skipped, everything else goes on
    AuthRefused  the service is left alone at once; everything not yet sent is deferred

A killed run leaves steps recorded as `sent`: the next one confirms them before it sends anything.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from ..errors import LyceumError
from .backoff import Clock, SystemClock
from .journal import Entry, Journal
from .outcome import Outcome, StepOutcome
from .policy import Policy
from .secret import Secret, redact
from .steps import Step, lanes
from .work import Work


def preview(steps: Sequence[Step]) -> Outcome:
    """What `run` would do if nothing went wrong: for check mode. Raises LyceumError for a senseless plan."""
    lanes(steps)
    return Outcome([StepOutcome(step) for step in steps], check=True)


def run(
    steps: Sequence[Step],
    policy: Policy,
    journal: Journal,
    *,
    scope: Iterable[str] | None = None,
    ready: Callable[[], None] | None = None,
    read_back: Callable[[], Collection[tuple[str, str]]] | None = None,
    undo_earlier: Callable[[Entry], Callable[[], None] | None] | None = None,
    secrets: Collection[Secret] = (),
    clock: Clock | None = None,
) -> Outcome:
    """Carry out the steps. What the service does wrong ends up in the outcome; only a senseless plan, or a journal
    that cannot be written before anything was sent, raises LyceumError.

    journal: opened before the service was observed, so that no other run works on the same plan.
    scope: the people the plan is about, also those who need nothing; what an interrupted run left open about them is
        settled by this run. Default: those of the steps.
    ready: cheap probe (a health check); raises NotReady or Transient while the service cannot work.
    read_back: called once at the end: observe and plan again; returns (person, key) of the steps still to be done.
        They are failures: a service that said "done" and did not.
    undo_earlier: for rollback_person: how to undo what an interrupted run, which this one continues, did. An entry
        with status `sent` may not be ours: return an undo for it only if the object itself shows that it is.
    secrets: what may not appear in any message, such as the credentials of the service.
    """
    tracks = lanes(steps)
    people = {step.person for step in steps} if scope is None else set(scope)
    earlier = journal.open_entries()
    if not steps:
        if earlier:
            journal.finish(0, people, people)
        return Outcome()
    number, rows = journal.begin(steps)
    items = {(step.person, step.key): StepOutcome(step) for step in steps}
    work = Work(policy, journal, rows, earlier, ready, undo_earlier, tuple(secrets), clock or SystemClock())
    with ThreadPoolExecutor(max_workers=min(policy.writers, len(tracks))) as pool:
        try:
            list(pool.map(work.lane, [[items[step.person, step.key] for step in track] for track in tracks]))
        except BaseException:
            work.breaker.open("the run was interrupted")
            raise
    outcome = Outcome(list(items.values()), run=number, stopped=work.breaker.reason)
    try:
        if read_back is not None:
            _check_read_back(outcome, read_back(), journal, rows)
        unfinished = {item.step.person for item in outcome.having("deferred")}
        journal.finish(number, people, people - unfinished, outcome.stopped)
    except LyceumError as exc:
        outcome.stopped = outcome.stopped or f"what was done could not be read back: {redact(str(exc), secrets)}"
    return outcome


def _check_read_back(
    outcome: Outcome, wanting: Collection[tuple[str, str]], journal: Journal, rows: Mapping[tuple[str, str], int]
) -> None:
    """Call failed what was accepted and is not so."""
    for item in outcome.having("done", "adopted"):
        place = (item.step.person, item.step.key)
        if place in wanting:
            item.status, item.error = "failed", "the service accepted it, but it is not so"
            journal.ended(rows[place], "failed", item.error)
