# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is told what, and not again for every file."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible.module_utils.lyceum.storage.warn import level, levels, notices, percent, sentences
from hypothesis import given
from hypothesis import strategies as st

from .conftest import Site
from .test_usage import row

MIB = 1024 * 1024
HOME = row(hard_bytes=100 * MIB, soft_bytes=90 * MIB, hard_files=1000, soft_files=900)


@pytest.mark.parametrize(
    ("used", "hard", "last", "share"),
    [
        (None, 100, 0, 0.0),
        (50, None, 0, 0.0),
        (50, 100, 0, 50.0),
        (99, 100, 1, 100.0),
        (120, 100, 0, 100.0),
        (1, 1, 0, 0.0),  # given nothing at all
        (4096, 4096, 65536, 0.0),
    ],
)
def test_share(used: int | None, hard: int | None, last: int, share: float) -> None:
    assert percent(used, hard, last) == share


@pytest.mark.parametrize(
    ("previous", "share", "now"),
    [
        (0, 79.9, 0),
        (0, 80.0, 80),
        (0, 100.0, 100),
        (80, 90.0, 90),
        (80, 78.0, 80),
        (80, 77.0, 80),
        (80, 76.9, 0),
        (90, 88.0, 90),
        (90, 86.0, 80),
        (100, 97.5, 100),
        (100, 50.0, 0),
        (85, 84.0, 80),  # a threshold that is not one any more
    ],
)
def test_levels_rise_at_once_and_fall_with_a_margin(previous: int, share: float, now: int) -> None:
    assert level(previous, share, (80, 90, 100)) == now


@given(st.lists(st.floats(79, 81), min_size=1))
def test_use_around_a_threshold_is_one_warning(shares: list[float]) -> None:
    seen = []
    current = 0
    for share in shares:
        new = level(current, share, (80, 90, 100))
        seen += [new] if new != current else []
        current = new
    assert seen in ([], [80])


def test_space_and_files_are_judged_apart() -> None:
    used = replace(HOME, used_bytes=85 * MIB, used_files=1000)
    assert levels([used], {}, (80, 90, 100)) == {"/home|user|2001|space": 80, "/home|user|2001|files": 100}
    assert levels([HOME], {"/home|user|2001|space": 80}, (80, 90, 100)) == {}


@pytest.mark.parametrize(
    ("used", "said"),
    [
        (HOME, []),
        (
            replace(HOME, used_bytes=85 * MIB),
            ["Your home: more than 80 % of 100 MiB is used."],
        ),
        (
            replace(HOME, used_bytes=95 * MIB, space_ends=1795261944),
            [
                "Your home: more than 90 % of 100 MiB is used.",
                ("Your home: over the soft limit of 90 MiB; from 2026-11-21 11:52 UTC on nothing more can be written."),
            ],
        ),
        (
            replace(HOME, used_bytes=100 * MIB, space_ends=1795261944),
            ["Your home: all of 100 MiB is used; nothing more can be written there."],
        ),
        (
            replace(HOME, used_bytes=200 * MIB, enforced=False),
            ["Your home: all of 100 MiB is used; please make room."],
        ),
        (replace(HOME, used_files=950), ["Your home: more than 90 % of 1000 files is used."]),
        (
            replace(HOME, what="total", filesystem="/srv", used_bytes=85 * MIB),
            ["All your files on /srv: more than 80 % of 100 MiB is used."],
        ),
        (
            replace(HOME, what="project", name="retina", used_bytes=85 * MIB),
            ["Project retina: more than 80 % of 100 MiB is used."],
        ),
    ],
)
def test_words(used: object, said: list[str]) -> None:
    assert sentences(used, levels([used], {}, (80, 90, 100))) == said  # type: ignore[arg-type, list-item]


def test_everybody_who_writes_to_a_project_is_told_and_who_cannot_log_in_is_not(site: Site) -> None:
    site.people.append(site.person("ehansen", 2005, "suspended", home_gib=1))
    site.projects[0]["write"] = ["amartin", "ehansen"]
    policy = site.write()
    full = {"used_bytes": 95 * MIB, "hard_bytes": 100 * MIB}
    rows = [
        row(what="project", name="retina", person=None, filesystem="/srv", kind="project", id=11001, **full),
        row(name="ehansen", person="ehansen", id=2005, **full),
        row(name="bchen", person="bchen", id=2002),
    ]
    assert notices(policy, rows, levels(rows, {}, (80, 90, 100))) == {
        "amartin": "Project retina: more than 90 % of 100 MiB is used.\nSee what you use: lyceum-limits",
        "bchen": None,
        "ehansen": None,
    }
