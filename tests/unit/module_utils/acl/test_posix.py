# SPDX-License-Identifier: GPL-3.0-or-later
"""ACLs as bytes, as entries and as text, against what the kernel itself makes of them."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from ansible.module_utils.lyceum.acl import posix
from ansible.module_utils.lyceum.acl.posix import GROUP, GROUP_OBJ, MASK, OTHER, USER, USER_OBJ, Acl, Entry
from ansible.module_utils.lyceum.errors import LyceumError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .kernel import Node, create

PERMISSIONS = st.integers(0, 7)


@st.composite
def acls(draw: st.DrawFn) -> Acl:
    named = st.dictionaries(st.integers(2000, 2005), PERMISSIONS, max_size=3)
    extra = [Entry(USER, mode, number) for number, mode in draw(named).items()]
    extra += [Entry(GROUP, mode, number) for number, mode in draw(named).items()]
    return posix.complete(draw(st.integers(0, 0o777)), extra)


@given(acls())
def test_what_is_packed_is_unpacked(acl: Acl) -> None:
    assert posix.unpack(posix.pack(reversed(acl))) == acl


@given(acls())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_kernel_reads_and_shows_what_was_meant(tmp_path: Path, acl: Acl) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for attribute in posix.ATTRIBUTES:
            posix.write(descriptor, attribute, acl)
        assert posix.read(descriptor, posix.DEFAULT) == acl
        assert posix.read(str(tmp_path), posix.DEFAULT) == acl
        assert posix.read(descriptor, posix.ACCESS) == (acl if posix.extended(acl) else ())
        assert tmp_path.stat().st_mode & 0o777 == posix.mode_of(acl)
        posix.write(descriptor, posix.DEFAULT, ())
        posix.write(descriptor, posix.DEFAULT, ())
        assert posix.raw(descriptor, posix.DEFAULT) == b""
    finally:
        tmp_path.chmod(0o700)
        os.close(descriptor)


@given(acls(), st.sampled_from([0o666, 0o777]), st.sampled_from([0o022, 0o077]))
def test_what_is_handed_down_is_what_the_kernel_gives_to_usual_files(default: Acl, mode: int, umask: int) -> None:
    default = (Entry(USER_OBJ, 7), *default[1:])
    node = create(Node(0, 0, default, default), 2001, 2001, mode, umask)
    assert posix.inherited(default, mode & 7) == node.access


def test_an_owner_without_write_hands_down_none() -> None:
    default = posix.complete(0o770, [Entry(USER, 5, 2003)])
    assert posix.inherited(default, 4) == (
        Entry(USER_OBJ, 4),
        Entry(USER, 5, 2003),
        Entry(GROUP_OBJ, 7),
        Entry(MASK, 4),
        Entry(OTHER, 0),
    )
    assert posix.inherited(posix.minimal(0o775), 6) == posix.minimal(0o664)


@pytest.mark.parametrize(
    ("mode", "extra", "mask"),
    [
        (0o750, [], None),
        (0o750, [Entry(USER, 2, 2003)], 7),
        (0o700, [Entry(GROUP, 4, 10001)], 4),
        (0o770, [Entry(USER, 4, 2003), Entry(MASK, 5)], 5),
    ],
)
def test_the_mask_is_computed_unless_given(mode: int, extra: list[Entry], mask: int | None) -> None:
    acl = posix.complete(mode, extra)
    assert [entry.permissions for entry in acl if entry.tag == MASK] == ([] if mask is None else [mask])
    assert posix.mode_of(acl) == (mode if mask is None else mode & 0o707 | mask << 3)


def test_an_entry_of_the_same_kind_replaces_that_of_the_mode() -> None:
    acl = posix.complete(0o770, [Entry(GROUP_OBJ, 5), Entry(OTHER, 1)])
    assert acl == posix.minimal(0o751)


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("user::rwx", (USER_OBJ, "", 7)),
        ("u:amartin:rX", (USER, "amartin", 5)),
        ("user:2003:r-x", (USER, "2003", 5)),
        ("group::---", (GROUP_OBJ, "", 0)),
        ("g:vision:w", (GROUP, "vision", 2)),
        ("mask::rw-", (MASK, "", 6)),
        ("o::-", (OTHER, "", 0)),
    ],
)
def test_entries_are_read_as_people_write_them(text: str, entry: tuple[int, str, int]) -> None:
    assert posix.parse_entry(text) == entry


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("amartin:rwx", "'amartin:rwx' is no ACL entry; write user:NAME:rwx, group:NAME:r-x, mask::rwx or other::---"),
        ("user", "'user' is no ACL entry; write user:NAME:rwx, group:NAME:r-x, mask::rwx or other::---"),
        ("mask:x:rwx", "'mask:x:rwx': mask takes no name"),
        ("user:a:rwt", "'user:a:rwt': permissions are letters of rwx and -, not 'rwt'"),
        ("user:a:rr", "'user:a:rr': permissions are letters of rwx and -, not 'rr'"),
        ("user:a:", "'user:a:': permissions are letters of rwx and -, not ''"),
    ],
)
def test_what_is_no_entry_is_explained(text: str, message: str) -> None:
    with pytest.raises(LyceumError) as raised:
        posix.parse_entry(text)
    assert str(raised.value) == message


@pytest.mark.skipif(shutil.which("getfacl") is None, reason="getfacl is not installed here")
def test_the_text_is_that_of_getfacl(tmp_path: Path) -> None:
    acl = posix.complete(0o750, [Entry(USER, 6, 2003), Entry(GROUP, 5, 10001)])
    descriptor = os.open(tmp_path, os.O_RDONLY)
    posix.write(descriptor, posix.ACCESS, acl)
    os.close(descriptor)
    shown = subprocess.run(
        ["getfacl", "-cnE", "--absolute-names", str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert shown.stdout.split() == [posix.entry_text(entry, str, str) for entry in acl]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(posix.NoAclError):
        posix.read(str(tmp_path / "link"), posix.ACCESS)


def test_an_unknown_version_is_not_guessed_at() -> None:
    with pytest.raises(LyceumError, match="ACL attribute of unknown version 3"):
        posix.unpack(b"\x03\0\0\0")


def test_a_file_system_without_acls_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_options: object) -> bytes:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "getxattr", refuse)
    monkeypatch.setattr(os, "setxattr", refuse)
    with pytest.raises(posix.NoAclError, match="its file system has no POSIX ACLs"):
        posix.read(str(tmp_path), posix.ACCESS)
    with pytest.raises(posix.NoAclError, match="its file system has no POSIX ACLs"):
        posix.write(3, posix.ACCESS, posix.minimal(0o700))
