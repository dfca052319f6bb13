# SPDX-License-Identifier: GPL-3.0-or-later
"""The one exception tree. Modules and the command line catch `LyceumError` once, in `main()`."""

from __future__ import annotations

from typing import Any


class LyceumError(Exception):
    """Something the user can act on. `str()` is the whole message: action, object, cause, remedy.

    details: extra keys for a module's `fail_json` (never secrets).
    """

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.details = details


class ConflictError(LyceumError):
    """The actual state contradicts the desired one in a way that must not be resolved by guessing."""


class RefusedError(LyceumError):
    """A guard stopped a destructive plan; the message names the way to allow it."""


class CommandError(LyceumError):
    """A program of the operating system failed; the message has its name, exit status and last words."""
