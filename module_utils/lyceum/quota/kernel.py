# SPDX-License-Identifier: GPL-3.0-or-later
"""What no program tells exactly: whether a file system enforces quotas, its grace times, the project of a directory."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import LyceumError
from .model import KINDS

# linux/quota.h and linux/dqblk_xfs.h; the same on ext4 and XFS. quotactl_fd(2) is there from Linux 5.14 on.
QUOTACTL_FD = 443
GET_INFO = 0x800005
GET_STATE = 0x5808
STATE = struct.Struct("<bxH")  # qs_version, qs_flags
INFO = struct.Struct("=QQII")  # block grace, file grace in seconds, flags, valid
ACCOUNTING = (1 << 0, 1 << 2, 1 << 4)
ENFORCING = (1 << 1, 1 << 3, 1 << 5)

# linux/fs.h: struct fsxattr {flags, extsize, nextents, projid, cowextsize, pad[8]}
GET_FSXATTR = 0x801C581F
SET_FSXATTR = 0x401C5820
FSXATTR = struct.Struct("=IIIII8x")
INHERIT = 0x200

NOT_THERE = frozenset({errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTTY, errno.ESRCH, errno.EINVAL})


@dataclass(frozen=True)
class State:
    """Whether quotas of one kind are counted, and whether their limits stop anybody."""

    counted: bool
    enforced: bool


@dataclass(frozen=True)
class Tag:
    """The project that a file or directory counts for, and whether what is made in the directory will, too."""

    project: int
    inherit: bool


def state(mount: str, kind: str) -> State:
    """The state of one kind of quota. Raises LyceumError when the kernel cannot be asked."""
    buffer = ctypes.create_string_buffer(STATE.pack(1, 0), 512)
    if not _quotactl(mount, GET_STATE, kind, buffer):
        return State(counted=False, enforced=False)
    flags = STATE.unpack_from(buffer)[1]
    number = KINDS.index(kind)
    counted = bool(flags & ACCOUNTING[number])
    return State(counted, counted and bool(flags & ENFORCING[number]))


def grace(mount: str, kind: str) -> tuple[int, int] | None:
    """Seconds that somebody may stay over a soft limit of space and of files; None without quotas."""
    buffer = ctypes.create_string_buffer(INFO.size)
    if not _quotactl(mount, GET_INFO, kind, buffer):
        return None
    space, files, _flags, _valid = INFO.unpack(buffer.raw)
    return space, files


def kernel_has_quotas() -> bool:
    """Whether this kernel was built with disk quotas (of file systems other than XFS, which brings its own)."""
    return Path("/proc/sys/fs/quota").is_dir()


def read_tag(path: str) -> Tag | None:
    """The project of a directory; None when it does not exist. Raises OSError, also for what is not a directory."""
    try:
        with _opened(path) as descriptor:
            return tag_of(descriptor)
    except FileNotFoundError:
        return None


def write_tag(path: str, project: int) -> None:
    """Make a directory, and everything made in it from now on, count for this project. Raises OSError."""
    with _opened(path) as descriptor:
        set_tag(descriptor, project)


def tag_of(descriptor: int) -> Tag:
    """The project of an open file or directory. Raises OSError where the file system has none."""
    flags, _extsize, _nextents, project, _cowextsize = _attributes(descriptor)
    return Tag(project, bool(flags & INHERIT))


def set_tag(descriptor: int, project: int) -> None:
    """As write_tag, of an open file or directory; only directories pass it on."""
    flags, extsize, nextents, _project, cowextsize = _attributes(descriptor)
    flags = flags | INHERIT if stat.S_ISDIR(os.fstat(descriptor).st_mode) else flags
    fcntl.ioctl(descriptor, SET_FSXATTR, FSXATTR.pack(flags, extsize, nextents, project, cowextsize))


def _attributes(descriptor: int) -> tuple[int, ...]:
    return FSXATTR.unpack(fcntl.ioctl(descriptor, GET_FSXATTR, bytes(FSXATTR.size)))


@contextlib.contextmanager
def _opened(path: str) -> Iterator[int]:
    """A directory itself, never what a link in its place points to: its owner may be anybody."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _quotactl(mount: str, command: int, kind: str, buffer: ctypes.Array[ctypes.c_char]) -> bool:
    """Whether there was an answer. Raises LyceumError for anything but "no such quotas here"."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(mount, os.O_RDONLY | os.O_CLOEXEC)
    try:
        words = ctypes.c_uint(command << 8 | KINDS.index(kind)), ctypes.c_uint(0)
        if libc.syscall(QUOTACTL_FD, ctypes.c_uint(descriptor), *words, buffer) == 0:
            return True
    finally:
        os.close(descriptor)
    error = ctypes.get_errno()
    if error in NOT_THERE:
        return False
    raise LyceumError(f"cannot ask for the {kind} quotas of {mount}: {os.strerror(error)}")
