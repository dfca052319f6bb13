# SPDX-License-Identifier: GPL-3.0-or-later
"""/etc/projid keeps what others wrote."""

from __future__ import annotations

import pytest
from ansible.module_utils.lyceum.quota.kernel import Tag
from ansible.module_utils.lyceum.quota.projid import rewrite, tag_sentence
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "wanted", "dropped", "after"),
    [
        ("", {}, (), ""),
        ("", {11002: "speech", 11001: "retina"}, (), "retina:11001\nspeech:11002\n"),
        ("# ours\nbackup:7\n", {11001: "retina"}, (), "# ours\nbackup:7\nretina:11001\n"),
        ("old:11001\nbackup:7\n", {11001: "retina"}, (), "retina:11001\nbackup:7\n"),
        ("retina:5\n", {11001: "retina"}, (), "retina:11001\n"),
        ("retina:11001\nagain:11001\n", {11001: "retina"}, (), "retina:11001\n"),
        ("retina:11001\nbackup:7\n", {}, (11001, 11002), "backup:7\n"),
        (
            "no colon\n\n#retina:11001\nbackup:x",
            {11001: "retina"},
            (),
            "no colon\n\n#retina:11001\nbackup:x\nretina:11001\n",
        ),
    ],
)
def test_rewrite(text: str, wanted: dict[int, str], dropped: tuple[int, ...], after: str) -> None:
    assert rewrite(text, wanted, dropped) == after


NAMES = st.text("abc", min_size=1, max_size=2)


@given(
    st.lists(st.one_of(st.tuples(NAMES, st.integers(0, 9)).map(lambda pair: f"{pair[0]}:{pair[1]}"), st.text("#a: "))),
    st.dictionaries(st.integers(0, 9), NAMES),
    st.sets(st.integers(0, 9)),
)
def test_a_second_rewrite_changes_nothing(lines: list[str], wanted: dict[int, str], dropped: set[int]) -> None:
    once = rewrite("\n".join(lines), wanted, dropped - wanted.keys())
    assert rewrite(once, wanted, dropped - wanted.keys()) == once
    names = dict(line.rsplit(":", 1)[::-1] for line in once.splitlines() if line.rsplit(":", 1)[-1].isdigit())
    assert {number: names.get(str(number)) for number in wanted} == wanted


@pytest.mark.parametrize(
    ("tag", "sentence"),
    [
        (Tag(0, False), "no project -> project retina (11001)"),
        (Tag(5, True), "project 5 -> project retina (11001)"),
        (Tag(11001, False), "pass project retina (11001) on to what is made in it"),
    ],
)
def test_sentences(tag: Tag, sentence: str) -> None:
    assert tag_sentence(tag, 11001, "retina") == sentence
