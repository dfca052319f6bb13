# SPDX-License-Identifier: GPL-3.0-or-later
"""A number that was ever given is never given again."""

from __future__ import annotations

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.registry import ids
from ansible.module_utils.lyceum.registry.model import Registry

from .samples import TODAY, registry


def next_free(kind: str, **sections: object) -> int:
    return ids.next_free(Registry.from_raw(registry(**sections), today=TODAY), kind)


def person(name: str, uid: int, **more: object) -> dict[str, object]:
    return {"name": name, "uid": uid, "affiliation": "student", **more}


@pytest.mark.parametrize(("kind", "number"), [("people", 2006), ("groups", 10003), ("projects", 11003)])
def test_after_the_highest(kind: str, number: int) -> None:
    assert next_free(kind) == number


def test_tombstones_count() -> None:
    assert next_free("people", people=[person("a", 2001), {"name": "b", "uid": 2002, "state": "absent"}]) == 2003


def test_gaps_are_left_while_there_is_room() -> None:
    assert next_free("people", people=[person("a", 2001), person("b", 2005)]) == 2006


def test_first_of_an_empty_range() -> None:
    assert next_free("people", people=[]) == 2001


def test_ids_outside_the_range_do_not_matter() -> None:
    assert next_free("people", people=[person("a", 5)]) == 2001


def test_a_gid_of_somebody_is_not_given_as_uid() -> None:
    assert next_free("people", people=[person("a", 2001, gid=2007)]) == 2008


def test_gaps_are_used_when_the_top_is_reached() -> None:
    ranges = {"people": {"first": 2001, "last": 2003}}
    assert next_free("people", id_ranges=ranges, people=[person("a", 2001), person("b", 2003)]) == 2002


def test_nothing_left() -> None:
    ranges = {"people": {"first": 2001, "last": 2001}}
    with pytest.raises(LyceumError, match="No id is left for people: all of 2001-2001 are given"):
        next_free("people", id_ranges=ranges, people=[{"name": "a", "uid": 2001, "state": "absent"}])
