# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in a shared directory: found, mended, and nothing else touched."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible.module_utils.lyceum.acl import contents, posix
from ansible.module_utils.lyceum.acl.contents import Counts, Rule
from ansible.module_utils.lyceum.acl.posix import USER, Entry

from .conftest import as_user, needs_root, open_files

pytestmark = needs_root

OWNER, WRITER, READER, STRANGER = 2001, 2002, 2003, 2004
GID, OTHER_GID = 11001, 11002
ACL = posix.complete(0o770, [Entry(USER, 5, READER)])
RULE = Rule(GID, stat.S_ISGID, ACL, ACL)


@pytest.fixture
def project(srv: Path) -> Path:
    """A shared directory as a project's is."""
    path = srv / "project"
    path.mkdir()
    share(path)
    return path


def share(path: Path, acl: posix.Acl = ACL) -> Rule:
    """Make it so, and return what it hands down."""
    os.chown(path, 0, GID)
    for attribute in posix.ATTRIBUTES:
        os.setxattr(path, attribute, posix.pack(acl))
    path.chmod(0o2770)
    return Rule(GID, stat.S_ISGID, acl, acl)


def walk(function: Callable[[int, str, Rule], Counts], path: Path, rule: Rule = RULE) -> Counts:
    opened = os.open(path, os.O_RDONLY)
    try:
        return function(opened, str(path), rule)
    finally:
        os.close(opened)


def private(path: Path, uid: int = OWNER, mode: int = 0o600) -> Path:
    """A file as `mv` brings it from a home."""
    path.write_text("mine")
    os.chown(path, uid, uid)
    os.removexattr(path, posix.ACCESS)
    path.chmod(mode)
    return path


def may(path: Path, uid: int, flags: int, gids: list[int] | None = None) -> bool:
    return as_user(uid, gids or [], lambda: os.close(os.open(path, flags)))


def test_what_the_kernel_made_is_right_whatever_the_umask(project: Path) -> None:
    def work() -> None:
        (project / "folder").mkdir()
        (project / "folder/file").write_text("x")

    for umask in (0o022, 0o077):
        assert as_user(OWNER, [GID], work, umask)
        found = walk(contents.check, project)
        assert (found.looked_at, found.wrong, found.left) == (2, 0, 0)
        (project / "folder/file").unlink()
        (project / "folder").rmdir()


def test_a_file_from_elsewhere_is_shared_as_far_as_its_owner_may(project: Path) -> None:
    file, script, fixed = (
        private(project / name, mode=mode) for name, mode in (("file", 0o600), ("script", 0o700), ("fixed", 0o400))
    )
    assert not may(file, WRITER, os.O_RDWR, [GID])
    assert walk(contents.check, project).wrong == 3
    assert (walk(contents.mend, project).mended, walk(contents.check, project).wrong) == (3, 0)
    assert may(file, WRITER, os.O_RDWR, [GID])
    assert may(file, READER, os.O_RDONLY)
    assert not may(file, READER, os.O_RDWR)
    assert not may(file, STRANGER, os.O_RDONLY)
    assert [path.stat().st_mode & 0o777 for path in (file, script, fixed)] == [0o660, 0o770, 0o440]
    assert may(fixed, WRITER, os.O_RDONLY, [GID])
    assert not may(fixed, WRITER, os.O_RDWR, [GID])
    assert {path.stat().st_gid for path in (file, script, fixed)} == {GID}


def test_a_moved_directory_and_all_below_it_are_shared(project: Path) -> None:
    inner = project / "moved/inner"
    inner.mkdir(parents=True)
    private(inner / "file")
    for path in (project / "moved", inner):
        os.chown(path, OWNER, OWNER)
        for attribute in posix.ATTRIBUTES:
            os.removexattr(path, attribute)
        path.chmod(0o1700)
    found = walk(contents.mend, project)
    assert (found.looked_at, found.wrong, found.mended) == (3, 3, 3)
    assert inner.stat().st_mode & 0o7777 == 0o3770
    assert as_user(WRITER, [GID], lambda: (inner / "new").write_text("x"), 0o077)
    assert walk(contents.check, project).wrong == 0


def test_a_change_of_members_reaches_what_is_there(project: Path) -> None:
    file = project / "file"
    assert as_user(OWNER, [GID], lambda: file.write_text("x"))
    assert not may(file, STRANGER, os.O_RDONLY)
    rule = share(project, posix.complete(0o770, [Entry(USER, 5, STRANGER)]))
    assert walk(contents.mend, project, rule).mended == 1
    assert may(file, STRANGER, os.O_RDONLY)
    assert not may(file, READER, os.O_RDONLY)


def test_files_of_somebody_who_may_only_read_now_are_roots(project: Path) -> None:
    file = project / "tool"
    share(project, posix.complete(0o770, []))
    assert as_user(READER, [GID], lambda: file.write_text("x"))
    file.chmod(0o6770)
    share(project)
    assert may(file, READER, os.O_RDWR)
    assert walk(contents.mend, project).mended == 1
    assert not may(file, READER, os.O_RDWR)
    assert (file.stat().st_uid, file.stat().st_mode & 0o7777) == (0, 0o770)


def test_a_file_of_another_shared_directory_is_not_taken_over(project: Path, srv: Path) -> None:
    theirs = private(project / "theirs")
    os.chown(theirs, WRITER, OTHER_GID)
    os.link(theirs, srv / "original")
    system = private(project / "system", uid=0)
    os.link(system, srv / "kept")
    mine = private(project / "mine")
    os.link(mine, srv / "also mine")
    found = walk(contents.mend, project)
    assert (found.wrong, found.mended, found.left) == (1, 1, 2)
    assert sorted(found.examples) == [
        f"{project}/{name}: has another name elsewhere, in somebody else's care" for name in ("system", "theirs")
    ]
    assert theirs.stat().st_gid == OTHER_GID
    assert system.stat().st_mode & 0o777 == 0o600
    assert mine.stat().st_gid == GID


def test_links_devices_and_what_they_point_to_are_left(project: Path, srv: Path) -> None:
    outside = private(srv / "outside")
    (srv / "folder").mkdir(mode=0o700)
    inside = private(srv / "folder/inside")
    (project / "link").symlink_to(outside)
    (project / "folder").symlink_to(srv / "folder")
    os.mkfifo(project / "pipe", 0o600)
    found = walk(contents.mend, project)
    assert (found.looked_at, found.wrong, found.left) == (0, 0, 0)
    assert {path.stat().st_mode & 0o777 for path in (outside, inside)} == {0o600}


def test_a_file_replaced_by_a_link_after_it_was_seen_is_left(
    project: Path, srv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = private(srv / "outside")
    file = private(project / "file")
    real = contents.differs

    def then_swap(place: contents.Place, info: os.stat_result, rule: Rule) -> bool:
        result = real(place, info, rule)
        file.unlink()
        file.symlink_to(outside)
        return result

    monkeypatch.setattr(contents, "differs", then_swap)
    found = walk(contents.mend, project)
    assert (found.mended, found.left) == (0, 1)
    assert outside.stat().st_mode & 0o777 == 0o600


def test_a_directory_replaced_by_a_link_after_it_was_seen_is_left(
    project: Path, srv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = srv / "folder"
    inside.mkdir(mode=0o700)
    file = private(inside / "file")
    (project / "folder").mkdir()
    real = contents._Walk._files

    def then_swap(self: contents._Walk, directory: int, path: str) -> list[str]:
        names = real(self, directory, path)
        if names:
            (project / "folder").rmdir()
            (project / "folder").symlink_to(inside)
        return names

    monkeypatch.setattr(contents._Walk, "_files", then_swap)
    found = walk(contents.mend, project)
    assert (found.looked_at, found.left) == (0, 1)
    assert file.stat().st_mode & 0o777 == 0o600
    assert inside.stat().st_mode & 0o777 == 0o700


def test_without_a_default_acl_the_mode_is_handed_down(srv: Path) -> None:
    shared = srv / "shared"
    shared.mkdir()
    os.chown(shared, 0, GID)
    shared.chmod(0o2775)
    rule = Rule(GID, stat.S_ISGID, posix.minimal(0o775), ())
    file = private(shared / "file")
    (shared / "folder").mkdir(mode=0o700)
    extra = private(shared / "extra")
    os.setxattr(extra, posix.ACCESS, posix.pack(posix.complete(0o660, [Entry(USER, 7, STRANGER)])))
    assert walk(contents.mend, shared, rule).mended == 3
    assert [path.stat().st_mode & 0o7777 for path in (file, shared / "folder", extra)] == [0o664, 0o2775, 0o664]
    assert posix.raw(str(extra), posix.ACCESS) == b""
    assert walk(contents.check, shared, rule).wrong == 0


def test_without_setgid_groups_are_left(srv: Path) -> None:
    rule = Rule(0, 0, ACL, ACL)
    file = private(srv / "file")
    assert walk(contents.mend, srv, rule).mended == 1
    assert file.stat().st_gid == OWNER
    assert may(file, READER, os.O_RDONLY)
    assert walk(contents.check, srv, rule).wrong == 0


def test_a_file_system_without_acls_is_no_obstacle_to_modes(srv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_options: object) -> bytes:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "getxattr", refuse)
    monkeypatch.setattr(os, "setxattr", refuse)
    (srv / "file").write_text("x")
    (srv / "file").chmod(0o600)
    found = walk(contents.mend, srv, Rule(0, 0, posix.minimal(0o770), ()))
    assert (found.mended, found.left) == (1, 0)
    needing = walk(contents.check, srv, Rule(0, 0, ACL, ACL))
    assert (needing.wrong, needing.left) == (0, 1)
    assert needing.examples == [f"{srv}/file: its file system has no POSIX ACLs"]


def test_what_cannot_be_changed_is_told_and_the_rest_goes_on(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private(project / "a\x1b[31m\n\udcff")
    private(project / "b")
    real = contents._put_right

    def fail(opened: int, info: os.stat_result, rule: Rule) -> None:
        if Path(f"/proc/self/fd/{opened}").readlink().name == "b":
            real(opened, info, rule)
        else:
            raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(contents, "_put_right", fail)
    found = walk(contents.mend, project)
    assert (found.wrong, found.mended, found.left) == (2, 1, 1)
    assert found.examples == [f"{project}/a?[31m??: Operation not permitted"]


def test_nesting_has_an_end(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "MAX_DEPTH", 3)
    (project / "1/2/3/4").mkdir(parents=True)
    found = walk(contents.check, project)
    assert (found.looked_at, found.left) == (2, 1)
    assert found.examples == [f"{project}/1/2/3: nested too deep to be looked at"]


def test_all_descriptors_are_closed(project: Path) -> None:
    (project / "1/2/3").mkdir(parents=True)
    before = open_files()
    walk(contents.mend, project)
    assert open_files() == before


def test_another_file_system_is_not_entered(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "folder").mkdir()
    private(project / "folder/file")
    real = os.fstat

    def elsewhere(descriptor: int) -> os.stat_result:
        info = real(descriptor)
        if Path(f"/proc/self/fd/{descriptor}").readlink().name == "folder":
            return os.stat_result([*info[:2], info.st_dev + 1, *info[3:10]])
        return info

    monkeypatch.setattr(os, "fstat", elsewhere)
    found = walk(contents.mend, project)
    assert (found.looked_at, found.left) == (0, 0)
