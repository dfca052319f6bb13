# SPDX-License-Identifier: GPL-3.0-or-later
"""Delays between tries."""

from __future__ import annotations

import threading

import pytest
from ansible.module_utils.lyceum.services.backoff import Backoff, SystemClock
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(("failures", "most"), [(1, 0.5), (2, 1), (3, 2), (6, 16), (7, 30), (8, 30), (10**6, 30)])
def test_the_longest_delay_doubles_up_to_the_cap(failures: int, most: float) -> None:
    assert Backoff(draw=lambda: 1.0).delay(failures) == most
    assert Backoff(draw=lambda: 0.25).delay(failures) == most / 4


@given(failures=st.integers(1, 100), draw=st.floats(0, 1), asked=st.none() | st.floats(0, 10**6))
def test_any_delay_is_between_what_was_asked_for_and_the_cap(failures: int, draw: float, asked: float | None) -> None:
    delay = Backoff(draw=lambda: draw).delay(failures, asked)
    assert (asked or 0) <= delay <= max(30, asked or 0)


def test_delays_of_many_clients_differ() -> None:
    assert len({Backoff().delay(5) for _ in range(50)}) > 40


def test_waiting_ends_at_once_when_the_service_is_given_up() -> None:
    clock, stop = SystemClock(), threading.Event()
    started = clock.now()
    clock.wait(0.02, stop)
    assert 0.015 < clock.now() - started < 5
    stop.set()
    clock.wait(60, stop)
    assert clock.now() - started < 30
