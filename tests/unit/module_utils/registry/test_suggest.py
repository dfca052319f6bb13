# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible.module_utils.lyceum.registry.suggest import closest, did_you_mean


@pytest.mark.parametrize(
    ("word", "known", "found"),
    [
        ("vison", ["vision", "nlp"], "vision"),
        ("VISION", ["vision"], "vision"),
        ("xyz", ["vision"], None),
        ("vision", [], None),
        (7, ["7"], None),
        ("visio", ["vision\n"], None),
    ],
)
def test_closest(word: object, known: list[str], found: str | None) -> None:
    assert closest(word, known) == found


def test_sentence() -> None:
    assert did_you_mean("vison", ["vision"]) == " Did you mean 'vision'?"
    assert did_you_mean("xyz", ["vision"]) == ""
