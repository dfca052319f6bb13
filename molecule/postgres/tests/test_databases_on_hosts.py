# SPDX-License-Identifier: GPL-3.0-or-later
"""What the server says after the role has run, and the tests of the core that need one, on each host's own version."""

from __future__ import annotations

import io
import shlex
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from target import Target

pytestmark = pytest.mark.role("postgres")

PROJECT = Path(__file__).resolve().parents[3]
SPOOL = "/var/lib/lyceum/postgres/wal"
ARCHIVE = "/usr/local/lib/lyceum/postgres/archive-wal"
# Where the core and its tests are for as long as they run: below a package of the name that the tests import.
WORK = "/root/lyceum-unit-tests"


def rows(target: Target, statement: str, database: str = "postgres") -> list[list[str]]:
    text = target.host.check_output("psql -XAtF '|' -U postgres -d %s -c %s", database, statement)
    return [line.split("|") for line in text.splitlines()]


def setting(target: Target, name: str) -> str:
    return rows(target, f"SHOW {name}")[0][0]


def people(target: Target, state: str) -> list[str]:
    roles: list[dict[str, Any]] = target.plan["postgres"]["roles"]
    found = [role["name"] for role in roles if role["kind"] == "person" and role["state"] == state]
    assert found, f"inventories/lab has nobody with a database who is {state}, so that nothing is tested"
    return found


def test_the_server_is_what_the_role_says(target: Target) -> None:
    wanted = {
        "data_checksums": "on",
        "password_encryption": "scram-sha-256",
        "ssl": "on",
        "ssl_key_file": "/etc/lyceum/certificates/postgres/key.pem",
        "ssl_min_protocol_version": "TLSv1.2",
        "server_encoding": "UTF8",
        "archive_mode": "on",
        "archive_command": "/bin/true",
        "listen_addresses": "localhost",
    }
    assert {name: setting(target, name) for name in wanted} == wanted


def test_every_setting_is_from_the_file_of_the_role_and_none_waits(target: Target) -> None:
    assert rows(target, "SELECT name FROM pg_settings WHERE pending_restart") == []
    assert rows(target, "SELECT name, error FROM pg_file_settings WHERE error IS NOT NULL") == []
    ours = rows(
        target,
        "SELECT f.name, s.sourcefile FROM pg_file_settings f JOIN pg_settings s USING (name)"
        " WHERE f.sourcefile LIKE '%/conf.d/10-lyceum.conf' AND s.sourcefile <> f.sourcefile",
    )
    assert ours == []


def test_the_rules_are_understood_and_let_nobody_in_without_a_good_password(target: Target) -> None:
    assert rows(target, "SELECT line_number, error FROM pg_hba_file_rules WHERE error IS NOT NULL") == []
    methods = {row[0] for row in rows(target, "SELECT DISTINCT auth_method FROM pg_hba_file_rules")}
    assert methods == {"peer", "reject", "scram-sha-256"}
    plain = "SELECT line_number FROM pg_hba_file_rules WHERE auth_method = 'scram-sha-256' AND type <> 'hostssl'"
    assert rows(target, plain) == []


def test_nobody_but_the_server_and_root_reads_the_rules(target: Target) -> None:
    folder = str(Path(setting(target, "hba_file")).parent)
    for name in ("pg_hba.conf", "pg_ident.conf", "conf.d/10-lyceum.conf"):
        file = target.host.file(f"{folder}/{name}")
        assert (file.user, file.group, file.mode) == ("root", "postgres", 0o640)


def test_everybody_present_has_a_database_with_nobody_else_in_it(target: Target) -> None:
    found = dict(rows(target, "SELECT datname, pg_get_userbyid(datdba) FROM pg_database"))
    for name in people(target, "present"):
        assert found[name] == name
    open_ = "SELECT datname FROM pg_database WHERE datallowconn AND has_database_privilege('public', oid, 'CONNECT')"
    assert rows(target, open_) == []


def test_nobody_suspended_or_absent_gets_in(target: Target) -> None:
    able = {row[0] for row in rows(target, "SELECT rolname FROM pg_roles WHERE rolcanlogin")}
    assert able & {*people(target, "suspended"), *people(target, "absent")} == set()


def test_the_server_starts_with_the_machine(target: Target) -> None:
    assert target.host.service("postgresql").is_enabled
    assert target.host.service("postgresql").is_running


def test_pieces_of_the_log_are_archived_once_and_never_overwritten(target: Target) -> None:
    def archive(content: str) -> int:
        target.host.check_output("printf %%s %s > /tmp/lyceum-piece", content)
        command = f"runuser -u postgres -- {ARCHIVE} /tmp/lyceum-piece 00000001000000000000ffff"
        return int(target.host.run(command).rc)

    piece = target.host.file(f"{SPOOL}/00000001000000000000ffff")
    try:
        assert archive("first") == 0
        assert (piece.content_string, piece.user, piece.mode) == ("first", "postgres", 0o600)
        assert archive("first") == 0
        assert archive("second") != 0
        assert piece.content_string == "first"
    finally:
        target.host.check_output("rm -f /tmp/lyceum-piece %s", str(piece.path))


def test_the_unit_tests_that_need_a_server(target: Target) -> None:
    """All of them, with this release's Python and PostgreSQL, in a cluster of their own; none may be skipped."""
    target.host.check_output("apt-get install -qy --no-install-recommends python3-pytest python3-hypothesis openssl")
    words = [*target.shared, f"rm -rf {WORK} && mkdir -m 0700 {WORK} && tar -xC {WORK}"]
    subprocess.run(words, input=packed(), check=True, capture_output=True)
    command = shlex.join(["python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore", "tests/postgres"])
    try:
        done = subprocess.run(
            [*target.shared, f"cd {WORK} && PYTHONDONTWRITEBYTECODE=1 PYTHONPATH={WORK} {command}"],
            capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip
    finally:
        target.host.check_output("rm -rf %s", WORK)
    assert done.returncode == 0, done.stdout[-5000:]
    assert "passed" in done.stdout
    assert "skipped" not in done.stdout


def packed() -> bytes:
    """The core as ansible.module_utils.lyceum, and its tests beside it, as a tar."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in ("ansible/__init__.py", "ansible/module_utils/__init__.py", "tests/__init__.py"):
            tar.addfile(tarfile.TarInfo(name))
        core = PROJECT / "module_utils/lyceum"
        for path in [*core.glob("*.py"), *(core / "postgres").glob("*.py")]:
            tar.add(path, f"ansible/module_utils/lyceum/{path.relative_to(core)}")
        for path in (PROJECT / "tests/unit/module_utils/postgres").glob("*.py"):
            tar.add(path, f"tests/postgres/{path.name}")
    return buffer.getvalue()
