# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd is asked and told: one process for any number of slices."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from ..errors import CommandError
from .dropin import slice_of, uid_of
from .properties import PROPERTIES, Value, Values, from_show, to_text

SYSTEMCTL = "systemctl"
# Where `systemctl set-property --runtime` leaves what it was told.
RUNTIME_CONTROL = Path("/run/systemd/system.control")
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}


def show(uids: Iterable[int]) -> dict[int, dict[str, Value]]:
    """uid -> property -> the value systemd holds for the user's slice. Raises CommandError."""
    names = [slice_of(uid) for uid in uids]
    if not names:
        return {}
    shown = {prop.shown: name for name, prop in PROPERTIES.items()}
    output = _systemctl(["show", f"--property=Id,{','.join(shown)}", "--", *names])
    found: dict[int, dict[str, Value]] = {}
    for block in output.split("\n\n"):
        pairs = dict(line.partition("=")[::2] for line in block.splitlines())
        uid = uid_of(pairs.get("Id", ""))
        if uid is not None:
            found[uid] = {shown[key]: _value(shown[key], text) for key, text in pairs.items() if key in shown}
    return found


def _value(name: str, text: str) -> Value:
    try:
        return from_show(name, text)
    except ValueError as exc:
        raise CommandError(f"systemctl show prints {name}={text}, which cannot be understood") from exc


def reload() -> None:
    """Let systemd read its unit files again. Raises CommandError."""
    _systemctl(["daemon-reload"])


def apply_live(uid: int, values: Values) -> None:
    """Have systemd write values into the control groups of a live slice, leaving no file behind. Raises CommandError.

    Needed because systemd 256 and 257 (Debian 13) read changed files on a reload, but do not apply them to slices that
    are live. The files that set-property makes would outlive ours; they are removed, and the next reload forgets them.
    """
    folder = RUNTIME_CONTROL / f"{slice_of(uid)}.d"
    before = _files(folder)
    assignments = [f"{name}={to_text(name, value)}" for name, value in values.items()]
    _systemctl(["set-property", "--runtime", "--", slice_of(uid), *assignments])
    for path in _files(folder) - before:
        path.unlink(missing_ok=True)
    if not before and folder.is_dir():
        folder.rmdir()


def _files(folder: Path) -> set[Path]:
    try:
        return {Path(entry.path) for entry in os.scandir(folder)}
    except FileNotFoundError:
        return set()


def _systemctl(arguments: list[str]) -> str:
    command = [SYSTEMCTL, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=_ENVIRONMENT)
    except FileNotFoundError as exc:
        raise CommandError(f"cannot run systemctl {arguments[0]}: systemctl is not installed") from exc
    if done.returncode:
        words = done.stderr.strip() or done.stdout.strip()
        raise CommandError(f"systemctl {arguments[0]} failed with exit status {done.returncode}: {words}")
    return done.stdout
