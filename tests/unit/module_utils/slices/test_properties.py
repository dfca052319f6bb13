# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of properties as text, in unit files and in `systemctl show`."""

from __future__ import annotations

import pytest
from ansible.module_utils.lyceum.slices.properties import PROPERTIES, Value, for_people, from_show, from_text, to_text


@pytest.mark.parametrize(
    ("name", "value", "text", "shown"),
    [
        ("CPUWeight", 200, "200", "200"),
        ("CPUWeight", None, "", "[not set]"),
        ("CPUQuota", 12_000, "120%", "1.200000s"),
        ("CPUQuota", 640_000, "6400%", "1min 4s"),
        ("CPUQuota", None, "", "infinity"),
        ("AllowedCPUs", (0, 1), "0-1", "0-1"),
        ("AllowedCPUs", (0, 2), "0,2", "0 2"),
        ("AllowedCPUs", None, "", ""),
        ("MemoryHigh", 498 * 2**20, "498M", "522190848"),
        ("MemoryMax", 2**29, "512M", "536870912"),
        ("MemoryMax", None, "infinity", "infinity"),
        ("MemorySwapMax", 0, "0", "0"),
        ("TasksMax", 256, "256", "256"),
        ("TasksMax", None, "infinity", "infinity"),
        ("IOWeight", 50, "50", "50"),
    ],
)
def test_values_are_read_back_as_they_are_written_and_shown(name: str, value: Value, text: str, shown: str) -> None:
    assert to_text(name, value) == text
    assert from_text(name, text) == value
    assert from_show(name, shown) == value


@pytest.mark.parametrize("name", PROPERTIES)
def test_no_limit_has_one_name_for_people(name: str) -> None:
    assert for_people(name, None) == "unlimited"


def test_sentences_have_units() -> None:
    assert for_people("MemoryMax", 2**31) == "2G"
    assert for_people("CPUQuota", 15_000) == "150%"
