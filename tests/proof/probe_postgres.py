# SPDX-License-Identifier: GPL-3.0-or-later
"""Root's side of the attacks on databases: people on the socket, strangers on the network, and the scene for both.

Sent to the host after probe.py, whose helpers it uses. It speaks with the server by libpq, and by the bytes of the
protocol where libpq would be too polite; nothing of the code under test is used.
"""

# ruff: noqa: PTH123

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
import socket
import ssl
import struct
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from probe import ACTIONS, account, as_person, run

ROLE = "lyceum_proof"
TABLE = "lyceum_proof"
SOCKET = "/var/run/postgresql"
# The passwords that people had before an attack gave them one of its own.
KEPT = Path("/run/lyceum-proof-postgres.json")
SSL_REQUEST = struct.pack("!II", 8, 80877103)
VERSION_3 = 196608
AUTHENTICATION = {0: "nothing", 3: "a password in clear", 5: "an md5 hash", 7: "GSS", 10: "SCRAM"}


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def name(text):
    return '"' + text.replace('"', '""') + '"'


def superuser(statements, database="postgres", port=5432):
    """Rows as lists of text, of statements run as the server's superuser. They come by stdin: no argv has a secret."""
    done = run(
        "psql", "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-p", str(port),
        "-d", database, "-f", "-",
        input="SET log_statement = 'none'; SET log_min_error_statement = 'panic'; SET client_min_messages = 'error';"
        f"\n{statements}\n",
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"as the superuser: {done.stderr.strip()[-300:]}")
    return [line.split("\t") for line in done.stdout.splitlines() if line]


def connected(**options):
    driver = importlib.import_module("psycopg2")
    one = driver.connect(connect_timeout=10, **options)
    one.autocommit = True
    return one


def attempt(statements, **options):
    """[] when everything worked, or the server's words."""
    driver = importlib.import_module("psycopg2")
    try:
        with contextlib.closing(connected(**options)) as one, one.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
    except driver.Error as exc:
        return [" ".join(str(exc).split())[:300]]
    return []


# --- actions ---------------------------------------------------------------------------------------------------------


def postgres_clean(databases, port):
    """Put passwords back and remove what attacks have made. databases: in which there may be a table."""
    if KEPT.exists():
        kept = json.loads(KEPT.read_text())
        lines = [f"ALTER ROLE {name(who)} PASSWORD {quoted(old) if old else 'NULL'};" for who, old in kept.items()]
        superuser("\n".join(lines), port=port)
        KEPT.unlink()
    there = {row[0] for row in superuser("SELECT datname FROM pg_database WHERE datallowconn", port=port)}
    for database in [one for one in databases if one in there]:
        superuser(f"DROP TABLE IF EXISTS public.{TABLE};", database, port)
    superuser(f"DROP DATABASE IF EXISTS {ROLE};\nDROP ROLE IF EXISTS {ROLE}, {ROLE}_made;", port=port)
    return {"databases": sorted(there)}


def postgres_scene(people, secret, port):
    """Give people a password for the network, and make a role whose password the server keeps as md5."""
    names = ", ".join(map(quoted, people))
    rows = superuser(f"SELECT rolname, rolpassword FROM pg_authid WHERE rolname IN ({names})", port=port)
    descriptor = os.open(KEPT, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w") as handle:
        json.dump({row[0]: row[1] if len(row) > 1 else "" for row in rows}, handle)
    md5 = hashlib.md5((secret + ROLE).encode()).hexdigest()
    lines = [f"ALTER ROLE {name(who)} PASSWORD {quoted(secret)};" for who in people]
    superuser("\n".join([*lines, f"CREATE ROLE {ROLE} LOGIN PASSWORD 'md5{md5}';"]), port=port)
    return {"people": [row[0] for row in rows]}


def postgres_facts(port):
    """Roles that may log in, who owns which database, and whose sessions there are."""
    counted = "SELECT usename, count(*) FROM pg_stat_activity WHERE usename IS NOT NULL GROUP BY 1"
    sessions = superuser(counted, port=port)
    owners = "SELECT datname, pg_get_userbyid(datdba) FROM pg_database WHERE datallowconn"
    return {
        "roles": {row[0]: row[1] == "t" for row in superuser("SELECT rolname, rolcanlogin FROM pg_roles", port=port)},
        "owners": dict(superuser(owners, port=port)),
        "sessions": {row[0]: int(row[1]) for row in sessions},
        "settings": dict(
            superuser(
                "SELECT name, setting FROM pg_settings WHERE name IN ('data_checksums', 'ssl', 'password_encryption',"
                " 'archive_mode', 'listen_addresses')",
                port=port,
            )
        ),
    }


def postgres_as(person, attempts, port):
    """As a person over the socket: for each of `attempts` {user, database, statements} the words, or []."""
    entry = account(person)
    if entry is None:
        raise RuntimeError(f"there is no account {person}")

    def work():
        return [
            attempt(one["statements"], host=SOCKET, port=port, user=one["user"], dbname=one["database"])
            for one in attempts
        ]

    return as_person(entry, work)


def postgres_network(attempts, secret, port):
    """Over TCP and TLS with a password: for each of `attempts` {user, database} the words, or []."""
    return [
        attempt(
            ["SELECT 1"], host="127.0.0.1", port=port, user=one["user"], dbname=one["database"], password=secret,
            sslmode="require",
        )
        for one in attempts
    ]  # fmt: skip


def postgres_many(person, count, port):
    """How many sessions a person could open at once, of `count` tried, and with which words the next was refused."""
    entry = account(person)

    def work():
        driver = importlib.import_module("psycopg2")
        held = []
        try:
            for _ in range(count):
                held.append(connected(host=SOCKET, port=port, user=person, dbname=person))
        except driver.Error as exc:
            return {"opened": len(held), "words": " ".join(str(exc).split())[:300]}
        finally:
            for one in held:
                one.close()
        return {"opened": len(held), "words": ""}

    return as_person(entry, work)


def postgres_greeting(user, database, tls, port):
    """What the server wants of a client that has named itself: {wants} or {refused}; tls: whether TLS comes first."""
    with socket.create_connection(("127.0.0.1", port), 10) as plain:
        wire = secured(plain, "localhost", verify=False) if tls else plain
        fields = b"".join(part.encode() + b"\0" for part in ("user", user, "database", database))
        body = struct.pack("!I", VERSION_3) + fields + b"\0"
        wire.sendall(struct.pack("!I", len(body) + 4) + body)
        kind, length = struct.unpack("!cI", exactly(wire, 5))
        body = exactly(wire, length - 4)
    if kind == b"R":
        code = struct.unpack("!I", body[:4])[0]
        return {"wants": AUTHENTICATION.get(code, f"authentication {code}")}
    parts = {part[:1].decode(): part[1:].decode(errors="replace") for part in body.split(b"\0") if part}
    return {"refused": f"{parts.get('C')} {parts.get('M')}"} if kind == b"E" else {"wants": f"message {kind!r}"}


def postgres_certificate(hostname, port):
    """Whether a client that checks finds the server to be `hostname`: {trusted: words, or null}."""
    with socket.create_connection(("127.0.0.1", port), 10) as plain:
        try:
            secured(plain, hostname, verify=True)
        except ssl.SSLCertVerificationError as exc:
            return {"trusted": None, "words": exc.verify_message}
    return {"trusted": hostname, "words": ""}


def secured(plain, hostname, verify):
    plain.sendall(SSL_REQUEST)
    answer = exactly(plain, 1)
    if answer != b"S":
        raise RuntimeError(f"the server has no TLS: it answers {answer!r}")
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(plain, server_hostname=hostname)


def exactly(wire, count):
    data = b""
    while len(data) < count:
        block = wire.recv(count - len(data))
        if not block:
            raise RuntimeError("the server has closed the connection without a word")
        data += block
    return data


def postgres_share(writer, reader, other, database, port):
    """What a writer makes in a project, tried by others of it: {made, read, wrote, shared} with words, or []."""
    found = {}
    steps = (
        ("made", writer, [f"CREATE TABLE public.{TABLE} (n int)", f"INSERT INTO public.{TABLE} VALUES (1)"]),
        ("read", reader, [f"SELECT n FROM public.{TABLE}"]),
        ("wrote", reader, [f"INSERT INTO public.{TABLE} VALUES (2)"]),
        ("created", reader, [f"CREATE TABLE public.{TABLE}_reader (n int)"]),
        ("shared", other, [f"ALTER TABLE public.{TABLE} ADD m int"]),
    )
    for key, who, statements in steps:
        if who:
            tried = [{"user": who, "database": database, "statements": statements}]
            found[key] = postgres_as(who, tried, port)[0]
    superuser(f"DROP TABLE IF EXISTS public.{TABLE}; DROP TABLE IF EXISTS public.{TABLE}_reader;", database, port)
    return found


ACTIONS.update(
    {
        f.__name__: f
        for f in (
            postgres_clean,
            postgres_scene,
            postgres_facts,
            postgres_as,
            postgres_network,
            postgres_many,
            postgres_greeting,
            postgres_certificate,
            postgres_share,
        )
    }
)
