# SPDX-License-Identifier: GPL-3.0-or-later
"""When a service is left alone."""

from __future__ import annotations

from ansible.module_utils.lyceum.services.breaker import Breaker


def test_it_opens_after_failures_in_a_row_only() -> None:
    breaker = Breaker(3)
    for _ in range(4):
        breaker.unanswered("500")
        breaker.unanswered("500")
        breaker.answered()
    assert (breaker.reason, breaker.stopped.is_set()) == ("", False)
    for number in range(3):
        breaker.unanswered(f"50{number}")
    assert breaker.stopped.is_set()
    assert breaker.reason == "the service left 3 steps in a row without an answer (the last: 502)"


def test_it_opens_at_once_stays_open_and_keeps_the_first_reason() -> None:
    breaker = Breaker(1)
    breaker.open("401 bad token")
    breaker.unanswered("500")
    breaker.answered()
    assert (breaker.reason, breaker.stopped.is_set()) == ("401 bad token", True)
