# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a path lies, and what is said where quotas do not work."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.quota import filesystem
from ansible.module_utils.lyceum.quota.filesystem import Mount, mount_of, mounts, parse, shortcoming
from ansible.module_utils.lyceum.quota.kernel import State

from .conftest import FIXTURES

OFF, COUNTED, ON = State(False, False), State(True, False), State(True, True)


def mounted(point: str, device: str, root: str = "/", fstype: str = "ext4") -> Mount:
    return Mount(device, root, point, fstype, f"/dev/{device}")


def test_recorded_mounts() -> None:
    found = parse((FIXTURES / "quota/mountinfo-7.2").read_text())
    assert [one for one in found if one.type in ("ext4", "xfs")] == [
        Mount("98:0", "/", "/tmp/home", "ext4", "/dev/ubda"),  # noqa: S108
        Mount("98:16", "/", "/tmp/srv", "xfs", "/dev/ubdb"),  # noqa: S108
    ]


def test_optional_fields_and_odd_names() -> None:
    line = (
        r"36 35 98:0 /mnt1 /mnt\0402\134x rw,noatime master:1 propagate_from:2 - ext3 /dev/ro\011ot rw,errors=continue"
    )
    assert parse(line) == [Mount("98:0", "/mnt1", "/mnt 2\\x", "ext3", "/dev/ro\tot")]


def test_this_machine_has_a_root() -> None:
    assert "/" in [one.point for one in mounts()]


def test_mountinfo_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filesystem, "MOUNTINFO", Path("/nowhere/mountinfo"))
    with pytest.raises(LyceumError, match="cannot read /nowhere/mountinfo: No such file or directory"):
        mounts()


@pytest.mark.parametrize(
    ("path", "point"),
    [
        ("/", "/"),
        ("/etc/passwd", "/"),
        ("/data", "/data"),
        ("/data/not/there/yet", "/data"),
        ("/database", "/"),
        ("/data/inner/x", "/data/inner"),
        ("/bind/x", "/data"),
        ("/only-bound/x", "/only-bound"),
        ("/over", "/over"),
    ],
)
def test_the_mount_of_a_path(path: str, point: str) -> None:
    known = [
        mounted("/", "8:1"),
        mounted("/data", "8:2"),
        mounted("/data/inner", "8:3"),
        mounted("/bind", "8:2", "/some/where"),
        mounted("/only-bound", "8:4", "/part"),
        mounted("/over", "8:5"),
        mounted("/over", "8:6"),
    ]
    found = mount_of(path, known)
    assert found.point == point
    if path == "/over":
        assert found.device == "8:6"


def test_links_are_followed_to_where_the_data_lies(tmp_path: Path) -> None:
    (tmp_path / "big").mkdir()
    (tmp_path / "homes").symlink_to("big")
    known = [mounted("/", "8:1"), mounted(str(tmp_path / "big"), "8:2")]
    assert mount_of(str(tmp_path / "homes/amartin"), known).device == "8:2"


def test_a_path_on_nothing() -> None:
    with pytest.raises(LyceumError, match="/x is on no mounted file system"):
        mount_of("/x", [])


EXT4 = "usrquota,grpquota,prjquota into its options in /etc/fstab"
XFS = "Remedy: put uquota,gquota,pquota into its options in /etc/fstab and mount it anew; a remount is not enough"


@pytest.mark.parametrize(
    ("mount", "state", "kernel", "sentence"),
    [
        (mounted("/home", "8:1"), ON, True, None),
        (
            mounted("/home", "8:1"),
            OFF,
            False,
            (
                "/home (ext4 on /dev/8:1): this kernel has no disk quotas (CONFIG_QUOTA, CONFIG_QFMT_V2)."
                " Remedy: boot one that has."
            ),
        ),
        (
            mounted("/home", "8:1"),
            OFF,
            True,
            (
                "/home (ext4 on /dev/8:1): they are off. Remedy: unmount it, run `tune2fs -O quota,project"
                f" -Q usrquota,grpquota,prjquota /dev/8:1`, put {EXT4}, mount it."
            ),
        ),
        (
            mounted("/", "8:1"),
            OFF,
            True,
            (
                "/ (ext4 on /dev/8:1): they are off. Remedy: unmount it, from a rescue system since it is /, run"
                f" `tune2fs -O quota,project -Q usrquota,grpquota,prjquota /dev/8:1`, put {EXT4}, mount it."
            ),
        ),
        (
            mounted("/home", "8:1"),
            COUNTED,
            True,
            (
                f"/home (ext4 on /dev/8:1): they are counted, but stop nobody. Remedy: put {EXT4}, and run"
                " `quotaon -ugP /home` until it is mounted anew; a remount is not enough."
            ),
        ),
        (mounted("/srv", "8:1", fstype="xfs"), OFF, True, f"/srv (xfs on /dev/8:1): they are off. {XFS}."),
        (
            mounted("/", "8:1", fstype="xfs"),
            COUNTED,
            True,
            (
                f"/ (xfs on /dev/8:1): they are counted, but stop nobody. {XFS} (for /: rootflags=uquota,gquota,pquota"
                " on the kernel's command line, then reboot)."
            ),
        ),
        (
            mounted("/net", "0:5", fstype="nfs4"),
            OFF,
            True,
            "/net (nfs4 on /dev/0:5): Lyceum sets quotas on ext4 and XFS only. Set them on the file server.",
        ),
        (
            mounted("/b", "0:5", fstype="btrfs"),
            OFF,
            True,
            "/b (btrfs on /dev/0:5): Lyceum sets quotas on ext4 and XFS only.",
        ),
    ],
)
def test_what_is_wrong_and_what_helps(mount: Mount, state: State, kernel: bool, sentence: str | None) -> None:
    assert shortcoming(mount, state, lambda: kernel) == sentence
