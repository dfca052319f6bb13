# SPDX-License-Identifier: GPL-3.0-or-later
"""Do something in a person's home with the person's own ids, so that nothing there can lead root anywhere."""

from __future__ import annotations

import os
import select
import signal
import stat
import time
from collections.abc import Callable
from pathlib import Path

from ..errors import LyceumError
from .settings import Policy

SECONDS = 5.0
MOST_BYTES = 16 * 1024 * 1024


def call(policy: Policy, function: Callable[[], bytes], seconds: float = SECONDS) -> bytes:
    """What a function returns that is called in a process with the person's ids and no others.

    Raises LyceumError with the reason of an OSError there, and when it takes longer: homes may hang, and people can put
    a pipe or a file system of their own where a file was.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _child(policy, function, reader, writer)
    os.close(writer)
    deadline = time.monotonic() + seconds
    answer = bytearray()
    try:
        while select.select([reader], [], [], max(0.0, deadline - time.monotonic()))[0]:
            block = os.read(reader, 65536)
            answer += block
            if not block:
                break
        else:
            raise LyceumError(f"as {policy.name}: no answer within {seconds:g} s")
    finally:
        os.close(reader)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    if answer[:1] != b"+":
        raise LyceumError(f"as {policy.name}: {answer[1:].decode(errors='replace') or 'no answer'}")
    return bytes(answer[1:])


def _child(policy: Policy, function: Callable[[], bytes], reader: int, writer: int) -> None:
    """Never returns: whatever happens here, the parent's code must not go on a second time."""
    try:
        os.close(reader)
        try:
            os.setgroups([policy.gid])
            os.setgid(policy.gid)
            os.setuid(policy.uid)
            os.umask(0o077)
            os.chdir("/")
            answer = b"+" + function()
        except OSError as exc:
            answer = f"-{exc.filename}: {exc.strerror}".encode()
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(answer)
    finally:
        os._exit(0)


def read_file(path: Path) -> bytes:
    """A plain file, b"" where there is none. OSError for anything else, or if it is larger than anybody needs."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""
    with os.fdopen(descriptor, "rb") as handle:
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode) or info.st_size > MOST_BYTES:
            raise OSError(0, "not a plain file of a sensible size", str(path))
        return handle.read(MOST_BYTES)
