# SPDX-License-Identifier: GPL-3.0-or-later
"""Typed objects from raw data, and the rules about dates."""

from __future__ import annotations

from datetime import date, datetime

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.registry.model import Registry, parse_date

from .samples import TODAY, registry


@pytest.fixture
def reg() -> Registry:
    return Registry.from_raw(registry(), today=TODAY)


def only(**keys: object) -> Registry:
    person = {"name": "x", "uid": 2001, "affiliation": "student", **keys}
    return Registry.from_raw({"people": [person]}, today=TODAY)


def test_defaults_of_a_person() -> None:
    person = only().person("x")
    assert (person.gid, person.home, person.shell, person.state) == (2001, "/home/x", "/bin/bash", "present")
    assert (person.access, person.groups, person.starts, person.ends) == ("shell", (), None, None)


def test_sections_that_are_missing_or_null_are_empty() -> None:
    empty = Registry.from_raw(
        {"people": None, "limits": {"defaults": None, "affiliations": {"student": None}}}, today=TODAY
    )
    assert (empty.people, empty.groups, empty.limits.defaults) == ((), (), {})
    assert empty.limits.affiliations == {"student": {}}


def test_access_comes_from_the_affiliation_unless_the_person_has_their_own(reg: Registry) -> None:
    assert reg.person("amartin").access == "shell"
    assert reg.person("dlopez").access == "git"
    assert reg.person("fmoreau").access == "none"  # a tombstone has no affiliation and no access
    guest = Registry.from_raw(registry(people=[{"name": "g", "uid": 2001, "affiliation": "guest"}]), today=TODAY)
    assert guest.person("g").access == "sftp"


@pytest.mark.parametrize(
    ("keys", "state", "reason"),
    [
        ({}, "present", ""),
        ({"starts": "2026-10-01"}, "present", ""),
        ({"starts": "2026-10-02"}, "suspended", "starts on 2026-10-02"),
        ({"ends": "2026-10-01"}, "present", ""),
        ({"ends": "2026-09-30"}, "suspended", "ended on 2026-09-30"),
        ({"ends": date(2026, 9, 30)}, "suspended", "ended on 2026-09-30"),
        ({"state": "suspended", "ends": "2026-09-30"}, "suspended", "suspended in the registry"),
        ({"state": "suspended", "reason": "on leave"}, "suspended", "on leave"),
        ({"state": "absent", "starts": "2099-01-01"}, "absent", "removed in the registry"),
    ],
)
def test_effective_state(keys: dict[str, object], state: str, reason: str) -> None:
    assert only(**keys).person("x").effective_state(TODAY) == (state, reason)


@pytest.mark.parametrize("value", ["2026-1-1", "20260101", "2026-W36-2", "2026-02-30", datetime(2026, 1, 1, 12)])
def test_dates_that_are_none(value: object) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_date(value)


def test_projects_of_a_person_are_the_live_ones(reg: Registry) -> None:
    assert [project.name for project in reg.live_projects_of("bchen")] == ["retina"]
    assert [project.name for project in reg.live_projects_of("dlopez")] == ["retina"]
    assert reg.live_projects_of("nobody") == []


@pytest.mark.parametrize(
    ("keys", "live"),
    [
        ({}, True),
        ({"starts": "2026-10-02"}, False),
        ({"ends": "2026-10-01"}, True),
        ({"ends": "2026-09-30"}, False),
        ({"state": "absent"}, False),
    ],
)
def test_live_project(keys: dict[str, object], live: bool) -> None:
    raw = {"projects": [{"name": "p", "gid": 11001, "owner": "x", **keys}]}
    assert Registry.from_raw(raw, today=TODAY).project("p").live(TODAY) is live


def test_unix_groups_are_own_and_of_projects_one_may_write_to(reg: Registry) -> None:
    assert reg.unix_groups_of(reg.person("amartin")) == ["retina", "vision"]  # the owner writes; "old" has ended
    assert reg.unix_groups_of(reg.person("bchen")) == ["retina"]
    assert reg.unix_groups_of(reg.person("dlopez")) == ["nlp"]  # reads only


def test_unknown_names_come_with_a_suggestion(reg: Registry) -> None:
    with pytest.raises(LyceumError, match=r"There is no person 'amartn' in the registry\. Did you mean 'amartin'\?"):
        reg.person("amartn")
    with pytest.raises(LyceumError, match="There is no group 'visio'"):
        reg.group("visio")
    with pytest.raises(LyceumError, match="There is no project 'retinal'"):
        reg.project("retinal")


@pytest.mark.parametrize("word", ["amartin", "A.Martin@AD.example.org", "amartin@example.org"])
def test_people_are_found_by_alias_and_address(reg: Registry, word: str) -> None:
    assert reg.find_person(word).name == "amartin"


@pytest.mark.parametrize("uid", [None, "2001", 2001.0, True])
def test_ids_must_be_numbers_even_where_nothing_is_validated(uid: object) -> None:
    with pytest.raises(TypeError, match="an id must be a whole number"):
        only(uid=uid)
