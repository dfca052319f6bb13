# SPDX-License-Identifier: GPL-3.0-or-later
"""Drop-ins as text and back."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.module_utils.lyceum.slices.dropin import FILE, DropIn, parse, path_of, render, slice_of, uid_of
from ansible.module_utils.lyceum.slices.properties import PROPERTIES, Value
from hypothesis import given
from hypothesis import strategies as st

LINES = """\
# Written by Lyceum (role cgroups): what is changed here by hand is lost with the next run.
# For: bchen
# Pending until less memory is in use: MemoryMax=512M

[Slice]
CPUWeight=50
CPUQuota=150%
MemoryHigh=486M
MemoryMax=infinity
TasksMax=256
"""


def values() -> st.SearchStrategy[dict[str, Value]]:
    """Any values that a slice can have."""
    weight = st.none() | st.integers(1, 10_000)
    size = st.none() | st.integers(0, 2**50)
    kinds: dict[str, st.SearchStrategy[Value]] = {
        "CPUWeight": weight,
        "CPUQuota": st.none() | st.integers(1, 5_120_000),
        "AllowedCPUs": st.none() | st.sets(st.integers(0, 255), min_size=1).map(lambda cpus: tuple(sorted(cpus))),
        "MemoryHigh": size,
        "MemoryMax": size,
        "MemorySwapMax": size,
        "TasksMax": st.none() | st.integers(0, 2**22),
        "IOWeight": weight,
    }
    assert kinds.keys() == PROPERTIES.keys()
    return st.fixed_dictionaries({}, optional=kinds)


def test_a_file_in_full() -> None:
    dropin = DropIn(
        "bchen",
        {"TasksMax": 256, "MemoryMax": None, "MemoryHigh": 486 * 2**20, "CPUQuota": 15_000, "CPUWeight": 50},
        {"MemoryMax": 2**29},
    )
    assert render(dropin) == LINES
    assert parse(LINES) == dropin


@given(values(), values(), st.text("abcdefghijklmnopqrstuvwxyz-_0123456789 ,", max_size=30).map(str.strip))
def test_every_dropin_comes_back(own: dict[str, Value], pending: dict[str, Value], whose: str) -> None:
    dropin = DropIn(whose, own, pending)
    assert parse(render(dropin)) == dropin


@given(values())
def test_the_order_of_values_does_not_matter(own: dict[str, Value]) -> None:
    assert render(DropIn("x", own)) == render(DropIn("x", dict(reversed(own.items()))))


def test_what_others_wrote_is_read_as_far_as_it_is_ours() -> None:
    text = "[Slice]\nMemoryMax = 1G\nDelegate=yes\n#TasksMax=5\n\nCPUQuota=\n"
    assert parse(text) == DropIn("", {"MemoryMax": 2**30, "CPUQuota": None})


@pytest.mark.parametrize("line", ["MemoryMax=half", "TasksMax=33%", "CPUQuota=1.5"])
def test_a_value_that_is_none_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse(f"[Slice]\n{line}\n")


def test_slices_are_named_by_uid() -> None:
    assert slice_of(2001) == "user-2001.slice"
    assert uid_of("user-2001.slice") == 2001
    assert [
        uid_of(name) for name in ("user-.slice", "user.slice", "user-a.slice", "user-1.slice.d", "system.slice")
    ] == ([None] * 5)
    assert path_of("user-.slice", Path("/x")) == Path("/x/user-.slice.d") / FILE


def test_the_file_is_read_after_those_of_set_property() -> None:
    assert sorted([FILE, *(f"50-{name}.conf" for name in PROPERTIES)])[-1] == FILE
