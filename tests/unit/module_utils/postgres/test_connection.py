# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections, and what is said when there is none."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.postgres import connection
from ansible.module_utils.lyceum.postgres.connection import Server

from .conftest import Cluster


def test_the_caller_is_who_it_was_again(cluster: Cluster) -> None:
    before = os.geteuid()
    with connection.session(cluster.server) as main:
        assert os.geteuid() == before
        assert main.query("SELECT current_user::text", {}) == [("postgres",)]
    assert os.geteuid() == before


def test_no_server(tmp_path: Path) -> None:
    pytest.importorskip("psycopg2")
    server = Server(tmp_path, seconds=0)
    assert not connection.is_there(server)
    with pytest.raises(LyceumError, match=f"Cannot connect to the database postgres on {server.socket} as postgres: "):
        connection.connect(server)


def test_no_driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing(name: str) -> Any:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(LyceumError) as told:
        connection.connect(Server(tmp_path))
    assert str(told.value) == (
        "Python cannot talk to PostgreSQL here (No module named 'psycopg2'). Install python3-psycopg2."
    )


def test_an_unknown_database_is_not_waited_for(cluster: Cluster) -> None:
    with pytest.raises(LyceumError, match='database "nowhere" does not exist'):
        connection.connect(cluster.server, "nowhere")


def test_a_failure_has_the_servers_words_and_not_the_statement(cluster: Cluster) -> None:
    with connection.session(cluster.server) as main, pytest.raises(LyceumError) as told:
        main.run("ALTER ROLE nobody PASSWORD 'SCRAM-SHA-256$hush'")
    assert str(told.value) == 'role "nobody" does not exist (42704)'


def test_a_syntax_error_does_not_show_the_statement_either(cluster: Cluster) -> None:
    with connection.session(cluster.server) as main, pytest.raises(LyceumError) as told:
        main.run("ALTER ROLE postgres PASSWORT 'hush'")
    assert "hush" not in str(told.value)


def test_what_fails_in_a_transaction_is_undone_alone(cluster: Cluster) -> None:
    with connection.session(cluster.server) as main:
        with main.transaction():
            assert main.attempt(["CREATE ROLE first"]) is None
            assert main.attempt(["CREATE ROLE second", "CREATE ROLE first"]) == 'role "first" already exists (42710)'
            assert main.attempt(["CREATE ROLE third"]) is None
        found = main.query("SELECT rolname::text FROM pg_roles WHERE rolname IN ('first', 'second', 'third')", {})
        assert sorted(found) == [("first",), ("third",)]


def test_a_transaction_that_is_left_by_an_error_leaves_nothing(cluster: Cluster) -> None:
    with connection.session(cluster.server) as main:
        with pytest.raises(LyceumError), main.transaction():  # noqa: PT012  (the block is what is under test)
            main.run("CREATE ROLE first")
            main.run("CREATE ROLE first")
        assert main.query("SELECT count(*) FROM pg_roles WHERE rolname = 'first'", {}) == [(0,)]
