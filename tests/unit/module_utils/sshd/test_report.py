# SPDX-License-Identifier: GPL-3.0-or-later
"""Sections of the report from what sshd and fail2ban say."""

from __future__ import annotations

from ansible.module_utils.lyceum.sshd import report

# As OpenSSH 10.0 and fail2ban 1.0.2 write them.
JOURNAL = [
    "Accepted publickey for amartin from 192.0.2.7 port 4 ssh2: ED25519 SHA256:x",
    "srclimit_penalise: 203.0.113.5/32: activating ipv4 penalty of 19 seconds for penalty: failed authentication",
    "drop connection #0 from [203.0.113.5]:60021 on [192.0.2.1]:22 penalty: failed authentication",
    "drop connection #0 from [2001:db8::7]:58601 on [2001:db8::1]:22 penalty: exceeded LoginGraceTime",
    "drop connection #1 from [203.0.113.5]:58601 on [192.0.2.1]:22 penalty: failed authentication",
]
BANS = ["203.0.113.7 \t2026-11-21 12:44:09 + 600 = 2026-11-21 12:54:09", ""]


def test_addresses_by_how_often_they_came() -> None:
    assert report.shut_out(JOURNAL) == [
        ["203.0.113.5", "2 connection(s) refused since a day", "failed authentication"],
        ["2001:db8::7", "1 connection(s) refused since a day", "exceeded LoginGraceTime"],
    ]


def test_addresses_that_are_banned() -> None:
    assert report.banned(BANS) == [["203.0.113.7", "until 2026-11-21 12:54:09", "failed logins"]]
    assert report.banned(["", "Sorry"]) == []


def test_sections() -> None:
    people = [
        {"name": "amartin", "access": "shell", "state": "present"},
        {"name": "jweber", "access": "jail", "state": "suspended"},
    ]
    logins, addresses = report.sections(people, JOURNAL, BANS, ["192.0.2.0/24"], ["a note"])
    assert (logins["rows"], logins["notes"]) == ([["jweber", "jail", "suspended"]], ["a note"])
    assert len(addresses["rows"]) == 3
    assert addresses["notes"] == ["never shut out: 192.0.2.0/24"]


def test_a_flood_is_cut() -> None:
    lines = [f"drop connection #0 from [10.0.0.{number}]:1 on [x]:22 penalty: y" for number in range(50)]
    section = report.sections([], lines, [], [], [])[1]
    assert len(section["rows"]) == report.MOST_ADDRESSES
    assert section["notes"] == ["... and 30 more addresses", "never shut out: nobody"]
