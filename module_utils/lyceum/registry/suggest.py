# SPDX-License-Identifier: GPL-3.0-or-later
"""'Did you mean ...?' for every message about an unknown name."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def closest(word: object, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known word that looks most like `word`, or None when nothing is close (1 = equal, 0 = nothing in common)."""
    if not isinstance(word, str):
        return None
    by_lower = {name.lower(): name for name in known if name.isprintable()}
    found = get_close_matches(word.lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[found[0]] if found else None


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """A sentence with a leading space, or "" when nothing is close."""
    found = closest(word, known)
    return f" Did you mean {found!r}?" if found else ""
