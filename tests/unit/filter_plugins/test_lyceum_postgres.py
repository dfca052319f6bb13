# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters translate; what they compute is tested with the core."""

from __future__ import annotations

import lyceum_postgres
import pytest
from ansible.errors import AnsibleFilterError


def test_all_filters_are_registered() -> None:
    names = set(lyceum_postgres.FilterModule().filters())
    assert names == {"postgres_hba", "postgres_ident", "postgres_report", "postgres_tuning"}


def test_what_the_core_says_is_passed_on() -> None:
    assert lyceum_postgres.postgres_tuning(4096, 4, 100)["shared_buffers"] == "1024MB"
    assert "hostssl all all ::1/128 scram-sha-256\n" in lyceum_postgres.postgres_hba(["::1/128"], [])
    assert lyceum_postgres.postgres_ident("postgres").endswith("admin postgres postgres\n")
    with pytest.raises(AnsibleFilterError, match="PostgreSQL needs 128 MiB"):
        lyceum_postgres.postgres_tuning(1, 1, 100)
    with pytest.raises(AnsibleFilterError, match="the method is one of"):
        lyceum_postgres.postgres_hba([], [{"address": "all", "method": "trust"}])


def test_the_report() -> None:
    server = {
        "version": "17",
        "max_connections": 9,
        "data_checksums": True,
        "checksum_failures": 0,
        "archive_fails": False,
    }
    (section,) = lyceum_postgres.postgres_report({"server": server, "databases": []}, [])
    assert section["title"] == "PostgreSQL"
