# SPDX-License-Identifier: GPL-3.0-or-later
"""Columns line up and no line ends in blanks."""

from __future__ import annotations

from ansible.module_utils.lyceum.cli.tables import table


def test_columns_are_aligned() -> None:
    assert table([("a", "bb", "c"), ("ccc", "", "")]) == ["a    bb  c", "ccc"]
    assert table([]) == []
