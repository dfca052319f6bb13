# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets print as nothing."""

from __future__ import annotations

import base64
import copy
import json
import pickle
from urllib.parse import quote

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.services.http import Basic, Endpoint, Token
from ansible.module_utils.lyceum.services.secret import SHOWN, Secret, redact
from hypothesis import given
from hypothesis import strategies as st

TEXT = 'pa/ss "word" ü'


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        "{}".format,
        lambda s: f"{[s]}",
        lambda s: repr(Token(s)),
        lambda s: repr(Endpoint("x", Basic("u", s))),
    ],
)
def test_no_way_of_printing_shows_it(show: object) -> None:
    assert callable(show)
    assert TEXT not in show(Secret(TEXT))
    assert SHOWN in show(Secret(TEXT))


@pytest.mark.parametrize("write", [pickle.dumps, copy.deepcopy, json.dumps])
def test_it_cannot_be_written_or_copied(write: object) -> None:
    assert callable(write)
    with pytest.raises(TypeError):
        write(Secret(TEXT))


def test_it_is_revealed_and_compared() -> None:
    assert Secret(TEXT).reveal() == TEXT
    assert Secret(TEXT) == Secret(TEXT)
    assert Secret(TEXT) != Secret("other")
    assert Secret(TEXT) != TEXT


def test_an_empty_one_is_a_mistake() -> None:
    with pytest.raises(LyceumError, match="a secret is empty; give it a value, or leave it out"):
        Secret("")


@pytest.mark.parametrize(
    "spelling", [TEXT, quote(TEXT, safe=""), json.dumps(TEXT), base64.b64encode(TEXT.encode()).decode()]
)
def test_every_spelling_is_taken_out_of_messages(spelling: str) -> None:
    assert redact(f"422 bad: {spelling}!", [Secret("other"), Secret(TEXT)]).strip('"').startswith("422 bad: ")
    assert spelling not in redact(f"422 bad: {spelling}!", [Secret(TEXT)])
    assert SHOWN in redact(f"422 bad: {spelling}!", [Secret(TEXT)])


@given(before=st.text(), secret=st.text(min_size=8), after=st.text())
def test_nothing_of_it_is_left_wherever_it_stands(before: str, secret: str, after: str) -> None:
    left = redact(before + secret + after, [Secret(secret)])
    assert secret not in left.replace(SHOWN, "\N{REPLACEMENT CHARACTER}") or secret in SHOWN
