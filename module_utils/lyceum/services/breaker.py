# SPDX-License-Identifier: GPL-3.0-or-later
"""When to leave a service alone: calling one that is gone delays everybody, and wrong passwords lock us out."""

from __future__ import annotations

import threading


class Breaker:
    """Opens after `limit` steps in a row that the service left unanswered, or at once; it stays open for this run.

    stopped: set when it opens, so that whoever waits stops waiting. Thread-safe.
    """

    def __init__(self, limit: int) -> None:
        self.stopped = threading.Event()
        self._limit = limit
        self._count = 0
        self._reason = ""
        self._mutex = threading.Lock()

    @property
    def reason(self) -> str:
        """Why it is open; empty while it is closed."""
        return self._reason

    def answered(self) -> None:
        """The service did or refused something: it is alive."""
        with self._mutex:
            self._count = 0

    def unanswered(self, why: str) -> None:
        """A step was given up because the service did not answer, or not with a decision."""
        with self._mutex:
            self._count += 1
            if self._count >= self._limit:
                self._open(f"the service left {self._count} steps in a row without an answer (the last: {why})")

    def open(self, why: str) -> None:
        """Leave the service alone from now on; the first reason is the one to tell."""
        with self._mutex:
            self._open(why)

    def _open(self, why: str) -> None:
        self._reason = self._reason or why
        self.stopped.set()
