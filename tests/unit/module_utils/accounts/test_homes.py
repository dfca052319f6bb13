# SPDX-License-Identifier: GPL-3.0-or-later
"""Homes appear whole, are archived whole, and disappear only after that."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from pathlib import Path

import pytest
from ansible.module_utils.lyceum.accounts import homes
from ansible.module_utils.lyceum.errors import CommandError, LyceumError, RefusedError

from .conftest import Host, needs_root

ME = (os.geteuid(), os.getegid())
MOMENT = 1_795_000_000.0


def skeleton(host: Host) -> homes.Skeleton:
    return homes.Skeleton(host.root, "/etc/skel")


def test_a_skeleton_keeps_nesting_modes_links_and_bytes(host: Host) -> None:
    skel = host.root / "etc/skel"
    (skel / "a/b").mkdir(parents=True)
    (skel / "a/b").chmod(0o750)
    (skel / "a/b/data").write_bytes(b"\0\xff" * 100_000)
    (skel / "a/run").write_text("#!/bin/sh\n")
    (skel / "a/run").chmod(0o755)
    (skel / "link").symlink_to("a/run")
    (skel / "dangling").symlink_to("/nowhere")
    (skel / "to_directory").symlink_to("a")
    homes.create(host.root, "/home/amartin", ME, 0o710, skeleton(host))
    home = host.root / "home/amartin"
    assert stat.S_IMODE(home.stat().st_mode) == 0o710
    assert stat.S_IMODE((home / "a/b").stat().st_mode) == 0o750
    assert stat.S_IMODE((home / "a/run").stat().st_mode) == 0o755
    assert (home / "a/b/data").read_bytes() == b"\0\xff" * 100_000
    links = {name: str((home / name).readlink()) for name in ("link", "dangling", "to_directory")}
    assert links == {"link": "a/run", "dangling": "/nowhere", "to_directory": "a"}
    assert [path.name for path in (host.root / "home").iterdir()] == ["amartin"]


@needs_root
def test_everything_in_a_new_home_is_the_persons(host: Host) -> None:
    (host.root / "etc/skel/dir").mkdir()
    (host.root / "etc/skel/link").symlink_to("/etc/passwd")
    homes.create(host.root, "/home/amartin", (2001, 2002), 0o700, skeleton(host))
    home = host.root / "home/amartin"
    owners = {(path.lstat().st_uid, path.lstat().st_gid) for path in [home, *home.rglob("*")]}
    assert owners == {(2001, 2002)}


def test_a_missing_skeleton_is_an_empty_one(host: Host) -> None:
    assert homes.Skeleton(host.root, "/etc/none").items == []


def test_anything_else_in_a_skeleton_is_refused(host: Host) -> None:
    os.mkfifo(host.root / "etc/skel/pipe")
    with pytest.raises(
        LyceumError, match=r"etc/skel/pipe in the skeleton is neither a file, a directory nor a symlink"
    ):
        skeleton(host)


def test_directories_above_a_home_are_open_whatever_the_umask(host: Host) -> None:
    old = os.umask(0o077)
    try:
        homes.create(host.root, "/srv/homes/vision/amartin", ME, 0o700, skeleton(host))
    finally:
        os.umask(old)
    for above in ("srv/homes", "srv/homes/vision"):
        assert stat.S_IMODE((host.root / above).stat().st_mode) == 0o755


def test_a_home_that_cannot_be_made_names_the_path(host: Host) -> None:
    (host.root / "srv/file").write_text("")
    with pytest.raises(
        LyceumError, match=r"cannot create home /srv/file/amartin: .*srv/file.*: (File exists|Not a dir)"
    ):
        homes.create(host.root, "/srv/file/amartin", ME, 0o700, skeleton(host))


def test_repair_never_follows_a_link(host: Host) -> None:
    target = host.root / "srv/target"
    target.mkdir(mode=0o755)
    (host.root / "home/amartin").symlink_to(target)
    with pytest.raises(LyceumError, match="cannot repair home /home/amartin"):
        homes.repair(host.root, "/home/amartin", ME, 0o700)
    assert stat.S_IMODE(target.stat().st_mode) == 0o755


def test_a_home_moves_into_new_directories_and_says_why_not(host: Host) -> None:
    (host.root / "home/amartin").mkdir()
    homes.move(host.root, "/home/amartin", "/srv/new/amartin")
    assert (host.root / "srv/new/amartin").is_dir()
    (host.root / "home/bchen").mkdir()
    (host.root / "srv/new/amartin/x").write_text("")
    with pytest.raises(LyceumError, match=r"cannot move /home/bchen to /srv/new/amartin: Directory not empty; move"):
        homes.move(host.root, "/home/bchen", "/srv/new/amartin")


def home_with_data(host: Host) -> Path:
    home = host.root / "home/amartin"
    home.mkdir()
    (home / "-rf").write_text("a name like an option")
    (home / "sparse").write_bytes(b"")
    os.truncate(home / "sparse", 1 << 20)
    os.link(home / "-rf", home / "hard")
    (home / "link").symlink_to("/etc/passwd")
    (home / "n\xe4me\nwith break").write_bytes(os.urandom(5000))
    os.mkfifo(home / "pipe")
    return home


def archive(host: Host) -> Path:
    return Path(homes.archive(host.root, "amartin", 2001, ["/home/amartin"], "/var/backups", MOMENT))


def test_an_archive_holds_everything_and_its_checksum_is_beside_it(host: Host, tmp_path: Path) -> None:
    home = home_with_data(host)
    packed = archive(host)
    assert packed.name == "amartin-2001-20261118T110640Z.tar.zst"
    digest = hashlib.sha256(packed.read_bytes()).hexdigest()
    assert Path(f"{packed}.sha256").read_text() == f"{digest}  {packed.name}\n"
    assert {stat.S_IMODE(path.stat().st_mode) for path in packed.parent.iterdir()} == {0o600}
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run(["tar", "--zstd", "-xf", str(packed), "-C", str(out)], check=True)
    restored = out / "home/amartin"
    assert sorted(path.name for path in restored.iterdir()) == sorted(path.name for path in home.iterdir())
    for name in ("-rf", "hard", "sparse", "n\xe4me\nwith break"):
        assert (restored / name).read_bytes() == (home / name).read_bytes()
    assert str((restored / "link").readlink()) == "/etc/passwd"
    assert (restored / "-rf").stat().st_ino == (restored / "hard").stat().st_ino


def test_two_archives_in_one_second_both_stay(host: Host) -> None:
    (host.root / "home/amartin").mkdir()
    first, second = archive(host), archive(host)
    assert first != second
    assert first.exists()
    assert second.exists()


def test_partial_archives_of_killed_runs_are_cleared_but_not_those_of_others(host: Host) -> None:
    (host.root / "home/amartin").mkdir()
    backups = host.root / "var/backups"
    backups.mkdir(parents=True)
    for name in (
        ".amartin-2001-x.tar.zst.partial",
        ".amartin2-2001-x.tar.zst.partial",
        ".amartin-2002-x.tar.zst.partial",
    ):
        (backups / name).write_text("half")
    archive(host)
    assert sorted(path.name for path in backups.glob("*.partial")) == [
        ".amartin-2002-x.tar.zst.partial",
        ".amartin2-2001-x.tar.zst.partial",
    ]


def fake_tar(host: Host, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A tar that behaves as the script says; the real one is $TAR."""
    folder = host.root / "bin"
    folder.mkdir()
    real = subprocess.run(["sh", "-c", "command -v tar"], capture_output=True, text=True, check=True).stdout.strip()
    (folder / "tar").write_text(f"#!/bin/sh\nTAR={real}\n{script}\n")
    (folder / "tar").chmod(0o700)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ('"$TAR" "$@"; echo "no space" >&2; exit 2', "tar exited with 2 while archiving home/amartin: .*no space"),
        (
            'case "$*" in *--compare*) echo "x: Mod time differs"; exit 1;; esac; "$TAR" "$@"',
            "differs from the files: x",
        ),
        ("yes complaint | head -c 300000 >&2; exit 1", "tar exited with 1"),
    ],
)
def test_a_failing_tar_leaves_no_archive(
    host: Host, monkeypatch: pytest.MonkeyPatch, script: str, message: str
) -> None:
    home_with_data(host)
    fake_tar(host, monkeypatch, script)
    with pytest.raises(CommandError, match=message):
        archive(host)
    assert list((host.root / "var/backups").iterdir()) == []
    assert (host.root / "home/amartin/hard").exists()


def test_an_archive_that_cannot_be_read_back_as_written_is_none(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    (host.root / "home/amartin").mkdir()
    monkeypatch.setattr(homes, "_sha256", lambda _path: "0" * 64)
    with pytest.raises(LyceumError, match="what was read back is not what was written"):
        archive(host)
    assert list((host.root / "var/backups").iterdir()) == []


def test_an_archive_that_cannot_get_its_name_leaves_no_checksum(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    (host.root / "home/amartin").mkdir()

    def fail(_self: Path, _target: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="Input/output error"):
        archive(host)
    assert list((host.root / "var/backups").iterdir()) == []


def test_putting_aside_refuses_the_homes_of_others(host: Host) -> None:
    home = host.root / "home/amartin"
    home.mkdir()
    with pytest.raises(RefusedError, match=r"home /home/amartin belongs to uid \d+, not to 4242"):
        homes.put_aside(host.root, "/home/amartin", 4242)
    assert homes.put_aside(host.root, "/home/amartin", os.geteuid()) == str(host.root / "home/.lyceum-amartin.removed")
    assert not home.exists()


def mounts(host: Host, monkeypatch: pytest.MonkeyPatch, *points: str) -> None:
    table = host.root / "mountinfo"
    table.write_text("".join(f"36 35 98:0 /root {point} rw,noatime - ext4 /dev/root rw\n" for point in points))
    monkeypatch.setattr(homes, "MOUNTINFO", table)


@pytest.mark.parametrize(
    ("point", "refused"),
    [
        ("{root}/home/amartin", True),
        ("{root}/home/amartin/data/set", True),
        ("{root}/home/amartin/with\\040blank", True),
        ("{root}/home/amartin2", False),
        ("{root}/home", False),
        ("/", False),
    ],
)
def test_mounts_in_a_home_are_neither_archived_over_nor_deleted(
    host: Host, monkeypatch: pytest.MonkeyPatch, point: str, refused: bool
) -> None:
    mounts(host, monkeypatch, "/proc", point.format(root=host.root))
    home = host.root / "home/amartin"
    (home / "data").mkdir(parents=True)
    if not refused:
        homes.refuse_mounts(host.root, "/home/amartin")
        homes.delete_tree(home)
        assert not home.exists()
        return
    for step in (
        lambda: homes.refuse_mounts(host.root, "/home/amartin"),
        lambda: homes.put_aside(host.root, "/home/amartin", os.geteuid()),
        lambda: homes.delete_tree(home),
    ):
        with pytest.raises(LyceumError, match=r"/home/amartin.* is a mount point; unmount it"):
            step()
    assert (home / "data").exists()


def test_the_real_mount_table_is_understood() -> None:
    assert "/proc" in homes._mounts_in("/proc")
    assert "/" in homes._mounts_in("/")


def test_deleting_does_not_follow_links_and_missing_is_fine(host: Host) -> None:
    kept = host.root / "srv/kept"
    kept.write_text("x")
    tree = host.root / "home/tree"
    tree.mkdir()
    (tree / "file").symlink_to(kept)
    (tree / "directory").symlink_to(host.root / "srv")
    homes.delete_tree(tree)
    homes.delete_tree(tree)
    assert kept.exists()
    assert not tree.exists()


def test_a_very_deep_tree_is_deleted(host: Host) -> None:
    """Anybody can nest directories deeper than Python's stack and than the longest path name."""
    tree = host.root / "home/deep"
    tree.mkdir()
    here = os.open(tree, os.O_RDONLY)
    for _level in range(2500):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    homes.delete_tree(tree)
    assert not tree.exists()


def test_what_resists_deletion_is_named(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = host.root / "bin"
    folder.mkdir()
    (folder / "rm").write_text('#!/bin/sh\necho "rm: cannot remove x: Operation not permitted" >&2\nexit 1\n')
    (folder / "rm").chmod(0o700)
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(LyceumError, match=r"cannot delete .*home: rm: cannot remove x: Operation not permitted"):
        homes.delete_tree(host.root / "home")


@pytest.mark.parametrize("kind", ["new", "removed"])
def test_the_name_behind_an_aside(kind: str) -> None:
    assert homes.name_of_aside(Path(homes._aside(Path("/"), "/home/a.martin-x", kind))) == "a.martin-x"
