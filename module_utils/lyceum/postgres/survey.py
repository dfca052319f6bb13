# SPDX-License-Identifier: GPL-3.0-or-later
"""What people use of a server: sizes, sessions, and how the archive of the log does. Reads only."""

from __future__ import annotations

from typing import Any

from .connection import Server, session

_DATABASES = """
SELECT d.datname::text, pg_get_userbyid(d.datdba)::text, pg_database_size(d.oid)::bigint, d.datconnlimit,
       (SELECT count(*) FROM pg_stat_activity s WHERE s.datid = d.oid AND s.backend_type = 'client backend')
  FROM pg_database d WHERE NOT d.datistemplate ORDER BY 1
"""
_SERVER = """
SELECT current_setting('server_version'), current_setting('data_checksums') = 'on', current_setting('ssl') = 'on',
       current_setting('max_connections')::int,
       (SELECT COALESCE(sum(checksum_failures), 0)::bigint FROM pg_stat_database),
       a.archived_count::bigint, a.failed_count::bigint,
       COALESCE(a.last_failed_time > a.last_archived_time, a.failed_count > 0)
  FROM pg_stat_archiver a
"""
_SERVER_KEYS = (
    "version",
    "data_checksums",
    "ssl",
    "max_connections",
    "checksum_failures",
    "archived",
    "archive_failures",
    "archive_fails",
)
_DATABASE_KEYS = ("name", "owner", "bytes", "connection_limit", "sessions")


def survey(server: Server) -> dict[str, Any]:
    """{server, databases}. Raises LyceumError when nobody answers."""
    with session(server) as main:
        found = main.query(_SERVER, {})[0]
        return {
            "server": dict(zip(_SERVER_KEYS, found)),
            "databases": [dict(zip(_DATABASE_KEYS, row)) for row in main.query(_DATABASES, {})],
        }
