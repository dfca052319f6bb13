# SPDX-License-Identifier: GPL-3.0-or-later
"""What the report says of PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MOST = 20


def compose(info: Mapping[str, Any], drift: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Sections of the report. info: of postgres_objects_info. drift: of the modules in check mode."""
    server, databases = info["server"], sorted(info["databases"], key=lambda one: -one["bytes"])
    rows = [
        [
            one["name"],
            one["owner"],
            f"{one['bytes'] / 2**20:.1f}",
            str(one["sessions"]),
            "-" if one["connection_limit"] < 0 else str(one["connection_limit"]),
        ]
        for one in databases[:MOST]
    ]
    notes = [f"PostgreSQL {server['version']}, {sum(one['sessions'] for one in databases)} sessions"]
    notes[0] += f" of {server['max_connections']}, {sum(one['bytes'] for one in databases) / 2**30:.2f} GiB in all"
    if len(databases) > MOST:
        notes.append(f"{len(databases) - MOST} smaller databases are left out")
    if not server["data_checksums"]:
        notes.append("no data checksums: what a disk spoils stays unnoticed")
    if server["checksum_failures"]:
        notes.append(
            f"{server['checksum_failures']} pages were found spoilt: restore from the backup, replace the disk"
        )
    if server["archive_fails"]:
        notes.append("the last attempt to archive the log failed: the disk fills up until it succeeds")
    notes += [f"a run would: {action}" for one in drift for action in one.get("actions") or ()]
    header = ["database", "owner", "MiB", "sessions", "limit"]
    return [{"title": "PostgreSQL", "header": header, "rows": rows, "notes": notes}]
