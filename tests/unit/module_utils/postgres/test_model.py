# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused before a server is asked."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.postgres import scram

from .conftest import database, desired, project, role


@pytest.mark.parametrize(
    ("roles", "databases", "params", "message"),
    [
        ([role("postgres")], [], {}, "roles: postgres: PostgreSQL keeps this name for itself"),
        ([role("pg_me")], [], {}, "roles: pg_me: PostgreSQL keeps this name for itself"),
        ([role("Public")], [], {}, "roles: Public: PostgreSQL keeps this name for itself"),
        (
            [role("lyceum_estate")],
            [],
            {},
            "roles: lyceum_estate: is the role that owns what people leave behind (estate)",
        ),
        ([role("a"), role("a")], [], {}, "roles: a is in the list 2 times"),
        ([role("a", connection_limit=-2)], [], {}, "roles: a: connection_limit -2 is less than -1 (no limit)"),
        (
            [project("a", password="x")],  # noqa: S106
            [],
            {},
            "roles: a: the role of a project cannot log in and has no password",
        ),
        (
            [role("a", verifier="secret")],
            [],
            {},
            "roles: a: its verifier is not one of SCRAM-SHA-256 (SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY)",
        ),
        (
            [role("a", verifier=str(scram.derive("x")), password="x")],  # noqa: S106
            [],
            {},
            "roles: a: has a verifier and a password; give one",
        ),
        ([], [database("a")], {}, "databases: a: its owner a is not among the roles"),
        ([role("a")], [database("template1", "a")], {}, "databases: template1: is a database of the system"),
        ([role("a", state="absent")], [database("a")], {}, "databases: a: its owner a is absent"),
        (
            [role("a", state="suspended")],
            [database("a", state="absent")],
            {},
            "databases: a: is absent while its owner a is suspended",
        ),
        ([project("a")], [], {"only": "a"}, "only: a is not a person among the roles"),
        ([role("a")], [], {"only": "b"}, "only: b is not a person among the roles"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_refused(
    roles: list[dict[str, Any]], databases: list[dict[str, Any]], params: dict[str, Any], message: str
) -> None:
    with pytest.raises(LyceumError) as told:
        desired(roles, databases, **params)
    assert str(told.value) == message


def test_everything_wrong_is_said_at_once() -> None:
    with pytest.raises(LyceumError) as told:
        desired([role("pg_a"), role("public")], [database("b")])
    assert str(told.value).count(";") == 2


def test_memberships_come_from_both_sides() -> None:
    wanted = desired(
        [role("a", member_of=["pg_monitor"]), project("p", "a", "b"), project("gone", "a", state="absent")]
    )
    assert wanted.edges() == {"p": {"a": None, "b": None}, "pg_monitor": {"a": None}}


def test_the_heir_is_the_project_or_nobody_in_particular() -> None:
    wanted = desired([role("a"), project("p")], [database("a"), database("p")])
    assert [wanted.heir(name) for name in ("a", "p", "unknown")] == ["lyceum_estate", "p", "lyceum_estate"]


def test_secrets_are_not_shown() -> None:
    one = desired([role("a", kind="service", password="hush")]).roles["a"]  # noqa: S106
    assert "hush" not in repr(one)
