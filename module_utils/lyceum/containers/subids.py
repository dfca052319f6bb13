# SPDX-License-Identifier: GPL-3.0-or-later
"""The subordinate ids that people's containers run with: /etc/subuid and /etc/subgid, as role accounts writes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

SUBUID = Path("/etc/subuid")
SUBGID = Path("/etc/subgid")

Span = tuple[int, int]


def spans_of(name: str, uid: int, path: Path) -> list[Span]:
    """(first, count) of each range of a person, who may be listed by name or by number."""
    spans = []
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return []
    for line in lines:
        owner, _, rest = line.partition(":")
        first, _, count = rest.partition(":")
        if owner in (name, str(uid)) and first.isdigit() and count.isdigit():
            spans.append((int(first), int(count)))
    return spans


def mapping(own: int, spans: Sequence[Span]) -> str:
    """The id map of a person's containers: root in them is the person, all others are subordinate ids.

    As lines of /proc/<pid>/uid_map.
    """
    lines = [f"0 {own} 1"]
    inside = 1
    for first, count in spans:
        lines.append(f"{inside} {first} {count}")
        inside += count
    return "".join(f"{line}\n" for line in lines)


def belongs(uid: int, own: int, spans: Sequence[Span]) -> bool:
    """Whether a uid is the person's own or one of the subordinate ones."""
    return uid == own or any(first <= uid < first + count for first, count in spans)
