# SPDX-License-Identifier: GPL-3.0-or-later
"""When containers are warned about and stopped: every way in which the systems before failed has a test here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.containers.processes import Container
from ansible.module_utils.lyceum.containers.rules import Decisions, Memory, judge
from ansible.module_utils.lyceum.containers.settings import Policy, Settings
from hypothesis import given
from hypothesis import strategies as st

from .samples import HOUR, MINUTE, container, policy

SETTINGS = Settings(idle_cpu_percent=2)


class World:
    """Looks at moments of our choice; announcements arrive unless told otherwise."""

    def __init__(self, person: Policy, settings: Settings = SETTINGS) -> None:
        self.person, self.settings = person, settings
        self.memory: dict[str, Memory] = {}
        self.said: list[tuple[float, str]] = []

    def look(self, now: float, *containers: Container, arrives: bool = True) -> list[str]:
        """The keys of what is announced now, and `stop:<name>:<rule>`."""
        found: Decisions = judge(self.person, containers, self.memory, now, self.settings)
        self.memory = found.memory
        new = [alert for alert in found.alerts if alert.new]
        if arrives:
            for alert in new:
                self.memory[alert.container.identity].warned[alert.key] = now
        events = [f"{alert.container.name}:{alert.key}" for alert in new]
        events += [f"stop:{stop.container.name}:{stop.kind}" for stop in found.stops]
        self.said += [(now, event) for event in events]
        return events


def every_minute(world: World, hours: float, *containers: Container, start: float = 0) -> list[tuple[float, str]]:
    for number in range(round(hours * 60) + 1):
        if any(event.startswith("stop") for event in world.look(start + number * MINUTE, *containers)):
            break
    return world.said


def test_runtime_is_warned_at_80_and_95_percent_and_stopped_at_the_limit() -> None:
    said = every_minute(World(policy(runtime_hours=10)), 12, container())
    assert said == [
        (8 * HOUR, "web:runtime80"),
        (9.5 * HOUR, "web:runtime95"),
        (10 * HOUR, "stop:web:runtime"),
    ]


@pytest.mark.parametrize("limits", [{}, {"runtime_hours": None, "idle_minutes": None, "containers": None}])
def test_without_limits_nothing_is_said(limits: dict[str, Any]) -> None:
    assert every_minute(World(policy(**limits)), 100, container()) == []


def test_a_container_far_over_the_limit_is_warned_twice_before_it_is_stopped() -> None:
    """The tool did not run for days, or a limit was lowered: the warnings come all the same, a period apart."""
    world = World(policy(runtime_hours=1))
    assert world.look(100 * HOUR, container()) == ["web:runtime80"]
    assert world.look(100 * HOUR + 30, container()) == []
    assert world.look(100 * HOUR + 60, container()) == ["web:runtime95"]
    assert world.look(100 * HOUR + 119, container()) == []
    assert world.look(100 * HOUR + 120, container()) == ["stop:web:runtime"]


def test_a_warning_that_does_not_arrive_is_no_warning() -> None:
    world = World(policy(runtime_hours=1))
    for number in range(100):
        assert world.look(2 * HOUR + number * MINUTE, container(), arrives=False) == ["web:runtime80"]


def test_the_deadline_that_is_told_leaves_time_for_the_other_warnings() -> None:
    found = judge(policy(runtime_hours=1), [container()], {}, 100 * HOUR, SETTINGS)
    assert [alert.deadline for alert in found.alerts] == [100 * HOUR + 120]
    found = judge(policy(runtime_hours=10), [container()], {}, 8 * HOUR, SETTINGS)
    assert [alert.deadline for alert in found.alerts] == [10 * HOUR]


def test_a_higher_limit_takes_warnings_back_and_gives_them_again() -> None:
    world = World(policy(runtime_hours=10))
    assert world.look(9 * HOUR, container()) == ["web:runtime80"]
    world.person = policy(runtime_hours=100)
    assert world.look(9.1 * HOUR, container()) == []
    assert world.look(80 * HOUR, container()) == ["web:runtime80"]


def test_zero_hours_are_none_at_all() -> None:
    world = World(policy(runtime_hours=0))
    assert [world.look(minute * MINUTE, container()) for minute in range(3)] == [
        ["web:runtime80"],
        ["web:runtime95"],
        ["stop:web:runtime"],
    ]


def test_a_restarted_container_begins_anew() -> None:
    world = World(policy(runtime_hours=1))
    world.look(2 * HOUR, container())
    world.look(2 * HOUR + 60, container())
    again = container(since=2 * HOUR + 100)
    assert world.look(2 * HOUR + 120, again) == []
    assert world.memory[again.identity].warned == {}


def test_a_container_made_again_under_the_same_name_is_another_one() -> None:
    world = World(policy(runtime_hours=1))
    world.look(0.9 * HOUR, container("web"))
    other = Container(2001, "f" * 64, "web", round(0.95 * HOUR * 100))
    assert world.look(0.96 * HOUR, other) == []
    assert list(world.memory) == [other.identity]


# --- idle ------------------------------------------------------------------------------------------------------------


def test_an_idle_container_is_stopped_after_as_many_minutes() -> None:
    said = every_minute(World(policy(idle_minutes=60)), 3, container())
    assert said == [(48 * MINUTE, "web:idle80"), (57 * MINUTE, "web:idle95"), (60 * MINUTE, "stop:web:idle")]


def test_cpu_time_used_long_ago_does_not_keep_a_container() -> None:
    """Cumulative counters made containers active for ever elsewhere: only the difference counts."""
    said = every_minute(World(policy(idle_minutes=60)), 3, container(cpu=1e6))
    assert said[-1] == (60 * MINUTE, "stop:web:idle")


def test_work_begins_the_time_anew() -> None:
    # 2 % of an hour are 72 s of CPU time: somebody compiles for that long after 50 minutes.
    world = World(policy(idle_minutes=60))
    for minute in range(50):
        world.look(minute * MINUTE, container(cpu=0.1))
    assert world.look(50 * MINUTE, container(cpu=73)) == []
    assert world.memory[container().identity].warned == {}
    assert every_minute(world, 2, container(cpu=73), start=51 * MINUTE)[-1] == (110 * MINUTE, "stop:web:idle")


def test_a_heartbeat_is_no_work() -> None:
    """A notebook server that wakes up each second uses about half a percent of a core."""
    world = World(policy(idle_minutes=60))
    for minute in range(61):
        events = world.look(minute * MINUTE, container(cpu=0.005 * minute * MINUTE))
    assert events == ["stop:web:idle"]


def test_steady_work_is_never_idle() -> None:
    world = World(policy(idle_minutes=60))
    for minute in range(600):
        assert world.look(minute * MINUTE, container(cpu=0.03 * minute * MINUTE)) == []


def test_cpu_time_that_vanished_with_its_process_is_work() -> None:
    world = World(policy(idle_minutes=60))
    world.look(0, container(cpu=500))
    world.look(59 * MINUTE, container(cpu=20))
    assert world.memory[container().identity].mark == 59 * MINUTE


# --- too many --------------------------------------------------------------------------------------------------------


def test_the_newest_of_too_many_is_stopped_after_one_warning() -> None:
    old, middle, new = (container(name, since=number) for number, name in enumerate(("old", "middle", "new")))
    world = World(policy(containers=2), Settings(grace_seconds=15 * MINUTE))
    assert every_minute(world, 1, new, old, middle, start=100) == [
        (100, "new:count0"),
        (100 + 15 * MINUTE, "stop:new:count"),
    ]


def test_who_stops_one_keeps_the_others() -> None:
    old, middle, new = (container(name, since=number) for number, name in enumerate(("old", "middle", "new")))
    world = World(policy(containers=2), Settings(grace_seconds=15 * MINUTE))
    world.look(0, old, middle, new)
    assert world.look(10 * MINUTE, middle, new) == []
    assert all(memory.over is None and not memory.warned for memory in world.memory.values())
    # One too many again: there is a warning again.
    assert world.look(20 * MINUTE, old, middle, new) == ["new:count0"]


def test_none_allowed_means_all_are_too_many() -> None:
    world = World(policy(containers=0), Settings(grace_seconds=0, period_seconds=60))
    assert world.look(10, container("a"), container("b", since=1)) == ["a:count0", "b:count0"]
    assert world.look(70, container("a"), container("b", since=1)) == ["stop:a:count", "stop:b:count"]


def test_a_container_is_stopped_once_even_if_two_rules_say_so() -> None:
    world = World(policy(runtime_hours=1, idle_minutes=10))
    stops = [event for _now, event in every_minute(world, 3, container()) if event.startswith("stop")]
    assert len(stops) == 1


# --- whatever happens ------------------------------------------------------------------------------------------------

GAPS = st.lists(st.floats(1, 4 * HOUR), min_size=1, max_size=60)


@given(GAPS, st.floats(0, 20), st.floats(0, 300), st.lists(st.booleans(), min_size=60, max_size=60))
def test_nobody_is_stopped_without_two_warnings_in_time(
    gaps: Sequence[float], hours: float, idle: float, arrives: Sequence[bool]
) -> None:
    world = World(policy(runtime_hours=hours, idle_minutes=idle))
    now = 0.0
    arrived: list[tuple[float, str]] = []
    for gap, reaches in zip(gaps, arrives):
        now += gap
        events = world.look(now, container(), arrives=reaches)
        arrived += [(now, event) for event in events if reaches and not event.startswith("stop")]
        for event in (event for event in events if event.startswith("stop")):
            kind = event.rpartition(":")[2]
            last = {level: at for at, level in arrived}
            first, second = last[f"web:{kind}80"], last[f"web:{kind}95"]
            assert second - first >= SETTINGS.period_seconds
            assert now - second >= SETTINGS.period_seconds


def test_settings_of_another_folder_do_not_matter(tmp_path: Path) -> None:
    assert judge(policy(), [], {}, 0, Settings(state=tmp_path)).memory == {}
