# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter as Ansible finds it."""

from __future__ import annotations

from lyceum_slices import FilterModule


def test_sections_of_the_report() -> None:
    filters = FilterModule().filters()
    found = filters["slices_report"]({"people": [], "not_effective": ["x"]}, {"actions": ["bchen: TasksMax 5"]})
    assert [section["notes"] for section in found] == [["not enforced here: x"], [], ["bchen: TasksMax 5"]]
