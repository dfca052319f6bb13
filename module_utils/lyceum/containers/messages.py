# SPDX-License-Identifier: GPL-3.0-or-later
"""What people are told about their containers. The text stays the same until something new is to be said."""

from __future__ import annotations

import time
from collections.abc import Sequence

from .rules import COUNT, IDLE, Alert
from .settings import Policy, Settings
from .state import Event


def moment(at: float) -> str:
    """A time of the clock on the wall, with its zone: nobody has to guess which."""
    return time.strftime("%Y-%m-%d %H:%M %Z", time.localtime(at))


def minute(at: float) -> float:
    """Up to the next whole minute, so that a text does not change with every look at the clock."""
    return -(-at // 60) * 60


def notice(policy: Policy, settings: Settings, alerts: Sequence[tuple[Alert, float]], events: Sequence[Event]) -> str:
    """The whole text. alerts: with the time of the clock when the limit is reached. Empty: there is nothing to say."""
    lines = [alert_line(policy, settings, alert, at) for alert, at in alerts]
    if lines:
        lines = ["Containers that will be stopped. Nothing of them is deleted.", *lines]
    return "\n".join([*lines, *(event.text for event in events)])


def alert_line(policy: Policy, settings: Settings, alert: Alert, at: float) -> str:
    """One container that will be stopped, when and why."""
    name, percent = alert.container.name, round(alert.level * 100)
    when = moment(minute(at))
    if alert.kind == COUNT:
        return f"- {name} at {when}: you have more than the {policy.containers} containers you may run; stop one."
    if alert.kind == IDLE:
        return (
            f"- {name} at {when}: idle (under {settings.idle_cpu_percent:g} % of a core) for over {percent} % of the "
            f"{_duration(policy.idle_seconds)} allowed."
        )
    return f"- {name} at {when}: it has run for over {percent} % of the {_duration(policy.runtime_seconds)} allowed."


def stop_line(policy: Policy, name: str, kind: str, at: float) -> str:
    """One container that was stopped, when and why, and how to go on."""
    why = {
        COUNT: f"you may run {policy.containers} containers, and it was the newest",
        IDLE: f"it was idle for {_duration(policy.idle_seconds)}",
    }.get(kind, f"it had run for {_duration(policy.runtime_seconds)}")
    return f"Stopped {name} on {moment(at)}: {why}. Its files are all there; `podman start {name}` starts it again."


def _duration(seconds: float | None) -> str:
    """In the unit that the limit was written in, or nearly."""
    value = seconds or 0
    return f"{value / 3600:g} h" if value >= 3600 else f"{value / 60:g} min"
