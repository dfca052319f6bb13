# SPDX-License-Identifier: GPL-3.0-or-later
"""repquota and setquota of the package quota: all quotas of a file system in one process, for ext4 and XFS alike.

Seen with 4.06 (Debian 12) and 4.09 (Debian 13), which behave the same:
- sizes are in KiB; ids may be written as numbers, for projects too, and numbers need no account and no /etc/projid;
- `repquota` leaves out ids that own nothing unless -v is given; -n keeps it from resolving names; -p gives the end of
  a grace time in seconds since 1970 (0: none runs);
- `setquota -b` stops at the first bad line unless -c is given, and then often still ends with status 0: what became of
  each line is known only by reading back;
- XFS rounds limits up to its blocks and silently drops a soft limit above the hard one.
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import CommandError
from .filesystem import FLAGS
from .model import Limits

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
HEADER = ("BlockStatus", "FileStatus", "BlockUsed", "BlockSoftLimit", "BlockHardLimit", "BlockGrace",
          "FileUsed", "FileSoftLimit", "FileHardLimit", "FileGrace")  # fmt: skip


@dataclass(frozen=True)
class Record:
    """The quota of one id as it is. space_used: KiB. *_ends: when writing stops, or None if no grace time runs."""

    limits: Limits
    space_used: int
    files_used: int
    space_ends: int | None = None
    files_ends: int | None = None


def missing() -> str | None:
    """What is not installed, as a sentence; None if all is there."""
    lacking = [name for name in ("repquota", "setquota") if shutil.which(name, path=PATH) is None]
    return f"{' and '.join(lacking)} not installed. Remedy: install the package quota." if lacking else None


def read(mount: str, kind: str) -> dict[int, Record]:
    """All quotas of one kind, by id, also those of ids that own nothing. Raises CommandError."""
    words = ["repquota", f"-{FLAGS[kind]}", "-vnp", "-O", "csv", mount]
    done = _run(words, "")
    if done.returncode:
        raise CommandError(f"{' '.join(words)} exited with {done.returncode}: {_last_words(done.stderr)}")
    return parse(done.stdout)


def write(mount: str, kind: str, limits: Mapping[int, Limits]) -> str:
    """Set the limits of many ids in one process. Returns what it complained about: see the module's text."""
    lines = "".join(
        f"{number} {new.space_soft} {new.space_hard} {new.files_soft} {new.files_hard}\n"
        for number, new in limits.items()
    )
    return _last_words(_run(["setquota", f"-{FLAGS[kind]}", "-b", "-c", mount], lines).stderr)


def write_grace(mount: str, kind: str, seconds: int) -> None:
    """Set how long somebody may stay over a soft limit. Raises CommandError."""
    words = ["setquota", f"-{FLAGS[kind]}", "-t", str(seconds), str(seconds), mount]
    done = _run(words, "")
    if done.returncode:
        raise CommandError(f"{' '.join(words)} exited with {done.returncode}: {_last_words(done.stderr)}")


def parse(text: str) -> dict[int, Record]:
    """The output of `repquota -vnp -O csv`. Raises CommandError for anything else."""
    rows = list(csv.reader(text.splitlines()))
    if not rows or tuple(rows[0][1:]) != HEADER:
        raise CommandError(f"repquota: its output is not the one known: {text.splitlines()[:1]}")
    found = {}
    for row in rows[1:]:
        try:
            name, _space_status, _files_status, *words = row
            used, soft, hard, ends, files, files_soft, files_hard, files_ends = map(int, words)
            number = int(name.removeprefix("#"))
        except ValueError:
            raise CommandError(f"repquota: a line is not understood: {','.join(row)}") from None
        limits = Limits(soft, hard, files_soft, files_hard)
        found[number] = Record(limits, used, files, ends or None, files_ends or None)
    return found


def _run(words: list[str], text: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            words,
            input=text,
            capture_output=True,
            text=True,
            env={**os.environ, "LC_ALL": "C", "PATH": PATH},
            check=False,
        )
    except OSError as exc:
        raise CommandError(f"{words[0]}: {exc.strerror}. Is the package quota installed?") from exc


def _last_words(text: str) -> str:
    return "; ".join(line.strip() for line in text.strip().splitlines()[-3:])
