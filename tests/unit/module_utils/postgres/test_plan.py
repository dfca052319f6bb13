# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans without a server: decisions that the tests of `apply` do not show, and those of other versions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ansible.module_utils.lyceum.postgres.observe import Edge, Observed, SeenDatabase, SeenRole
from ansible.module_utils.lyceum.postgres.plan import OWNER_GRANTS, Plan, plan

from .conftest import database, desired, project, role

PLAIN = SeenRole(login=True, inherit=True, powers=(), connection_limit=-1, verifier=None)
GROUP = replace(PLAIN, login=False)


def owned(owner: str, **values: Any) -> SeenDatabase:
    grants = frozenset((owner, privilege) for privilege in OWNER_GRANTS)
    return replace(SeenDatabase(owner, True, False, -1, grants), **values)


def test_nothing_to_do() -> None:
    seen = Observed(roles={"a": PLAIN, "p": GROUP}, members={"p": {"a": Edge()}}, databases={"a": owned("a")})
    found = plan(desired([role("a"), project("p", "a")], [database("a")]), seen)
    assert (found.changed, found.people, found.unmanaged) == (False, ["a"], [])


def test_roles_come_before_memberships_and_databases_after_them() -> None:
    found = plan(desired([role("a"), project("p", "a")], [database("p")]), Observed())
    assert found.changes["a"].first == ['CREATE ROLE "a" WITH LOGIN']
    assert found.changes["a"].second == ['GRANT "p" TO "a"']
    assert found.changes["a"].third == [("p", """ALTER ROLE "a" IN DATABASE "p" SET role = 'p'""")]
    assert [new.name for new in found.changes["p"].new] == ["p"]
    assert "ALLOW_CONNECTIONS false" in found.changes["p"].new[0].create
    assert found.changes["p"].new[0].after == [
        'REVOKE ALL ON DATABASE "p" FROM PUBLIC CASCADE',
        'GRANT CREATE, CONNECT, TEMPORARY ON DATABASE "p" TO "p"',
        'ALTER DATABASE "p" ALLOW_CONNECTIONS true',
    ]


def test_grants_of_each_grantor_are_taken_back_from_version_16_on() -> None:
    seen = Observed(roles={"a": PLAIN, "b": PLAIN}, members={"b": {"a": Edge(False, ("postgres", "x"))}})
    wanted = desired([role("a"), role("b")])
    assert plan(wanted, replace_version(seen, 150000)).changes["a"].second == ['REVOKE "b" FROM "a" CASCADE']
    assert plan(wanted, replace_version(seen, 170000)).changes["a"].second == [
        'REVOKE "b" FROM "a" GRANTED BY "postgres" CASCADE',
        'REVOKE "b" FROM "a" GRANTED BY "x" CASCADE',
    ]


def replace_version(seen: Observed, version: int) -> Observed:
    return replace(seen, version=version)


def test_memberships_between_strangers_are_left_alone() -> None:
    seen = Observed(roles={"a": PLAIN, "x": PLAIN, "y": PLAIN}, members={"x": {"y": Edge()}})
    found = plan(desired([role("a")]), seen)
    assert not found.changed
    assert found.unmanaged == ["role x", "role y"]


def test_a_member_who_does_not_exist_is_a_conflict() -> None:
    found = plan(desired([project("p", "ghost")]), Observed(roles={"p": GROUP}))
    assert found.conflicts == ["ghost cannot become a member of p: there is no role ghost"]


def test_a_role_of_the_server_is_never_touched() -> None:
    found = plan(desired([role("boss")], [database("boss")]), Observed(roles={"boss": replace(PLAIN, system=True)}))
    assert (found.changed, found.failures) == (
        False,
        {"boss": "boss is a role of the server itself; choose another name"},
    )


def test_an_open_database_of_the_system_is_closed() -> None:
    seen = Observed(databases={"postgres": owned("postgres", grants=frozenset({("PUBLIC", "CONNECT")}))})
    assert plan(desired([]), seen).actions() == ["database postgres: take CONNECT from everybody"]
    assert not plan(desired([], closed_databases=[]), seen).changed


def test_strangers_are_told_with_what_is_dangerous_about_them() -> None:
    md5 = "md5" + "0" * 32
    seen = Observed(
        roles={"web": replace(PLAIN, powers=("superuser",), verifier=md5)},
        databases={
            "web": owned("web", grants=frozenset({("PUBLIC", "CONNECT")})),
            "shape": owned("web", template=True),
        },
    )
    found = plan(desired([]), seen)
    assert found.unmanaged == ["role web (superuser)", "database web (open to everybody)"]
    assert found.conflicts == [
        "role web has an md5 password, which pg_hba.conf lets nobody use: set it again with \\password"
    ]


def test_a_namesake_of_somebody_who_left_is_unmanaged() -> None:
    seen = Observed(roles={"web": PLAIN}, databases={"a": owned("web")})
    found = plan(desired([role("a", state="absent")], [database("a", state="absent")]), seen)
    assert (found.changed, found.unmanaged) == (False, ["role web", "database a"])


def test_sessions_of_somebody_suspended_end_although_the_role_was_locked_before() -> None:
    seen = Observed(roles={"a": GROUP}, sessions={("a", "a"): [1, 2], ("b", "a"): [3]})
    found: Plan = plan(desired([role("a", state="suspended")]), seen)
    assert found.actions() == ["a: end 2 sessions"]
    assert found.changes["a"].end == [("a", None)]


def test_an_estate_with_powers_loses_them() -> None:
    seen = Observed(roles={"lyceum_estate": replace(PLAIN, powers=("superuser", "createdb"))})
    assert plan(desired([]), seen).changes["lyceum_estate"].first == [
        'ALTER ROLE "lyceum_estate" WITH NOLOGIN NOSUPERUSER NOCREATEDB'
    ]


def test_the_owner_is_put_right_when_the_superuser_made_the_database() -> None:
    seen = Observed(roles={"a": PLAIN}, databases={"a": owned("postgres")})
    change = plan(desired([role("a")], [database("a", connect=["monitor"])]), seen).changes["a"]
    assert change.second == ['ALTER DATABASE "a" OWNER TO "a"']
    seen.roles["monitor"] = PLAIN
    change = plan(desired([role("a")], [database("a", connect=["monitor"])]), seen).changes["a"]
    assert change.second[1:] == [
        'GRANT CONNECT ON DATABASE "a" TO "monitor"',
        'GRANT CREATE, CONNECT, TEMPORARY ON DATABASE "a" TO "a"',
    ]


def test_the_schema_public_is_the_owners_before_version_15_too() -> None:
    wanted = desired([role("a")], [database("a")])
    old, new = (plan(wanted, Observed(version=version)).changes["a"].inside for version in (140000, 150000))
    assert old == {"a": ['ALTER SCHEMA public OWNER TO "a"', "REVOKE CREATE ON SCHEMA public FROM PUBLIC"]}
    assert new == {}
