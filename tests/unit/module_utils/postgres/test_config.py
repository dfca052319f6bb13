# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings and rules of a real server: they come true, or the old ones are back."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import CommandError, LyceumError
from ansible.module_utils.lyceum.postgres import config, hba
from ansible.module_utils.lyceum.postgres.connection import Server

from .conftest import HBA, Cluster

IDENT = "admin root postgres\nadmin postgres postgres\n"


class Unit:
    """systemctl, with the cluster of the tests for a unit."""

    def __init__(self, one: Cluster) -> None:
        self.one, self.calls = one, [""][:0]

    def __call__(self, verb: str, _unit: str) -> None:
        self.calls.append(verb)
        try:
            self.one.control(verb)
        except AssertionError as exc:
            raise CommandError(f"systemctl {verb} failed") from exc


@pytest.fixture
def unit(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Unit]:
    """The configuration is as it was before, afterwards."""
    files = {name: (cluster.conf / name).read_text() for name in (config.HBA, config.IDENT)}
    one = Unit(cluster)
    monkeypatch.setattr(config, "_systemctl", one)
    yield one
    (cluster.conf / config.DROPIN).unlink(missing_ok=True)
    for name, text in files.items():
        (cluster.conf / name).write_text(text)
        (cluster.conf / name).chmod(0o644)
    cluster.control("restart")


def wanted(one: Cluster, **values: Any) -> config.Desired:
    params = {
        "directory": str(one.conf),
        "programs": str(one.bin),
        "unit": "postgresql@x-main",
        "socket_directory": str(one.folder),
        "port": one.server.port,
        "superuser": "postgres",
        "settings": {"work_mem": "9MB", "log_connections": True},
        "hba": HBA,
        "ident": IDENT,
        "restart": True,
        "group": one.user or "root",
        **values,
    }
    return config.Desired.from_params(params)


def settings(one: Cluster, *names: str) -> list[str]:
    return [one.sql(f"SHOW {name}")[0][0] for name in names]


def certify(one: Cluster, key: str, certificate: str) -> None:
    words = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    subprocess.run([*words, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    for path in (key, certificate):
        shutil.chown(path, one.user or os.geteuid())


def test_check_apply_check_apply(cluster: Cluster, unit: Unit) -> None:
    first = config.run(wanted(cluster), check=True)
    assert not (cluster.conf / config.DROPIN).exists()
    second = config.run(wanted(cluster), check=False)
    assert second.actions == first.actions
    assert f"create {cluster.conf / config.DROPIN}" in second.actions
    assert settings(cluster, "work_mem", "log_connections") == ["9MB", "on"]
    assert config.run(wanted(cluster), check=True).actions == []
    assert config.run(wanted(cluster), check=False).actions == []
    assert unit.calls == []
    info = (cluster.conf / config.HBA).stat()
    assert (info.st_uid, info.st_mode & 0o7777) == (os.geteuid(), 0o640)


def test_the_rules_of_the_role_are_understood(cluster: Cluster, unit: Unit) -> None:
    rules = [
        {
            "address": "10.0.0.0/8",
            "users": ["+a b"],
            "method": "ldap",
            "options": {"ldapserver": "l", "ldapprefix": "uid="},
        }
    ]
    files = {"ssl_key_file": str(cluster.folder / "key.pem"), "ssl_cert_file": str(cluster.folder / "cert.pem")}
    certify(cluster, *files.values())
    text = hba.hba(["::1/128"], rules)
    with pytest.raises(LyceumError, match="hostssl record cannot match because SSL is disabled"):
        config.run(wanted(cluster, hba=text), check=False)
    # Both at once: TLS is on before the rule for it is read.
    config.run(wanted(cluster, settings={"ssl": True, **files}, hba=text, ident=hba.ident()), check=False)
    found = cluster.sql("SELECT type, auth_method FROM pg_hba_file_rules WHERE error IS NULL")
    assert len(found) == 7
    assert ("hostssl", "scram-sha-256") in found
    assert unit.calls == []


def test_a_restart_where_one_is_needed(cluster: Cluster, unit: Unit) -> None:
    desired = wanted(cluster, settings={"shared_buffers": "20MB"})
    done = config.run(desired, check=False)
    assert settings(cluster, "shared_buffers") == ["20MB"]
    assert (unit.calls, done.after.pending) == (["restart"], ())
    assert config.run(desired, check=False).actions == []


def test_a_restart_that_is_not_wanted_is_told(cluster: Cluster, unit: Unit) -> None:
    desired = wanted(cluster, settings={"shared_buffers": "21MB"}, restart=False)
    done = config.run(desired, check=False)
    assert (unit.calls, done.after.pending) == ([], ("shared_buffers",))
    again = config.run(desired, check=False)
    assert (again.actions, config.result(again, with_diff=False)["pending_restart"]) == ([], ["shared_buffers"])
    assert config.run(replace(desired, restart=True), check=False).actions == [
        "restart postgresql@x-main: shared_buffers cannot be changed otherwise"
    ]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"work_memory": "1MB"}, 'unrecognized configuration parameter "work_memory"'),
        ({"work_mem": "much"}, 'invalid value for parameter "work_mem": "much"'),
        ({"shared_buffers": "-4"}, "-4 8kB is outside the valid range for parameter"),
    ],
    ids=str,
)
def test_bad_settings_change_nothing(cluster: Cluster, unit: Unit, values: dict[str, str], message: str) -> None:
    config.run(wanted(cluster), check=False)
    before = (cluster.conf / config.DROPIN).read_text()
    with pytest.raises(LyceumError) as told:
        config.run(wanted(cluster, settings=values, hba="local all all peer\n"), check=False)
    assert str(told.value).startswith("PostgreSQL refuses the settings: ")
    assert message in str(told.value)
    assert str(told.value).endswith("Nothing was changed.")
    assert (cluster.conf / config.DROPIN).read_text() == before
    assert (cluster.conf / config.HBA).read_text() == HBA
    assert unit.calls == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"hba": HBA + "local all all nonsense\n"},
            'pg_hba.conf, line 3 (local all all nonsense): invalid authentication method "nonsense"',
        ),
        ({"ident": IDENT + "admin /( postgres\n"}, "pg_ident.conf, line 3 (admin /( postgres): "),
    ],
    ids=["hba", "ident"],
)
def test_bad_rules_are_taken_back(cluster: Cluster, unit: Unit, values: dict[str, str], message: str) -> None:
    config.run(wanted(cluster), check=False)
    with pytest.raises(LyceumError) as told:
        config.run(wanted(cluster, **values), check=False)
    assert message in str(told.value)
    assert str(told.value).endswith(". The old configuration is back.")
    assert (cluster.conf / config.HBA).read_text() == HBA
    assert (cluster.conf / config.IDENT).read_text() == IDENT
    assert cluster.sql("SELECT 1") == [(1,)]


def test_a_server_that_does_not_come_up_does_so_again_with_the_old(cluster: Cluster, unit: Unit) -> None:
    config.run(wanted(cluster), check=False)
    # Right by itself, but there is no such library.
    with pytest.raises(LyceumError) as told:
        config.run(wanted(cluster, settings={"shared_preload_libraries": "nowhere"}), check=False)
    assert str(told.value) == "systemctl restart failed. The old configuration is back."
    assert unit.calls == ["restart", "restart"]
    assert settings(cluster, "work_mem", "shared_preload_libraries") == ["9MB", ""]


def test_a_server_that_is_stopped_is_started(cluster: Cluster, unit: Unit) -> None:
    cluster.stop()
    (cluster.server.socket).unlink(missing_ok=True)
    done = config.run(wanted(cluster), check=False)
    assert done.actions[-1] == "start postgresql@x-main"
    assert settings(cluster, "work_mem") == ["9MB"]


def test_what_a_killed_run_left_unread_is_read(cluster: Cluster, unit: Unit) -> None:
    desired = wanted(cluster)
    config.run(desired, check=False)
    time.sleep(0.05)
    config._write(desired, desired.files)
    assert config.run(desired, check=False).actions == [
        "have the server read its configuration: an earlier run was interrupted before that"
    ]
    assert config.run(desired, check=False).actions == []


def test_a_setting_that_wins_from_elsewhere_is_told(cluster: Cluster, unit: Unit) -> None:
    cluster.sql("ALTER SYSTEM SET work_mem = '8MB'", "SELECT pg_reload_conf()")
    try:
        found = config.result(config.run(wanted(cluster), check=False), with_diff=True)
        assert found["lyceum"]["conflicts"][0] == (
            f"PostgreSQL: work_mem is set elsewhere ({cluster.data}/postgresql.auto.conf), which wins:"
            " take it out there"
        )
        assert "data checksums" in found["lyceum"]["conflicts"][1]
        assert found["data_checksums"] is False
        assert any("work_mem = '9MB'" in one["after"] for one in found["diff"])
    finally:
        cluster.sql("ALTER SYSTEM RESET work_mem", "SELECT pg_reload_conf()")


def test_on_a_host_without_a_server_everything_would_be_new(tmp_path: Path) -> None:
    desired = config.Desired(tmp_path, tmp_path, "postgresql@17-main", Server(tmp_path), {config.HBA: "x"}, ())
    assert config.run(desired, check=True).actions == [f"create {tmp_path / config.HBA}", "start postgresql@17-main"]


def test_rendering() -> None:
    text = config.render({"ssl": True, "work_mem": "4MB", "max_connections": 10, "archive_command": "test '%p' \\x"})
    assert text.splitlines()[1:] == [
        "ssl = 'on'",
        "work_mem = '4MB'",
        "max_connections = '10'",
        "archive_command = 'test ''%p'' \\\\x'",
    ]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"a b": "x"}, "postgres_settings: 'a b' is not the name of a setting"),
        ({"x": "1\nport = 1"}, "postgres_settings: x: '1\\nport = 1' has a control character in it"),
    ],
)
def test_what_cannot_be_written_down(values: dict[str, str], message: str) -> None:
    with pytest.raises(LyceumError) as told:
        config.render(values)
    assert str(told.value) == message
