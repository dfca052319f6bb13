# SPDX-License-Identifier: GPL-3.0-or-later
"""Editing a YAML text must change what was asked for and not one byte besides."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
import yaml
from ansible.module_utils.lyceum.registry.document import Document, DocumentError, flow_text, scalar_text
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

MESSY = """\
---
# The people of the lab. Ask amartin before you change anything here.

lyceum_people:
  # --- researchers ---
  - name: amartin      # head of the group
    uid:   2001
    full_name: 'A. Martin'
    groups: [ vision,nlp ]   # both
    ssh_keys:
    - "ssh-ed25519 AAAA laptop"   # bought 2024
    # - ssh-ed25519 OLD  (lost)
    - ssh-ed25519 BBBB desktop
    note: |
      two lines
        of text

    limits: {home_gib: 200,   # agreed in 2025
             tasks: null}
    reason: >-
      a long
      reason

  -   name: bchen
      uid: 0x7D2
      groups:
      ends:    # open

  - {name: dlopez, uid: 2003, groups: []}
# the end of the people

lyceum_groups: []      # none yet
lyceum_projects:
- {name: retina, gid: 11001, owner: amartin, members: {bchen: write, "dlopez": read}}
"""


def edited(text: str, *calls: tuple[str, Any, Any]) -> str:
    document = Document(text)
    for method, path, value in calls:
        if method == "delete":
            document.delete(path)
        else:
            getattr(document, method)(path, value)
    return document.text


def changed_lines(before: str, after: str) -> tuple[list[str], list[str]]:
    """(lines removed, lines added), as one contiguous replacement."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    head = 0
    while head < min(len(old), len(new)) and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    return old[head : len(old) - tail], new[head : len(new) - tail]


CASES = {
    "replace a scalar, keep the blanks and the comment": (
        "set",
        ("lyceum_people", 0, "uid"),
        2009,
        ["    uid:   2001\n"],
        ["    uid:   2009\n"],
    ),
    "replace a quoted scalar": (
        "set",
        ("lyceum_people", 0, "full_name"),
        "Ada Martin",
        ["    full_name: 'A. Martin'\n"],
        ["    full_name: Ada Martin\n"],
    ),
    "fill an empty value": (
        "set",
        ("lyceum_people", 1, "ends"),
        datetime.date(2027, 1, 31),
        ["      ends:    # open\n"],
        ["      ends: 2027-01-31    # open\n"],
    ),
    "replace a folded scalar": (
        "set",
        ("lyceum_people", 0, "reason"),
        "short",
        ["    reason: >-\n", "      a long\n", "      reason\n"],
        ["    reason: short\n"],
    ),
    "replace a block list": (
        "set",
        ("lyceum_people", 0, "ssh_keys"),
        [],
        [
            "    ssh_keys:\n",
            '    - "ssh-ed25519 AAAA laptop"   # bought 2024\n',
            "    # - ssh-ed25519 OLD  (lost)\n",
            "    - ssh-ed25519 BBBB desktop\n",
        ],
        ["    ssh_keys: []\n"],
    ),
    "append to a flow list": (
        "append",
        ("lyceum_people", 0, "groups"),
        "robots",
        ["    groups: [ vision,nlp ]   # both\n"],
        ["    groups: [ vision,nlp, robots ]   # both\n"],
    ),
    "append to a block list": (
        "append",
        ("lyceum_people", 0, "ssh_keys"),
        "ssh-ed25519 CCCC phone",
        [],
        ["    - ssh-ed25519 CCCC phone\n"],
    ),
    "append to an empty flow list": (
        "append",
        ("lyceum_people", 2, "groups"),
        "nlp",
        ["  - {name: dlopez, uid: 2003, groups: []}\n"],
        ["  - {name: dlopez, uid: 2003, groups: [nlp]}\n"],
    ),
    "append to a list that is written as nothing": (
        "append",
        ("lyceum_people", 1, "groups"),
        "nlp",
        ["      groups:\n"],
        ["      groups: [nlp]\n"],
    ),
    "append an entry in the style of the last one": (
        "append",
        ("lyceum_people",),
        {"name": "hkim", "uid": 2007},
        [],
        ["\n", "  - {name: hkim, uid: 2007}\n"],
    ),
    "append the first entry, keep the comment": (
        "append",
        ("lyceum_groups",),
        {"name": "nlp", "gid": 10002},
        ["lyceum_groups: []      # none yet\n"],
        ["lyceum_groups:      # none yet\n", "  - name: nlp\n", "    gid: 10002\n"],
    ),
    "a list nobody defined yet": (
        "append",
        ("lyceum_more",),
        {"name": "x"},
        [],
        ["lyceum_more:\n", "  - name: x\n"],
    ),
    "a new key": (
        "set",
        ("lyceum_people", 1, "state"),
        "suspended",
        [],
        ["      state: suspended\n"],
    ),
    "a new key of a flow mapping": (
        "set",
        ("lyceum_people", 2, "state"),
        "absent",
        ["  - {name: dlopez, uid: 2003, groups: []}\n"],
        ["  - {name: dlopez, uid: 2003, groups: [], state: absent}\n"],
    ),
    "a new key of a flow mapping over two lines": (
        "set",
        ("lyceum_people", 0, "limits", "scratch_gib"),
        None,
        ["             tasks: null}\n"],
        ["             tasks: null, scratch_gib: null}\n"],
    ),
    "a new mapping": (
        "set",
        ("lyceum_people", 1, "limits"),
        {"home_gib": 5},
        [],
        ["      limits: {home_gib: 5}\n"],
    ),
    "delete a key": ("delete", ("lyceum_people", 0, "groups"), None, ["    groups: [ vision,nlp ]   # both\n"], []),
    "delete an item of a block list with its comment": (
        "delete",
        ("lyceum_people", 0, "ssh_keys", 0),
        None,
        ['    - "ssh-ed25519 AAAA laptop"   # bought 2024\n'],
        [],
    ),
    "delete the first item of a flow list": (
        "delete",
        ("lyceum_people", 0, "groups", 0),
        None,
        ["    groups: [ vision,nlp ]   # both\n"],
        ["    groups: [ nlp ]   # both\n"],
    ),
    "delete the last item of a flow list": (
        "delete",
        ("lyceum_people", 0, "groups", 1),
        None,
        ["    groups: [ vision,nlp ]   # both\n"],
        ["    groups: [ vision ]   # both\n"],
    ),
    "delete a key of a flow mapping with comments inside": (
        "delete",
        ("lyceum_people", 0, "limits", "home_gib"),
        None,
        ["    limits: {home_gib: 200,   # agreed in 2025\n"],
        ["    limits: {   # agreed in 2025\n"],
    ),
    "delete a member": (
        "delete",
        ("lyceum_projects", 0, "members", "bchen"),
        None,
        ['- {name: retina, gid: 11001, owner: amartin, members: {bchen: write, "dlopez": read}}\n'],
        ['- {name: retina, gid: 11001, owner: amartin, members: {"dlopez": read}}\n'],
    ),
    "change a quoted key's value": (
        "set",
        ("lyceum_projects", 0, "members", "dlopez"),
        "write",
        ['- {name: retina, gid: 11001, owner: amartin, members: {bchen: write, "dlopez": read}}\n'],
        ['- {name: retina, gid: 11001, owner: amartin, members: {bchen: write, "dlopez": write}}\n'],
    ),
    "delete a whole entry": (
        "delete",
        ("lyceum_people", 1),
        None,
        ["  -   name: bchen\n", "      uid: 0x7D2\n", "      groups:\n", "      ends:    # open\n"],
        [],
    ),
}


@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_only_the_lines_of_the_change_differ(case: Any, newline: str) -> None:
    method, path, value, removed, added = case
    before = MESSY.replace("\n", newline)
    after = edited(before, (method, path, value))
    assert after.count("\n") == after.count(newline)
    assert changed_lines(MESSY, after.replace(newline, "\n")) == (removed, added)
    yaml.safe_load(after)


def test_a_missing_final_newline_stays_missing() -> None:
    text = "lyceum_groups:\n- name: nlp\n  gid: 1"
    grown = edited(text, ("append", ("lyceum_groups",), {"name": "x", "gid": 2}))
    assert grown == text + "\n- name: x\n  gid: 2"
    assert edited(grown, ("delete", ("lyceum_groups", 1), None)) == text


def test_long_items_get_a_line_each_at_the_indentation_of_the_file() -> None:
    key = "ssh-ed25519 " + "A" * 68
    for dash, inner in (("", "  "), ("  ", "    ")):
        text = f"lyceum_people:\n{dash}- name: a\n"
        entry = edited(text, ("append", ("lyceum_people",), {"name": "b", "ssh_keys": [key], "groups": ["x", "z"]}))
        assert entry == (f"{text}{dash}- name: b\n{inner}ssh_keys:\n{inner}{dash}- {key}\n{inner}groups: [x, z]\n")


def test_new_keys_follow_the_given_order() -> None:
    document = Document("l:\n  - name: a\n    uid: 1\n    limits: {}\n")
    document.set(("l", 0, "state"), "absent", order=("name", "uid", "state", "limits"))
    assert document.text == "l:\n  - name: a\n    uid: 1\n    state: absent\n    limits: {}\n"


def test_a_byte_order_mark_is_kept() -> None:
    assert edited("\ufeffa: 1\n", ("set", ("a",), 2)) == "\ufeffa: 2\n"


@pytest.mark.parametrize("text", ["", "---\n", "# nothing here\n", "---\n# only a comment"])
def test_a_file_without_values_gets_its_first_variable(text: str) -> None:
    after = edited(text, ("append", ("lyceum_groups",), {"name": "x", "gid": 1}))
    assert after.startswith(text)
    assert yaml.safe_load(after) == {"lyceum_groups": [{"name": "x", "gid": 1}]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1\n", "not valid YAML"),
        ("a: 1\n---\nb: 2\n", "several YAML documents"),
        ("- a\n", "must hold variables"),
    ],
)
def test_what_is_no_file_of_variables_is_refused(text: str, message: str) -> None:
    with pytest.raises(DocumentError, match=message):
        Document(text)


ALIASED = "l:\n  - {name: a, groups: &g [x]}\n  - {name: b, groups: *g}\n"


@pytest.mark.parametrize(
    ("text", "method", "path", "message"),
    [
        (ALIASED, "append", ("l", 0, "groups"), "cannot change l.0.groups"),
        (ALIASED, "append", ("l", 1, "groups"), "cannot change l.1.groups"),
        (ALIASED, "set", ("l", 0, "groups"), "cannot change l.0.groups"),
        ("d: &d {groups: [x]}\nl:\n  - <<: *d\n    name: a\n", "append", ("l", 0, "groups"), "cannot change l.0"),
        ("l:\n- - a\n  - b\n", "delete", ("l", 0, 0), "cannot change l.0.0"),
        ("a: 1\n", "set", ("b", "c"), "cannot change b"),
        ("a: 1\n", "append", ("a",), "cannot change a"),
        ("a: {b: 1}\n...\n", "append", ("c",), "cannot change c"),
        ("l:\n  - - a\n", "set", ("l", 0), "edit it by hand"),
    ],
)
def test_what_it_does_not_understand_is_refused_and_left_alone(text: str, method: str, path: Any, message: str) -> None:
    document = Document(text)
    with pytest.raises(DocumentError, match=message):
        document.delete(path) if method == "delete" else getattr(document, method)(path, "y")
    assert document.text == text


STRINGS = st.one_of(
    st.text(max_size=30),
    st.sampled_from(["no", "Yes", "ON", "~", "null", "1e3", "0o17", "017", "12:30:00", "2026-01-01", "=", "<<", "-",
                     "? a", "a: b", "a #b", "&a", "*a", "!x", "%x", "@x", "`x", "{a}", "[a]", "a,b", "O'Brien", " x",
                     "x ", "\u2028", "\x85", "\x7f", "\U0001f600", "\U000e0001", "é", "y", "n", ".inf", "- a", "0x1F"]),
)  # fmt: skip
VALUES = st.one_of(
    STRINGS,
    st.integers(0, 10**10),
    st.booleans(),
    st.none(),
    st.dates(datetime.date(1970, 1, 1)),
    st.lists(STRINGS, max_size=3),
    st.dictionaries(STRINGS.filter(bool), st.one_of(STRINGS, st.integers(0, 9)), max_size=3),
)


@given(VALUES)
def test_rendered_values_mean_the_same_to_yaml_1_1_and_1_2(value: Any) -> None:
    text = f"a: {flow_text(value)}\nb: [{flow_text(value)}]\n"
    expected = {"a": value, "b": [value]}
    assert yaml.safe_load(text) == expected
    assert YAML(typ="safe", pure=True).load(text) == expected


COMMENTS_OUTSIDE = (
    "# The people of the lab.", "# --- researchers ---", "# head of the group", "# the end of the people", "# none yet"
)  # fmt: skip


@settings(deadline=None)
@given(
    variable=st.sampled_from(["lyceum_people", "lyceum_projects"]),
    steps=st.lists(
        st.tuples(
            st.sampled_from(["set", "delete", "append_entry", "append_item"]),
            st.integers(0, 9),
            st.integers(0, 9),
            VALUES,
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_any_sequence_of_edits_changes_only_its_entries(variable: str, steps: list[Any]) -> None:
    """Whatever is done to one list: the data is as if done to plain data, and all comments outside the entry stay."""
    document, data = Document(MESSY), yaml.safe_load(MESSY)
    for step, which, key_index, value in steps:
        entries = data[variable]
        index = which % len(entries)
        keys = list(entries[index])
        key = keys[key_index % len(keys)]
        before = document.text
        if step == "append_entry":
            entry = {"name": "new", "value": value}
            document.append((variable,), entry)
            entries.append(entry)
            removed, added = changed_lines(before, document.text)
            assert removed == []
            assert added
        elif key == "name":
            continue
        elif step == "set":
            document.set((variable, index, key), value)
            entries[index][key] = value
        elif step == "delete":
            document.delete((variable, index, key))
            del entries[index][key]
        elif isinstance(entries[index][key], list) or entries[index][key] is None:
            document.append((variable, index, key), value)
            entries[index][key] = [*(entries[index][key] or []), value]
        assert yaml.safe_load(document.text) == data
        for comment in COMMENTS_OUTSIDE:
            assert document.text.count(comment) == 1


def test_scalars_stay_readable() -> None:
    shown = {"A. Martin": "A. Martin", "a@example.org": "a@example.org", "12345": '"12345"', "on": '"on"', "": '""'}
    assert {value: scalar_text(value) for value in shown} == shown
