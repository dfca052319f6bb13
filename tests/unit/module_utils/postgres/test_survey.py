# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read of a real server."""

from __future__ import annotations

from ansible.module_utils.lyceum.postgres.survey import survey

from .conftest import Cluster, database, desired, role


def test_sizes_and_sessions(cluster: Cluster) -> None:
    cluster.run(desired([role("bchen")], [database("bchen", connection_limit=4)]))
    one = cluster.login("bchen", "bchen")
    found = survey(cluster.server)
    one.close()
    (bchen,) = [entry for entry in found["databases"] if entry["name"] == "bchen"]
    assert bchen.pop("bytes") > 1_000_000
    assert bchen == {"name": "bchen", "owner": "bchen", "connection_limit": 4, "sessions": 1}
    assert found["server"]["data_checksums"] is False
    assert found["server"]["max_connections"] == 60
    assert found["server"]["archive_fails"] is False
