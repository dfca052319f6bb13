# SPDX-License-Identifier: GPL-3.0-or-later
"""The module from its parameters to its result, against a real server."""

from __future__ import annotations

from typing import Any

import postgres_config
import pytest

from ..module_utils.postgres.conftest import HBA, PORT, Cluster, cluster, running  # noqa: F401
from ..module_utils.postgres.test_config import IDENT, Unit, unit  # noqa: F401
from .runner import run_module

KEYS = {"changed", "actions", "pending_restart", "data_checksums", "version", "lyceum", "failed"}


def params(one: Cluster, **values: Any) -> dict[str, Any]:
    return {
        "directory": str(one.conf),
        "programs": str(one.bin),
        "unit": "postgresql@x-main.service",
        "settings": {"work_mem": "9MB"},
        "hba": HBA,
        "ident": IDENT,
        "group": one.user or "root",
        "socket_directory": str(one.folder),
        "port": PORT,
        **values,
    }


def test_check_apply_check_apply(
    cluster: Cluster,  # noqa: F811
    unit: Unit,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    results = [
        run_module(postgres_config, capsys, params(cluster), check=check, diff=True)
        for check in (True, False, True, False)
    ]
    assert [result["changed"] for result in results] == [True, True, False, False]
    assert [set(result) - {"invocation", "diff"} for result in results] == [KEYS] * 4
    assert results[0]["actions"] == results[1]["actions"]
    assert results[1]["version"] >= 140000
    assert cluster.sql("SHOW work_mem") == [("9MB",)]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"settings": {"work_mem": "much"}}, 'invalid value for parameter "work_mem": "much"'),
        ({"settings": {"a b": "c"}}, "postgres_settings: 'a b' is not the name of a setting"),
        (
            {"hba": "local all all nonsense\n"},
            'pg_hba.conf, line 1 (local all all nonsense): invalid authentication method "nonsense"',
        ),
    ],
    ids=str,
)
def test_invalid_input(
    cluster: Cluster,  # noqa: F811
    unit: Unit,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
    values: dict[str, Any],
    message: str,
) -> None:
    result = run_module(postgres_config, capsys, params(cluster, **values))
    assert result["failed"] is True
    assert message in result["msg"]
    assert (cluster.conf / "pg_hba.conf").read_text() == HBA
