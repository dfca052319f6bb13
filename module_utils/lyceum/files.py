# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a file so that a reader, or a crash, sees the old content or the new one and never half of it."""

from __future__ import annotations

import os
from pathlib import Path

from .errors import LyceumError


def write_atomically(path: Path, content: bytes, mode: int) -> None:
    """Write through a flushed temporary file in the same directory. The file belongs to whoever runs this.

    Raises LyceumError naming the path.
    """
    temporary = path.with_name(f".{path.name}.lyceum")
    try:
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(content)
            os.fchmod(descriptor, mode)
            handle.flush()
            os.fsync(descriptor)
        temporary.rename(path)
    except OSError as exc:
        raise LyceumError(f"cannot write {path}: {exc.strerror}") from exc
