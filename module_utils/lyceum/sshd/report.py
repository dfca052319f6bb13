# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is confined as what, and who was shut out, as sections of the report. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

REFUSED = re.compile(r"drop connection #\d+ from \[(?P<address>[^]]+)\]:\d+ on \S+ penalty: (?P<why>.+)")
BANNED = re.compile(r"(?P<address>\S+)\s+\S+ \S+ \+ \d+ = (?P<until>.+)")
MOST_ADDRESSES = 20


def sections(
    people: Iterable[Mapping[str, Any]],
    journal: Iterable[str],
    bans: Iterable[str],
    never: Iterable[str],
    notes: Iterable[str],
) -> list[dict[str, Any]]:
    """journal: sshd's lines of the last day. bans: fail2ban's list with times. never: exempt addresses."""
    rows = shut_out(journal) + banned(bans)
    more = [f"... and {len(rows) - MOST_ADDRESSES} more addresses"] if len(rows) > MOST_ADDRESSES else []
    return [
        {
            "title": "Logins with less than a full shell",
            "header": ["person", "access", "state"],
            "rows": [
                [one["name"], one["access"], one["state"]]
                for one in people
                if one["access"] != "shell" and one["state"] != "absent"
            ],
            "notes": list(notes),
        },
        {
            "title": "Addresses shut out after failed logins",
            "header": ["address", "how", "why"],
            "rows": rows[:MOST_ADDRESSES],
            "notes": [*more, f"never shut out: {', '.join(never) or 'nobody'}"],
        },
    ]


def shut_out(journal: Iterable[str]) -> list[list[str]]:
    """Addresses that sshd itself refused to talk to, the most persistent first."""
    times: dict[str, int] = {}
    reasons: dict[str, str] = {}
    for found in filter(None, map(REFUSED.search, journal)):
        times[found["address"]] = times.get(found["address"], 0) + 1
        reasons[found["address"]] = found["why"]
    ranked = sorted(times, key=lambda address: (-times[address], address))
    return [[address, f"{times[address]} connection(s) refused since a day", reasons[address]] for address in ranked]


def banned(bans: Iterable[str]) -> list[list[str]]:
    """Addresses that fail2ban shuts out now."""
    return [
        [found["address"], f"until {found['until'].strip()}", "failed logins"]
        for found in filter(None, map(BANNED.match, bans))
    ]
