# SPDX-License-Identifier: GPL-3.0-or-later
"""The system calls that are refused inside, as the kernel's filter program (seccomp, classic BPF).

What namespaces do not separate, and nobody needs to work:
- TIOCSTI and TIOCLINUX type into a terminal. With `su` from an administrator's terminal that is the administrator's.
  The session keeps its terminal (shells need it for job control), so these two requests are refused instead.
- New user namespaces give all capabilities inside them, and with these most of the kernel's past holes.
- Keyrings belong to the uid, whatever the namespace: they would be a way to the person's other sessions.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from ..errors import LyceumError

EPERM, ENOSYS = 1, 38
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
CLONE_NEWUSER = 0x10000000
X32 = 0x40000000  # bit in the number of a system call of x86-64 with short pointers

# The instructions in use: load a word, jump if equal / not smaller / a bit is set, return.
LOAD, JUMP_EQUAL, JUMP_AT_LEAST, JUMP_IF_SET, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050000, 0x80000000
# Where the words lie in the kernel's description of a call; the lower half of an argument, on little-endian machines.
NUMBER, ARCHITECTURE, FIRST_ARGUMENT, SECOND_ARGUMENT = 0, 4, 16, 24


class Calls(NamedTuple):
    """An architecture as the audit system numbers it, and its numbers of the calls concerned."""

    architecture: int
    ioctl: int
    clone: int
    unshare: int
    clone3: int
    keys: tuple[int, int, int]


X86_64 = Calls(0xC000003E, 16, 56, 272, 435, (248, 249, 250))
I386 = Calls(0x40000003, 54, 120, 310, 435, (286, 287, 288))
AARCH64 = Calls(0xC00000B7, 29, 220, 97, 435, (217, 218, 219))
ARM = Calls(0x40000028, 54, 120, 337, 435, (309, 310, 311))
RISCV64 = Calls(0xC00000F3, 29, 220, 97, 435, (217, 218, 219))

# What a machine's kernel runs, by the name that uname gives.
MACHINES = {"x86_64": (X86_64, I386), "aarch64": (AARCH64, ARM), "riscv64": (RISCV64,)}

Instruction = tuple[int, int, int, int]
"""Code, instructions to skip if true, if not, and a number."""


def program(machine: str) -> bytes:
    """The filter for a machine. Raises LyceumError for one whose system calls are not known here."""
    if machine not in MACHINES:
        raise LyceumError(f"no confined logins on {machine}: its system calls are not known")
    instructions: list[Instruction] = []
    for calls in MACHINES[machine]:
        block = _block(calls)
        instructions += [(LOAD, 0, 0, ARCHITECTURE), (JUMP_EQUAL, 0, len(block), calls.architecture), *block]
    # Another architecture's calls have other numbers, so that nothing would be refused.
    instructions.append((RETURN, 0, 0, KILL))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)


def _block(calls: Calls) -> list[Instruction]:
    refuse, missing, allow = (RETURN, 0, 0, REFUSE | EPERM), (RETURN, 0, 0, REFUSE | ENOSYS), (RETURN, 0, 0, ALLOW)
    block: list[Instruction] = [(LOAD, 0, 0, NUMBER)]
    if calls == X86_64:
        block += [(JUMP_AT_LEAST, 0, 1, X32), missing]
    for number in calls.keys:
        block += [(JUMP_EQUAL, 0, 1, number), refuse]
    # Its flags lie in memory, where a filter cannot look; the C library then uses clone.
    block += [(JUMP_EQUAL, 0, 1, calls.clone3), missing]
    for number in (calls.clone, calls.unshare):
        block += [(JUMP_EQUAL, 0, 4, number), (LOAD, 0, 0, FIRST_ARGUMENT)]
        block += [(JUMP_IF_SET, 0, 1, CLONE_NEWUSER), refuse, allow]
    block += [(JUMP_EQUAL, 0, 5, calls.ioctl), (LOAD, 0, 0, SECOND_ARGUMENT)]
    # The kernel looks at the lower half of a request only, and so do we.
    block += [(JUMP_EQUAL, 1, 0, TIOCSTI), (JUMP_EQUAL, 0, 1, TIOCLINUX), refuse, allow]
    return [*block, allow]
