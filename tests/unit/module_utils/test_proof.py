# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof table."""

from __future__ import annotations

import pytest
from ansible.module_utils.lyceum.proof import BROKEN, HELD, NOT_TESTED, Verdict, lines


def test_table_and_sum() -> None:
    long = "nobody could list /home/bchen, nobody could read a file of /home/bchen"
    verdicts = [
        Verdict("login", "own key", "h1", HELD, "amartin"),
        Verdict("login", "foreign key", "h1", HELD, "amartin"),
        Verdict("homes", "read", "h1", BROKEN, long),
        Verdict("login", "own key", "h2", HELD, "amartin"),
        Verdict("login", "foreign key", "h2", NOT_TESTED, "no account"),
    ]
    assert lines(verdicts) == [
        "Proof",
        "  control  attack       result      hosts   detail",
        "  -------  -----------  ----------  ------  ------------------------------------------------",
        "  login    own key      held        h1, h2  amartin",
        "  login    foreign key  not tested  h2      no account",
        "  login    foreign key  held        h1      amartin",
        "  homes    read         BROKEN      h1      nobody could list /home/bchen, nobody could r...",
        "not tested on h2: foreign key: no account",
        f"BROKEN on h1: read: {long}",
        "3 held, 1 not tested, 1 BROKEN",
    ]


def test_many_hosts_share_a_row() -> None:
    verdicts = [Verdict("login", "own key", f"h{number}", HELD, "amartin") for number in range(25)]
    assert "held    25 hosts  amartin" in lines(verdicts)[3]


def test_nothing_tested_is_not_held() -> None:
    assert lines([]) == ["Proof", "0 held, 0 not tested, 0 BROKEN"]


def test_a_verdict_survives_json() -> None:
    verdict = Verdict("login", "own key", "h1", HELD, "amartin")
    assert Verdict.from_dict(verdict.as_dict()) == verdict


def test_there_are_only_three_results() -> None:
    with pytest.raises(ValueError, match="not 'ok'"):
        Verdict("login", "own key", "h1", "ok")


def test_attacks_with_the_same_fate_share_a_line() -> None:
    verdicts = [Verdict("login", attack, "h1", NOT_TESTED, "host is down") for attack in ("own key", "foreign key")]
    assert "not tested on h1: 2 attacks: host is down" in lines(verdicts)
