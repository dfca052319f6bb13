# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever the service does, wherever the run is killed: in the end all is as planned, and nothing was made twice."""

from __future__ import annotations

import contextlib
import copy
import functools
import os
import signal
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.services import engine
from ansible.module_utils.lyceum.services.journal import Journal
from ansible.module_utils.lyceum.services.outcome import Outcome
from ansible.module_utils.lyceum.services.policy import KEEP, ROLLBACK, Policy
from hypothesis import given, settings
from hypothesis import strategies as st

from .fake_service import FOREIGN, PASSWORD, Adapter, FakeClock, FakeService, Killed, Wanted

PEOPLE = {
    "amartin": Wanted("amartin@example.org", ("a1", "a2")),
    "bchen": Wanted("bchen@example.org", ("b1",)),
    "dlopez": Wanted("dlopez@example.org", ("bad", "d1")),
    "esmith": Wanted("esmith@example.org", ("e1", "e2")),
}
REFUSED = ("bad",)  # dlopez' first key: the one thing in the plan that never works
FAULTS = ["", "refused", "locked", "lost", "locked, but done", "lost, but done"]


class World:
    """A service with a history, a journal, and runs against them."""

    def __init__(self, folder: Path, marked: bool = True) -> None:
        self.folder = folder
        self.marked = marked
        self.people = dict(PEOPLE)
        self.service = FakeService(folder / "service")
        if not self.service.path.exists():
            # esmith was there before us, with an old address and a key that is no longer wanted.
            self.service.store("account", "esmith", {"email": "old@example.org", "by": FOREIGN})
            self.service.store("key", "e0", {"owner": "esmith", "by": FOREIGN})
            self.service.store("key", "e1", {"owner": "esmith", "by": FOREIGN})

    @property
    def adapter(self) -> Adapter:
        return Adapter(self.service, REFUSED, self.marked)

    def run(self, at: Callable[[str], None] = lambda point: None, **policy: Any) -> Outcome:
        """One whole run, as a module does it: lock, observe, plan, carry out.

        With rollback it never gives up: what one run leaves for the next is by design not undone by the next.
        """
        self.service.at = at
        patience = {"tries": 99, "ready_s": 1e6, "deadline_s": 1e9} if policy.get("on_failure") == ROLLBACK else {}
        policy = {"writers": 1, "breaker_after": 99, **patience, **policy}
        with Watched(self.folder / "state" / "fake.sqlite3", at) as journal:
            adapter = self.adapter
            return engine.run(
                adapter.plan(self.people),
                Policy(**policy),
                journal,
                scope=self.people,
                undo_earlier=adapter.undo_earlier,
                clock=FakeClock(),
            )

    def state(self) -> dict[str, Any]:
        return copy.deepcopy(self.service.state())

    def journal_bytes(self) -> bytes:
        return b"".join(path.read_bytes() for path in (self.folder / "state").iterdir())


class Watched(Journal):
    """A journal that tells before and after each of its writes: the points where a crash makes a difference."""

    def __init__(self, path: Path, at: Callable[[str], None]) -> None:
        self._at = at
        super().__init__(path)

    def begin(self, *args: Any) -> Any:
        self._at("before the run is recorded")
        result = super().begin(*args)
        self._at("after the run is recorded")
        return result

    def _set(self, *args: Any) -> None:
        self._at("before a record")
        super()._set(*args)
        self._at("after a record")

    def finish(self, *args: Any) -> None:
        self._at("before the end is recorded")
        super().finish(*args)
        self._at("after the end is recorded")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@functools.lru_cache
def undisturbed(policy: str = KEEP) -> dict[str, Any]:
    """What the service has after a run in which nothing goes wrong but the bad key."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        world.run(on_failure=policy)
        return world.state()


def without_makers(state: dict[str, Any]) -> dict[str, Any]:
    """The state without who made what."""
    return {
        table: {name: {k: v for k, v in value.items() if k != "by"} for name, value in things.items()}
        if isinstance(things, dict)
        else things
        for table, things in state.items()
    }


# What must hold in every world


def assert_converged(world: World, policy: str = KEEP) -> None:
    """As undisturbed, and a further run has nothing left but the bad key."""
    assert without_makers(world.state()) == without_makers(undisturbed(policy))
    before = world.service.writes
    again = world.run(on_failure=policy)
    assert without_makers(world.state()) == without_makers(undisturbed(policy))
    if policy == KEEP:
        assert [item.step.key for item in again.steps] == ["key bad"]
        assert not again.changed
        assert world.service.writes == before + 1
    assert [name for name, count in Counter(world.service.welcomes).items() if count > 1] == []
    assert PASSWORD.encode() not in world.journal_bytes()


def assert_others_are_untouched(world: World) -> None:
    assert world.service.accounts["esmith"]["by"] == FOREIGN
    assert world.service.keys["e1"] == {"owner": "esmith", "by": FOREIGN}


def test_a_run_does_what_is_planned_and_says_it_by_person(world: World) -> None:
    outcome = world.run()
    assert outcome.result("fake", world.people) == {
        "changed": True,
        "actions": [
            "create account amartin",
            "add key a1 to amartin",
            "add key a2 to amartin",
            "welcome amartin",
            "create account bchen",
            "add key b1 to bchen",
            "welcome bchen",
            "create account dlopez",
            "add key d1 to dlopez",
            "welcome dlopez",
            "change e-mail of esmith",
            "add key e2 to esmith",
            "remove key e0 from esmith",
            "welcome esmith",
        ],
        "deferred": [],
        "msg": "add key bad to dlopez: 422 unable to verify key content (<secret>)",
        "lyceum": {
            "kind": "fake",
            "results": {
                "amartin": {
                    "result": "created",
                    "actions": [
                        "create account amartin",
                        "add key a1 to amartin",
                        "add key a2 to amartin",
                        "welcome amartin",
                    ],
                    "error": None,
                },
                "bchen": {
                    "result": "created",
                    "actions": ["create account bchen", "add key b1 to bchen", "welcome bchen"],
                    "error": None,
                },
                "dlopez": {
                    "result": "failed",
                    "actions": ["create account dlopez", "add key d1 to dlopez", "welcome dlopez"],
                    "error": "add key bad to dlopez: 422 unable to verify key content (<secret>)",
                },
                "esmith": {
                    "result": "changed",
                    "actions": [
                        "change e-mail of esmith",
                        "add key e2 to esmith",
                        "remove key e0 from esmith",
                        "welcome esmith",
                    ],
                    "error": None,
                },
            },
            "unchanged": [],
            "unmanaged": [],
            "conflicts": [],
        },
    }
    assert_converged(world)


def test_rollback_takes_back_what_the_run_made_for_the_person_and_nothing_else(world: World) -> None:
    world.people = {**PEOPLE, "esmith": Wanted("esmith@example.org", ("e1", "bad"))}
    outcome = world.run(on_failure=ROLLBACK)
    assert sorted(world.service.accounts) == ["amartin", "bchen", "esmith"]
    assert world.service.accounts["esmith"] == {"email": "old@example.org", "by": FOREIGN}
    assert sorted(world.service.keys) == ["a1", "a2", "b1", "e0", "e1"]
    result = outcome.result("fake", world.people)["lyceum"]["results"]
    assert result["dlopez"]["actions"] == ["create account dlopez", "undo: create account dlopez"]
    assert result["esmith"]["actions"] == ["change e-mail of esmith", "undo: change e-mail of esmith"]
    assert {name: entry["result"] for name, entry in result.items()} == {
        "amartin": "created",
        "bchen": "created",
        "dlopez": "failed",
        "esmith": "failed",
    }


def test_check_mode_says_the_same_and_does_nothing(world: World) -> None:
    steps = world.adapter.plan({name: PEOPLE[name] for name in ("amartin", "esmith")})
    looked = engine.preview(steps).result("fake", PEOPLE)
    assert world.service.writes == 0
    del world.people["bchen"], world.people["dlopez"]
    done = world.run().result("fake", PEOPLE)
    assert looked == done


# Random faults and crashes

MANY = settings(max_examples=80, deadline=None)
fault_lists = st.lists(st.sampled_from([*FAULTS, "confirm locked"]), max_size=40)


@MANY
@given(faults=fault_lists, policy=st.sampled_from([KEEP, ROLLBACK]), writers=st.integers(1, 4))
def test_any_faults_and_a_second_run_end_as_if_there_had_been_none(
    faults: list[str], policy: str, writers: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        world.service.faults = list(faults)
        world.run(on_failure=policy, writers=writers, **({"tries": 3} if policy == KEEP else {}))
        world.service.faults.clear()
        world.run(on_failure=policy, writers=writers)
        assert_converged(world, policy)
        assert_others_are_untouched(world)


@MANY
@given(faults=st.lists(st.sampled_from([*FAULTS, "late", "rival"]), max_size=40), marked=st.booleans())
def test_what_others_made_in_the_same_moment_is_never_undone(faults: list[str], marked: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), marked)
        dropped: list[str] = []
        original = world.service.store

        def store(kind: str, name: str, value: Any = None) -> None:
            table = world.service.accounts if kind == "account" else world.service.keys
            if value is None and kind != "welcome" and table[name]["by"] == FOREIGN and name != "e0":
                dropped.append(name)
            original(kind, name, value)

        world.service.store = store  # type: ignore[method-assign]
        world.service.faults = list(faults)
        world.run(on_failure=ROLLBACK)
        world.service.faults.clear()
        world.run(on_failure=ROLLBACK)
        assert dropped == []
        assert_others_are_untouched(world)


@MANY
@given(faults=st.lists(st.sampled_from([*FAULTS, "late"]), max_size=40), writers=st.integers(1, 4))
def test_what_the_service_does_long_after_it_seemed_lost_is_not_done_twice(faults: list[str], writers: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        world.service.welcomes += PEOPLE  # nothing tells two of these apart, so a late one cannot be recognised
        world.service.faults = list(faults)
        world.run(writers=writers)
        world.service.faults.clear()
        world.run(writers=writers)
        wanted = without_makers(undisturbed())
        assert without_makers(world.state()) == {**wanted, "welcomes": sorted(PEOPLE)}


@MANY
@given(
    faults=fault_lists,
    kills=st.lists(st.integers(1, 120), min_size=1, max_size=3),
    policy=st.sampled_from([KEEP, ROLLBACK]),
)
def test_any_faults_and_any_crashes_and_one_more_run_end_as_if_there_had_been_none(
    faults: list[str], kills: list[int], policy: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        faults = list(faults)
        for kill in kills:
            world = World(path)
            world.service.faults = faults
            countdown = Countdown(kill, lambda: (_ for _ in ()).throw(Killed))
            with contextlib.suppress(Killed):
                world.run(countdown, on_failure=policy)
        world = World(path)
        world.run(on_failure=policy)
        assert_converged(world, policy)
        assert_others_are_untouched(world)


def test_what_was_still_under_way_when_the_run_was_killed_is_not_made_twice(world: World) -> None:
    def at(point: str) -> None:
        # The last call before the death reaches the service, and is carried out when the next run has observed.
        if point == "before the service does it" and world.service.accounts.get("amartin"):
            raise Killed

    world.people = {"amartin": Wanted("amartin@example.org", ())}
    with pytest.raises(Killed):
        world.run(at)
    assert (list(world.service.accounts), world.service.welcomes) == (["esmith", "amartin"], [])

    def under_way(point: str) -> None:
        if point == "after the run is recorded":
            world.service.store("welcome", "amartin")

    outcome = world.run(under_way)
    assert world.service.welcomes == ["amartin"]
    assert [item.status for item in outcome.steps] == ["done"]


class Countdown:
    """Does something at the n-th point, and at every later one: who is dead stays dead."""

    def __init__(self, number: int, then: Callable[[], object]) -> None:
        self.left = number
        self.then = then
        self.seen: list[str] = []

    def __call__(self, point: str) -> None:
        self.left -= 1
        self.seen.append(point)
        if self.left <= 0:
            self.then()


def in_a_process_of_its_own(work: Callable[[], object]) -> int:
    """Run something in a forked process; return the signal that ended it (0: none)."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:  # noqa: BLE001  (the child must never come back into pytest)
            traceback.print_exc()
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) <= 0, "the run itself failed"
    return -os.waitstatus_to_exitcode(status)


def points_of_a_run(policy: str) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        countdown = Countdown(10**6, lambda: None)
        World(Path(folder)).run(countdown, on_failure=policy)
        return countdown.seen


@pytest.mark.parametrize("policy", [KEEP, ROLLBACK])
def test_kill_9_at_every_point_and_a_rerun_end_as_if_it_had_not_been(policy: str, tmp_path: Path) -> None:
    points = points_of_a_run(policy)
    assert len(points) > 80
    for number in range(1, len(points) + 1):
        folder = tmp_path / str(number)
        folder.mkdir()
        killer = Countdown(number, lambda: os.kill(os.getpid(), signal.SIGKILL))
        ended_by = in_a_process_of_its_own(lambda f=folder, k=killer: World(f).run(k, on_failure=policy))
        assert ended_by == signal.SIGKILL
        world = World(folder)
        world.run(on_failure=policy)
        try:
            assert_converged(world, policy)
            assert_others_are_untouched(world)
        except AssertionError as exc:
            raise AssertionError(f"killed at point {number}, {points[number - 1]!r}") from exc


@settings(max_examples=25, deadline=None)
@given(number=st.integers(1, 90), again=st.integers(1, 90), policy=st.sampled_from([KEEP, ROLLBACK]))
def test_kill_9_twice_with_several_writers_and_a_rerun(number: int, again: int, policy: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        for kill in (number, again):
            killer = Countdown(kill, lambda: os.kill(os.getpid(), signal.SIGKILL))
            in_a_process_of_its_own(lambda k=killer: World(path).run(k, on_failure=policy, writers=4))
        world = World(path)
        world.run(on_failure=policy, writers=4)
        assert_converged(world, policy)
        assert_others_are_untouched(world)
