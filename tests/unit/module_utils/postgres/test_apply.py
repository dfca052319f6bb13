# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs against a real server: what is asked for comes true, and stays so."""

from __future__ import annotations

import time
from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import LyceumError, RefusedError
from ansible.module_utils.lyceum.postgres import apply, connection, scram
from ansible.module_utils.lyceum.postgres.connection import Server
from ansible.module_utils.lyceum.postgres.model import Desired

from .conftest import Cluster, database, desired, project, role, state

LAB_ROLES = [
    role("amartin"),
    role("bchen", connection_limit=3),
    role("dlopez"),
    role("ehansen", state="suspended", reason="on leave"),
    role("fmoreau", state="absent"),
    project("retina", "amartin", "bchen"),
    project("retina_read", "dlopez"),
]
LAB_DATABASES = [
    database("amartin"),
    database("bchen"),
    database("dlopez"),
    database("ehansen"),
    database("fmoreau", state="absent"),
    database("retina", readers="retina_read", connection_limit=20),
]


def lab(**changed: dict[str, Any]) -> Desired:
    """The lab's people; changed: role -> what is different."""
    roles = [{**entry, **changed.get(entry["name"], {})} for entry in LAB_ROLES]
    absent = {entry["name"] for entry in roles if entry["state"] == "absent"}
    databases = [{**entry, "state": "absent" if entry["owner"] in absent else "present"} for entry in LAB_DATABASES]
    return desired(roles, databases)


def with_members(*members: str, readers: tuple[str, ...] = ()) -> dict[str, dict[str, Any]]:
    return {"retina": {"members": list(members)}, "retina_read": {"members": list(readers)}}


def fails(one: Cluster, user: str, name: str, statement: str = "SELECT 1") -> str:
    """The server's words with which it refuses; a test that it lets through fails."""
    with pytest.raises(connection.load_driver().Error) as told:
        one.sql(statement, user=user, database=name)
    return str(told.value)


def test_check_apply_check_apply(cluster: Cluster) -> None:
    before = state(cluster)
    first = cluster.run(lab(), check=True)
    assert first.plan.changed
    assert state(cluster) == before
    second = cluster.run(lab())
    assert second.plan.actions() == first.plan.actions()
    assert second.failures == {}
    after = state(cluster)
    assert not cluster.run(lab(), check=True).plan.changed
    assert not cluster.run(lab()).plan.changed
    assert state(cluster) == after


def test_everybody_gets_into_the_own_database_and_no_other(cluster: Cluster) -> None:
    cluster.run(lab())
    cluster.sql("CREATE TABLE mine (n int)", "INSERT INTO mine VALUES (1)", user="bchen", database="bchen")
    for name in ("amartin", "postgres", "template1"):
        assert "does not have CONNECT privilege" in fails(cluster, "bchen", name)
    assert "is not permitted to log in" in fails(cluster, "retina", "retina")


def test_who_is_suspended_and_never_had_a_role_gets_none(cluster: Cluster) -> None:
    cluster.run(lab())
    assert cluster.sql("SELECT count(*) FROM pg_roles WHERE rolname IN ('ehansen', 'fmoreau')") == [(0,)]
    assert cluster.sql("SELECT count(*) FROM pg_database WHERE datname IN ('ehansen', 'fmoreau')") == [(0,)]


def test_what_writers_make_is_everybodys_and_readers_read_it(cluster: Cluster) -> None:
    cluster.run(lab())
    cluster.sql(
        "CREATE TABLE scans (n int)",
        "CREATE SCHEMA raw",
        "CREATE TABLE raw.more (n int)",
        user="bchen",
        database="retina",
    )
    cluster.sql("INSERT INTO scans VALUES (1)", "ALTER TABLE scans ADD m int", user="amartin", database="retina")
    assert cluster.sql("SELECT n FROM scans", user="dlopez", database="retina") == [(1,)]
    assert cluster.sql("SELECT n FROM raw.more", user="dlopez", database="retina") == []
    for statement in ("INSERT INTO scans VALUES (2)", "CREATE TABLE own (n int)", "CREATE TEMP TABLE own (n int)"):
        assert "permission denied" in fails(cluster, "dlopez", "retina", statement)


def test_readers_of_an_existing_database_read_what_is_there(cluster: Cluster) -> None:
    roles = [role("amartin"), role("dlopez"), project("retina", "amartin"), project("retina_read", "dlopez")]
    cluster.run(desired(roles, [database("retina")]))
    cluster.sql("CREATE TABLE scans (n int)", "CREATE TABLE secret (n int)", user="amartin", database="retina")
    done = cluster.run(desired(roles, [database("retina", readers="retina_read")]))
    assert "retina: let retina_read read what retina has and makes in retina" in done.plan.actions()
    assert cluster.sql("SELECT n FROM scans", user="dlopez", database="retina") == []
    # A table that the project takes back stays taken back.
    cluster.sql("REVOKE SELECT ON secret FROM retina_read", user="amartin", database="retina")
    assert not cluster.run(desired(roles, [database("retina", readers="retina_read")])).plan.changed
    assert "permission denied" in fails(cluster, "dlopez", "retina", "SELECT n FROM secret")


def test_suspended_and_back(cluster: Cluster) -> None:
    cluster.run(lab())
    cluster.sql("CREATE TABLE mine (n int)", user="bchen", database="bchen")
    sessions = [cluster.login("bchen", "bchen"), cluster.login("bchen", "retina")]
    changed = {"bchen": {"state": "suspended", "reason": "on leave"}, **with_members("amartin", readers=("dlopez",))}
    done = cluster.run(lab(**changed))
    assert done.failures == {}
    assert done.plan.changes["bchen"].result == "suspended"
    assert done.plan.changes["bchen"].actions == [
        "may not log in any more: on leave",
        "end 2 sessions",
        "is no member of retina any more",
        "end 1 session in retina",
        "acts as itself in retina",
    ]
    for one in sessions:
        with pytest.raises(connection.load_driver().Error), one.cursor() as cursor:
            cursor.execute("SELECT 1")
    assert "is not permitted to log in" in fails(cluster, "bchen", "bchen")
    assert not cluster.run(lab(**changed)).plan.changed
    assert cluster.run(lab()).plan.changes["bchen"].result == "changed"
    assert cluster.sql("SELECT count(*) FROM mine", user="bchen", database="bchen") == [(0,)]
    cluster.sql("CREATE TABLE again (n int)", user="bchen", database="retina")
    assert cluster.sql("SELECT relowner::regrole::text FROM pg_class WHERE relname = 'again'", database="retina") == [
        ("retina",)
    ]


def test_who_is_taken_off_a_project_is_out_at_once(cluster: Cluster) -> None:
    cluster.run(lab())
    session = cluster.login("bchen", "retina")
    with session.cursor() as cursor:
        cursor.execute("SELECT current_user")
        assert cursor.fetchone() == ("retina",)
    done = cluster.run(lab(**with_members("amartin", readers=("dlopez",))))
    assert done.plan.changes["bchen"].result == "changed"
    with pytest.raises(connection.load_driver().Error), session.cursor() as cursor:
        cursor.execute("SELECT 1")
    assert "CONNECT privilege" in fails(cluster, "bchen", "retina")
    assert cluster.sql("SELECT 1", user="bchen", database="bchen") == [(1,)]


def test_absent_everything_is_passed_on(cluster: Cluster) -> None:
    cluster.run(lab())
    cluster.sql("CREATE TABLE mine (n int)", "INSERT INTO mine VALUES (7)", user="bchen", database="bchen")
    cluster.sql(
        "SET ROLE NONE", "CREATE TABLE hers (n int)", "GRANT SELECT ON hers TO amartin", user="bchen", database="retina"
    )
    session = cluster.login("bchen", "bchen")
    changed = {"bchen": {"state": "absent", "reason": "left"}, **with_members("amartin", readers=("dlopez",))}
    done = cluster.run(lab(**changed))
    assert done.failures == {}
    assert done.plan.changes["bchen"].result == "removed"
    assert "remove the role (left); what it has in retina passes on" in done.plan.changes["bchen"].actions
    with pytest.raises(connection.load_driver().Error), session.cursor() as cursor:
        cursor.execute("SELECT 1")
    owner = "SELECT relowner::regrole::text FROM pg_class WHERE relname = %s"
    assert cluster.sql(owner.replace("%s", "'hers'"), database="retina") == [("retina",)]
    assert cluster.sql(owner.replace("%s", "'mine'"), database="bchen") == [("lyceum_estate",)]
    assert cluster.sql("SELECT n FROM mine", database="bchen") == [(7,)]
    assert "does not exist" in fails(cluster, "bchen", "bchen")
    assert "CONNECT privilege" in fails(cluster, "amartin", "bchen")
    assert not cluster.run(lab(**changed)).plan.changed


def test_who_comes_back_finds_the_own_things_and_nobody_elses(cluster: Cluster) -> None:
    cluster.run(lab())
    cluster.sql("CREATE TABLE mine (n int)", user="bchen", database="bchen")
    cluster.sql("CREATE TABLE mine (n int)", user="dlopez", database="dlopez")
    gone = {name: {"state": "absent"} for name in ("bchen", "dlopez")}
    cluster.run(lab(**gone, **with_members("amartin")))
    done = cluster.run(lab(dlopez=gone["dlopez"], **with_members("amartin", "bchen")))
    assert done.failures == {}
    assert cluster.sql("SELECT count(*) FROM mine", user="bchen", database="bchen") == [(0,)]
    owners = dict(cluster.sql("SELECT datname::text, datdba::regrole::text FROM pg_database"))
    assert (owners["bchen"], owners["dlopez"]) == ("bchen", "lyceum_estate")
    assert not cluster.run(lab(dlopez=gone["dlopez"], **with_members("amartin", "bchen"))).plan.changed


def test_nobody_keeps_us_out_by_settings_of_the_own_database(cluster: Cluster) -> None:
    cluster.run(lab())
    hostile = ["role = 'bchen'", "default_transaction_read_only = on", "statement_timeout = 1", "search_path = trap"]
    hostile += ["lock_timeout = 1", "default_transaction_isolation = serializable"]
    statements = [f"ALTER DATABASE bchen SET {setting}" for setting in hostile]
    trap = "CREATE FUNCTION trap.format(text) RETURNS text LANGUAGE sql AS 'SELECT 1/0'"
    cluster.sql("CREATE TABLE mine (n int)", "CREATE SCHEMA trap", trap, *statements, user="bchen", database="bchen")
    gone = {"bchen": {"state": "absent"}, **with_members("amartin", readers=("dlopez",))}
    assert cluster.run(lab(**gone)).failures == {}
    assert cluster.sql("SELECT count(*) FROM pg_roles WHERE rolname = 'bchen'") == [(0,)]


def test_a_database_is_dropped_only_when_named(cluster: Cluster) -> None:
    roles, databases = [role("bchen")], [database("bchen")]
    cluster.run(desired(roles, databases))
    gone = [role("bchen", state="absent")], [database("bchen", state="absent")]
    cluster.run(desired(*gone))
    assert cluster.sql("SELECT datconnlimit FROM pg_database WHERE datname = 'bchen'") == [(0,)]
    done = cluster.run(desired(*gone, drop_databases=["bchen"]))
    assert done.plan.actions() == ["bchen: drop the database bchen with everything in it"]
    assert cluster.sql("SELECT count(*) FROM pg_database WHERE datname = 'bchen'") == [(0,)]
    assert not cluster.run(desired(*gone, drop_databases=["bchen"])).plan.changed


def test_a_role_and_its_database_go_in_one_run(cluster: Cluster) -> None:
    cluster.run(desired([role("bchen")], [database("bchen")]))
    cluster.sql("CREATE TABLE mine (n int)", user="bchen", database="bchen")
    gone = desired([role("bchen", state="absent")], [database("bchen", state="absent")], drop_databases=["bchen"])
    assert cluster.run(gone).failures == {}
    assert cluster.sql("SELECT count(*) FROM pg_roles WHERE rolname = 'bchen'") == [(0,)]


def test_a_project_that_is_removed(cluster: Cluster) -> None:
    cluster.run(lab())
    cluster.sql("CREATE TABLE scans (n int)", user="amartin", database="retina")
    session = cluster.login("amartin", "retina")
    gone = {name: {"state": "absent", "members": []} for name in ("retina", "retina_read")}
    done = cluster.run(lab(**gone))
    assert done.failures == {}
    with pytest.raises(connection.load_driver().Error), session.cursor() as cursor:
        cursor.execute("SELECT 1")
    assert cluster.sql("SELECT relowner::regrole::text FROM pg_class WHERE relname = 'scans'", database="retina") == [
        ("lyceum_estate",)
    ]
    assert not cluster.run(lab(**gone)).plan.changed


def test_powers_and_strange_memberships_are_taken_away(cluster: Cluster) -> None:
    cluster.run(lab())
    cluster.sql(
        "ALTER ROLE bchen WITH SUPERUSER CREATEROLE NOINHERIT",
        "GRANT pg_read_server_files TO bchen",
        "GRANT retina TO dlopez WITH ADMIN OPTION",
        "GRANT retina TO amartin WITH ADMIN OPTION",
        "GRANT CONNECT ON DATABASE amartin TO bchen WITH GRANT OPTION",
        "ALTER ROLE bchen IN DATABASE retina SET role = 'none'",
    )
    done = cluster.run(lab())
    assert done.failures == {}
    assert sorted(done.plan.actions()) == [
        "amartin: database amartin: take CONNECT from bchen",
        "amartin: may not add others to retina any more",
        "bchen: acts as retina in retina",
        "bchen: has the rights of what it is a member of",
        "bchen: is no createrole any more",
        "bchen: is no member of pg_read_server_files any more",
        "bchen: is no superuser any more",
        "dlopez: is no member of retina any more",
    ]
    assert not cluster.run(lab()).plan.changed


def test_memberships_of_an_unmanaged_role_can_be_asked_for(cluster: Cluster) -> None:
    wanted = desired([role("metrics", kind="service", member_of=["pg_monitor"])])
    assert "metrics: becomes a member of pg_monitor" in cluster.run(wanted).plan.actions()
    assert not cluster.run(wanted).plan.changed


def test_passwords_are_compared_and_never_sent(cluster: Cluster) -> None:
    service = role("gitea", kind="service", password="correct horse")  # noqa: S106
    done = cluster.run(desired([service], [database("gitea")]))
    ((kept,),) = cluster.sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'gitea'")
    assert scram.fits("correct horse", scram.parse(kept))
    assert "correct horse" not in str(done.plan) + repr(done)
    assert not cluster.run(desired([service], [database("gitea")])).plan.changed
    other = {**service, "password": "another horse"}
    assert cluster.run(desired([other], [database("gitea")])).plan.actions() == ["gitea: set the password"]
    verifier = str(scram.derive("a third"))
    with_verifier = {**role("gitea", kind="service"), "verifier": verifier}
    cluster.run(desired([with_verifier], [database("gitea")]))
    assert cluster.sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'gitea'") == [(verifier,)]
    assert not cluster.run(desired([with_verifier], [database("gitea")])).plan.changed


def test_a_password_of_ones_own_is_kept_and_an_md5_hash_is_not(cluster: Cluster) -> None:
    cluster.run(lab())
    cluster.sql("ALTER ROLE bchen PASSWORD 'my own'", user="bchen", database="bchen")
    assert not cluster.run(lab()).plan.changed
    cluster.sql("ALTER ROLE bchen PASSWORD 'md5" + "0" * 32 + "'")
    assert cluster.run(lab()).plan.actions() == ["bchen: remove a password that is not for SCRAM-SHA-256"]


def test_statements_with_verifiers_are_not_logged(cluster: Cluster) -> None:
    cluster.sql("ALTER SYSTEM SET log_statement = 'all'", "SELECT pg_reload_conf()")
    try:
        deadline = time.monotonic() + 5
        while cluster.sql("SHOW log_statement") != [("all",)]:
            assert time.monotonic() < deadline
        cluster.run(desired([role("gitea", kind="service", password="hush")]))  # noqa: S106
        ((kept,),) = cluster.sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'gitea'")
        log = cluster.log.read_text()
        assert "SHOW log_statement" in log  # the log has what it should
        assert kept not in log
        assert "SCRAM-SHA-256$" not in log
    finally:
        cluster.sql("ALTER SYSTEM RESET log_statement", "SELECT pg_reload_conf()")


def test_one_failure_does_not_stop_the_others(cluster: Cluster) -> None:
    cluster.sql("CREATE ROLE webapp", "CREATE DATABASE bchen OWNER webapp")
    done = cluster.run(lab())
    assert done.failures == {
        "bchen": (
            "the database bchen belongs to webapp, not to bchen. See whose it is, then rename it, or give it away:"
            ' ALTER DATABASE "bchen" OWNER TO "bchen"'
        )
    }
    assert cluster.sql("SELECT 1", user="dlopez", database="dlopez") == [(1,)]
    assert cluster.sql("SELECT datdba::regrole::text FROM pg_database WHERE datname = 'bchen'") == [("webapp",)]
    # What stands in the way of a database keeps nobody in.
    changed = {"bchen": {"state": "suspended"}, **with_members("amartin", readers=("dlopez",))}
    assert list(cluster.run(lab(**changed)).failures) == ["bchen"]
    assert "not permitted" in fails(cluster, "bchen", "retina")


def test_what_the_server_refuses_is_undone_for_that_role_alone(cluster: Cluster) -> None:
    roles = [role("amartin"), role("bchen")]
    done = cluster.run(desired(roles, [database("amartin"), database("bchen", locale="xx_XX")]))
    assert list(done.failures) == ["bchen"]
    assert done.failures["bchen"].startswith("cannot create the database bchen: invalid ")
    assert cluster.sql("SELECT 1", user="amartin", database="amartin") == [(1,)]
    assert cluster.run(desired(roles, [database("amartin"), database("bchen")])).failures == {}


def test_one_person_only(cluster: Cluster) -> None:
    cluster.run(lab())
    cluster.sql("ALTER ROLE amartin CONNECTION LIMIT 5", "ALTER ROLE bchen CONNECTION LIMIT 5", "CREATE ROLE stranger")
    wanted = [entry for entry in LAB_ROLES if entry["kind"] == "project" or entry["name"] == "bchen"]
    databases = [entry for entry in LAB_DATABASES if entry["name"] in ("bchen", "retina")]
    done = cluster.run(desired(wanted, databases, only="bchen"))
    assert done.plan.actions() == ["bchen: connection limit 5 -> connection limit 3"]
    assert done.plan.unmanaged == []
    assert not cluster.run(desired(wanted, databases, only="bchen")).plan.changed
    assert cluster.run(lab()).plan.unmanaged == ["role stranger"]


def test_one_person_into_a_server_that_has_nobody(cluster: Cluster) -> None:
    wanted = [entry for entry in LAB_ROLES if entry["kind"] != "person" or entry["name"] == "bchen"]
    wanted = [*wanted, role("gitea", kind="service")]
    databases = [entry for entry in LAB_DATABASES if entry["name"] in ("bchen", "retina")]
    databases = [*databases, database("gitea")]
    done = cluster.run(desired(wanted, databases, only="bchen"))
    assert done.failures == {}
    assert done.plan.conflicts == []
    cluster.sql("CREATE TABLE scans (n int)", user="bchen", database="retina")
    cluster.sql("CREATE TABLE issues (n int)", user="gitea", database="gitea")
    assert cluster.run(lab()).failures == {}


def test_names_that_need_quotes(cluster: Cluster) -> None:
    roles = [role("o-neil"), role("Ana"), project("mri-3", "o-neil"), project("mri-3_read", "Ana")]
    databases = [database("o-neil"), database("Ana"), database("mri-3", readers="mri-3_read")]
    assert cluster.run(desired(roles, databases)).failures == {}
    assert not cluster.run(desired(roles, databases)).plan.changed
    cluster.sql("CREATE TABLE scans (n int)", user="o-neil", database="mri-3")
    assert cluster.sql("SELECT n FROM scans", user="Ana", database="mri-3") == []
    gone = [{**entry, "state": "absent", "members": []} for entry in roles]
    assert cluster.run(desired(gone, [{**entry, "state": "absent"} for entry in databases])).failures == {}


def test_too_many_at_once_are_refused_until_named(cluster: Cluster) -> None:
    names = [f"person{number}" for number in range(4)]
    cluster.run(desired([role(name) for name in names]))
    gone = [role(name, state=state_) for name, state_ in zip(names, ("absent", "suspended") * 2)]
    before = state(cluster)
    with pytest.raises(RefusedError) as told:
        cluster.run(desired(gone, max_removals=3))
    assert str(told.value) == (
        "4 roles would be removed or suspended at once (person0, person1, person2, person3 ...), more than max_removals"
        " (3). If that is meant, name them in allow_removals."
    )
    assert state(cluster) == before
    assert cluster.run(desired(gone, max_removals=3, allow_removals=["person0"])).failures == {}


@pytest.mark.parametrize("crash", ["_Runner.databases", "_Runner.inside", "_Runner.end_sessions", "_Runner.leave"])
def test_a_run_that_was_killed_is_completed(cluster: Cluster, monkeypatch: pytest.MonkeyPatch, crash: str) -> None:
    """Every step commits by itself; a run that stops before one of them loses nothing but its connection."""
    cluster.run(lab())
    gone = {"dlopez": {"state": "absent"}, "bchen": {"state": "suspended"}, **with_members("amartin")}
    wanted = lab(**gone)
    more = desired(
        [*wanted_roles(gone), role("newcomer"), project("speech", "newcomer"), project("speech_read", "amartin")],
        [*wanted_databases(gone), database("newcomer"), database("speech", readers="speech_read")],
    )

    class Killed(BaseException):
        pass

    def stop(*_arguments: Any) -> None:
        raise Killed

    assert wanted.roles["dlopez"].state == "absent"
    with monkeypatch.context() as patch:
        patch.setattr(apply._Runner, crash.partition(".")[2], stop)
        with pytest.raises(Killed):
            cluster.run(more)
    assert cluster.run(more).failures == {}
    assert not cluster.run(more).plan.changed
    cluster.sql("CREATE TABLE words (n int)", user="newcomer", database="speech")
    assert cluster.sql("SELECT n FROM words", user="amartin", database="speech") == []
    assert "not permitted" in fails(cluster, "bchen", "bchen")
    assert "does not exist" in fails(cluster, "dlopez", "dlopez")


def test_killed_between_making_a_database_and_opening_it(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def stop(*_arguments: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(apply._Runner, "inside", stop)
        real = apply._Runner.attempt
        patch.setattr(
            apply._Runner,
            "attempt",
            lambda self, change, statements: (
                stop() if any("ALLOW_C" in s for s in statements) else real(self, change, statements)
            ),
        )
        with pytest.raises(Killed):
            cluster.run(lab())
    assert "not currently accepting connections" in fails(cluster, "amartin", "retina")
    assert cluster.run(lab()).failures == {}
    assert not cluster.run(lab()).plan.changed


def wanted_roles(changed: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**entry, **changed.get(entry["name"], {})} for entry in LAB_ROLES]


def wanted_databases(changed: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    gone = {entry["name"] for entry in wanted_roles(changed) if entry["state"] == "absent"}
    return [{**entry, "state": "absent" if entry["owner"] in gone else "present"} for entry in LAB_DATABASES]


def test_two_runs_do_not_mix(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_LOCK_SECONDS", 0)
    with connection.session(cluster.server) as other:
        other.lock()
        with pytest.raises(LyceumError) as told:
            cluster.run(lab())
    assert str(told.value) == ("Another run is at work on this server. Wait until it has finished, then start again.")
    assert cluster.run(lab()).failures == {}


def test_a_check_on_a_host_without_a_server(tmp_path: Any) -> None:
    done = apply.run(lab(), Server(tmp_path), check=True, clusters=tmp_path)
    assert "amartin: create the role (login, no connection limit)" in done.plan.actions()
    assert "retina: create the database retina" in done.plan.actions()
    assert done.failures == {}


def test_a_check_while_the_server_does_not_run(tmp_path: Any) -> None:
    (tmp_path / "17/main").mkdir(parents=True)
    (tmp_path / "17/main/PG_VERSION").write_text("17\n")
    done = apply.run(lab(), Server(tmp_path), check=True, clusters=tmp_path)
    assert not done.plan.changed
    assert done.plan.conflicts == [
        f"nothing listens on {tmp_path}/.s.PGSQL.5432: who has what in PostgreSQL is not known and was not compared"
    ]


def test_a_thousand_people_with_nothing_to_change(cluster: Cluster) -> None:
    roles = [role(f"person{number}") for number in range(1000)]
    roles += [project("everybody", *(entry["name"] for entry in roles))]
    started = time.monotonic()
    assert cluster.run(desired(roles)).failures == {}
    created = time.monotonic()
    assert not cluster.run(desired(roles)).plan.changed
    assert created - started < 20
    assert time.monotonic() - created < 5
