# SPDX-License-Identifier: GPL-3.0-or-later
"""Show one directory with a person's own ids for owners: an idmapped, read-only mount (Linux 5.12 and newer).

The images that all share belong to root and to the ids that are inside them. In a person's containers these are other
ids; through such a mount every file has the very owner that the person's containers expect, without a copy of it.
"""

from __future__ import annotations

import ctypes
import os
import signal
from pathlib import Path

from ..errors import LyceumError

# Numbers of system calls that glibc 2.36 has no functions for; the same on all architectures.
OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR = 428, 429, 442
AT_FDCWD, AT_EMPTY_PATH, MOVE_MOUNT_F_EMPTY_PATH = -100, 0x1000, 0x4
OPEN_TREE_CLONE, OPEN_TREE_CLOEXEC = 0x1, 0o2000000
RDONLY, NOSUID, NODEV, IDMAP = 0x1, 0x2, 0x4, 0x00100000
CLONE_NEWUSER = 0x10000000
MNT_DETACH = 0x2


class _Attributes(ctypes.Structure):
    _fields_ = (
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns", ctypes.c_uint64),
    )


def mount(source: Path, target: Path, uids: str, gids: str) -> None:
    """Mount `source` on `target`, read-only and without setuid programs, with owners shifted by these id maps.

    A setuid program of an image would else, on the host, make anybody this person. Raises LyceumError.
    """
    try:
        tree = _call(OPEN_TREE, AT_FDCWD, os.fsencode(source), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)
        try:
            namespace = _user_namespace(uids, gids)
            try:
                attributes = _Attributes(set=RDONLY | NOSUID | NODEV | IDMAP, userns=namespace)
                size = ctypes.c_size_t(ctypes.sizeof(attributes))
                _call(MOUNT_SETATTR, tree, b"", AT_EMPTY_PATH, ctypes.byref(attributes), size)
            finally:
                os.close(namespace)
            _call(MOVE_MOUNT, tree, b"", AT_FDCWD, os.fsencode(target), MOVE_MOUNT_F_EMPTY_PATH)
        finally:
            os.close(tree)
    except OSError as exc:
        raise LyceumError(
            f"cannot mount {source} on {target} with other owners: {exc.strerror}. "
            "It takes Linux 5.12 and a file system that can (ext4, XFS, Btrfs)."
        ) from exc


def unmount(target: Path) -> bool:
    """Take the mount away, at once for whoever looks and in fact with its last user. Returns whether there was one."""
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.umount2(os.fsencode(target), MNT_DETACH) == 0)


def _call(number: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    result = libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(result)


def _user_namespace(uids: str, gids: str) -> int:
    """A descriptor of a user namespace with these maps; the process that it takes to make one is gone again."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER) == 0:
                os.write(writer, b"+")
            os.close(writer)
            signal.pause()
        finally:
            os._exit(1)
    try:
        os.close(writer)
        if os.read(reader, 1) != b"+":
            raise OSError(1, "no user namespace can be made")
        for name, content in (("uid_map", uids), ("gid_map", gids)):
            Path(f"/proc/{child}/{name}").write_text(content)
        return os.open(f"/proc/{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(reader)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
