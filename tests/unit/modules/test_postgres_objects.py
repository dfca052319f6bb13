# SPDX-License-Identifier: GPL-3.0-or-later
"""The module from its parameters to its result, against a real server."""

from __future__ import annotations

import json
from typing import Any

import postgres_objects
import pytest

from ..module_utils.postgres.conftest import PORT, Cluster, cluster, running, state  # noqa: F401
from .runner import run_module

KEYS = {"changed", "actions", "lyceum", "failed"}
SECRET = "a password in clear"  # noqa: S105


def params(one: Cluster, **values: Any) -> dict[str, Any]:
    return {
        "roles": [{"name": "bchen"}, {"name": "gitea", "kind": "service", "password": SECRET}],
        "databases": [{"name": "bchen", "owner": "bchen"}, {"name": "gitea", "owner": "gitea"}],
        "socket_directory": str(one.folder),
        "port": PORT,
        **values,
    }


def test_check_apply_check_apply(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    before = state(cluster)
    results = []
    for check in (True, False, True, False):
        results.append(run_module(postgres_objects, capsys, params(cluster), check=check, diff=True))
        if len(results) == 1:
            assert state(cluster) == before
    assert [result["changed"] for result in results] == [True, True, False, False]
    assert [set(result) - {"invocation", "diff"} for result in results] == [KEYS] * 4
    assert results[0]["actions"] == results[1]["actions"]
    assert results[3]["lyceum"]["unchanged"] == ["bchen"]
    assert SECRET not in json.dumps(results)


def test_absent(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    run_module(postgres_objects, capsys, params(cluster))
    gone = {
        "roles": [{"name": "bchen", "state": "absent", "reason": "left"}],
        "databases": [{"name": "bchen", "owner": "bchen", "state": "absent"}],
    }
    result = run_module(postgres_objects, capsys, params(cluster, **gone), diff=True)
    assert result["lyceum"]["results"]["bchen"]["result"] == "removed"
    assert result["lyceum"]["unmanaged"] == ["role gitea", "database gitea"]
    assert run_module(postgres_objects, capsys, params(cluster, **gone))["changed"] is False


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"roles": [{"name": "postgres"}]}, "roles: postgres: PostgreSQL keeps this name for itself"),
        (
            {"roles": [{"name": "a", "state": "gone"}]},
            "value of state must be one of: present, suspended, absent, got: gone",
        ),
        ({"only": "nobody"}, "only: nobody is not a person among the roles"),
    ],
    ids=str,
)
def test_invalid_input(
    cluster: Cluster,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
    values: dict[str, Any],
    message: str,
) -> None:
    before = state(cluster)
    result = run_module(postgres_objects, capsys, params(cluster, databases=[], **values))
    assert result["failed"] is True
    assert message in result["msg"]
    assert state(cluster) == before


def test_one_failure_is_told_and_the_others_are_there(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    cluster.sql("CREATE ROLE webapp", "CREATE DATABASE bchen OWNER webapp")
    result = run_module(postgres_objects, capsys, params(cluster))
    assert result["failed"] is True
    assert result["msg"].startswith("bchen: the database bchen belongs to webapp")
    assert result["lyceum"]["results"]["bchen"]["result"] == "failed"
    assert cluster.sql("SELECT 1", user="gitea", database="gitea") == [(1,)]
