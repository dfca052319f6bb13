# SPDX-License-Identifier: GPL-3.0-or-later
"""Totals across the lives of slices."""

from __future__ import annotations

import json

from ansible.module_utils.lyceum.slices import totals
from ansible.module_utils.lyceum.slices.usage import CPU, OOM_KILLS, Usage
from hypothesis import given
from hypothesis import strategies as st

NAMES = {2001: "amartin"}


def usage(peak: int | None = None, **groups: dict[str, int]) -> Usage:
    return Usage(2001, memory_peak=peak, counters=groups)


def look(state: totals.State, one: Usage, *, boot: str = "b1", now: float = 10.0) -> totals.State:
    # As it would come back from the file.
    after: totals.State = json.loads(json.dumps(totals.accumulate(state, [one], NAMES, boot=boot, now=now)))
    return after


def total(state: totals.State, counter: str = CPU) -> int:
    value: int = state["people"]["2001"]["totals"][counter]
    return value


def test_growth_is_added_once() -> None:
    state = look(totals.empty("b1"), usage(a={CPU: 5}))
    assert total(state) == 5
    assert total(look(state, usage(a={CPU: 5}))) == 5
    assert total(look(state, usage(a={CPU: 7}))) == 7


def test_a_new_life_begins_at_nothing() -> None:
    state = look(totals.empty("b1"), usage(a={CPU: 5}))
    state = look(state, usage())
    assert total(state) == 5
    assert total(look(state, usage(b={CPU: 3}))) == 8
    # Between two looks one life has ended and another has begun.
    assert total(look(look(totals.empty("b1"), usage(a={CPU: 5})), usage(b={CPU: 3}))) == 8


def test_a_number_used_again_is_a_new_group() -> None:
    state = look(totals.empty("b1"), usage(a={CPU: 5}))
    assert total(look(state, usage(a={CPU: 2}))) == 7


def test_a_reboot_begins_anew() -> None:
    state = look(totals.empty("b1"), usage(a={CPU: 5}))
    assert total(look(state, usage(a={CPU: 6}), boot="b2")) == 11


def test_several_groups_of_one_slice() -> None:
    state = look(totals.empty("b1"), usage(a={OOM_KILLS: 1}, s1={OOM_KILLS: 2}))
    assert total(state, OOM_KILLS) == 3
    assert total(look(state, usage(a={OOM_KILLS: 1}, s2={OOM_KILLS: 1})), OOM_KILLS) == 4


def test_the_highest_peak_stays() -> None:
    state = look(totals.empty("b1"), usage(peak=5), now=10)
    state = look(state, usage(peak=3), now=20)
    assert (state["people"]["2001"]["peak"], state["people"]["2001"]["peak_at"]) == (5, 10)
    state = look(state, usage(peak=9), now=30)
    assert (state["people"]["2001"]["peak"], state["people"]["2001"]["peak_at"]) == (9, 30)
    assert look(state, usage(), now=40)["people"]["2001"]["peak"] == 9


def test_somebody_else_with_the_uid_begins_anew() -> None:
    state = look(totals.empty("b1"), usage(a={CPU: 5}))
    other = totals.accumulate(state, [usage(a={CPU: 9})], {2001: "zhang"}, boot="b1", now=11)
    assert (other["people"]["2001"]["name"], other["people"]["2001"]["totals"][CPU]) == ("zhang", 9)


def test_a_directory_that_does_not_answer_costs_nobody_anything() -> None:
    state = look(totals.empty("b1"), usage(a={CPU: 5}))
    later = totals.accumulate(state, [usage(a={CPU: 9})], {}, boot="b1", now=11)
    assert (later["people"]["2001"]["name"], later["people"]["2001"]["totals"][CPU]) == ("amartin", 9)


def test_who_is_not_looked_at_is_kept() -> None:
    state = look(totals.empty("b1"), usage(a={CPU: 5}))
    assert totals.accumulate(state, [], {}, boot="b1", now=11)["people"] == state["people"]


def test_who_was_not_here_for_a_year_is_forgotten() -> None:
    state = look(totals.empty("b1"), usage(a={CPU: 5}), now=0)
    assert totals.forget(state, totals.KEEP_SECONDS - 1) == state
    assert totals.forget(state, totals.KEEP_SECONDS)["people"] == {}


@given(st.lists(st.tuples(st.booleans(), st.lists(st.integers(0, 50), max_size=4)), max_size=8))
def test_the_total_is_all_that_was_counted(lives: list[tuple[bool, list[int]]]) -> None:
    """Each life is a list of growths, with a look after each; some lives begin with a reboot."""
    state, boot = totals.empty("0"), 0
    for life, (rebooted, growths) in enumerate(lives):
        boot += rebooted
        value = 0
        for growth in growths:
            value += growth
            state = look(state, usage(**{f"g{life}": {CPU: value}}), boot=str(boot))
    expected = sum(sum(growths) for _rebooted, growths in lives)
    assert (total(state) if state["people"] else 0) == expected
