# SPDX-License-Identifier: GPL-3.0-or-later
"""Amounts as people write them, as unit files have them and as `systemctl show` prints them."""

from __future__ import annotations

import re
from collections.abc import Iterable

GIB = 2**30
PAGE = 4096
# Core time is counted in ten-thousandths of one core: the finest step of CPUQuota=, a hundredth of a percent.
CORE = 10_000

_SIZE = re.compile(r"([0-9]+)([KMGT]?)\Z")
_FACTORS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_QUOTA = re.compile(r"([0-9]+)(?:\.([0-9]{1,2}))?%\Z")
_SPAN = re.compile(r"([0-9]+(?:\.[0-9]+)?)([a-z]+)\Z")
_SECONDS = {
    "us": 1e-6, "ms": 1e-3, "s": 1, "min": 60, "h": 3600, "d": 86400, "w": 604800, "month": 2629800, "y": 31557600,
}  # fmt: skip


def bytes_of(gib: float) -> int:
    """Whole pages, rounded down, as the kernel does with any limit it is given."""
    return int(gib * GIB) // PAGE * PAGE


def whole_mib(size: float) -> int:
    """Rounded down to what is short to read."""
    return int(size) // 2**20 * 2**20


def size_text(size: int) -> str:
    """The shortest exact spelling: 536870912 is 512M."""
    for suffix in ("T", "G", "M", "K"):
        if size and size % _FACTORS[suffix] == 0:
            return f"{size // _FACTORS[suffix]}{suffix}"
    return str(size)


def size_of(text: str) -> int:
    """The number of bytes. Raises ValueError."""
    match = _SIZE.match(text)
    if match is None:
        raise ValueError(f"not a size: {text!r}")
    return int(match[1]) * _FACTORS[match[2]]


def quota_text(core_time: int) -> str:
    """CPUQuota= of an amount of core time: 15000 (one core and a half) is 150%."""
    return f"{core_time / 100:.2f}".rstrip("0").rstrip(".") + "%"


def quota_of(text: str) -> int:
    """The way back from `quota_text`. Raises ValueError."""
    match = _QUOTA.match(text)
    if match is None:
        raise ValueError(f"not a share of CPU time: {text!r}")
    return int(match[1]) * 100 + int((match[2] or "0").ljust(2, "0"))


def span_seconds(text: str) -> float:
    """Seconds of a time span such as `1min 4s` or `1.500000s`. Raises ValueError."""
    seconds = 0.0
    for word in text.split():
        match = _SPAN.match(word)
        if match is None or match[2] not in _SECONDS:
            raise ValueError(f"not a time span: {text!r}")
        seconds += float(match[1]) * _SECONDS[match[2]]
    return seconds


def cpus_text(cpus: Iterable[int]) -> str:
    """A list of CPUs with ranges: 0, 1, 2, 5 is `0-2,5`."""
    parts: list[list[int]] = []
    for cpu in sorted(set(cpus)):
        if parts and cpu == parts[-1][1] + 1:
            parts[-1][1] = cpu
        else:
            parts.append([cpu, cpu])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)


def cpus_of(text: str) -> tuple[int, ...]:
    """The CPUs of a list with ranges, separated by commas or blanks. Raises ValueError."""
    cpus: set[int] = set()
    for part in re.split(r"[,\s]+", text.strip()):
        if part:
            first, _dash, last = part.partition("-")
            cpus.update(range(int(first), int(last or first) + 1))
    return tuple(sorted(cpus))
