# SPDX-License-Identifier: GPL-3.0-or-later
"""A real PostgreSQL server on a socket in a folder of its own, where the machine has the programs.

Where it has not, what needs one is skipped; the same cases run on the hosts of molecule/postgres.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.postgres import apply, connection, sql
from ansible.module_utils.lyceum.postgres.connection import Server
from ansible.module_utils.lyceum.postgres.model import Desired

PORT = 54329
SETTINGS = "fsync = off\nlisten_addresses = ''\nmax_connections = 60\n"
HBA = "local all postgres peer map=admin\nlocal all all trust\n"

PARAMS: dict[str, Any] = {
    "roles": [],
    "databases": [],
    "only": "",
    "estate": "lyceum_estate",
    "closed_databases": ["postgres", "template1"],
    "drop_databases": [],
    "allow_removals": [],
    "max_removals": 10,
}
ROLE: dict[str, Any] = {"kind": "person", "state": "present", "connection_limit": -1}
DATABASE: dict[str, Any] = {"state": "present", "connection_limit": -1, "locale": "C.UTF-8"}


def role(name: str, **values: Any) -> dict[str, Any]:
    return {**ROLE, "name": name, **values}


def project(name: str, *members: str, **values: Any) -> dict[str, Any]:
    return {**ROLE, "name": name, "kind": "project", "members": list(members), **values}


def database(name: str, owner: str | None = None, **values: Any) -> dict[str, Any]:
    return {**DATABASE, "name": name, "owner": owner or name, **values}


def desired(roles: Iterable[dict[str, Any]], databases: Iterable[dict[str, Any]] = (), **params: Any) -> Desired:
    return Desired.from_params({**PARAMS, "roles": list(roles), "databases": list(databases), **params})


def programs() -> Path | None:
    """The newest server that Debian's packages have put here."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(found, key=lambda path: int(path.parent.name), default=None)


def missing() -> str:
    """Why no server can be started here; empty when one can."""
    if programs() is None:
        return "PostgreSQL is not installed on this machine"
    try:
        connection.load_driver()
    except connection.LyceumError as exc:
        return str(exc)
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        return "this is root's, and there is no account postgres to run the server as" if os.geteuid() == 0 else ""
    return ""


class Cluster:
    """server: as the code under test is told. Everything is undone between tests by `clean`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.server = folder, Server(folder, PORT, seconds=10)
        self.data, self.conf = folder / "data", folder / "conf"  # apart, as in Debian
        self.log = folder / "log"
        self.bin = programs()
        self.user = "postgres" if os.geteuid() == 0 else None

    def start(self) -> None:
        if self.user:
            shutil.chown(self.folder, self.user)
        self.call("initdb", "--auth=trust", "--username=postgres", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8")
        me = pwd.getpwuid(os.geteuid()).pw_name
        ident = "".join(f"admin {name} postgres\n" for name in {me, self.user or me})
        settings = f"unix_socket_directories = '{self.folder}'\nport = {PORT}\ndata_directory = '{self.data}'\n"
        settings += f"hba_file = '{self.conf}/pg_hba.conf'\nident_file = '{self.conf}/pg_ident.conf'\n"
        settings += "include_dir = 'conf.d'\n"
        (self.conf / "conf.d").mkdir(parents=True)
        for name, text in {"pg_ident.conf": ident, "pg_hba.conf": HBA, "postgresql.conf": SETTINGS + settings}.items():
            (self.conf / name).write_text(text)
        self.control("start")

    def stop(self) -> None:
        self.control("stop", "--mode=immediate")

    def control(self, verb: str, *arguments: str) -> None:
        own = [] if verb == "stop" else [f"--log={self.log}", f"--options=-c config_file={self.conf}/postgresql.conf"]
        self.call("pg_ctl", "--wait", *own, *arguments, verb)

    def call(self, program: str, *arguments: str) -> None:
        who: dict[str, Any] = {"user": self.user, "group": self.user, "extra_groups": []} if self.user else {}
        done = subprocess.run(
            [f"{self.bin}/{program}", f"--pgdata={self.data}", *arguments],
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            # Not of pg_ctl: the server keeps it.
            stdout=subprocess.PIPE if program == "initdb" else subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            **who,
        )
        assert done.returncode == 0, f"{program}: {done.stdout}"

    def run(self, wanted: Desired, *, check: bool = False) -> apply.Outcome:
        return apply.run(wanted, self.server, check=check)

    def sql(self, *statements: str, database: str = "postgres", user: str = "postgres") -> list[tuple[Any, ...]]:
        """Run statements as somebody; the rows of the last one that has any. The server's own errors come through."""
        raw = self.login(user, database)
        rows: list[tuple[Any, ...]] = []
        try:
            with raw.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                    rows = cursor.fetchall() if cursor.description else rows
        finally:
            raw.close()
        return rows

    def login(self, user: str, database: str) -> Any:
        """A connection as anybody."""
        with connection._as_owner(self.server):
            raw = connection.load_driver().connect(
                host=str(self.folder), port=PORT, user=user, dbname=database, connect_timeout=5
            )
        raw.autocommit = True
        return raw

    def clean(self) -> None:
        for (name,) in self.sql("SELECT datname FROM pg_database WHERE datname !~ '^(postgres|template[01])$'"):
            self.sql(f"DROP DATABASE {sql.name(name)} WITH (FORCE)")
        self.sql(
            "GRANT CONNECT, TEMPORARY ON DATABASE postgres TO PUBLIC", "GRANT CONNECT ON DATABASE template1 TO PUBLIC"
        )
        for (name,) in self.sql("SELECT rolname FROM pg_roles WHERE rolname !~ '^(postgres$|pg_)'"):
            self.sql(f"DROP OWNED BY {sql.name(name)} CASCADE", f"DROP ROLE {sql.name(name)}")


@pytest.fixture(scope="session")
def running() -> Iterator[Cluster]:
    why = missing()
    if why:
        pytest.skip(why)
    # Not below tmp_path: the path of a socket must be short, and the server's account has to get there.
    with tempfile.TemporaryDirectory(prefix="lyceum-pg-") as folder:
        one = Cluster(Path(folder))
        one.start()
        yield one
        one.stop()


@pytest.fixture
def cluster(running: Cluster) -> Iterator[Cluster]:
    yield running
    running.clean()


def state(one: Cluster) -> Mapping[str, Any]:
    """All that a run may change, to compare before and after."""
    return {
        query: sorted(map(str, one.sql(query)))
        for query in (
            "SELECT rolname, rolcanlogin, rolconnlimit, rolsuper, rolpassword FROM pg_authid",
            "SELECT datname, datdba, datacl::text, datconnlimit, datallowconn FROM pg_database",
            "SELECT roleid, member, admin_option FROM pg_auth_members",
            "SELECT setdatabase, setrole, setconfig FROM pg_db_role_setting",
        )
    }
