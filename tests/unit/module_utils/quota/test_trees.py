# SPDX-License-Identifier: GPL-3.0-or-later
"""A walk sees what is in a tree, and nothing its owner puts in its way."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible.module_utils.lyceum.quota import trees
from ansible.module_utils.lyceum.quota.trees import DIRECTORY, Entry, walk

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts file systems")


def seen(top: Path, step: Callable[[Entry], None] = lambda _entry: None) -> tuple[list[str], list[str]]:
    """Paths in order (a directory that is left ends in /), and complaints. step: done at each entry."""
    complaints: list[str] = []
    found = []
    descriptor = os.open(top, DIRECTORY)
    before = open_files()
    try:
        for entry in walk(descriptor, str(top), complaints.append):
            found.append(f"{entry.path}/" if entry.leaving else entry.path)
            step(entry)
        assert open_files() == before
    finally:
        os.close(descriptor)
    return found, complaints


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  (a Path object would open it itself)


def test_everything_is_seen_directories_before_and_after(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/file").touch()
    (tmp_path / "a/link").symlink_to("/etc")
    os.mkfifo(tmp_path / "a/pipe")
    found, complaints = seen(tmp_path)
    assert sorted(found) == ["a", "a/", "a/b", "a/b/", "a/b/file", "a/link", "a/pipe"]
    assert found.index("a") < found.index("a/b") < found.index("a/b/file") < found.index("a/b/") < found.index("a/")
    assert complaints == []


def test_entries_can_be_acted_on_and_removed(tmp_path: Path) -> None:
    for name in ("x", "y/z"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").touch()

    def remove(entry: Entry) -> None:
        if entry.leaving:
            os.rmdir(entry.name, dir_fd=entry.descriptor)
        elif entry.own is None:
            os.unlink(entry.name, dir_fd=entry.descriptor)

    seen(tmp_path, remove)
    assert list(tmp_path.iterdir()) == []


def test_a_walk_that_ends_early_closes_what_it_opened(tmp_path: Path) -> None:
    (tmp_path / "a/b/c/d").mkdir(parents=True)
    descriptor = os.open(tmp_path, DIRECTORY)
    before = open_files()
    entries = walk(descriptor, str(tmp_path), pytest.fail)
    for _ in range(3):
        next(entries)
    assert open_files() > before
    entries.close()  # type: ignore[attr-defined]
    assert open_files() == before
    os.close(descriptor)


def test_a_directory_that_becomes_a_link_leads_nowhere(tmp_path: Path) -> None:
    """The name is seen as a directory and is a link when it is entered."""
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    (outside / "secret").mkdir(parents=True)
    (tree / "first").mkdir(parents=True)

    def swap(entry: Entry) -> None:
        if entry.path == "first" and not entry.leaving:
            (tree / "first").rename(tmp_path / "moved")
            (tree / "first").symlink_to(outside)
            (tmp_path / "moved/inside").mkdir()

    found, _ = seen(tree, swap)
    # What was opened stays what it was: the moved directory, not the link in its place.
    assert not any("secret" in path for path in found)


def test_swapping_as_fast_as_one_can_never_leads_outside(tmp_path: Path) -> None:
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").touch()
    for number in range(30):
        (tree / f"d{number}").mkdir(parents=True)
        (tree / f"d{number}" / "own").touch()
    (tmp_path / "link").symlink_to(outside)
    stop = threading.Event()

    def attack() -> None:
        while not stop.is_set():
            for number in range(30):
                (tree / f"d{number}").rename(tmp_path / "aside")
                (tmp_path / "link").rename(tree / f"d{number}")
                (tree / f"d{number}").rename(tmp_path / "link")
                (tmp_path / "aside").rename(tree / f"d{number}")

    attacker = threading.Thread(target=attack)
    attacker.start()
    try:
        rounds = [seen(tree)[0] for _ in range(200)]
    finally:
        stop.set()
        attacker.join()
    assert not any("secret" in path for found in rounds for path in found)
    assert any("/own" in path for found in rounds for path in found)


@needs_root
def test_other_file_systems_and_bind_mounts_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "outside/secret").mkdir(parents=True)
    tree = tmp_path / "tree"
    for name in ("other", "bound", "own"):
        (tree / name).mkdir(parents=True)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        # In a mount namespace of its own, so that nothing is left behind whatever happens.
        status = 1
        try:
            import ctypes

            libc = ctypes.CDLL(None, use_errno=True)
            libc.unshare(0x20000)
            libc.mount(b"none", b"/", None, 0x44000, None)
            libc.mount(b"tmpfs", bytes(tree / "other"), b"tmpfs", 0, None)
            libc.mount(bytes(tmp_path / "outside"), bytes(tree / "bound"), None, 0x1000, None)
            (tree / "other/hidden").mkdir()
            found, complaints = seen(tree)
            os.write(writer, f"{sorted(found)} {sorted(complaints)}".encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    text = os.read(reader, 65536).decode()
    os.close(reader)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert text.startswith("['own', 'own/']")
    assert "bound: something is mounted there; left alone" in text
    assert "other: something is mounted there; left alone" in text


@needs_root
def test_a_mount_that_appears_between_looking_and_entering_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bound/inside").mkdir(parents=True)
    numbers = iter(["1", "2"])
    monkeypatch.setattr(trees, "mount_id", lambda _descriptor: next(numbers))
    found, complaints = seen(tmp_path)
    assert (found, complaints) == ([], [f"{tmp_path}/bound: another file system; left alone"])


def test_nesting_without_end_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "MOST_LEVELS", 3)
    (tmp_path / "1/2/3/4/5").mkdir(parents=True)
    found, complaints = seen(tmp_path)
    assert max(found, key=len) == "1/2/3/"
    assert complaints == [f"{tmp_path}/1/2/3/4: more than one can go into; left alone"]


def test_what_vanishes_is_not_missed(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"d{number}").mkdir()

    def vanish(_entry: Entry) -> None:
        for path in tmp_path.iterdir():
            path.rmdir()

    _, complaints = seen(tmp_path, vanish)
    assert complaints == []
