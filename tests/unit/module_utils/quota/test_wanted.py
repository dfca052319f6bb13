# SPDX-License-Identifier: GPL-3.0-or-later
"""From limits in the registry to quotas on a host."""

from __future__ import annotations

import math
from typing import Any

import pytest
from ansible.module_utils.lyceum.quota.model import GIB, Quota, add_up
from ansible.module_utils.lyceum.quota.wanted import quotas
from hypothesis import given
from hypothesis import strategies as st

PLACES = {
    "scratch": "/srv/scratch",
    "projects": "/srv/projects",
    "home_projects": False,
    "home_base": 2_000_000,
    "scratch_base": 1_000_000,
    "other_gib": 1,
    "other_files": 10,
}


def person(name: str = "amartin", uid: int = 2001, state: str = "present", **limits: Any) -> dict[str, Any]:
    return {"name": name, "uid": uid, "home": f"/home/{name}", "state": state, "limits": limits}


def project(
    name: str = "retina", gid: int = 11001, write: tuple[str, ...] = ("amartin",), **limits: Any
) -> dict[str, Any]:
    return {"name": name, "gid": gid, "write": list(write), "limits": limits}


def wanted(people: list[dict[str, Any]], projects_: list[dict[str, Any]], **places: Any) -> list[dict[str, Any]]:
    return quotas({"people": people, "projects": projects_}, {**PLACES, **places})


def brief(entries: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(e["kind"], e["id"], e["name"], e["path"], e.get("hard_gib"), e.get("hard_files")) for e in entries]


HOME = ("user", 2001, "home", "/home/amartin", None, None)
SCRATCH = ("project", 1002001, "scratch-amartin", "/srv/scratch/amartin", None, None)


def test_everything_limited() -> None:
    found = wanted([person(home_gib=200, home_files=1000, scratch_gib=500)], [project(storage_gib=2000)])
    assert brief(found) == [
        ("user", 2001, "home", "/home/amartin", 200, 1000),
        ("project", 1002001, "scratch-amartin", "/srv/scratch/amartin", 500, None),
        ("user", 2001, "scratch", "/srv/scratch", 500, None),
        ("user", 2001, "projects", "/srv/projects", 2000, None),
        ("user", 2001, "other", "/srv/scratch", 1, None),
        ("user", 2001, "other", "/srv/projects", 1, None),
        ("project", 11001, "retina", "/srv/projects/.gid/11001", 2000, None),
    ]
    assert {entry.get("person") for entry in found} == {"amartin", None}
    assert [entry["name"] for entry in found if entry.get("secondary")] == ["scratch", "projects", "other", "other"]


@pytest.mark.parametrize(
    ("limits", "projects", "expected"),
    [
        # What has no limit is listed, too, to be counted.
        ({}, [], [HOME, SCRATCH]),
        ({"home_gib": None}, [], [(*HOME[:4], "unlimited", None), SCRATCH]),
        ({"home_files": 0}, [], [(*HOME[:4], None, 0), SCRATCH]),
        (
            {},
            [project(storage_gib=5)],
            [
                HOME,
                SCRATCH,
                ("user", 2001, "scratch", "/srv/scratch", None, None),
                ("user", 2001, "projects", "/srv/projects", 5, None),
                ("user", 2001, "other", "/srv/scratch", 1, None),
                ("user", 2001, "other", "/srv/projects", 1, None),
                ("project", 11001, "retina", "/srv/projects/.gid/11001", 5, None),
            ],
        ),
        (
            {"scratch_files": 7},
            [project(), project("speech", 11002, ("dlopez",), storage_gib=3)],
            [
                HOME,
                (*SCRATCH[:4], None, 7),
                ("user", 2001, "scratch", "/srv/scratch", None, 7),
                ("user", 2001, "projects", "/srv/projects", None, None),
                ("user", 2001, "other", "/srv/scratch", None, 10),
                ("user", 2001, "other", "/srv/projects", None, 10),
                ("project", 11001, "retina", "/srv/projects/.gid/11001", None, None),
                ("project", 11002, "speech", "/srv/projects/.gid/11002", 3, None),
            ],
        ),
    ],
)
def test_what_nobody_manages_and_what_is_unlimited(
    limits: dict[str, Any], projects: list[dict[str, Any]], expected: list[tuple[Any, ...]]
) -> None:
    assert brief(wanted([person(**limits)], projects)) == expected


def test_who_is_gone_has_nothing_left() -> None:
    found = wanted([person(state="absent", home_gib=1)], [])
    assert [(entry["kind"], entry["id"], entry["path"], entry["state"]) for entry in found] == [
        ("user", 2001, "/home/amartin", "absent"),
        ("project", 1002001, "/srv/scratch/amartin", "absent"),
        ("user", 2001, "/srv/scratch", "absent"),
        ("user", 2001, "/srv/projects", "absent"),
    ]


def test_places_a_host_does_not_have() -> None:
    people, projects = [person(home_gib=1, scratch_gib=2)], [project(storage_gib=3)]
    assert brief(wanted(people, projects, scratch="", projects="")) == [
        ("user", 2001, "home", "/home/amartin", 1, None)
    ]
    assert [one[2] for one in brief(wanted(people, projects, scratch=""))] == ["home", "projects", "other", "retina"]


def test_homes_with_project_quotas() -> None:
    found = wanted([person(home_gib=1)], [], home_projects=True)
    assert brief(found) == [
        (*HOME[:4], 1, None),
        ("project", 2002001, "home-amartin", "/home/amartin", 1, None),
        SCRATCH,
    ]
    assert [entry.get("secondary", False) for entry in found] == [True, False, False]


LIMIT = st.one_of(st.none(), st.integers(0, 50))
SOME = st.dictionaries(st.sampled_from(["home_gib", "home_files", "scratch_gib", "scratch_files"]), LIMIT)
PROJECT = st.dictionaries(st.sampled_from(["storage_gib", "storage_files"]), LIMIT)


@given(SOME, st.lists(st.tuples(PROJECT, st.booleans()), max_size=3), st.booleans(), st.booleans())
def test_nobody_who_keeps_to_the_rules_meets_the_total(
    limits: dict[str, Any], projects: list[tuple[dict[str, Any], bool]], one_file_system: bool, home_projects: bool
) -> None:
    """Whoever fills the home, the scratch and every project they write to is stopped by no user quota before."""
    entries = wanted(
        [person(**limits)],
        [
            project(f"p{number}", 11001 + number, ("amartin",) if mine else (), **own)
            for number, (own, mine) in enumerate(projects)
        ],
        home_projects=home_projects,
    )
    whole = {"person": None, "soft_gib": None, "soft_files": None, "hard_gib": None, "hard_files": None}
    made = [Quota.from_params({**whole, "state": "present", "secondary": False, **entry}, 90) for entry in entries]
    targets = add_up(made, lambda path: "/" if one_file_system else f"/{path.split('/')[1]}")
    for unit, factor in (("gib", GIB), ("files", 1)):
        home = limits.get(f"home_{unit}", math.inf)
        others = [limits.get(f"scratch_{unit}", math.inf)]
        others += [own.get(f"storage_{unit}", math.inf) for own, mine in projects if mine]
        allowed = {"/home": [home], "/srv": others, "/": [home, *others]}
        for target in targets:
            limit = target.space if unit == "gib" else target.files
            if target.kind != "user" or limit is None or limit.hard is None:
                continue
            if target.names == ["home"]:
                assert limit.hard == home * factor
            else:
                assert limit.hard >= sum(math.inf if part is None else part for part in allowed[target.mount]) * factor
