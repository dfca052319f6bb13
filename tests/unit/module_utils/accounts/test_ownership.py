# SPDX-License-Identifier: GPL-3.0-or-later
"""Who owns what, and handing it over. ACLs are bytes as the kernel gives them, so no acl package is needed."""

from __future__ import annotations

import errno
import os
import stat
import struct
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible.module_utils.lyceum.accounts import ownership
from ansible.module_utils.lyceum.accounts.ownership import Ownership, hand_over, rewrite_acl, survey, walk
from ansible.module_utils.lyceum.errors import LyceumError
from hypothesis import given
from hypothesis import strategies as st

from .conftest import needs_root

NONE = 0xFFFFFFFF
USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER = 1, 2, 4, 8, 16, 32
Entry = tuple[int, int, int]
IDS = st.integers(2000, 2006)


def pack(entries: list[Entry]) -> bytes:
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def unpack(value: bytes) -> list[Entry]:
    return list(struct.iter_unpack("<HHI", value[4:]))  # type: ignore[arg-type]


@st.composite
def acls(draw: st.DrawFn) -> list[Entry]:
    named = st.dictionaries(IDS, st.integers(0, 7), max_size=4)
    users = [(USER, mode, number) for number, mode in sorted(draw(named).items())]
    groups = [(GROUP, mode, number) for number, mode in sorted(draw(named).items())]
    return [(USER_OBJ, 7, NONE), *users, (GROUP_OBJ, 5, NONE), *groups, (MASK, 7, NONE), (OTHER, 0, NONE)]


@given(acls(), IDS, IDS, IDS, IDS)
def test_rewriting_an_acl_changes_the_two_ids_and_nothing_else(
    entries: list[Entry], old_uid: int, new_uid: int, old_gid: int, new_gid: int
) -> None:
    value, hits = rewrite_acl(pack(entries), (old_uid, new_uid), (old_gid, new_gid))
    after = unpack(value)
    assert hits == ((USER, old_uid) in ids(entries)) + ((GROUP, old_gid) in ids(entries))
    new = {(USER, old_uid): new_uid, (GROUP, old_gid): new_gid}
    stale = {(tag, new[tag, number]) for tag, number in ids(entries) & new.keys() if new[tag, number] != number}
    expected = sorted(
        (tag, mode, new.get((tag, number), number))
        for tag, mode, number in entries
        if (tag, number) not in stale or (tag, number) in new
    )
    assert sorted(after) == expected
    assert [(tag, number) for tag, _mode, number in after] == sorted((tag, number) for tag, _mode, number in after)
    if not hits:
        assert value == pack(entries)


def ids(entries: list[Entry]) -> set[tuple[int, int]]:
    return {(tag, number) for tag, _mode, number in entries}


@given(acls(), st.integers(3000, 3003), st.integers(3000, 3003))
def test_rewriting_to_a_free_id_can_be_taken_back(entries: list[Entry], uid: int, gid: int) -> None:
    there, hits = rewrite_acl(pack(entries), (2003, uid), (2004, gid))
    assert rewrite_acl(there, (uid, 2003), (gid, 2004)) == (pack(entries), hits)


def test_an_unknown_version_is_not_guessed_at() -> None:
    with pytest.raises(LyceumError, match="ACL attribute of unknown version 3"):
        rewrite_acl(struct.pack("<I", 3), (1, 2), (1, 2))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with files of 2001:2001, of others, and a link out of it."""
    (tmp_path / "home/inner").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    for path, uid, gid in [
        ("home/mine", 2001, 2001),
        ("home/group", 0, 2001),
        ("home/other", 2002, 2002),
        ("home/inner/mine", 2001, 2001),
        ("outside/mine", 2001, 2001),
    ]:
        (tmp_path / path).write_text("")
        os.chown(tmp_path / path, uid, gid)
    (tmp_path / "home/link").symlink_to("../outside")
    (tmp_path / "home/to_file").symlink_to("../outside/mine")
    os.chown(tmp_path / "home/to_file", 2001, 2001, follow_symlinks=False)
    return tmp_path


@needs_root
def test_survey_counts_inside_one_tree_once_and_follows_no_link(tree: Path) -> None:
    (found,) = survey(tree, ["/home", "/home/inner", "/home/", "/missing"], 2001, 2001)
    assert (found.tree, found.files, found.acl_entries) == ("/home", 4, 0)
    assert sorted(found.examples) == [str(tree / "home" / name) for name in ("group", "inner/mine", "mine", "to_file")]
    (by_owner,) = survey(tree, ["/home"], 2001, None)
    assert by_owner.files == 3
    assert survey(tree, ["/home"], 4242, 4242) == ()


@needs_root
def test_survey_names_twenty_examples_at_most(tmp_path: Path) -> None:
    for number in range(25):
        (tmp_path / str(number)).write_text("")
        os.chown(tmp_path / str(number), 2001, 2001)
    (found,) = survey(tmp_path, ["/"], 2001, None)
    assert (found.files, len(found.examples)) == (25, 20)


def owner(path: Path) -> tuple[int, int]:
    return path.lstat().st_uid, path.lstat().st_gid


@needs_root
def test_handing_over_reaches_files_links_and_acls_and_repeats_without_harm(tree: Path) -> None:
    acl = [
        (USER_OBJ, 7, NONE),
        (USER, 7, 2001),
        (GROUP_OBJ, 5, NONE),
        (GROUP, 4, 2001),
        (MASK, 7, NONE),
        (OTHER, 5, NONE),
    ]
    os.setxattr(tree / "home/other", "system.posix_acl_access", pack(acl))
    assert survey(tree, ["/home"], 2001, 2001)[0].acl_entries == 2
    for _time in range(2):
        hand_over(tree, ["/home"], (2001, 2001), (2101, 2102))
        assert owner(tree / "home/mine") == (2101, 2102)
        assert owner(tree / "home/group") == (0, 2102)
        assert owner(tree / "home/to_file") == (2101, 2102)
        assert owner(tree / "outside/mine") == (2001, 2001)
        assert owner(tree / "home/other") == (2002, 2002)
        assert [
            number for tag, _mode, number in unpack(os.getxattr(tree / "home/other", "system.posix_acl_access"))
        ] == [
            NONE,
            2101,
            NONE,
            2102,
            NONE,
            NONE,
        ]
    assert survey(tree, ["/home"], 2001, 2001) == ()


@needs_root
@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o6711, 0o1777, 0o640])
def test_handing_over_keeps_set_id_bits_and_capabilities(tmp_path: Path, mode: int) -> None:
    program = tmp_path / "program"
    program.write_text("")
    os.chown(program, 2001, 2001)
    program.chmod(mode)
    # vfs_cap_data, revision 2, cap_net_raw permitted and effective: linux/capability.h.
    capability = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)
    os.setxattr(program, "security.capability", capability)
    hand_over(tmp_path, ["/"], (2001, 2001), (2101, 2101))
    assert owner(program) == (2101, 2101)
    assert stat.S_IMODE(program.stat().st_mode) == mode
    assert os.getxattr(program, "security.capability") == capability


@needs_root
def test_what_takes_the_name_of_a_file_meanwhile_is_not_given_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody swaps a directory for a link to one of root's after the walk has looked at it."""
    shared, secret = tmp_path / "shared", tmp_path / "root"
    for folder in (shared, secret):
        folder.mkdir()
        (folder / "file").write_text("")
    os.chown(shared / "file", 2001, 2001)
    real = os.open

    def swap_then_open(path: str, *args: int, **keys: int) -> int:
        if str(path).endswith("shared/file") and not shared.is_symlink():
            shared.rename(tmp_path / "gone")
            shared.symlink_to("root")
        return real(path, *args, **keys)

    monkeypatch.setattr(os, "open", swap_then_open)
    with pytest.raises(LyceumError, match="shared/file was replaced while its owner was being changed; run again"):
        hand_over(tmp_path, ["/shared"], (2001, 2001), (2101, 2101))
    assert owner(secret / "file") == (0, 0)


def test_trees_inside_trees_are_visited_once() -> None:
    assert ownership._outermost(["/srv/a/", "/srv", "/srv2", "/var/../srv/b", "/home/x"]) == [
        "/home/x",
        "/srv",
        "/srv2",
    ]


def test_root_as_a_tree_contains_every_other() -> None:
    assert ownership._outermost(["/", "/srv"]) == ["/"]


def test_a_walk_of_nothing_and_of_a_file(tmp_path: Path) -> None:
    assert list(walk(tmp_path / "missing")) == []
    (tmp_path / "file").write_text("")
    assert [path for path, _info in walk(tmp_path / "file")] == [str(tmp_path / "file")]


def test_a_walk_stays_on_its_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mounted/below").mkdir(parents=True)
    (tmp_path / "vanished").mkdir()
    (tmp_path / "kept").mkdir()
    real = ownership._lstat

    def pretend(entry: os.DirEntry[str]) -> os.stat_result | None:
        if entry.name == "vanished":
            Path(entry.path).rmdir()
        if entry.name == "mounted":
            return SimpleNamespace(st_dev=-1, st_mode=stat.S_IFDIR, st_uid=0, st_gid=0)  # type: ignore[return-value]
        return real(entry)

    monkeypatch.setattr(ownership, "_lstat", pretend)
    assert {Path(path).name for path, _info in walk(tmp_path)} == {tmp_path.name, "kept"}


@pytest.mark.parametrize(
    ("number", "left_out"),
    [(errno.EACCES, True), (errno.ENOTCONN, True), (errno.ESTALE, True), (errno.ENOENT, True), (errno.EIO, False)],
)
def test_mounts_of_others_that_not_even_root_can_look_at(number: int, left_out: bool) -> None:
    class Entry:
        def stat(self, *, follow_symlinks: bool) -> os.stat_result:
            assert not follow_symlinks
            raise OSError(number, "x")

    if left_out:
        assert ownership._lstat(Entry()) is None  # type: ignore[arg-type]
    else:
        with pytest.raises(OSError, match="x"):
            ownership._lstat(Entry())  # type: ignore[arg-type]


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(LyceumError, match=r"cannot look at .*x: File name too long"):
        list(walk(tmp_path / ("x" * 300)))


def test_equal_ids_hand_over_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    hand_over(tmp_path, ["/"], (4242, 4242), (4243, 4243))
    assert owner(tmp_path / "file") == (os.geteuid(), os.getegid())
    assert Ownership("/", 0, 0).examples == ()
