# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever stands in a file: data, or a line number and a sentence."""

from __future__ import annotations

import gc

import pytest
import yaml
from ansible.module_utils.lyceum.registry.yaml_text import (
    Foreign,
    Twice,
    YamlTextError,
    compose,
    read_mapping,
    without_gc,
)


def test_dates_stay_text() -> None:
    assert read_mapping("a: 2026-02-30\nb: '2026-01-01'\nc: !!timestamp 2026-13-01\n")[0] == {
        "a": "2026-02-30",
        "b": "2026-01-01",
        "c": "2026-13-01",
    }


def test_scalars_are_what_ansible_makes_of_them() -> None:
    text = "a: no\nb: 012\nc: ~\nd: 1.5\ne: [x, 2]\nf: <\n"
    assert (
        read_mapping(text)[0]
        == yaml.safe_load(text)
        == {"a": False, "b": 10, "c": None, "d": 1.5, "e": ["x", 2], "f": "<"}
    )


@pytest.mark.parametrize("text", ["", "---\n", "# only a comment\n"])
def test_empty(text: str) -> None:
    assert read_mapping(text) == ({}, [])


def test_anchors_and_merge_keys() -> None:
    text = "base: &b {x: 1, y: 2}\none: {<<: *b, y: 3}\ntwo: *b\n"
    assert read_mapping(text) == ({"base": {"x": 1, "y": 2}, "one": {"x": 1, "y": 3}, "two": {"x": 1, "y": 2}}, [])


def test_keys_that_stand_twice() -> None:
    data, twice = read_mapping("a:\n  - b: 1\n    c: 2\n    b: 3\nd: 4\nd: 5\n")
    assert data == {"a": [{"b": 3, "c": 2}], "d": 5}
    assert sorted(twice, key=lambda key: key.line) == [Twice(("a", 0, "b"), 4, 2), Twice(("d",), 6, 5)]


def test_tags_of_others_are_kept_apart() -> None:
    data, _ = read_mapping("a: !vault secret\nb: !unsafe {x: 1}\n")
    assert isinstance(data["a"], Foreign)
    assert (data["a"], data["a"].tag, data["b"].tag) == ("secret", "!vault", "!unsafe")


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: b: c\n", 1, "is not valid YAML: mapping values are not allowed in this context"),
        ("a:\n\tb: 1\n", 2, "is not valid YAML: the line is indented with a tab"),
        ("a: [1, 2\nb: 3\n", 2, "is not valid YAML: did not find expected ',' or ']' (in what begins in line 1)"),
        ('a: "b\n\nc: 1\n', 4, "is not valid YAML: found unexpected end of stream (in what begins in line 1)"),
        ("a: *b\n", 1, "is not valid YAML: found undefined alias"),
        ("a: 1\nb\nc: 2\n", 3, "is not valid YAML: could not find expected ':' (in what begins in line 2)"),
        ("- a\n", 1, "does not hold `variable: value` lines at its top"),
        ("just text\n", 1, "does not hold `variable: value` lines at its top"),
        ("!!set {a, b}\n", 1, "does not hold `variable: value` lines at its top"),
        ("a: 1\n---\nb: 2\n", 2, "holds more than one YAML document"),
        ("a: 1\nb: \x07\n", 2, "contains a character that YAML does not allow"),
        ("? [a]\n: 1\n", 1, "is not valid YAML: found unhashable key"),
        ("a: &x [*x]\n", 0, "a value in it cannot be read (an anchor contains itself)"),
        ("[" * 200_000, 0, "is nested too deeply"),
        ("{a: " * 5000 + "1" + "}" * 5000, 0, "is nested too deeply"),
        ("- " * 5000, 0, "is nested too deeply"),
        ("a: " + "[" * 60 + "]" * 60, 1, "is nested too deeply"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_mistakes(text: str, line: int, message: str) -> None:
    with pytest.raises(YamlTextError) as caught:
        read_mapping(text)
    assert (caught.value.line, str(caught.value)) == (line, message)
    assert caught.value.remedy.endswith(".")


@pytest.mark.parametrize("value", ["!!int x", "!!int ''", "!!float x", "!!bool x", "9" * 5000])
def test_values_that_explicit_tags_break(value: str) -> None:
    with pytest.raises(YamlTextError):
        read_mapping(f"a: {value}\n")


def test_aliases_that_expand_without_end() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(YamlTextError, match="its anchors and aliases expand without end"):
        read_mapping("\n".join(lines))


def test_the_text_is_never_quoted() -> None:
    with pytest.raises(YamlTextError) as caught:
        read_mapping("a:\n- -----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk: : x\n")
    assert "b3Blb" not in str(caught.value) + caught.value.remedy


def test_compose_gives_positions() -> None:
    node = compose("a: 1\nb: 2\n")
    assert node is not None
    assert [key.start_mark.line for key, _ in node.value] == [0, 1]


@pytest.mark.parametrize("enabled", [True, False])
def test_collector_is_as_before(enabled: bool) -> None:
    was_enabled = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with without_gc():
            assert not gc.isenabled()
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if was_enabled else gc.disable)()
