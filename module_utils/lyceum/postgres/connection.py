# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections to a server on this host, over its Unix socket, as its superuser. No password is needed or known."""

from __future__ import annotations

import contextlib
import importlib
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import LyceumError

# Of one run at a time; any number will do.
LOCK = 7_309_931_247
_LOCK_SECONDS = 20
# Starting up, shutting down, too many clients: worth another try. Everything else is not.
_NOT_READY = ("57P03", "57P02", "57P01", "53300")
_NOT_READY_WORDS = ("starting up", "shutting down", "in recovery mode", "too many clients", "refused", "No such file")


@dataclass(frozen=True)
class Server:
    """directory: of the socket. seconds: how long to wait for a server that is starting."""

    directory: Path
    port: int = 5432
    superuser: str = "postgres"
    seconds: float = 30

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Server:
        return cls(Path(params["socket_directory"]), params["port"], params["superuser"])

    @property
    def socket(self) -> Path:
        return self.directory / f".s.PGSQL.{self.port}"


# Owners set what sessions in their databases are like (ALTER DATABASE ... SET), the superuser's as well. Options of the
# client win over that: nobody keeps us out, slows us down or has us call what they have written.
_OPTIONS = " ".join(
    f"-c {setting}"
    for setting in (
        "role=none",
        "search_path=pg_catalog",
        "default_transaction_read_only=off",
        "default_transaction_isolation=read\\ committed",
        "default_tablespace=",
        "statement_timeout=0",
        "lock_timeout=20s",
        "idle_in_transaction_session_timeout=0",
    )
)


class Session:
    """One connection to one database. Statements are run as they are; values go through parameters."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        raw.autocommit = True
        # Verifiers are in statements: the server's log must not have them, whatever it is told to log.
        self.run("SET log_statement = 'none'")
        self.run("SET log_min_duration_statement = -1")
        self.run("SET log_min_error_statement = 'panic'")
        self.run("SET client_min_messages = 'error'")
        if raw.server_version >= 170000:
            self.run("SET transaction_timeout = 0")

    def query(self, statement: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """The rows of a statement. Raises LyceumError with the server's words."""
        with self._cursor() as cursor:
            cursor.execute(statement, parameters)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows

    def run(self, *statements: str) -> None:
        """Run statements as they are. Raises LyceumError with the server's words, never with the statement."""
        with self._cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing."""
        self.run("BEGIN")
        try:
            yield
        except BaseException:
            self.run("ROLLBACK")
            raise
        self.run("COMMIT")

    def attempt(self, statements: Iterable[str]) -> str | None:
        """Run statements inside a transaction; when one fails, none of them counts. Returns why, or None."""
        self.run("SAVEPOINT lyceum")
        try:
            self.run(*statements)
        except LyceumError as exc:
            self.run("ROLLBACK TO SAVEPOINT lyceum")
            return str(exc)
        self.run("RELEASE SAVEPOINT lyceum")
        return None

    def lock(self) -> None:
        """Keep other runs out until the connection ends. Raises LyceumError if one does not finish."""
        deadline = time.monotonic() + _LOCK_SECONDS
        while not self.query("SELECT pg_try_advisory_lock(%(key)s)", {"key": LOCK})[0][0]:
            if time.monotonic() > deadline:
                raise LyceumError(
                    "Another run is at work on this server. Wait until it has finished, then start again."
                )
            time.sleep(0.2)

    def close(self) -> None:
        self._raw.close()

    @contextlib.contextmanager
    def _cursor(self) -> Iterator[Any]:
        driver = load_driver()
        try:
            with self._raw.cursor() as cursor:
                yield cursor
        except driver.Error as exc:
            raise LyceumError(words(exc)) from None  # its text may quote the statement


def load_driver() -> Any:
    """psycopg2. Raises LyceumError when it is not installed."""
    try:
        return importlib.import_module("psycopg2")
    except ImportError as exc:
        raise LyceumError(f"Python cannot talk to PostgreSQL here ({exc}). Install python3-psycopg2.") from exc


def is_there(server: Server) -> bool:
    """Whether a server listens, or did, on the socket."""
    return server.socket.exists()


def connect(server: Server, database: str = "postgres") -> Session:
    """Raises LyceumError when the server does not let us in, or not in time."""
    driver = load_driver()
    deadline = time.monotonic() + server.seconds
    while True:
        try:
            with _as_owner(server):
                raw = driver.connect(
                    host=str(server.directory),
                    port=server.port,
                    user=server.superuser,
                    dbname=database,
                    connect_timeout=10,
                    application_name="lyceum",
                    options=_OPTIONS,
                )
            return Session(raw)
        except driver.Error as exc:
            if not _not_ready(exc) or time.monotonic() > deadline:
                raise LyceumError(
                    f"Cannot connect to the database {database} on {server.socket} as {server.superuser}: {words(exc)}"
                ) from None
            time.sleep(0.25)


@contextlib.contextmanager
def session(server: Server, database: str = "postgres") -> Iterator[Session]:
    one = connect(server, database)
    try:
        yield one
    finally:
        one.close()


@contextlib.contextmanager
def _as_owner(server: Server) -> Iterator[None]:
    """Connect as the account the server runs as: it is the one that `peer` lets be superuser."""
    try:
        info = server.socket.stat()
    except OSError:
        info = None
    if info is None or os.geteuid() != 0 or info.st_uid == 0 or not stat.S_ISSOCK(info.st_mode):
        yield
        return
    os.seteuid(info.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)


def _not_ready(exc: Any) -> bool:
    return getattr(exc, "pgcode", None) in _NOT_READY or any(word in str(exc) for word in _NOT_READY_WORDS)


def words(exc: Any) -> str:
    """The server's own words without the statement that they are about, in one line."""
    diagnosis = getattr(exc, "diag", None)
    primary = getattr(diagnosis, "message_primary", None)
    if primary:
        detail = getattr(diagnosis, "message_detail", None)
        code = getattr(exc, "pgcode", None)
        return " ".join(f"{primary} ({code})".split() + (f"- {detail}".split() if detail else []))
    first = str(exc).strip().splitlines()
    return " ".join(" ".join(first).split()) or type(exc).__name__
