# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of the engine at work: lanes of steps, each tried until it is done, refused, or left for the next run."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..errors import LyceumError
from .backoff import Clock
from .breaker import Breaker
from .errors import Ambiguous, AuthRefused, Exists, NotFound, NotReady, Permanent, Transient
from .journal import Entry, Journal, JournalError
from .outcome import StepOutcome
from .policy import ROLLBACK, Policy
from .secret import Secret, redact
from .steps import Found, Step

READY_CAP_S = 5.0  # asking a service whether it is back costs nothing; half a minute too late costs everybody

Row = Mapping[tuple[str, str], int]


class _GaveUpError(Exception):
    """The step is left for the next run."""


@dataclass
class _Attempts:
    """Where one step, or one undoing, stands.

    doubt: "" it certainly did not happen; otherwise look before anything else, and if it cannot be seen:
        "maybe" send again; "unclear" never send again; "exists", "missing", "refused" it failed, because of `words`.
    sends: how often it was sent. accepted: the service said it did it. failures, refusals: unclear answers, and
    connections or answers that said "not now". down_since: of the first refusal in a row. probe: see whether the
    service is back first.
    """

    doubt: str = ""
    words: str = ""
    sends: int = 0
    sending: bool = False
    accepted: bool = False
    external_id: str = ""
    failures: int = 0
    refusals: int = 0
    down_since: float | None = None
    probe: bool = False

    def answered(self) -> None:
        self.refusals, self.down_since = 0, None


@dataclass
class Work:
    """What all lanes of a run share. earlier: what interrupted runs left open. See `engine.run` for the others."""

    policy: Policy
    journal: Journal
    rows: Row
    earlier: Mapping[tuple[str, str], Entry]
    ready: Callable[[], None] | None
    undo_earlier: Callable[[Entry], Callable[[], None] | None] | None
    secrets: tuple[Secret, ...]
    clock: Clock
    breaker: Breaker = field(init=False)

    def __post_init__(self) -> None:
        self.breaker = Breaker(self.policy.breaker_after)
        self._ends = self.clock.now() + self.policy.deadline_s
        self._readiness = replace(self.policy.backoff, cap_s=min(READY_CAP_S, self.policy.backoff.cap_s))

    def lane(self, items: Sequence[StepOutcome]) -> None:
        """Carry out the steps of a lane in order. Whatever goes wrong with one is in its outcome."""
        lost: dict[str, str] = {}  # key -> status, of steps that others in the lane cannot build on
        undone_people: set[str] = set()
        for position, item in enumerate(items):
            missing = [key for key in item.step.after if key in lost]
            if item.step.person in undone_people:
                self._leave(item, "skipped", "not tried, because what was done for this person was undone")
            elif missing:
                status = "deferred" if lost[missing[0]] == "deferred" else "skipped"
                self._leave(item, status, f"not tried without {missing[0]!r} before it")
            elif self.breaker.stopped.is_set():
                self._leave(item, "deferred", self.breaker.reason)
            else:
                self._carry_out(item)
            if item.status in ("done", "adopted"):
                continue
            lost[item.step.key] = item.status
            if item.status == "failed" and self.policy.on_failure == ROLLBACK:
                undone_people.add(item.step.person)
                lost.update(dict.fromkeys(self._roll_back(item, items[:position]), "undone"))

    def _carry_out(self, item: StepOutcome) -> None:
        earlier = self.earlier.get((item.step.person, item.step.key))
        state = _Attempts(doubt="maybe" if earlier is not None and earlier.status == "sent" else "")
        try:
            if self.clock.now() > self._ends:
                self.breaker.open(f"the {self.policy.deadline_s:g} s for this run are over")
                raise _GaveUpError(self.breaker.reason)
            while not self._attempt(item, state):
                pass
        except _GaveUpError as exc:
            item.status, item.error = "deferred", str(exc)
            self._record_failure(item, state)
        except JournalError as exc:
            # Without a journal nothing more may be sent; what this step did is known all the same.
            self.breaker.open(str(exc))
            if item.status == "planned":
                item.status, item.error = "deferred", str(exc)
        except Exception as exc:  # noqa: BLE001  (a bug met with one person must not strand the others)
            self._fail(item, state, _bug(exc))

    def _attempt(self, item: StepOutcome, state: _Attempts) -> bool:
        """Look, or send, once. Returns whether the step has its outcome; raises _GaveUpError."""
        try:
            if state.probe and self.ready is not None:
                self._probe(self.ready)
                state.probe = False
            if state.doubt:
                return self._look(item, state)
            return self._send(item, state)
        except AuthRefused as exc:
            state.sending = False
            self.breaker.open(self._words(exc, item.step))
            raise _GaveUpError(self._words(exc, item.step)) from exc
        except (NotReady, Transient, Ambiguous) as exc:
            if state.sending:
                # Also after "not ready": a proxy says so, too, when the service died between doing it and saying so.
                state.doubt = "unclear" if isinstance(exc, Ambiguous) else "maybe"
                if not isinstance(exc, NotReady):
                    state.answered()
            state.sending = False
            self._again(state, exc, self._words(exc, item.step))
            return False
        except JournalError:
            raise
        except LyceumError as exc:
            self.breaker.answered()
            state.answered()
            return self._refused(item, state, exc)

    def _look(self, item: StepOutcome, state: _Attempts) -> bool:
        found = item.step.confirm()
        if found or (found is None and state.accepted):
            self._done(item, state, found if isinstance(found, Found) else Found())
            return True
        if state.doubt in ("exists", "missing", "refused"):
            other = " (what is there is not what was asked for)" if state.doubt == "exists" else ""
            state.doubt = ""
            raise Permanent(f"{state.words}{other}")
        if found is None and state.doubt == "unclear" and not item.step.repeatable:
            raise Permanent(f"nobody knows whether it happened, and it cannot be looked up ({state.words})")
        state.doubt = ""
        return False

    def _send(self, item: StepOutcome, state: _Attempts) -> bool:
        self.journal.sent(self._row(item))
        state.sends += 1
        state.sending = True
        state.external_id = item.step.send() or ""
        state.sending = False
        state.accepted = True
        state.answered()
        if item.step.read_back:
            state.doubt = "maybe"
            if item.step.confirm() is False:
                raise Transient("the service said it was done, but it is not so")
        self._done(item, state, Found())
        return True

    def _refused(self, item: StepOutcome, state: _Attempts, exc: LyceumError) -> bool:
        """The service decided against it. Returns whether that is the outcome."""
        words = self._words(exc, item.step)
        if state.sending:
            state.sending = False
            state.words = words
            if isinstance(exc, Exists):
                state.doubt = "exists"
            elif isinstance(exc, NotFound):
                state.doubt = "missing"
            elif state.sends > 1:
                state.doubt = "refused"  # perhaps because an earlier try, whose answer was lost, did it
            if state.doubt:
                return False
        self._fail(item, state, words)
        return True

    def _done(self, item: StepOutcome, state: _Attempts, found: Found) -> None:
        self.breaker.answered()  # and not by looking alone: a service whose disk is full can still be read
        certain = state.accepted or found.ours
        was_there = not certain and (state.doubt == "exists" or (state.doubt == "missing" and state.sends == 1))
        item.status = "adopted" if was_there else "done"
        if was_there or (item.step.creates and not certain):
            item.origin = "adopted"
        else:
            item.origin = "created" if item.step.creates else "changed"
        self.journal.verified(self._row(item), item.origin, state.external_id or found.external_id)

    def _again(self, state: _Attempts, exc: NotReady | Transient | Ambiguous, words: str) -> None:
        """Wait before another try. Raises _GaveUpError when there is to be none."""
        asked = None if isinstance(exc, Ambiguous) else exc.retry_after
        now = self.clock.now()
        state.probe = True
        if isinstance(exc, NotReady):
            state.down_since = now if state.down_since is None else state.down_since
            state.refusals += 1
            delay = self._readiness.delay(state.refusals, asked)
            exhausted = now + delay - state.down_since > self.policy.ready_s
        else:
            state.words = words
            state.failures += 1
            delay = self.policy.backoff.delay(state.failures, asked)
            exhausted = state.failures >= self.policy.tries
        if exhausted or now + delay > self._ends:
            self.breaker.unanswered(words)
            raise _GaveUpError(f"{words}; given up for now")
        self.clock.wait(delay, self.breaker.stopped)
        if self.breaker.stopped.is_set():
            raise _GaveUpError(words)

    def _probe(self, ready: Callable[[], None]) -> None:
        try:
            ready()
        except Transient as exc:
            raise NotReady(str(exc), exc.retry_after) from exc

    def _roll_back(self, failed: StepOutcome, before: Sequence[StepOutcome]) -> list[str]:
        """Undo what this run, and an interrupted one that it continues, did for a person. Returns the keys undone."""
        person = failed.step.person
        keys = []
        for item in reversed(before):
            undo = item.step.undo
            if item.step.person == person and item.status == "done" and item.origin != "adopted" and undo is not None:
                why = self._undo(undo, self._row(item), item.step)
                if why:
                    item.error = why
                else:
                    item.status = "undone"
                    keys.append(item.step.key)
        for entry in sorted(self.earlier.values(), key=lambda entry: entry.id, reverse=True):
            mine = entry.status == "sent" or (entry.status == "verified" and entry.origin != "adopted")
            if entry.person == person and mine and (person, entry.key) not in self.rows and self.undo_earlier:
                earlier_undo = self.undo_earlier(entry)
                if earlier_undo is not None:
                    why = self._undo(earlier_undo, entry.id, failed.step)
                    if why:
                        failed.error += f"; {entry.sentence}: {why}"
                    else:
                        failed.undone.append(entry.sentence)
        return keys

    def _undo(self, undo: Callable[[], None], row: int, step: Step) -> str:
        """Undo one step, as patiently as it was done. Returns why it could not be; empty when it could."""
        state = _Attempts()
        try:
            while not self._undo_once(undo, state, step):
                pass
            self.journal.ended(row, "compensated")
        except (_GaveUpError, LyceumError) as exc:
            if isinstance(exc, (AuthRefused, JournalError)):
                self.breaker.open(self._words(exc, step))
            return f"could not be undone, look at it by hand: {self._words(exc, step)}"
        except Exception as exc:  # noqa: BLE001  (see _carry_out)
            return f"could not be undone, look at it by hand: {_bug(exc)}"
        return ""

    def _undo_once(self, undo: Callable[[], None], state: _Attempts, step: Step) -> bool:
        try:
            if state.probe and self.ready is not None:
                self._probe(self.ready)
                state.probe = False
            undo()
        except NotFound:
            return True
        except (NotReady, Transient, Ambiguous) as exc:
            self._again(state, exc, self._words(exc, step))
            return False
        return True

    def _leave(self, item: StepOutcome, status: str, why: str) -> None:
        item.status, item.error = status, why
        self._record_failure(item, _Attempts())

    def _fail(self, item: StepOutcome, state: _Attempts, why: str) -> None:
        item.status, item.error = "failed", why
        self._record_failure(item, state)

    def _record_failure(self, item: StepOutcome, state: _Attempts) -> None:
        """What may have happened stays `sent`, so that the next run looks for it."""
        unknown = state.sends and (state.sending or state.doubt in ("maybe", "unclear"))
        status = "sent" if unknown else "failed" if item.status == "failed" else "deferred"
        try:
            self.journal.ended(self._row(item), status, item.error)
        except JournalError as exc:
            self.breaker.open(str(exc))

    def _row(self, item: StepOutcome) -> int:
        return self.rows[item.step.person, item.step.key]

    def _words(self, exc: Exception, step: Step) -> str:
        return redact(str(exc), (*self.secrets, *step.secrets))


def _bug(exc: Exception) -> str:
    """Where a program error is. Not its own words: they may hold what the program had in hand."""
    place = traceback.extract_tb(exc.__traceback__)[-1]
    return f"internal error {type(exc).__name__} at {Path(place.filename).name}:{place.lineno}; please report it"
