# SPDX-License-Identifier: GPL-3.0-or-later
"""What the answer of a service means for the call that was made.

Every adapter has one function that turns (method, path, status, body) into one of these; `http` does it for failures
of the connection. The engine decides by class alone. Messages never hold a secret.
"""

from __future__ import annotations

from typing import Any

from ..errors import LyceumError

# The names are those of answers, as adapters and the table in the engine's documentation use them.
# ruff: noqa: N818


class ServiceError(LyceumError):
    """A call did not do what was asked."""


class NotReady(ServiceError):
    """The service is not there yet: refused connection, 502, 503. Safe to repeat.

    Only if nothing can have been done: a gateway's 502 after a call that must not be made twice is Ambiguous.

    retry_after: seconds the service asks to wait.
    """

    def __init__(self, message: str, retry_after: float | None = None, **details: Any) -> None:
        super().__init__(message, **details)
        self.retry_after = retry_after


class Transient(ServiceError):
    """Try again later: 429, 504, 'database is locked'. It may have happened; the engine looks before it repeats.

    retry_after: seconds the service asks to wait.
    """

    def __init__(self, message: str, retry_after: float | None = None, **details: Any) -> None:
        super().__init__(message, **details)
        self.retry_after = retry_after


class Ambiguous(ServiceError):
    """Nobody knows whether it happened: no answer in time, connection lost after sending. Never repeated blindly."""


class Exists(ServiceError):
    """What was to be created is there already. It is adopted if it is what was asked for."""


class NotFound(ServiceError):
    """What the call is about is not there."""


class Permanent(ServiceError):
    """The same call will be refused for ever: invalid, forbidden, against a rule of the service."""


class AuthRefused(ServiceError):
    """Our credentials are not accepted: the service is left alone at once, before it shuts us out."""


class Untrusted(AuthRefused):
    """The service is not whom we are to talk to: its certificate does not hold. Nothing was sent to it."""
