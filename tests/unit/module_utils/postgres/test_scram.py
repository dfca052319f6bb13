# SPDX-License-Identifier: GPL-3.0-or-later
"""Verifiers: RFC 7677's own example, and libpq as the judge of everything else."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.postgres import scram
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from .conftest import Cluster

# RFC 7677, section 3: user "user", password "pencil".
SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
PENCIL = (
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
    "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
)


def test_the_example_of_the_rfc() -> None:
    assert str(scram.derive("pencil", SALT)) == PENCIL


def test_a_verifier_fits_its_password_and_no_other() -> None:
    verifier = scram.parse(PENCIL)
    assert scram.fits("pencil", verifier)
    assert not scram.fits("Pencil", verifier)
    assert not scram.fits("pencil", None)


def test_each_derivation_has_a_salt_of_its_own() -> None:
    assert str(scram.derive("pencil")) != str(scram.derive("pencil"))


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "md5" + "0" * 32,
        "pencil",
        PENCIL + "x",
        PENCIL.replace("4096", "0"),
        PENCIL.replace("WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=", "WG5d"),
        PENCIL.replace("SCRAM-SHA-256", "SCRAM-SHA-1"),
    ],
)
def test_what_is_no_verifier(text: str | None) -> None:
    assert scram.parse(text) is None


def test_a_verifier_is_not_shown() -> None:
    assert "WG5d" not in repr(scram.parse(PENCIL))


# Examples of RFC 4013: mapped to nothing, kept, folded by the normal form.
@pytest.mark.parametrize(
    ("password", "expected"),
    [
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("a\u00a0b", "a b"),
        # Prohibited, or both directions at once: as it is, which is what libpq does.
        ("\u0007", "\u0007"),
        ("\u0627\u0031", "\u0627\u0031"),
        ("\u00ad", "\u00ad"),
    ],
)
def test_saslprep(password: str, expected: str) -> None:
    assert scram.prepared(password) == expected.encode()


@pytest.mark.parametrize("password", ["", "a\0b"])
def test_passwords_that_no_client_can_send(password: str) -> None:
    with pytest.raises(LyceumError, match="is empty or has a zero byte"):
        scram.derive(password)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    phrase=st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs", "Cn"]), min_size=1, max_size=12)
)
@example(phrase="I\u00adX")
@example(phrase="\u00ad")
@example(phrase="\u0627\u0031")
@example(phrase="\u2003pass\u1680word")
@example(phrase="\u05d0a\u05d0")
def test_libpq_agrees(client: Any, phrase: str) -> None:
    """What libpq makes of a password is a verifier of it for us, too."""
    theirs = pytest.importorskip("psycopg2.extensions").encrypt_password(phrase, "user", client, "scram-sha-256")
    assert scram.fits(phrase, scram.parse(theirs))


@pytest.fixture
def client(cluster: Cluster) -> Iterator[Any]:
    """libpq makes no verifier without a connection, although it asks it nothing."""
    one = cluster.login("postgres", "postgres")
    yield one
    one.close()
