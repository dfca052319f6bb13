# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries add up to the limits the kernel is given."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.quota.model import GIB, Limit, Limits, Quota, add_up
from hypothesis import given
from hypothesis import strategies as st

MIB = 1024 * 1024


def entry(**values: Any) -> dict[str, Any]:
    """One entry as the module gets it."""
    return {
        "path": "/home",
        "kind": "user",
        "id": 2001,
        "name": "home",
        "person": "amartin",
        "hard_gib": None,
        "soft_gib": None,
        "hard_files": None,
        "soft_files": None,
        "state": "present",
        "secondary": False,
        **values,
    }


def quota(**values: Any) -> Quota:
    return Quota.from_params(entry(**values), 90)


def mount_of(path: str) -> str:
    """/home is a file system of its own; all else is on /."""
    return "/home" if path.startswith("/home") else "/"


@pytest.mark.parametrize(
    ("values", "space", "files"),
    [
        ({}, None, None),
        ({"hard_gib": 10}, Limit(9 * GIB, 10 * GIB), None),
        ({"hard_gib": 0.1}, Limit(96636764, 107374183), None),
        ({"hard_gib": "10", "soft_gib": "2.5"}, Limit(5 * GIB // 2, 10 * GIB), None),
        ({"hard_gib": "unlimited"}, Limit(None, None), None),
        ({"hard_gib": "unlimited", "soft_gib": 5}, Limit(5 * GIB, None), None),
        ({"hard_gib": 0}, Limit(0, 0), None),
        ({"hard_files": 1000}, None, Limit(900, 1000)),
        ({"hard_files": 0, "hard_gib": 1}, Limit(966367641, GIB), Limit(0, 0)),
    ],
)
def test_numbers_become_limits(values: dict[str, Any], space: Limit | None, files: Limit | None) -> None:
    made = quota(**values)
    assert (made.space, made.files) == (space, files)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"path": "home"}, "quotas: user 2001 (home) at home: the path must be absolute"),
        (
            {"id": 0},
            "quotas: user 0 (home) at /home: the id must be between 1 and 4294967294; 0 is root's and everybody's",
        ),
        (
            {"hard_gib": "10 GB"},
            "quotas: user 2001 (home) at /home: hard_gib is '10 GB'; it must be a number from 0 on, or unlimited",
        ),
        (
            {"hard_files": -1},
            "quotas: user 2001 (home) at /home: hard_files is -1; it must be a number from 0 on, or unlimited",
        ),
        (
            {"hard_gib": True},
            "quotas: user 2001 (home) at /home: hard_gib is True; it must be a number from 0 on, or unlimited",
        ),
        (
            {"hard_gib": "nan"},
            "quotas: user 2001 (home) at /home: hard_gib is 'nan'; it must be a number from 0 on, or unlimited",
        ),
        ({"hard_gib": 1, "soft_gib": 2}, "quotas: user 2001 (home) at /home: soft_gib is more than hard_gib"),
        (
            {"soft_files": 2},
            "quotas: user 2001 (home) at /home: soft_files needs hard_files, which may be unlimited",
        ),
        (
            {"kind": "project", "name": "a:b"},
            "quotas: project 2001 (a:b) at /home: the name of a project has only letters, digits, '.', '_' and '-'",
        ),
    ],
)
def test_bad_entries_are_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(LyceumError) as caught:
        quota(**values)
    assert str(caught.value) == message


def test_a_quota_of_a_user_is_the_sum_over_the_file_system() -> None:
    home, rest = add_up(
        [
            quota(hard_gib=1, hard_files=10),
            quota(path="/srv/scratch", name="scratch", hard_gib=2, hard_files=2),
            quota(path="/srv/projects", name="projects", hard_gib=3, hard_files=5),
        ],
        mount_of,
    )
    assert (home.mount, home.space, home.files) == ("/home", Limit(GIB * 9 // 10, GIB), Limit(9, 10))
    assert (rest.mount, rest.name, rest.person) == ("/", "scratch + projects", "amartin")
    assert rest.space is not None
    assert rest.space.hard == 5 * GIB
    assert rest.files == Limit(5, 7)
    assert (rest.unbounded, rest.shared) == ([], ["scratch", "projects"])
    assert (home.unbounded, home.shared) == ([], [])


def test_something_unlimited_makes_the_sum_unlimited_and_that_is_said() -> None:
    (one,) = add_up(
        [quota(path="/a", hard_gib=1), quota(path="/b", name="scratch", hard_gib="unlimited")],
        mount_of,
    )
    assert one.space == Limit(None, None)
    assert one.unbounded == ["home"]
    (two,) = add_up(
        [
            quota(path="/a", hard_gib=1, secondary=True),
            quota(path="/b", name="projects", hard_gib="unlimited", secondary=True),
        ],
        mount_of,
    )
    assert two.unbounded == []


def test_what_is_gone_has_no_limits_and_counts_for_nothing() -> None:
    (gone,) = add_up([quota(hard_gib=1, state="absent")], mount_of)
    assert gone.wanted(Limits(1, 2, 3, 4), 4096) == Limits()
    (left,) = add_up([quota(hard_gib=1, state="absent"), quota(path="/home/x", name="x", hard_gib=2)], mount_of)
    assert left.space is not None
    assert (left.space.hard, left.name) == (2 * GIB, "x")


def test_two_directories_cannot_share_a_project() -> None:
    entries = [quota(kind="project", id=9, name=name, path=f"/srv/{name}", hard_gib=1) for name in ("a", "b")]
    with pytest.raises(LyceumError) as caught:
        add_up(entries, mount_of)
    assert str(caught.value) == (
        "quotas: project 9 is given for /srv/a and /srv/b; each directory needs an id of its own"
    )


@pytest.mark.parametrize(
    ("values", "block", "limits"),
    [
        ({}, 4096, Limits(11, 22, 33, 44)),
        ({"hard_gib": 1}, 4096, Limits(943720, 1048576, 33, 44)),
        ({"hard_gib": 0}, 4096, Limits(4, 4, 33, 44)),
        ({"hard_gib": 0}, 65536, Limits(64, 64, 33, 44)),
        ({"hard_gib": 0, "hard_files": 0}, 1024, Limits(1, 1, 1, 1)),
        ({"hard_gib": "unlimited", "hard_files": "unlimited"}, 4096, Limits(0, 0, 0, 0)),
        ({"hard_gib": "unlimited", "soft_gib": 1}, 4096, Limits(1048576, 0, 33, 44)),
    ],
)
def test_the_kernel_gets_whole_blocks_and_its_own_word_for_unlimited(
    values: dict[str, Any], block: int, limits: Limits
) -> None:
    (target,) = add_up([quota(**values)], mount_of)
    assert target.wanted(Limits(11, 22, 33, 44), block) == limits


LIMITS = st.one_of(
    st.none(), st.just("unlimited"), st.integers(0, 10**6), st.floats(0, 10**6, allow_nan=False, allow_infinity=False)
)


@given(st.lists(st.tuples(LIMITS, LIMITS, st.sampled_from(["present", "absent"])), min_size=1, max_size=5))
def test_no_sum_is_tighter_than_its_parts_or_open_without_reason(entries: list[tuple[Any, Any, str]]) -> None:
    made = [
        quota(path=f"/x{number}", name=f"n{number}", hard_gib=gib, hard_files=files, state=state)
        for number, (gib, files, state) in enumerate(entries)
    ]
    (target,) = add_up(made, mount_of)
    wanted = target.wanted(Limits(), 4096)
    live = [one for one in made if one.present]
    for soft, hard, parts, unit in (
        (wanted.space_soft, wanted.space_hard, [one.space for one in live], 1024),
        (wanted.files_soft, wanted.files_hard, [one.files for one in live], 1),
    ):
        managed = [part for part in parts if part is not None]
        if not managed or len(managed) < len(parts) or any(part.hard is None for part in managed):
            assert hard == 0
        else:
            # Whatever is limited stays limited, even to nothing: 0 would let everything through.
            assert hard * unit >= max(sum(part.hard or 0 for part in managed), 1)
            assert 0 < soft <= hard
