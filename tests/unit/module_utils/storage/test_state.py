# SPDX-License-Identifier: GPL-3.0-or-later
"""What is handed out can be read by its person and nobody else, and survives being killed."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.storage.state import locked, read_usage, write_people, write_usage

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other people")


def test_directories_can_be_passed_but_not_listed_whatever_the_umask(tmp_path: Path) -> None:
    base = tmp_path / "lyceum/storage"
    old = os.umask(0o077)
    try:
        with locked(base, "usage"):
            pass
    finally:
        os.umask(old)
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for path in (base.parent, base, base / "people", base / ".usage.lock")
    }
    assert modes == {"lyceum": 0o755, "storage": 0o711, "people": 0o711, ".usage.lock": 0o600}


def test_runs_wait_for_each_other(tmp_path: Path) -> None:
    order = []
    second = threading.Thread(target=lambda: order.append("second") if _enter(tmp_path / "s") else None)
    with locked(tmp_path / "s", "usage"):
        with locked(tmp_path / "s", "purge"):
            pass
        second.start()
        second.join(0.2)
        order.append("first")
    second.join()
    assert order == ["first", "second"]


def _enter(base: Path) -> bool:
    with locked(base, "usage"):
        return True


def test_usage_is_written_for_the_next_run(tmp_path: Path) -> None:
    assert read_usage(tmp_path) == {}
    write_usage(tmp_path, {"rows": []}, "2026-11-21T11:52:24Z")
    assert read_usage(tmp_path) == {"rows": []}
    assert stat.S_IMODE((tmp_path / "usage.json").stat().st_mode) == 0o600
    assert (tmp_path / "updated").read_text() == "2026-11-21T11:52:24Z\n"
    (tmp_path / "usage.json").write_text("{half")
    with pytest.raises(LyceumError, match=r"usage\.json: .*Remove it; the next run writes it anew\."):
        read_usage(tmp_path)


@needs_root
def test_only_the_person_reads_and_only_changes_are_written(tmp_path: Path) -> None:
    (tmp_path / "people").mkdir()
    contents, owners = {"2001": b"one", "2001.banner": b"two"}, {"2001": 2001, "2001.banner": 2001}
    assert write_people(tmp_path, contents, owners, set()) == []
    for name in contents:
        info = (tmp_path / "people" / name).stat()
        assert (stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid) == (0o640, 0, 2001)
    inodes = {name: (tmp_path / "people" / name).stat().st_ino for name in contents}
    # A run that was killed between writing and handing out.
    os.chown(tmp_path / "people/2001", 0, 0)
    write_people(tmp_path, {**contents, "2001.banner": b"new"}, owners, set())
    assert (tmp_path / "people/2001").stat().st_ino == inodes["2001"]
    assert (tmp_path / "people/2001").stat().st_gid == 2001
    assert (tmp_path / "people/2001.banner").read_bytes() == b"new"


@needs_root
def test_files_of_people_who_are_gone_go(tmp_path: Path) -> None:
    (tmp_path / "people").mkdir()
    for name in ("2006", "2006.banner", "2006.purge", "2001.purge", ".2001.purge.lyceum"):
        (tmp_path / "people" / name).touch()
    write_people(tmp_path, {"2001": b"x"}, {"2001": 2001}, {"2001.purge"})
    assert sorted(path.name for path in (tmp_path / "people").iterdir()) == [".2001.purge.lyceum", "2001", "2001.purge"]
