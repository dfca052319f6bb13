# SPDX-License-Identifier: GPL-3.0-or-later
"""What the report is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible.module_utils.lyceum.acl import info, posix
from ansible.module_utils.lyceum.acl.posix import USER, Entry
from ansible.module_utils.lyceum.errors import LyceumError

from .conftest import FakeNames, needs_root


@needs_root
def test_directories_as_they_are(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    for attribute in posix.ATTRIBUTES:
        os.setxattr(shared, attribute, posix.pack(posix.complete(0o770, [Entry(USER, 5, 2003)])))
    os.chown(shared, 0, 11001)
    shared.chmod(0o2770)
    (tmp_path / "file").write_text("")
    paths = [str(tmp_path / name) for name in ("shared", "file", "missing")]
    acl = ["user::rwx", "user:dlopez:r-x", "group::rwx", "mask::rwx", "other::---"]
    assert info.describe(paths, FakeNames(), usage=False) == [
        {
            "path": paths[0],
            "kind": "a directory",
            "owner": "root",
            "group": "retina",
            "mode": "2770",
            "acl": acl,
            "default_acl": acl,
            "files": None,
            "bytes": None,
            "error": None,
        },
        {
            "path": paths[1],
            "kind": "neither a directory nor a link",
            **dict.fromkeys(["owner", "group", "mode", "files", "bytes", "error"]),
            "acl": [],
            "default_acl": [],
        },
    ]


def test_usage_counts_everything_once(tmp_path: Path) -> None:
    top = tmp_path / "top"
    (top / "folder").mkdir(parents=True)
    (top / "folder/large").write_bytes(os.urandom(100_000))
    os.link(top / "folder/large", top / "again")
    (top / "link").symlink_to(tmp_path)
    (found,) = info.describe([str(top)], FakeNames(), usage=True)
    assert found["files"] == 4
    blocks = sum(path.lstat().st_blocks for path in (top, top / "folder", top / "link", top / "again"))
    assert found["bytes"] == 512 * blocks


def test_what_cannot_be_walked_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_path: Path) -> list[object]:
        raise LyceumError("cannot read x: Input/output error")

    monkeypatch.setattr(info, "walk", fail)
    (found,) = info.describe([str(tmp_path)], FakeNames(), usage=True)
    assert (found["files"], found["error"]) == (None, "cannot read x: Input/output error")
