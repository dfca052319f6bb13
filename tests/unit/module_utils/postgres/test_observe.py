# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read of a real server."""

from __future__ import annotations

from ansible.module_utils.lyceum.postgres import connection
from ansible.module_utils.lyceum.postgres.observe import Edge, Observed, observe, readable

from .conftest import Cluster


def seen(one: Cluster) -> Observed:
    with connection.session(one.server) as main:
        return observe(main.query)


def test_a_server_as_it_comes(cluster: Cluster) -> None:
    found = seen(cluster)
    assert found.version >= 140000
    assert found.superuser == "postgres"
    assert set(found.databases) == {"postgres", "template0", "template1"}
    assert [name for name, role in found.roles.items() if not role.system] == []
    assert ("PUBLIC", "CONNECT") in found.databases["postgres"].grants
    assert found.members == {}


def test_roles_memberships_settings_and_sessions(cluster: Cluster) -> None:
    cluster.sql(
        "CREATE ROLE amartin LOGIN CREATEDB NOINHERIT CONNECTION LIMIT 3 PASSWORD 'x'",
        "CREATE ROLE retina",
        "GRANT retina TO amartin WITH ADMIN OPTION",
        "CREATE DATABASE retina OWNER retina ALLOW_CONNECTIONS true CONNECTION LIMIT 9",
        "ALTER ROLE amartin IN DATABASE retina SET role = 'retina'",
        "ALTER ROLE amartin IN DATABASE retina SET work_mem = '8MB'",
    )
    cluster.sql("CREATE TABLE hers (n int)", "ALTER TABLE hers OWNER TO amartin", database="retina")
    session = cluster.login("amartin", "retina")
    found = seen(cluster)
    amartin = found.roles["amartin"]
    assert (amartin.login, amartin.inherit, amartin.powers, amartin.connection_limit) == (True, False, ("createdb",), 3)
    assert (amartin.verifier or "").startswith("SCRAM-SHA-256$")
    assert "SCRAM" not in repr(amartin)
    edge = found.members["retina"]["amartin"]
    assert edge == Edge(admin=True, grantors=("postgres",))
    assert found.acting == {("amartin", "retina"): "retina"}
    assert found.databases["retina"].owner == "retina"
    assert found.databases["retina"].connection_limit == 9
    assert "retina" in found.owning["amartin"]
    assert found.sessions[("amartin", "retina")] == [session.info.backend_pid]
    session.close()


def test_whether_readers_can_read(cluster: Cluster) -> None:
    cluster.sql("CREATE ROLE retina", "CREATE ROLE readers", "CREATE DATABASE retina OWNER retina")
    with connection.session(cluster.server, "retina") as inside:
        assert not readable(inside.query, "retina", "readers")
        default = "ALTER DEFAULT PRIVILEGES FOR ROLE retina GRANT"
        inside.run(f"{default} SELECT ON TABLES TO readers", f"{default} SELECT ON SEQUENCES TO readers")
        assert not readable(inside.query, "retina", "readers")
        inside.run(f"{default} USAGE ON SCHEMAS TO readers")
        assert readable(inside.query, "retina", "readers")
