# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read of the disk: kinds, ACLs, links in the way."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from ansible.module_utils.lyceum.acl import observe as module
from ansible.module_utils.lyceum.acl import posix
from ansible.module_utils.lyceum.acl.model import Folder
from ansible.module_utils.lyceum.acl.observe import DIRECTORY, LINK, MISSING, OTHER, Found, Observed, Parents
from ansible.module_utils.lyceum.acl.posix import USER, Entry
from ansible.module_utils.lyceum.errors import LyceumError

from .conftest import open_files, spec


def observed(*paths: Path, folders: tuple[Folder, ...] = ()) -> Observed:
    wanted = spec(*({"path": path, "mode": "0700"} for path in paths)).wanted
    with Parents() as parents:
        return module.observe(wanted, folders, parents)


def found(path: Path) -> Found:
    return observed(path).paths[str(path)]


def test_a_directory_with_everything(tmp_path: Path) -> None:
    acl = posix.complete(0o750, [Entry(USER, 5, 2003)])
    path = tmp_path / "x"
    path.mkdir()
    for attribute in posix.ATTRIBUTES:
        os.setxattr(path, attribute, posix.pack(acl))
    path.chmod(0o3750)
    info = path.stat()
    assert found(path) == Found(
        DIRECTORY, True, os.geteuid(), os.getegid(), 0o3000, acl, acl, identity=(info.st_dev, info.st_ino)
    )


def test_kinds(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    kinds = {name: found(tmp_path / name).kind for name in ("file", "link", "pipe", "missing")}
    assert kinds == {"file": OTHER, "link": LINK, "pipe": OTHER, "missing": MISSING}
    assert found(tmp_path / "link").target == "file"


def test_a_missing_parent_is_known(tmp_path: Path) -> None:
    assert found(tmp_path / "missing/x") == Found(parent=False)
    assert found(tmp_path / "x") == Found()


def test_a_link_among_the_parents_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real/x").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    assert found(tmp_path / "link/x").problem == (
        f"{tmp_path}/link is a link or a file, not a directory: nothing in it is touched. Move it away, or mount the"
        " real directory there"
    )


def test_a_file_among_the_parents_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert found(tmp_path / "file/x").problem.startswith(f"{tmp_path}/file is a link or a file, not a directory")


def test_a_directory_that_cannot_be_opened_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def refuse(path: str, *args: object, **options: object) -> int:
        if path == "closed":
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, *args, **options)  # type: ignore[arg-type]

    (tmp_path / "closed").mkdir()
    monkeypatch.setattr(os, "open", refuse)
    assert found(tmp_path / "closed/x").problem == f"cannot open {tmp_path}/closed: Permission denied"


def test_a_file_system_without_acls_is_recognised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_options: object) -> bytes:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "getxattr", refuse)
    tmp_path.chmod(0o750)
    assert (found(tmp_path).acls, found(tmp_path).access) == (False, posix.minimal(0o750))


def test_what_is_in_folders(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(".gid/1")
    (tmp_path / "file").write_text("")
    result = observed(folders=(Folder(str(tmp_path), ""), Folder(str(tmp_path / "missing"), "")))
    assert result.children == {
        str(tmp_path): {"folder": None, "link": ".gid/1", "file": None},
        str(tmp_path / "missing"): {},
    }


def test_contents_are_only_looked_at_when_asked_for(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x/file").write_text("")
    wanted = spec({"path": tmp_path / "x", "mode": "0700", "recurse": True}).wanted
    with Parents() as parents:
        inside = module.observe(wanted, (), parents).paths[str(tmp_path / "x")].inside
    assert inside is not None
    assert inside.looked_at == 1
    assert found(tmp_path / "x").inside is None


def test_parents_are_opened_once_and_closed(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    before = open_files()
    with Parents() as parents:
        assert parents.of(f"{tmp_path}/a/b/x") == parents.of(f"{tmp_path}/a/b/x")
        with pytest.raises(FileNotFoundError):
            parents.of(f"{tmp_path}/missing/x")
    assert open_files() == before


def test_opening_through_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(".")
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(LyceumError, match="is a link or a file, not a directory"):
            module.open_directory(descriptor, "link", "/x/link")
    finally:
        os.close(descriptor)
