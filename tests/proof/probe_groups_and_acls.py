# SPDX-License-Identifier: GPL-3.0-or-later
"""Root's side of test_storage.py. Sent after probe.py, whose helpers it uses."""

# ruff: noqa: PTH123

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from probe import ACTIONS, ENVIRONMENT, MARK, processes, run

STATE = Path("/var/lib/lyceum/share.json")


def share():
    """Start lyceum-share.service as its timer does, and wait for it. looked: whether it did not just rest."""
    before = last_look()
    done = subprocess.run(
        ["systemctl", "start", "lyceum-share.service"],
        capture_output=True, text=True, env=ENVIRONMENT, check=False, timeout=110,
    )  # fmt: skip
    return {"status": done.returncode, "words": done.stderr.strip(), "looked": last_look() != before}


def last_look():
    try:
        return json.loads(STATE.read_text())["finished"]
    except FileNotFoundError:
        return None


def spots(paths):
    """path -> [uid, gid, mode, names of ACL attributes], None for what is not there; links are followed."""
    found = {}
    for path in paths:
        try:
            info = os.stat(path)  # noqa: PTH116
        except FileNotFoundError:
            found[path] = None
            continue
        acls = [name for name in os.listxattr(path) if name.startswith("system.posix_acl")]
        found[path] = [info.st_uid, info.st_gid, info.st_mode, acls]
    return found


def wipe(paths):
    """Remove what the proof made; nothing of another name."""
    for path in map(Path, paths):
        if path.name == MARK and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
    return {"left": [path for path in paths if os.path.lexists(path)]}


def running(uid, word):
    """The processes of somebody that have a word in their command line. bus: whether systemd tells root of them."""
    found = []
    for pid in processes(uid):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as handle:
                if word.encode() in handle.read().split(b"\0"):
                    found.append(pid)
        except (FileNotFoundError, ProcessLookupError):
            continue
    manager = ["org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"]
    told = run("busctl", "call", *manager, "GetUnitProcesses", "s", f"user-{uid}.slice")
    return {"pids": found, "bus": word in told.stdout}


ACTIONS.update({function.__name__: function for function in (share, spots, wipe, running)})
