# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of the report."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.lyceum.postgres.sections import compose

SERVER = {
    "version": "17.6", "data_checksums": True, "ssl": True, "max_connections": 100, "checksum_failures": 0,
    "archived": 3, "archive_failures": 0, "archive_fails": False,
}  # fmt: skip


def entry(name: str, size: int, **values: Any) -> dict[str, Any]:
    return {"name": name, "owner": name, "bytes": size, "connection_limit": -1, "sessions": 0, **values}


def test_the_largest_come_first() -> None:
    databases = [entry("a", 2**20), entry("b", 3 * 2**20, sessions=2, connection_limit=5)]
    (found,) = compose({"server": SERVER, "databases": databases}, [{"actions": ["a: create the role"]}])
    assert found["rows"] == [["b", "b", "3.0", "2", "5"], ["a", "a", "1.0", "0", "-"]]
    assert found["notes"] == ["PostgreSQL 17.6, 2 sessions of 100, 0.00 GiB in all", "a run would: a: create the role"]
    assert len(found["header"]) == 5


def test_what_needs_somebody() -> None:
    bad = {**SERVER, "data_checksums": False, "checksum_failures": 2, "archive_fails": True}
    (found,) = compose({"server": bad, "databases": [entry(str(number), 1) for number in range(25)]}, [])
    assert len(found["rows"]) == 20
    assert found["notes"][1:] == [
        "5 smaller databases are left out",
        "no data checksums: what a disk spoils stays unnoticed",
        "2 pages were found spoilt: restore from the backup, replace the disk",
        "the last attempt to archive the log failed: the disk fills up until it succeeds",
    ]
