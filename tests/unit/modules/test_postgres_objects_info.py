# SPDX-License-Identifier: GPL-3.0-or-later
"""The module from its parameters to its result, against a real server."""

from __future__ import annotations

from pathlib import Path

import postgres_objects_info
import pytest
from ansible.module_utils.lyceum.postgres import connection

from ..module_utils.postgres.conftest import PORT, Cluster, cluster, running  # noqa: F401
from .runner import run_module


def test_what_is_there(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    params = {"socket_directory": str(cluster.folder), "port": PORT}
    for check in (True, False):
        result = run_module(postgres_objects_info, capsys, params, check=check)
        assert (result["changed"], [one["name"] for one in result["databases"]]) == (False, ["postgres"])
        assert result["server"]["max_connections"] == 60


def test_nobody_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("psycopg2")
    monkeypatch.setattr(connection, "_not_ready", lambda _exc: False)
    result = run_module(postgres_objects_info, capsys, {"socket_directory": str(tmp_path)})
    assert result["failed"] is True
    assert result["msg"].startswith("Cannot connect to the database postgres")
