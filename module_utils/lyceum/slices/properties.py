# SPDX-License-Identifier: GPL-3.0-or-later
"""The resource properties of a slice that are managed here, and each one's value as text and back.

A value is a whole number in the unit of the table (tuple of CPUs for AllowedCPUs), or None for "no limit". A property
that is not in a mapping of values is left to whatever else sets it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Union

from . import units

Value = Union[int, tuple[int, ...], None]
Values = Mapping[str, Value]

INFINITY = "infinity"
NOT_SET = "[not set]"


@dataclass(frozen=True)
class Property:
    """unit: of the number. unlimited: how a unit file says "no limit" (an empty value takes back what was set before).
    shown: the name in `systemctl show`. write, read: the value in a unit file and back; show: of `systemctl show`.
    """

    unit: str
    unlimited: str
    shown: str
    write: Callable[[Any], str]
    read: Callable[[str], Value]
    show: Callable[[str], Value]


def _shown_quota(text: str) -> int:
    return round(units.span_seconds(text) * units.CORE)


_WEIGHT = ("share, 100 is usual", "")
_MEMORY = ("bytes", INFINITY)

PROPERTIES: Mapping[str, Property] = MappingProxyType(
    {
        "CPUWeight": Property(*_WEIGHT, "CPUWeight", str, int, int),
        "CPUQuota": Property(
            "ten-thousandths of a core", "", "CPUQuotaPerSecUSec", units.quota_text, units.quota_of, _shown_quota
        ),
        "AllowedCPUs": Property("CPUs", "", "AllowedCPUs", units.cpus_text, units.cpus_of, units.cpus_of),
        "MemoryHigh": Property(*_MEMORY, "MemoryHigh", units.size_text, units.size_of, int),
        "MemoryMax": Property(*_MEMORY, "MemoryMax", units.size_text, units.size_of, int),
        "MemorySwapMax": Property(*_MEMORY, "MemorySwapMax", units.size_text, units.size_of, int),
        "TasksMax": Property("tasks", INFINITY, "TasksMax", str, int, int),
        "IOWeight": Property(*_WEIGHT, "IOWeight", str, int, int),
    }
)


def to_text(name: str, value: Value) -> str:
    """The right side of the property's line in a unit file."""
    return PROPERTIES[name].unlimited if value is None else PROPERTIES[name].write(value)


def from_text(name: str, text: str) -> Value:
    """The way back from `to_text`. Raises ValueError."""
    return None if text in ("", INFINITY) else PROPERTIES[name].read(text)


def from_show(name: str, text: str) -> Value:
    """A value as `systemctl show` prints it. Raises ValueError."""
    return None if text in ("", INFINITY, NOT_SET) else PROPERTIES[name].show(text)


def for_people(name: str, value: Value) -> str:
    """For sentences: `MemoryMax` of a person is `512M`, or `unlimited`."""
    return "unlimited" if value is None else PROPERTIES[name].write(value)
