# SPDX-License-Identifier: GPL-3.0-or-later
"""One step, one kind of answer at a time: what the engine makes of it, and what the journal has of it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.services import engine
from ansible.module_utils.lyceum.services.backoff import Backoff
from ansible.module_utils.lyceum.services.errors import (
    Ambiguous,
    AuthRefused,
    Exists,
    NotFound,
    NotReady,
    Permanent,
    Transient,
)
from ansible.module_utils.lyceum.services.journal import Journal, JournalError
from ansible.module_utils.lyceum.services.policy import ROLLBACK, Policy
from ansible.module_utils.lyceum.services.secret import Secret
from ansible.module_utils.lyceum.services.steps import Found, Step

from .fake_service import PASSWORD, FakeClock, Killed


class Calls:
    """A `send` or `confirm` that gives a list of answers, the last one for ever."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.count = 0

    def __call__(self) -> Any:
        self.count += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer


def step(send: Any, confirm: Any = True, person: str = "amartin", key: str = "account", **more: Any) -> Step:
    send = send if callable(send) else Calls(send)
    return Step(person, key, f"do {key}", send, confirm if callable(confirm) else Calls(confirm), **more)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "state" / "fake.sqlite3") as journal:
        yield journal


def one(journal: Journal, a_step: Step, clock: FakeClock | None = None, **options: Any) -> tuple[str, str, str]:
    """Run one step. Returns its status, its origin and error, and what the journal has of it."""
    policy = Policy(**{key: options.pop(key) for key in list(options) if key in Policy.__dataclass_fields__})
    outcome = engine.run([a_step], policy, journal, clock=clock or FakeClock(), **options)
    [item] = outcome.steps
    [row] = journal.history(outcome.run)
    return item.status, item.origin or item.error, f"{row['status']} {row['origin']}".strip()


def test_an_answer_with_an_id_is_recorded(journal: Journal) -> None:
    a_step = step("7", creates=True)
    assert one(journal, a_step) == ("done", "created", "verified created")
    assert journal.history(1)[0]["external_id"] == "7"
    assert isinstance(a_step.confirm, Calls)
    assert a_step.confirm.count == 0


def test_a_refusal_is_final_and_not_repeated(journal: Journal) -> None:
    a_step = step(Permanent("400 bad address"))
    assert one(journal, a_step) == ("failed", "400 bad address", "failed")
    assert isinstance(a_step.send, Calls)
    assert a_step.send.count == 1


@pytest.mark.parametrize(
    ("answers", "confirm", "expected", "sends"),
    [
        pytest.param([Transient("500"), "7"], False, ("done", "created", "verified created"), 2, id="locked"),
        pytest.param([Transient("500"), "7"], None, ("done", "created", "verified created"), 2, id="locked, unseen"),
        pytest.param([Transient("500")], True, ("done", "adopted", "verified adopted"), 1, id="locked, but done"),
        pytest.param([Transient("500")], False, ("deferred", "500; given up for now", "sent"), 6, id="always locked"),
        pytest.param([Ambiguous("gone"), "7"], False, ("done", "created", "verified created"), 2, id="lost"),
        pytest.param([Ambiguous("gone")], True, ("done", "adopted", "verified adopted"), 1, id="lost, but done"),
        pytest.param(
            [Ambiguous("gone")],
            None,
            ("failed", "nobody knows whether it happened, and it cannot be looked up (gone)", "sent"),
            1,
            id="lost, cannot be looked up",
        ),
        pytest.param([NotReady("refused"), "7"], None, ("done", "created", "verified created"), 2, id="not ready"),
        pytest.param([NotReady("502")], True, ("done", "adopted", "verified adopted"), 1, id="died after doing it"),
        pytest.param(
            [Ambiguous("gone"), Permanent("422")], [False, True], ("done", "adopted", "verified adopted"), 2, id="late"
        ),
        pytest.param(
            [Ambiguous("gone"), Permanent("422")],
            [False, False],
            ("failed", "422", "failed"),
            2,
            id="lost, then refused",
        ),
    ],
)
def test_unclear_answers(journal: Journal, answers: list[Any], confirm: Any, expected: Any, sends: int) -> None:
    send = Calls(*answers)
    confirmed = Calls(*confirm) if isinstance(confirm, list) else confirm
    assert one(journal, step(send, confirmed, creates=True)) == expected
    assert send.count == sends


def test_what_may_be_repeated_is_repeated_when_it_cannot_be_looked_up(journal: Journal) -> None:
    send = Calls(Ambiguous("gone"), None)
    assert one(journal, step(send, None, repeatable=True)) == ("done", "changed", "verified changed")
    assert send.count == 2


def test_what_is_there_already_is_adopted_only_if_it_is_what_was_asked_for(journal: Journal) -> None:
    assert one(journal, step(Exists("422 exists"), True, creates=True)) == ("adopted", "adopted", "verified adopted")
    words = "422 exists (what is there is not what was asked for)"
    for answer in (False, None):
        assert one(journal, step(Exists("422 exists"), answer, creates=True)) == ("failed", words, "failed")


def test_what_is_not_there_needs_no_removal(journal: Journal) -> None:
    assert one(journal, step(NotFound("404"), True)) == ("adopted", "adopted", "verified adopted")
    assert one(journal, step(NotFound("404"), False)) == ("failed", "404", "failed")


def test_only_a_marker_makes_an_object_ours_after_an_unclear_answer(journal: Journal) -> None:
    sure = step(Ambiguous("gone"), Found("9", ours=True), creates=True)
    assert one(journal, sure) == ("done", "created", "verified created")
    assert journal.history(1)[0]["external_id"] == "9"
    unsure = step(Ambiguous("gone"), Found("9"), creates=True)
    assert one(journal, unsure) == ("done", "adopted", "verified adopted")


def test_a_done_that_is_no_proof_is_looked_at(journal: Journal) -> None:
    send, confirm = Calls(None), Calls(False, False, True)
    assert one(journal, step(send, confirm, read_back=True, creates=True)) == ("done", "created", "verified created")
    assert (send.count, confirm.count) == (2, 3)
    never = one(journal, step(None, False, read_back=True))
    assert never == ("deferred", "the service said it was done, but it is not so; given up for now", "sent")


def test_waiting_grows_with_every_failure_and_follows_the_service(journal: Journal) -> None:
    clock = FakeClock()
    send = Calls(Transient("500"), Transient("429", retry_after=12.0), Transient("500"), None)
    one(journal, step(send, False), clock, backoff=Backoff(draw=lambda: 1.0))
    assert clock.waits == [0.5, 12.0, 2.0]


def test_a_service_that_is_down_for_20_s_is_waited_for_without_using_up_tries(journal: Journal) -> None:
    clock = FakeClock()

    def send() -> None:
        if clock.time < 20:
            raise Transient("500 the database is gone")

    def ready() -> None:
        if clock.time < 20:
            raise NotReady("503")

    done = one(journal, step(send, False), clock, ready=ready, tries=2)
    assert done == ("done", "changed", "verified changed")
    assert 20 <= clock.time < 26


def test_a_service_that_stays_down_is_given_up_in_time(journal: Journal) -> None:
    clock = FakeClock()
    answer = one(journal, step(NotReady("connection refused"), False), clock, ready_s=60)
    assert answer == ("deferred", "connection refused; given up for now", "sent")
    assert 50 < clock.time <= 60


def test_a_request_to_come_back_after_the_end_of_the_run_is_not_waited_for(journal: Journal) -> None:
    clock = FakeClock()
    assert one(journal, step(Transient("429", retry_after=7200)), clock)[0] == "deferred"
    assert clock.waits == []


def test_a_service_that_answers_nobody_is_left_alone(journal: Journal) -> None:
    sends = Calls(Transient("500"))
    steps = [step(sends, False, person=f"p{number}") for number in range(12)]
    outcome = engine.run(steps, Policy(writers=1, tries=2), journal, clock=FakeClock())
    assert sends.count == 10
    assert Counter(item.status for item in outcome.steps) == {"deferred": 12}
    assert outcome.stopped == "the service left 5 steps in a row without an answer (the last: 500)"
    result = outcome.result("fake")
    assert result["msg"].startswith(f"{outcome.stopped}; run it again to go on. do account: 500; given up for now; ")
    assert result["msg"].endswith("; and 9 more")
    assert not result["changed"]
    assert result["deferred"] == sorted(f"p{number}" for number in range(12))
    assert {entry["result"] for entry in result["lyceum"]["results"].values()} == {"failed"}
    assert {row["status"] for row in journal.history(1)[:5]} == {"sent"}
    assert {row["status"] for row in journal.history(1)[5:]} == {"deferred"}


def test_refusals_do_not_open_the_breaker(journal: Journal) -> None:
    steps = [step(Permanent("400"), person=f"p{number}") for number in range(9)] + [step(None, person="last")]
    outcome = engine.run(steps, Policy(writers=1), journal, clock=FakeClock())
    assert [item.status for item in outcome.steps] == ["failed"] * 9 + ["done"]


def test_refused_credentials_stop_everything_at_once(journal: Journal) -> None:
    sends = [Calls(AuthRefused("401 token s3cr3t-token is not valid")) for _ in range(3)]
    steps = [step(send, person=f"p{number}") for number, send in enumerate(sends)]
    outcome = engine.run(steps, Policy(writers=1), journal, secrets=[Secret("s3cr3t-token")], clock=FakeClock())
    assert [send.count for send in sends] == [1, 0, 0]
    assert [item.status for item in outcome.steps] == ["deferred"] * 3
    assert outcome.stopped == "401 token <secret> is not valid"


def test_the_time_of_a_run_is_limited(journal: Journal) -> None:
    clock = FakeClock()

    def slow() -> None:
        clock.time += 40

    steps = [step(slow, key=f"k{number}") for number in range(5)]
    outcome = engine.run(steps, Policy(deadline_s=100), journal, clock=clock)
    assert [item.status for item in outcome.steps] == ["done", "done", "done", "deferred", "deferred"]
    assert outcome.stopped == "the 100 s for this run are over"


# Order and isolation


def test_an_error_stops_only_what_depends_on_it(journal: Journal) -> None:
    steps = [
        step(Permanent("400"), key="account"),
        step(None, key="key", after=("account",)),
        step(None, key="title of the key", after=("key",)),
        step(None, key="mail"),
        step(None, person="bchen"),
    ]
    outcome = engine.run(steps, Policy(), journal, clock=FakeClock())
    assert [item.status for item in outcome.steps] == ["failed", "skipped", "skipped", "done", "done"]
    result = outcome.result("fake")
    assert result["lyceum"]["results"]["amartin"] == {
        "result": "failed",
        "actions": ["do mail"],
        "error": "do account: 400",
    }
    assert result["lyceum"]["results"]["bchen"]["result"] == "changed"


def test_what_depends_on_something_deferred_is_deferred_too(journal: Journal) -> None:
    steps = [step(NotReady("down"), False, key="account"), step(None, key="key", after=("account",))]
    outcome = engine.run(steps, Policy(ready_s=1), journal, clock=FakeClock())
    assert [item.status for item in outcome.steps] == ["deferred", "deferred"]


def test_a_bug_met_with_one_person_is_that_persons_problem_and_shows_no_values(journal: Journal) -> None:
    steps = [step(KeyError(PASSWORD)), step(None, person="bchen")]
    outcome = engine.run(steps, Policy(), journal, clock=FakeClock())
    assert [item.status for item in outcome.steps] == ["failed", "done"]
    assert outcome.steps[0].error.startswith("internal error KeyError at test_work.py:")
    assert PASSWORD not in outcome.steps[0].error
    assert journal.history(1)[0]["status"] == "sent"


def test_lanes_go_in_parallel_as_far_as_there_are_writers(journal: Journal) -> None:
    together = threading.Barrier(3, timeout=10)  # breaks unless three are in it at the same time
    at_once, most = 0, 0
    mutex = threading.Lock()

    def send() -> None:
        nonlocal at_once, most
        with mutex:
            at_once += 1
            most = max(most, at_once)
        together.wait()
        with mutex:
            at_once -= 1

    outcome = engine.run([step(send, person=f"p{n}") for n in range(9)], Policy(writers=3), journal)
    assert {item.status for item in outcome.steps} == {"done"}
    assert most == 3


def test_a_lane_is_one_after_the_other_also_for_several_people(journal: Journal) -> None:
    order: list[str] = []
    steps = [
        step(lambda k=key: order.append(k), person=person, key=key, lane="organization retina")
        for person, key in [("", "organization"), ("bchen", "member"), ("amartin", "owner"), ("", "visibility")]
    ]
    outcome = engine.run(steps, Policy(writers=4), journal)
    assert order == ["organization", "member", "owner", "visibility"]
    assert sorted(outcome.result("fake")["lyceum"]["results"]) == ["amartin", "bchen"]
    assert outcome.result("fake")["actions"] == [f"do {key}" for key in order]


def test_an_interrupt_ends_the_run_and_leaves_a_usable_journal(tmp_path: Path) -> None:
    path = tmp_path / "fake.sqlite3"
    with Journal(path) as journal, pytest.raises(KeyboardInterrupt):
        engine.run([step(KeyboardInterrupt()), *(step(None, person=f"p{n}") for n in range(3))], Policy(), journal)
    with Journal(path) as journal:
        assert one(journal, step(None, True)) == ("done", "changed", "verified changed")


# Resuming, reading back, undoing


def test_what_a_killed_run_had_sent_is_looked_up_before_it_is_sent_again(tmp_path: Path) -> None:
    path = tmp_path / "fake.sqlite3"
    with Journal(path) as journal, pytest.raises(Killed):
        engine.run([step(Killed(), creates=True)], Policy(), journal)
    seen = step(None, True, creates=True)
    with Journal(path) as journal:
        assert one(journal, seen) == ("done", "adopted", "verified adopted")
        assert journal.open_entries() == {}
    assert isinstance(seen.send, Calls)
    assert seen.send.count == 0


def test_an_unclear_step_stays_open_until_a_run_about_that_person_has_settled_it(journal: Journal) -> None:
    place = ("amartin", "account")
    one(journal, step(Ambiguous("gone"), None))
    assert journal.open_entries()[place].status == "sent"
    engine.run([], Policy(), journal, scope=["bchen"])
    assert place in journal.open_entries()
    engine.run([], Policy(), journal, scope=["amartin"])
    assert journal.open_entries() == {}


def test_what_was_accepted_and_is_not_so_is_a_failure(journal: Journal) -> None:
    steps = [step(None), step(None, person="bchen")]
    outcome = engine.run(steps, Policy(), journal, read_back=lambda: {("bchen", "account")})
    assert [item.status for item in outcome.steps] == ["done", "failed"]
    assert outcome.failures == ["do account: the service accepted it, but it is not so"]
    assert [row["status"] for row in journal.history(1)] == ["verified", "failed"]


def test_a_service_that_cannot_be_read_back_is_said(journal: Journal) -> None:
    def read_back() -> list[tuple[str, str]]:
        raise NotReady("503")

    outcome = engine.run([step(None)], Policy(), journal, read_back=read_back)
    assert outcome.result("fake")["msg"] == "what was done could not be read back: 503; run it again to go on"
    assert outcome.changed


def test_undoing_is_patient_and_says_what_it_could_not_undo(journal: Journal) -> None:
    patient, stubborn = Calls(Transient("500"), NotReady("503"), None), Calls(Permanent("403 owns repositories"))
    steps = [
        step(None, key="account", undo=stubborn),
        step(None, key="key", undo=patient),
        step(None, key="gone already", undo=Calls(NotFound("404"))),
        step(Permanent("400"), key="title"),
        step(None, key="mail"),
    ]
    outcome = engine.run(steps, Policy(on_failure=ROLLBACK), journal, clock=FakeClock())
    assert [item.status for item in outcome.steps] == ["done", "undone", "undone", "failed", "skipped"]
    assert patient.count == 3
    assert outcome.failures == [
        "do account: could not be undone, look at it by hand: 403 owns repositories",
        "do title: 400",
    ]
    assert [row["status"] for row in journal.history(1)] == [
        "verified",
        "compensated",
        "compensated",
        "failed",
        "deferred",
    ]


def test_undoing_goes_backwards_and_spares_others_in_the_lane(journal: Journal) -> None:
    undone: list[str] = []
    steps = [
        step(None, key=key, person=person, lane="retina", undo=lambda k=key: undone.append(k))
        for person, key in [("", "organization"), ("bchen", "member"), ("amartin", "owner"), ("amartin", "key")]
    ]
    steps += [
        step(Permanent("400"), key="title", lane="retina"),
        step(None, key="badge", lane="retina", person="bchen", after=("key",)),
        step(None, key="mail", lane="retina", person="bchen"),
    ]
    outcome = engine.run(steps, Policy(on_failure=ROLLBACK), journal)
    assert undone == ["key", "owner"]
    assert [item.status for item in outcome.steps] == ["done", "done", "undone", "undone", "failed", "skipped", "done"]


def test_what_is_deferred_is_not_rolled_back(journal: Journal) -> None:
    undo = Calls(None)
    steps = [step(None, undo=undo), step(Transient("500"), False, key="key")]
    outcome = engine.run(steps, Policy(on_failure=ROLLBACK), journal, clock=FakeClock())
    assert [item.status for item in outcome.steps] == ["done", "deferred"]
    assert undo.count == 0


def test_a_journal_that_cannot_be_written_stops_everything_before_it_is_sent(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(row: int) -> None:
        raise JournalError("database or disk is full")

    monkeypatch.setattr(journal, "sent", full)
    steps = [step(None), step(None, person="bchen")]
    outcome = engine.run(steps, Policy(writers=1), journal)
    assert [item.status for item in outcome.steps] == ["deferred", "deferred"]
    assert outcome.stopped == "database or disk is full"
    assert [s.send.count for s in steps if isinstance(s.send, Calls)] == [0, 0]


def test_a_senseless_plan_is_refused_before_anything_is_sent(journal: Journal) -> None:
    with pytest.raises(LyceumError, match="twice"):
        engine.run([step(None), step(None)], Policy(), journal)
    assert journal.history(1) == []


def test_two_thousand_steps_cost_well_below_a_second(journal: Journal) -> None:
    steps = [
        Step(f"p{n}", key, f"{key} of p{n}", lambda: "1", lambda: True, creates=True, after=after)
        for n in range(1000)
        for key, after in (("account", ()), ("key", ("account",)))
    ]
    started = time.process_time()
    outcome = engine.run(steps, Policy(writers=8), journal)
    assert time.process_time() - started < 0.6  # 0.1 s measured; other processes are not counted
    assert len(outcome.having("done")) == 2000
