# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of the kernel, as far as any kernel answers; the rest is shown where quotas are (molecule/kernel)."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.quota import kernel
from ansible.module_utils.lyceum.quota.kernel import FSXATTR, INHERIT, State, Tag


class Answering:
    """A C library whose quotactl_fd gives one answer. flags: of the state; error: errno instead."""

    def __init__(self, flags: int = 0, error: int = 0) -> None:
        self.flags, self.error = flags, error
        self.asked: list[tuple[int, int]] = []

    def syscall(self, number: int, descriptor: Any, command: Any, _id: Any, buffer: Any) -> int:
        self.asked.append((number, command.value))
        ctypes.set_errno(self.error)
        if command.value >> 8 == kernel.GET_STATE:
            assert buffer.raw[0] == 1  # FS_QSTATV_VERSION1
            buffer[2:4] = self.flags.to_bytes(2, "little")
        else:
            buffer.raw = kernel.INFO.pack(86400, 3600, 0, 7)
        return -1 if self.error else 0


# Flags as recorded: ext4 with everything, ext4 with the feature only, XFS with two kinds, XFS that does not enforce.
@pytest.mark.parametrize(
    ("flags", "states"),
    [
        (0x3F, [State(True, True)] * 3),
        (0x15, [State(True, False)] * 3),
        (0x17, [State(True, True), State(True, False), State(True, False)]),
        (0x33, [State(True, True), State(False, False), State(True, True)]),
        (0x11, [State(True, False), State(False, False), State(True, False)]),
        (0x00, [State(False, False)] * 3),
    ],
)
def test_recorded_states(flags: int, states: list[State], monkeypatch: pytest.MonkeyPatch) -> None:
    answering = Answering(flags)
    monkeypatch.setattr(ctypes, "CDLL", lambda *_words, **_options: answering)
    assert [kernel.state("/", kind) for kind in ("user", "group", "project")] == states
    assert answering.asked == [(443, 0x580800), (443, 0x580801), (443, 0x580802)]


@pytest.mark.parametrize("error", [errno.ENOSYS, errno.ESRCH, errno.EOPNOTSUPP, errno.EINVAL])
def test_no_quotas_is_an_answer(error: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda *_words, **_options: Answering(error=error))
    assert kernel.state("/", "user") == State(False, False)
    assert kernel.grace("/", "user") is None


def test_not_being_allowed_to_ask_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda *_words, **_options: Answering(error=errno.EPERM))
    with pytest.raises(LyceumError, match="cannot ask for the user quotas of /: Operation not permitted"):
        kernel.state("/", "user")


def test_grace_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda *_words, **_options: Answering())
    assert kernel.grace("/", "project") == (86400, 3600)


def test_a_file_system_of_the_kernel_has_no_quotas() -> None:
    assert kernel.state("/proc", "user") == State(False, False)
    assert kernel.grace("/proc", "user") is None


@pytest.fixture
def inodes(monkeypatch: pytest.MonkeyPatch) -> dict[int, bytes]:
    """Attributes by inode, as the kernel would keep them."""
    kept: dict[int, bytes] = {}

    def ioctl(descriptor: int, request: int, argument: bytes) -> bytes:
        number = os.fstat(descriptor).st_ino
        if request == kernel.SET_FSXATTR:
            kept[number] = argument
            return argument
        assert (request, len(argument)) == (kernel.GET_FSXATTR, 28)
        return kept.get(number, FSXATTR.pack(0x80000000, 7, 3, 0, 9))

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    return kept


def test_a_directory_gets_its_project_and_keeps_its_other_attributes(tmp_path: Path, inodes: dict[int, bytes]) -> None:
    path = str(tmp_path)
    assert kernel.read_tag(path) == Tag(0, inherit=False)
    kernel.write_tag(path, 1002001)
    assert kernel.read_tag(path) == Tag(1002001, inherit=True)
    assert FSXATTR.unpack(inodes[tmp_path.stat().st_ino]) == (0x80000000 | INHERIT, 7, 3, 1002001, 9)


def test_a_file_passes_nothing_on(tmp_path: Path, inodes: dict[int, bytes]) -> None:
    (tmp_path / "file").touch()
    descriptor = os.open(tmp_path / "file", os.O_RDONLY)
    kernel.set_tag(descriptor, 11001)
    assert kernel.tag_of(descriptor) == Tag(11001, inherit=False)
    os.close(descriptor)
    assert len(inodes) == 1


def test_neither_links_nor_files_are_taken_for_a_directory(tmp_path: Path, inodes: dict[int, bytes]) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "file").touch()
    for name in ("link", "file"):
        with pytest.raises(NotADirectoryError):
            kernel.read_tag(str(tmp_path / name))
        with pytest.raises(NotADirectoryError):
            kernel.write_tag(str(tmp_path / name), 11001)
    assert kernel.read_tag(str(tmp_path / "missing")) is None
    assert inodes == {}
