# SPDX-License-Identifier: GPL-3.0-or-later
"""How long to wait before a call is tried again, and the clock that tests replace."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

MAX_DOUBLINGS = 30  # far above any cap; keeps the power from overflowing after days


class Clock(Protocol):
    """now: seconds that never go back. wait: that long, or until `stop` is set."""

    def now(self) -> float: ...

    def wait(self, seconds: float, stop: threading.Event) -> None: ...


class SystemClock:
    """The clock of this machine."""

    def now(self) -> float:
        return time.monotonic()

    def wait(self, seconds: float, stop: threading.Event) -> None:
        stop.wait(seconds)


@dataclass(frozen=True)
class Backoff:
    """Full jitter: anything up to base * 2^failures, at most cap. draw: a number from 0 to 1.

    Many clients that failed together must not come back together; so the whole delay is random, not a part of it.
    """

    base_s: float = 0.5
    cap_s: float = 30.0
    draw: Callable[[], float] = random.random

    def delay(self, failures: int, retry_after: float | None = None) -> float:
        """Seconds to wait after so many failures in a row (from 1), not less than the service asked for."""
        most: float = min(self.cap_s, self.base_s * 2 ** min(failures - 1, MAX_DOUBLINGS))
        return max(most * self.draw(), retry_after or 0.0)
