# SPDX-License-Identifier: GPL-3.0-or-later
"""The line an admin reads."""

from __future__ import annotations

import pytest
from ansible.module_utils.lyceum.registry.problem import ERROR, WARNING, Problem, errors, shorten


@pytest.mark.parametrize(
    ("problem", "line"),
    [
        (
            Problem(ERROR, "people.yml:12", "lyceum_people[bchen].uid", "2001", "is taken", "Take 2002."),
            "people.yml:12: lyceum_people[bchen].uid = 2001: is taken. Take 2002.",
        ),
        (
            Problem(WARNING, "limits.yml:3", "lyceum_limits", "", "is over", "Remove it."),
            "limits.yml:3: warning: lyceum_limits: is over. Remove it.",
        ),
        (Problem(ERROR, "people.yml:1", "", "", "is not YAML", "Fix it."), "people.yml:1: is not YAML. Fix it."),
        (
            Problem(ERROR, "", "lyceum_x", "", "is wrong. Did you mean 'y'?", ""),
            "lyceum_x: is wrong. Did you mean 'y'?",
        ),
        (Problem(ERROR, "", "a\n\x1b[2Jb\u2028", "", "is wrong", ""), r"a\n\x1b[2Jb\u2028: is wrong."),
    ],
)
def test_one_line(problem: Problem, line: str) -> None:
    assert str(problem) == line


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "null"),
        (True, "true"),
        (2001, "2001"),
        ("plain text", "plain text"),
        ("", "''"),
        (" padded", "' padded'"),
        ("two\nlines", r"'two\nlines'"),
        ("\x1b[2J", r"'\x1b[2J'"),
        ("x" * 80, "x" * 57 + "..."),
        ("López", "López"),
    ],
)
def test_values_stay_on_one_printable_line(value: object, shown: str) -> None:
    assert shorten(value) == shown


def test_errors_leaves_warnings_out() -> None:
    error, warning = Problem(ERROR, "", "a", "", "b", ""), Problem(WARNING, "", "a", "", "b", "")
    assert errors([warning, error]) == [error]
