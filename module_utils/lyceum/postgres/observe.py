# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server has, in a few queries, whatever the number of people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

FIRST_OWN_OID = 16384  # what is below came with the server

PUBLIC = "PUBLIC"
# What a managed role must never be. In this order in ALTER ROLE and in messages.
POWERS = ("superuser", "createrole", "createdb", "replication", "bypassrls")

_ROLES = """
SELECT r.oid, r.rolname, r.rolcanlogin, r.rolinherit, r.rolsuper, r.rolcreaterole, r.rolcreatedb, r.rolreplication,
       r.rolbypassrls, r.rolconnlimit, a.rolpassword
  FROM pg_roles r JOIN pg_authid a ON a.oid = r.oid
"""
_MEMBERS = """
SELECT g.rolname, m.rolname, bool_or(a.admin_option), array_agg(DISTINCT b.rolname::text)
  FROM pg_auth_members a
  JOIN pg_roles g ON g.oid = a.roleid JOIN pg_roles m ON m.oid = a.member LEFT JOIN pg_roles b ON b.oid = a.grantor
 WHERE m.oid >= %(own)s
 GROUP BY g.rolname, m.rolname
"""
_DATABASES = """
SELECT d.oid, d.datname, r.rolname, d.datallowconn, d.datistemplate, d.datconnlimit
  FROM pg_database d LEFT JOIN pg_roles r ON r.oid = d.datdba
"""
_GRANTS = """
SELECT d.datname, COALESCE(g.rolname, 'PUBLIC'), x.privilege_type
  FROM pg_database d
 CROSS JOIN LATERAL aclexplode(COALESCE(d.datacl, acldefault('d', d.datdba))) x
  LEFT JOIN pg_roles g ON g.oid = x.grantee
"""
# role -> what it acts as once it is in a database.
_SETTINGS = """
SELECT r.rolname, d.datname, substr(c.setting, 6)
  FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole JOIN pg_database d ON d.oid = s.setdatabase
 CROSS JOIN LATERAL unnest(s.setconfig) AS c(setting)
 WHERE c.setting LIKE 'role=%%'
"""
# Where a role owns something or has been given something; what is shared by all databases is under ''.
_OWNINGS = """
SELECT DISTINCT r.rolname, COALESCE(d.datname, '')
  FROM pg_shdepend s JOIN pg_roles r ON r.oid = s.refobjid LEFT JOIN pg_database d ON d.oid = s.dbid
 WHERE s.refclassid = 'pg_authid'::regclass AND r.oid >= %(own)s
"""
_SESSIONS = """
SELECT usename, COALESCE(datname, ''), pid FROM pg_stat_activity
 WHERE usename IS NOT NULL AND pid <> pg_backend_pid() AND backend_type IN ('client backend', 'walsender')
"""
# In a project's database: whether what its owner makes can be read by its readers from then on.
_READABLE = """
SELECT d.defaclobjtype, x.privilege_type
  FROM pg_default_acl d CROSS JOIN LATERAL aclexplode(d.defaclacl) x
 WHERE d.defaclnamespace = 0 AND pg_get_userbyid(d.defaclrole) = %(owner)s AND pg_get_userbyid(x.grantee) = %(readers)s
"""
READER_DEFAULTS = frozenset({("r", "SELECT"), ("S", "SELECT"), ("n", "USAGE")})


@dataclass(frozen=True)
class SeenRole:
    """verifier: as the server keeps it, or an md5 hash, or None."""

    login: bool
    inherit: bool
    powers: tuple[str, ...]
    connection_limit: int
    verifier: str | None = field(repr=False)
    system: bool = False


@dataclass(frozen=True)
class SeenDatabase:
    """grants: (role or PUBLIC, privilege) of the database itself."""

    owner: str
    allow_connections: bool
    template: bool
    connection_limit: int
    grants: frozenset[tuple[str, str]] = frozenset()
    # Whether the owner's objects are open to the readers that were asked for; None: nobody looked.
    readable: bool | None = None


@dataclass(frozen=True)
class Edge:
    """One role is a member of another. grantors: on whose behalf, from PostgreSQL 16 on one entry for each."""

    admin: bool = False
    grantors: tuple[str, ...] = ()


@dataclass
class Observed:
    """members: role -> member -> edge. acting: (role, database) -> the role it acts as. owning: role -> databases in
    which it owns or was given something ('' for what all share). sessions: (role, database) -> process ids."""

    version: int = 0
    superuser: str = "postgres"
    roles: dict[str, SeenRole] = field(default_factory=dict)
    databases: dict[str, SeenDatabase] = field(default_factory=dict)
    members: dict[str, dict[str, Edge]] = field(default_factory=dict)
    acting: dict[tuple[str, str], str] = field(default_factory=dict)
    owning: dict[str, set[str]] = field(default_factory=dict)
    sessions: dict[tuple[str, str], list[int]] = field(default_factory=dict)


Query = Callable[[str, Mapping[str, Any]], Iterable[tuple[Any, ...]]]


def observe(query: Query) -> Observed:
    """One bulk read, in one transaction. query: runs a statement with parameters and returns its rows."""
    own = {"own": FIRST_OWN_OID}
    version, superuser = next(
        iter(query("SELECT current_setting('server_version_num')::int, pg_get_userbyid(10)::text", {}))
    )
    seen = Observed(version=version, superuser=superuser)
    for oid, name, login, inherit, *powers, limit, verifier in query(_ROLES, {}):
        held = tuple(power for power, has in zip(POWERS, powers) if has)
        seen.roles[name] = SeenRole(login, inherit, held, limit, verifier, oid < FIRST_OWN_OID)
    for group, member, admin, grantors in query(_MEMBERS, own):
        seen.members.setdefault(group, {})[member] = Edge(admin, tuple(sorted(one for one in grantors if one)))
    grants: dict[str, set[tuple[str, str]]] = {}
    for database, grantee, privilege in query(_GRANTS, {}):
        grants.setdefault(database, set()).add((grantee, privilege))
    for _oid, name, owner, allow, template, limit in query(_DATABASES, {}):
        seen.databases[name] = SeenDatabase(owner or "", allow, template, limit, frozenset(grants.get(name, ())))
    seen.acting = {(role, database): acts for role, database, acts in query(_SETTINGS, {})}
    for role, database in query(_OWNINGS, own):
        seen.owning.setdefault(role, set()).add(database)
    for role, database, pid in query(_SESSIONS, {}):
        seen.sessions.setdefault((role, database), []).append(pid)
    return seen


def readable(query: Query, owner: str, readers: str) -> bool:
    """Whether what `owner` makes in the database of this connection will be open to `readers`."""
    found = set(query(_READABLE, {"owner": owner, "readers": readers}))
    return {(kind, privilege) for kind, privilege in found} >= READER_DEFAULTS
