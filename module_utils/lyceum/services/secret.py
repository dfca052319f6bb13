# SPDX-License-Identifier: GPL-3.0-or-later
"""Values that are handed from where they are kept to where they are needed, and print as nothing on the way."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Iterable
from urllib.parse import quote

from ..errors import LyceumError

SHOWN = "<secret>"


class Secret:
    """A password or token. `reveal()` is the only way to its text; it can be neither printed, pickled nor copied."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        if not text:
            raise LyceumError("a secret is empty; give it a value, or leave it out")
        self._text = text

    def reveal(self) -> str:
        """The text itself: for the one call that needs it."""
        return self._text

    def forms(self) -> tuple[str, ...]:
        """How the text may appear in somebody's words about it: as it is, in a URL, in JSON, in base64."""
        text = self._text
        encoded = base64.b64encode(text.encode()).decode()
        return tuple(dict.fromkeys((text, quote(text, safe=""), json.dumps(text)[1:-1], encoded)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return SHOWN

    def __reduce__(self) -> str:
        raise TypeError("a secret is not written anywhere")


def redact(text: str, secrets: Iterable[Secret]) -> str:
    """The text without any of the secrets, in whatever spelling."""
    for secret in secrets:
        for form in secret.forms():
            if form in text:
                text = text.replace(form, SHOWN)
    return text
