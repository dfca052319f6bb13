# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter is run here as the kernel runs it, on made-up calls, and by the kernel itself on real ones."""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Callable

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.jail import seccomp
from hypothesis import given
from hypothesis import strategies as st

ARCHITECTURES = [(machine, calls) for machine, known in seccomp.MACHINES.items() for calls in known]
EPERM, ENOSYS = seccomp.REFUSE | seccomp.EPERM, seccomp.REFUSE | seccomp.ENOSYS


def judge(program: bytes, number: int, architecture: int, *arguments: int) -> int:
    """What the kernel would say: the filter's instructions, one by one."""
    words = [0] * 6
    words[: len(arguments)] = arguments
    data = struct.pack("<IIQ6Q", number & 0xFFFFFFFF, architecture, 0, *(word & (1 << 64) - 1 for word in words))
    instructions = [struct.unpack_from("=HBBI", program, offset) for offset in range(0, len(program), 8)]
    accumulator = position = 0
    while True:
        code, if_true, if_false, value = instructions[position]
        position += 1
        if code == seccomp.RETURN:
            return value
        if code == seccomp.LOAD:
            accumulator = struct.unpack_from("<I", data, value)[0]
            continue
        holds = {
            seccomp.JUMP_EQUAL: accumulator == value,
            seccomp.JUMP_AT_LEAST: accumulator >= value,
            seccomp.JUMP_IF_SET: bool(accumulator & value),
        }[code]
        position += if_true if holds else if_false


@pytest.mark.parametrize(("machine", "calls"), ARCHITECTURES)
def test_what_is_refused(machine: str, calls: seccomp.Calls) -> None:
    program, one = seccomp.program(machine), calls.architecture
    for request in (seccomp.TIOCSTI, seccomp.TIOCLINUX, seccomp.TIOCSTI | 1 << 32, seccomp.TIOCLINUX | 7 << 40):
        assert judge(program, calls.ioctl, one, 0, request) == EPERM
    for number in (calls.clone, calls.unshare):
        assert judge(program, number, one, seccomp.CLONE_NEWUSER) == EPERM
        assert judge(program, number, one, seccomp.CLONE_NEWUSER | 0x20000 | 17) == EPERM
    for number in calls.keys:
        assert judge(program, number, one) == EPERM
    assert judge(program, calls.clone3, one) == ENOSYS


@pytest.mark.parametrize(("machine", "calls"), ARCHITECTURES)
def test_what_programs_need_goes_through(machine: str, calls: seccomp.Calls) -> None:
    program, one = seccomp.program(machine), calls.architecture
    for request in (0x5401, 0x5410, 0x540F, 0x5413, 0x541B, seccomp.TIOCSTI + 1):  # TCGETS, TIOCSPGRP, FIONREAD ...
        assert judge(program, calls.ioctl, one, 0, request) == seccomp.ALLOW
    for flags in (17, 0x3D0F00, 0x20000 | 17):
        assert judge(program, calls.clone, one, flags) == seccomp.ALLOW
    assert judge(program, calls.unshare, one, 0x20000) == seccomp.ALLOW


@pytest.mark.parametrize("machine", seccomp.MACHINES)
@given(number=st.integers(0, 1 << 31), architecture=st.integers(0, (1 << 32) - 1))
def test_no_call_of_another_architecture(machine: str, number: int, architecture: int) -> None:
    if architecture not in [calls.architecture for calls in seccomp.MACHINES[machine]]:
        assert judge(seccomp.program(machine), number, architecture) == seccomp.KILL


@pytest.mark.parametrize(("machine", "calls"), ARCHITECTURES)
@given(data=st.data())
def test_every_other_call_goes_through(machine: str, calls: seccomp.Calls, data: st.DataObject) -> None:
    named = {calls.ioctl, calls.clone, calls.unshare, calls.clone3, *calls.keys}
    number = data.draw(st.integers(0, 600).filter(lambda one: one not in named))
    assert judge(seccomp.program(machine), number, calls.architecture, *[(1 << 64) - 1] * 6) == seccomp.ALLOW


def test_calls_with_short_pointers_do_not_exist() -> None:
    program = seccomp.program("x86_64")
    for number in (514, 16, 56, 272, 0, 435):  # ioctl of x32 has a number of its own
        assert judge(program, seccomp.X32 | number, seccomp.X86_64.architecture, 0, seccomp.TIOCSTI) == ENOSYS


def test_an_unknown_machine_has_no_jail() -> None:
    with pytest.raises(LyceumError, match=r"^no confined logins on s390x: its system calls are not known$"):
        seccomp.program("s390x")


def under_filter(attempt: Callable[[ctypes.CDLL], int]) -> int:
    """The errno of an attempt in a child process under the real filter, 0 if it worked."""
    program = seccomp.program(os.uname().machine)
    child = os.fork()
    if child == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        code = ctypes.create_string_buffer(program, len(program))

        class Filter(ctypes.Structure):
            _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))

        filled = Filter(len(program) // 8, ctypes.addressof(code))
        no_new_privileges, set_seccomp, mode_filter = 38, 22, 2
        if libc.prctl(no_new_privileges, 1, 0, 0, 0) or libc.prctl(set_seccomp, mode_filter, ctypes.byref(filled)):
            os._exit(99)
        os._exit(ctypes.get_errno() if attempt(libc) == -1 else 0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.skipif(sys.platform != "linux" or os.uname().machine not in seccomp.MACHINES, reason="another kernel")
@pytest.mark.parametrize(
    ("attempt", "errno"),
    [
        (lambda libc: libc.unshare(seccomp.CLONE_NEWUSER), seccomp.EPERM),
        (lambda libc: libc.ioctl(0, seccomp.TIOCSTI, b"x"), seccomp.EPERM),
        (lambda libc: libc.ioctl(0, ctypes.c_ulong(seccomp.TIOCSTI | 1 << 32), b"x"), seccomp.EPERM),
        (lambda libc: libc.syscall(435, 0, 0), seccomp.ENOSYS),
        (lambda libc: libc.getpid(), 0),
        (lambda libc: os.spawnlp(os.P_WAIT, "true", "true"), 0),
    ],
)
def test_the_kernel_agrees(attempt: Callable[[ctypes.CDLL], int], errno: int) -> None:
    assert under_filter(attempt) == errno
