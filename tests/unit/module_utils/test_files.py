# SPDX-License-Identifier: GPL-3.0-or-later
"""Files are old or new, never half, and nothing is left beside them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from ansible.module_utils.lyceum import files
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.files import flush_file_system, write_all_atomically, write_atomically


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o640])
@pytest.mark.parametrize("existing", [None, b"old", b"a much longer old content"])
def test_content_and_mode_are_exact_whatever_the_umask(tmp_path: Path, mode: int, existing: bytes | None) -> None:
    path = tmp_path / "file"
    if existing is not None:
        path.write_bytes(existing)
        path.chmod(0o666)
    old = os.umask(0o077)
    try:
        write_atomically(path, b"new \xff\0", mode)
    finally:
        os.umask(old)
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"new \xff\0", mode)
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_a_link_is_replaced_and_its_target_left_alone(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("kept")
    (tmp_path / "file").symlink_to("target")
    (tmp_path / ".file.lyceum").symlink_to("target")
    write_atomically(tmp_path / "file", b"new", 0o600)
    assert (tmp_path / "target").read_text() == "kept"
    assert not (tmp_path / "file").is_symlink()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["file", "target"]


@pytest.mark.parametrize("call", ["fchmod", "fsync"])
def test_a_failed_write_keeps_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    (tmp_path / "file").write_text("old")

    def fail(*_args: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(LyceumError, match=r"cannot write .*/file: No space left on device"):
        write_atomically(tmp_path / "file", b"new", 0o600)
    assert (tmp_path / "file").read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_a_failed_rename_is_named_and_tidied(tmp_path: Path) -> None:
    (tmp_path / "directory/inside").mkdir(parents=True)
    with pytest.raises(LyceumError, match=r"cannot write .*/directory: Is a directory"):
        write_atomically(tmp_path / "directory", b"new", 0o600)
    assert [one.name for one in tmp_path.iterdir()] == ["directory"]


def test_one_failure_among_many_stops_no_other(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    contents = {
        tmp_path / "a": b"1",
        tmp_path / "missing" / "b": b"2",
        tmp_path / "directory": b"3",
        tmp_path / "c": b"4",
    }
    failures = write_all_atomically(contents, 0o600)
    assert failures == {
        tmp_path / "missing" / "b": f"cannot write {tmp_path}/missing/b: No such file or directory",
        tmp_path / "directory": f"cannot write {tmp_path}/directory: Is a directory",
    }
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir() if one.is_file()} == {"a": b"1", "c": b"4"}


@pytest.mark.parametrize(("count", "flushes", "syncs"), [(0, 0, 0), (1, 0, 1), (3, 1, 0)])
def test_many_files_cost_one_flush(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, flushes: int, syncs: int
) -> None:
    seen: list[object] = []
    monkeypatch.setattr(files, "flush_file_system", lambda directory: seen.append(directory))
    monkeypatch.setattr(os, "fsync", lambda descriptor: seen.append(descriptor))
    contents = {tmp_path / str(number): b"x" for number in range(count)}
    assert write_all_atomically(contents, 0o600) == {}
    assert seen.count(tmp_path) == flushes
    assert sum(isinstance(one, int) for one in seen) == syncs
    assert len(list(tmp_path.iterdir())) == count


def test_flushing_a_file_system_really_calls_the_kernel(tmp_path: Path) -> None:
    flush_file_system(tmp_path)
    with pytest.raises(OSError, match="No such file"):
        flush_file_system(tmp_path / "missing")
