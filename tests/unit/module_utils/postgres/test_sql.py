# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and texts in statements."""

from __future__ import annotations

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.postgres import sql
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conftest import Cluster


@pytest.mark.parametrize(
    ("given_", "expected"), [("amartin", '"amartin"'), ('a"b', '"a""b"'), ("o'neil", '"o\'neil"'), ("Ana", '"Ana"')]
)
def test_names(given_: str, expected: str) -> None:
    assert sql.name(given_) == expected


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ("", "'' is no name for a role or a database: it is empty"),
        ("a\0b", "'a\\x00b' is no name for a role or a database here: it has a $ or a control character in it"),
        ("a$b$", "'a$b$' is no name for a role or a database here: it has a $ or a control character in it"),
        ("ä" * 32, f"{'ä' * 32!r} is too long for a role or a database: at most 63 bytes"),
    ],
)
def test_what_cannot_be_a_name(given_: str, message: str) -> None:
    with pytest.raises(LyceumError) as told:
        sql.name(given_)
    assert str(told.value) == message


@pytest.mark.parametrize(
    ("given_", "expected"), [("x", "'x'"), ("o'neil", "'o''neil'"), ("a\\b'c", " E'a\\\\b''c'"), ("", "''")]
)
def test_texts(given_: str, expected: str) -> None:
    assert sql.text(given_) == expected


def test_a_text_with_a_zero_byte() -> None:
    with pytest.raises(LyceumError, match="zero byte"):
        sql.text("a\0")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"])))
def test_the_server_reads_back_what_was_meant(cluster: Cluster, value: str) -> None:
    assert cluster.sql(f"SELECT {sql.text(value)}") == [(value,)]
