# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths as people read them, and the lines they lead to."""

from __future__ import annotations

import pytest
from ansible.module_utils.lyceum.registry.positions import line_of, parse, show
from ansible.module_utils.lyceum.registry.yaml_text import compose

TEXT = """---
lyceum_people:
  - &base
    name: amartin
    uid: 2001
  - <<: *base
    name: bchen
    groups:
      - vision
      - nlp
  - {name: "x;y", uid: 2003}
  - just text
lyceum_projects:
  - name: retina
    members: {bchen: write, "d l": read}
"""
RAW = {
    "people": [
        {"name": "amartin", "uid": 2001},
        {"name": "bchen", "uid": 2001, "groups": ["vision", "nlp"]},
        {"name": "x;y", "uid": 2003},
        "just text",
    ],
    "projects": [{"name": "retina", "members": {"bchen": "write", "d l": "read"}}],
}

CASES = [
    (("people",), "lyceum_people", 2),
    (("people", 0, "uid"), "lyceum_people[amartin].uid", 5),
    (("people", 1), "lyceum_people[bchen]", 6),
    (("people", 1, "uid"), "lyceum_people[bchen].uid", 6),  # merged in: the entry's own line
    (("people", 1, "groups", 1), "lyceum_people[bchen].groups[1]", 10),
    (("people", 2, "uid"), "lyceum_people[2].uid", 11),
    (("people", 3), "lyceum_people[3]", 12),
    (("people", 1, "nowhere"), "lyceum_people[bchen].nowhere", 6),
    (("projects", 0, "members", "bchen"), "lyceum_projects[retina].members.bchen", 15),
    (("projects", 0, "members", "d l"), "lyceum_projects[retina].members['d l']", 15),
]


@pytest.mark.parametrize(("path", "shown", "line"), CASES)
def test_show_and_parse_are_opposites(path: tuple[str | int, ...], shown: str, line: int) -> None:
    assert show(path, RAW) == shown
    assert parse(shown, RAW) == path


@pytest.mark.parametrize(("path", "shown", "line"), CASES)
def test_line(path: tuple[str | int, ...], shown: str, line: int) -> None:
    variable = f"lyceum_{path[0]}"
    assert line_of(compose(TEXT), (variable, *path[1:])) == line


def test_what_is_not_a_registry_path() -> None:
    assert parse("something.else", RAW) == ()
    assert show((), RAW) == ""


def test_empty_text_has_a_first_line() -> None:
    assert line_of(None, ("lyceum_people", 1)) == 1
