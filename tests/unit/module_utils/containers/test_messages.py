# SPDX-License-Identifier: GPL-3.0-or-later
"""What people read: which container, when, why, and that nothing is lost."""

from __future__ import annotations

import time

import pytest
from ansible.module_utils.lyceum.containers import messages
from ansible.module_utils.lyceum.containers.rules import COUNT, IDLE, RUNTIME, Alert
from ansible.module_utils.lyceum.containers.settings import Settings
from ansible.module_utils.lyceum.containers.state import Event

from .samples import container, policy

AT = 1795258800.0  # 2026-11-21 11:00:00 UTC


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


PERSON = policy(containers=2, idle_minutes=30, runtime_hours=72)


@pytest.mark.parametrize(
    ("kind", "level", "line"),
    [
        (RUNTIME, 0.8, "- web at 2026-11-21 11:00 UTC: it has run for over 80 % of the 72 h allowed."),
        (IDLE, 0.95, "- web at 2026-11-21 11:00 UTC: idle (under 2 % of a core) for over 95 % of the 30 min allowed."),
        (COUNT, 0.0, "- web at 2026-11-21 11:00 UTC: you have more than the 2 containers you may run; stop one."),
    ],
)
def test_warnings(kind: str, level: float, line: str) -> None:
    alert = Alert(container(), kind, level, 0, True)
    text = messages.notice(PERSON, Settings(), [(alert, AT - 3)], [])
    assert text == f"Containers that will be stopped. Nothing of them is deleted.\n{line}"


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (RUNTIME, "it had run for 72 h"),
        (IDLE, "it was idle for 30 min"),
        (COUNT, "you may run 2 containers, and it was the newest"),
    ],
)
def test_stops(kind: str, why: str) -> None:
    assert messages.stop_line(PERSON, "web", kind, AT) == (
        f"Stopped web on 2026-11-21 11:00 UTC: {why}. Its files are all there; `podman start web` starts it again."
    )


def test_nothing_to_say_is_an_empty_text() -> None:
    assert messages.notice(PERSON, Settings(), [], []) == ""
    assert messages.notice(PERSON, Settings(), [], [Event(AT, "Stopped web.")]) == "Stopped web."


def test_the_time_has_the_zone_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Copenhagen")
    time.tzset()
    assert messages.moment(AT) == "2026-11-21 12:00 CET"


def test_the_text_does_not_change_within_a_minute() -> None:
    assert {messages.minute(AT - rest) for rest in (0, 1, 30, 59.9)} == {AT}
