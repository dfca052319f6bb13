# SPDX-License-Identifier: GPL-3.0-or-later
"""Amounts as text and back."""

from __future__ import annotations

import pytest
from ansible.module_utils.lyceum.slices import units
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("gib", "size"), [(1, 2**30), (0.5, 2**29), (0, 0), (0.1, 107372544), (1 / 3, 357912576), (0.0000001, 0)]
)
def test_bytes_are_whole_pages(gib: float, size: int) -> None:
    assert units.bytes_of(gib) == size


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0"), (1, "1"), (4096, "4K"), (512 * 2**20, "512M"), (2**30, "1G"), (3 * 2**39, "1536G"), (2**40, "1T")],
)
def test_sizes_are_short_and_exact(size: int, text: str) -> None:
    assert units.size_text(size) == text
    assert units.size_of(text) == size


@given(st.integers(0, 2**62))
def test_every_size_comes_back(size: int) -> None:
    assert units.size_of(units.size_text(size)) == size


@pytest.mark.parametrize(
    ("core_time", "text"), [(10_000, "100%"), (15_000, "150%"), (3_333, "33.33%"), (500, "5%"), (12_050, "120.5%")]
)
def test_quotas(core_time: int, text: str) -> None:
    assert units.quota_text(core_time) == text
    assert units.quota_of(text) == core_time


@given(st.integers(1, 10_000 * 1024))
def test_every_quota_comes_back(core_time: int) -> None:
    assert units.quota_of(units.quota_text(core_time)) == core_time


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1.500000s", 1.5), ("300ms", 0.3), ("333.300ms", 0.3333), ("1min 4s", 64), ("2min", 120), ("1h 1min 1s", 3661)],
)
def test_time_spans_as_systemctl_prints_them(text: str, seconds: float) -> None:
    assert units.span_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("cpus", "text"), [((), ""), ((0,), "0"), ((0, 1, 2, 5), "0-2,5"), ((3, 1), "1,3"), ((0, 1), "0-1")]
)
def test_lists_of_cpus(cpus: tuple[int, ...], text: str) -> None:
    assert units.cpus_text(cpus) == text
    assert units.cpus_of(text) == tuple(sorted(cpus))


def test_lists_of_cpus_with_blanks() -> None:
    assert units.cpus_of(" 0-1 3\n") == (0, 1, 3)


@given(st.sets(st.integers(0, 512)))
def test_every_list_of_cpus_comes_back(cpus: set[int]) -> None:
    assert units.cpus_of(units.cpus_text(cpus)) == tuple(sorted(cpus))


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (units.size_of, "much"),
        (units.size_of, "12 M"),
        (units.size_of, "-1"),
        (units.quota_of, "100"),
        (units.quota_of, "1.234%"),
        (units.span_seconds, "soon"),
        (units.span_seconds, "3 parsecs"),
        (units.cpus_of, "a-b"),
    ],
)
def test_what_is_no_amount_is_refused(read: object, text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read(text)  # type: ignore[operator]
