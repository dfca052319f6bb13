# SPDX-License-Identifier: GPL-3.0-or-later
"""Nasty names."""

from __future__ import annotations

import pytest
from ansible.module_utils.lyceum.registry import names


@pytest.mark.parametrize("name", ["amartin", "a", "a1", "a-b_c", "x" * 32])
def test_usable(name: str) -> None:
    assert names.problem(name) is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("root", "is a name of the operating system"),
        ("www-data", "is a name of the operating system"),
        ("sudo", "is a name of the operating system"),
        ("docker", "is a name of the operating system"),
        ("systemd-network", "is a name of the operating system"),
        ("x;$(id)", "contains characters no login name may have ($ ( ) ;)"),
        ("a/../b", "contains characters no login name may have (/)"),
        ("a:b", "contains characters no login name may have (:)"),
        ("amartin\n", r"contains characters no login name may have (\n)"),
        ("lópez", r"contains characters no login name may have (\xf3)"),
        ("two words", "contains a space"),
        ("machine$", "ends with $, which marks machine accounts"),
        ("a@example.org", "contains @"),
        ("a.martin", "contains a dot"),
        ("AMartin", "has upper-case letters"),
        ("2001", "consists of digits only, so programs would take it for a uid"),
        ("-rf", "begins with a dash, so programs would take it for an option"),
        ("x" * 33, "has 33 characters"),
        ("_apt", "does not begin with a letter"),
        ("1a", "does not begin with a letter"),
        ("", "is empty"),
    ],
)
def test_refused(name: str, message: str) -> None:
    found = names.problem(name)
    assert found is not None
    assert found[0] == message
    assert found[1].endswith(".")


def test_upper_case_comes_with_the_right_spelling() -> None:
    assert names.problem("AMartin") == ("has upper-case letters", "Write 'amartin'.")
