# SPDX-License-Identifier: GPL-3.0-or-later
"""Subordinate ids as /etc/subuid has them, and the id map of a container made of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.module_utils.lyceum.containers.subids import belongs, mapping, spans_of

CONTENT = """\
# comment
amartin:524288:65536
bchen:589824:65536
2001:700000:1000
amartin:x:1
broken
"""


def test_ranges_by_name_and_by_number(tmp_path: Path) -> None:
    path = tmp_path / "subuid"
    path.write_text(CONTENT)
    assert spans_of("amartin", 2001, path) == [(524288, 65536), (700000, 1000)]
    assert spans_of("gnovak", 2004, path) == []
    assert spans_of("amartin", 2001, tmp_path / "none") == []


def test_root_inside_is_the_person_and_the_others_follow_without_a_gap() -> None:
    assert mapping(2001, [(524288, 65536), (700000, 1000)]) == "0 2001 1\n1 524288 65536\n65537 700000 1000\n"


@pytest.mark.parametrize(
    ("uid", "result"), [(2001, True), (524288, True), (589823, True), (589824, False), (0, False), (2002, False)]
)
def test_whose_a_uid_is(uid: int, result: bool) -> None:
    assert belongs(uid, 2001, [(524288, 65536)]) is result
