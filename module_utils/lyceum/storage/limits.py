# SPDX-License-Identifier: GPL-3.0-or-later
"""lyceum-limits: what a person may use and uses, for the person, without any privilege."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import notices
from ..quota.model import KIB
from ..quota.plan import size
from . import show, state
from .usage import TOTAL, Row, rows_of

SECONDS = 10
# What systemd says of a slice; numbers of 2^64-1 or "infinity" are no limit.
PROPERTIES = ("CPUQuotaPerSecUSec", "CPUWeight", "MemoryCurrent", "MemoryHigh", "MemoryMax", "TasksCurrent", "TasksMax")
NONE = {"", "infinity", "[not set]", "18446744073709551615"}
UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}


def main(words: Sequence[str] | None = None) -> int:
    """Exit status 1 if nothing is known about whoever asks."""
    parser = argparse.ArgumentParser(
        prog="lyceum-limits", description="What you may use on this host, and what you use."
    )
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--json", action="store_true", help="all of it as JSON")
    kind.add_argument("--purge", action="store_true", help="which of your files in scratch are deleted when")
    options = parser.parse_args(words)
    uid = os.getuid()
    if options.purge:
        sys.stdout.write(_text(state.BASE / state.PEOPLE / f"{uid}.purge") or "Nothing of yours is to be deleted.\n")
        return 0
    rows, known = storage(state.BASE, uid)
    properties = slice_of(uid)
    pending = notices.pending(uid)
    if options.json:
        storage_rows = [row.__dict__ for row in rows]
        sys.stdout.write(json.dumps({"storage": storage_rows, "slice": properties, "notices": pending}) + "\n")
        return 0 if known else 1
    sys.stdout.write(
        "".join(f"{line}\n" for line in lines(rows, properties, pending, _text(state.BASE / state.UPDATED)))
    )
    if not known:
        sys.stderr.write("lyceum-limits: nothing is known about your storage yet.\n")
    return 0 if known else 1


def storage(base: Path, uid: int) -> tuple[list[Row], bool]:
    """The rows that were handed out to this person, and whether there are any."""
    text = _text(base / state.PEOPLE / str(uid))
    return (rows_of(json.loads(text)), True) if text else ([], False)


def slice_of(uid: int) -> dict[str, str]:
    """What systemd holds the person's sessions to. Empty where it cannot be asked."""
    words = ["systemctl", "show", f"user-{uid}.slice", *(f"--property={name}" for name in PROPERTIES)]
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, check=False, timeout=SECONDS, env={**os.environ, "LC_ALL": "C"}
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def lines(rows: Sequence[Row], properties: dict[str, str], pending: dict[str, str], updated: str) -> list[str]:
    """Everything in words."""
    found = [f"Storage{f' (as of {updated.strip()})' if updated.strip() else ''}"]
    found += [f"  {show.line(row)}" for row in rows if row.what != TOTAL or row.used_bytes is not None]
    session = [text for text in (_memory(properties), _processors(properties), _tasks(properties)) if text]
    if session:
        found += ["Sessions, all together", *(f"  {text}" for text in session)]
    for source, text in pending.items():
        found += [f"Notice ({source})", *(f"  {line}" for line in text.splitlines())]
    return found


def _memory(properties: dict[str, str]) -> str:
    used, limits = (
        _number(properties, "MemoryCurrent"),
        [_number(properties, key) for key in ("MemoryMax", "MemoryHigh")],
    )
    limit = min((value for value in limits if value is not None), default=None)
    if used is None and limit is None:
        return ""
    text = "unknown" if used is None else show.amount(used)
    return f"{'memory':<10} {text}" + (f" of {size(limit // KIB)}" if limit is not None else "")


def _processors(properties: dict[str, str]) -> str:
    """CPUQuotaPerSecUSec is a time span: `1s` is one processor, `1min 30s` are ninety."""
    quota = properties.get("CPUQuotaPerSecUSec", "")
    if quota in NONE:
        return ""
    return f"{'processors':<10} {sum(map(_seconds, quota.split())):g}"


def _seconds(word: str) -> float:
    number = word.rstrip("abcdefghijklmnopqrstuvwxyz")
    return float(number) * UNITS[word[len(number) :]]


def _tasks(properties: dict[str, str]) -> str:
    used, limit = _number(properties, "TasksCurrent"), _number(properties, "TasksMax")
    if used is None and limit is None:
        return ""
    return f"{'tasks':<10} {'unknown' if used is None else used}" + (f" of {limit}" if limit is not None else "")


def _number(properties: dict[str, str], name: str) -> int | None:
    value: Any = properties.get(name, "")
    return int(value) if value not in NONE and value.isdigit() else None


def _text(path: Path) -> str:
    """The content of a file; nothing if it is not there or not this person's to read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
