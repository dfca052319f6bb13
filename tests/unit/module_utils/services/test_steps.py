# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans: lanes, order, and what makes no sense."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.services.steps import Found, Step, lanes


def step(person: str, key: str, **more: Any) -> Step:
    return Step(person, key, f"{key} of {person}", lambda: None, lambda: True, **more)


def test_lanes_keep_the_order_of_the_plan() -> None:
    steps = [step("b", "1"), step("a", "1"), step("b", "2", after=("1",)), step("", "3", lane="b"), step("", "4")]
    assert [[(s.person, s.key) for s in lane] for lane in lanes(steps)] == [
        [("b", "1"), ("b", "2"), ("", "3")],
        [("a", "1")],
        [("", "4")],
    ]
    assert lanes([]) == []


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([step("a", "1"), step("a", "1", lane="x")], "the plan has '1' of 'a' twice: 1 of a"),
        ([step("a", "1", after=("2",)), step("a", "2")], "has '1 of a' after '2', which is not before it in its lane"),
        ([step("b", "2"), step("a", "1", after=("2",))], "has '1 of a' after '2', which is not before it in its lane"),
        ([step("a", "1", result="failed")], "the plan calls '1 of a' 'failed'; that is no result of a person"),
        ([step("a", "1", result="done")], "the plan calls '1 of a' 'done'; that is no result of a person"),
    ],
)
def test_senseless_plans_are_refused(steps: list[Step], message: str) -> None:
    with pytest.raises(LyceumError) as caught:
        lanes(steps)
    assert message in str(caught.value)


def test_what_was_found_counts_as_yes() -> None:
    assert bool(Found())
