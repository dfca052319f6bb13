# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing goes that was used, excluded, or not announced in time."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from ansible.module_utils.lyceum.storage.purge import (
    ANNOUNCE,
    DAY,
    DELETE,
    KEEP,
    Announced,
    Candidate,
    after_pause,
    decide,
    due,
    excluded,
    listing,
    newest,
    notice,
)
from ansible.module_utils.lyceum.storage.settings import Purge
from hypothesis import given
from hypothesis import strategies as st

PURGE = Purge(60, 7, ("read", "changed", "arrived"), (), frozenset())
NOW = 1000 * DAY
NOTHING = excluded(())


def old(days: float, path: str = "data/file", inode: int = 7, size: int = 4096) -> Candidate:
    return Candidate(path, 1, inode, NOW - days * DAY, size)


def announced(days: float, inode: int = 7) -> Announced:
    return Announced(1, inode, NOW - days * DAY)


@pytest.mark.parametrize(
    ("idle", "before", "what", "since"),
    [
        (10, None, KEEP, 0),
        (52.9, None, KEEP, 0),
        (53, None, ANNOUNCE, 0),
        (600, None, ANNOUNCE, 0),
        (600, announced(6.9), ANNOUNCE, 6.9),
        (600, announced(7), DELETE, 7),
        (59.9, announced(100), ANNOUNCE, 100),
        (60, announced(7), DELETE, 7),
        (10, announced(100), KEEP, 0),
        (600, announced(100, inode=8), ANNOUNCE, 0),  # another file of that name
        (600, announced(-1), ANNOUNCE, 0),  # announced tomorrow: the clock was set back
        (-5, announced(100), KEEP, 0),  # used tomorrow
    ],
)
def test_decisions(idle: float, before: Announced | None, what: str, since: float) -> None:
    found, when = decide(old(idle), before, PURGE, NOTHING, NOW)
    assert found == what
    assert when == pytest.approx(NOW - since * DAY)


def test_what_is_excluded_stays() -> None:
    kept = excluded(("keep/*", "*/.git/*", "*.ckpt", "[[]x[]]"))
    for path in ("keep/a/b", "repo/.git/objects/x", "model.ckpt", "deep/model.ckpt", "[x]"):
        assert decide(old(600, path), announced(100), PURGE, kept, NOW)[0] == KEEP, path
    for path in ("kept", "keep", "x", "model.ckpt.old", "a/keep/b", "line\nbreak.ckpt\n"):
        assert decide(old(600, path), announced(100), PURGE, kept, NOW)[0] == DELETE, path
    assert decide(old(600, "two\nlines.ckpt"), announced(100), PURGE, kept, NOW)[0] == KEEP


def test_the_newest_of_the_times_that_count(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    os.utime(path, (2000, 1000))
    info = path.stat()
    assert newest(info, ["read"]) == 2000
    assert newest(info, ["changed"]) == 1000
    assert newest(info, ["changed", "read"]) == 2000
    assert newest(info, ["read", "changed", "arrived"]) == info.st_ctime


STEP = st.tuples(st.floats(0, 5), st.booleans())


@given(st.lists(STEP, max_size=60), st.floats(1, 30), st.floats(0, 30))
def test_over_any_history_a_file_goes_only_unused_and_told(
    steps: list[tuple[float, bool]], after: float, notice_days: float
) -> None:
    """Runs at any distance, with use in between or not, as the tool carries announcements from run to run."""
    purge = replace(PURGE, after_days=after, notice_days=notice_days)
    now, used, last = NOW, NOW, 0.0
    state: dict[str, Announced] = {}
    told: float | None = None
    for days, use in steps:
        now += days * DAY
        if use:
            used = now - days * DAY / 2
        one = Candidate("file", 1, 7, used, 1)
        what, since = decide(one, after_pause(state, last, now).get("file"), purge, NOTHING, now)
        if what == DELETE:
            assert now - used >= after * DAY
            assert told is not None
            assert now - told >= notice_days * DAY
            return
        state = {"file": Announced(1, 7, since)} if what == ANNOUNCE else {}
        told = (told if told is not None else now) if state else None
        assert not state or due(one, since, purge) >= used + after * DAY
        last = now


def test_a_pause_of_the_tool_is_no_notice() -> None:
    state = {"file": announced(20)}
    assert after_pause(state, NOW - DAY, NOW) == state
    assert after_pause(state, NOW - 15 * DAY, NOW) == {"file": announced(6)}


def test_the_notice_says_how_much_until_when_and_what_to_do() -> None:
    pending = [(old(55), NOW + 5 * DAY), (old(54, "b", size=2 * 1024**3), NOW + 6 * DAY)]
    assert notice("/srv/scratch/amartin", pending, [], PURGE) == (
        "2 files (2 GiB) of /srv/scratch/amartin have not been used for long. They are deleted after 60 days, the"
        " first from 1972-10-02 00:00 UTC on.\n"
        "To keep one, read or change it, or move it elsewhere. Which: lyceum-limits --purge"
    )
    assert notice("/srv/scratch/amartin", [], [old(70)], PURGE) == (
        "1 files (4 KiB) of /srv/scratch/amartin, announced before, were deleted."
    )
    assert notice("/srv/scratch/amartin", [], [], PURGE) is None


def test_the_list_is_one_line_each_soonest_first() -> None:
    pending = [(old(54, "later"), NOW + 6 * DAY), (old(55, "evil\n\x1b[2J\u202e"), NOW + 5 * DAY)]
    gone = [old(70, "gone"), old(70, "'quoted'")]
    assert listing(pending, gone, 10).splitlines() == [
        "deleted                4 KiB  gone",
        "deleted                4 KiB  \"'quoted'\"",
        "1972-10-02 00:00       4 KiB  'evil\\n\\x1b[2J\\u202e'",
        "1972-10-03 00:00       4 KiB  later",
    ]
    assert listing(pending, gone, 1).splitlines()[-1] == "and 2 more"
