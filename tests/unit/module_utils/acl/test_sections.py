# SPDX-License-Identifier: GPL-3.0-or-later
"""The report's sections, from what a host said."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.lyceum.acl.sections import sections

ENTRY: dict[str, Any] = {"kind": "a directory", "default_acl": [], "files": None, "bytes": None, "error": None}
FOUND: dict[str, Any] = {
    "projects": [
        {"name": "retina", "gid": 11001, "reason": ""},
        {"name": "old", "gid": 11002, "reason": "not running today"},
    ],
    "shared": [
        {
            **ENTRY,
            "path": "/srv/projects/.gid/11001",
            "owner": "root",
            "group": "retina",
            "mode": "2770",
            "acl": ["user::rwx", "user:dlopez:r-x", "group::rwx", "mask::rwx", "other::---"],
        },
        {
            **ENTRY,
            "path": "/srv/collaborative",
            "owner": "root",
            "group": "lyceum-people",
            "mode": "2770",
            "acl": ["user::rwx", "group::rwx", "other::---"],
        },
    ],
    "sealed": [
        {**ENTRY, "path": "/srv/projects/.gid/11002", "files": 12, "bytes": 3 * 2**30},
        {**ENTRY, "path": "/srv/scratch/fmoreau", "error": "cannot read /srv/scratch/fmoreau/x: Input/output error"},
    ],
    "archives": [{"path": "/var/backups/lyceum/homes/fmoreau-2006.tar.zst", "size": 1000, "mtime": 1795260253.5}],
    "drift": ["/srv: mode 0755 -> 0711"],
    "unmanaged": ["/srv/projects/stray"],
    "blocked": "",
    "share": {
        "finished": 1795260253.5,
        "seconds": 0.25,
        "problems": ["there is no directory /srv/gone"],
        "trees": {
            "/srv/projects/.gid/11001": {
                "looked_at": 120, "wrong": 3, "mended": 3, "left": 1, "examples": ["/srv/x: elsewhere"],
            }
        },
    },
}  # fmt: skip


def by_title(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {section["title"]: section for section in sections(found)}


def test_shared_directories_and_the_last_look_at_their_files() -> None:
    section = by_title(FOUND)["Shared directories"]
    assert section["rows"] == [
        ["/srv/projects/.gid/11001", "retina", "root:retina 2770", "user:dlopez:r-x", "120"],
        ["/srv/collaborative", "-", "root:lyceum-people 2770", "-", "-"],
    ]
    assert section["notes"] == [
        "last look at their files 2026-11-21 11:24 UTC, 0.2 s, 3 shared anew",
        "there is no directory /srv/gone",
        "/srv/projects/.gid/11001: 1 left alone: /srv/x: elsewhere",
    ]


def test_sealed_directories_with_their_size() -> None:
    section = by_title(FOUND)["Sealed directories (for root alone)"]
    assert section["rows"] == [
        ["/srv/projects/.gid/11002", "project old: not running today", "3.0", "12"],
        ["/srv/scratch/fmoreau", "left or no longer entitled", "-", "-"],
    ]
    assert section["notes"] == ["/srv/scratch/fmoreau: cannot read /srv/scratch/fmoreau/x: Input/output error"]


def test_archives_and_drift() -> None:
    found = by_title(FOUND)
    assert found["Archives of people who left"]["rows"] == [
        ["/var/backups/lyceum/homes/fmoreau-2006.tar.zst", "<0.1", "2026-11-21"]
    ]
    assert found["Drift of shared directories"]["notes"] == [
        "/srv: mode 0755 -> 0711",
        "not in the registry: /srv/projects/stray",
    ]


def test_a_host_where_nothing_was_found() -> None:
    nothing = {key: [] for key in FOUND} | {"blocked": "/srv is a link", "share": {}}
    found = by_title(nothing)
    assert all(section["rows"] == [] for section in found.values())
    assert [note for section in found.values() for note in section["notes"]] == ["unknown: /srv is a link"]
    assert all(len(row) == len(section["header"]) for section in sections(FOUND) for row in section["rows"])
