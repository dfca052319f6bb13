# SPDX-License-Identifier: GPL-3.0-or-later
"""A program on a terminal of its own, as an ssh client of somebody who types."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import time
from collections.abc import Sequence


def converse(words: Sequence[str], lines: Sequence[tuple[str, str]], seconds: float = 15) -> str:
    """Start a program; for each pair wait until its first text was heard, then type its second. Returns all of it.

    A text is waited for in what came after the one before; nobody types at once. When the time is over, what was heard
    until then comes back.
    """
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(words[0], list(words))
    end = time.monotonic() + seconds
    heard = b""
    position = 0
    waiting = list(lines)
    try:
        while time.monotonic() < end:
            while waiting and waiting[0][0].encode() in heard[position:]:
                expected, answer = waiting.pop(0)
                position = heard.index(expected.encode(), position) + len(expected.encode())
                time.sleep(0.2)
                os.write(terminal, answer.encode())
            if select.select([terminal], [], [], 0.1)[0]:
                block = os.read(terminal, 4096)
                if not block:
                    break
                heard += block
    except OSError:
        pass  # the program has closed its terminal
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(terminal)
    return heard.decode(errors="replace")
