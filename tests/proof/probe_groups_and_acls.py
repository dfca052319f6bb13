# SPDX-License-Identifier: GPL-3.0-or-later
"""Root's side of test_storage.py. Sent after probe.py, whose helpers it uses."""

# ruff: noqa: PTH123

from __future__ import annotations

import ctypes
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


# --- quotas, for test_quotas.py ---------------------------------------------------------------------------------------

KINDS = {"user": "-u", "group": "-g", "project": "-P"}


def quotas(paths):
    """For each path: mount, type, source, free bytes, and per kind of quota: enforced or not, and all records by id.

    A record is [KiB used, soft, hard, files used, soft, hard]. quota: whether the kernel knows quotas at all.
    """
    found, known = {}, {}
    for path in paths:
        there = next(one for one in (Path(path), *Path(path).parents) if os.path.lexists(one))
        words = run("findmnt", "-nv", "-o", "TARGET,FSTYPE,SOURCE", "--target", str(there)).stdout.split()
        found[path] = words[0]
        if words[0] not in known:
            space = os.statvfs(words[0])
            known[words[0]] = {
                "type": words[1],
                "source": words[2],
                "free": space.f_bavail * space.f_frsize,
                "kinds": {kind: quota_state(words[0], number) for number, kind in enumerate(KINDS)},
            }
    return {"mounts": found, "systems": known, "quota": Path("/proc/sys/fs/quota").is_dir()}


def quota_state(mount, number):
    """quotactl_fd(Q_XGETQSTATV): bit 2n says that a kind is counted, bit 2n+1 that it is enforced."""
    libc = ctypes.CDLL(None, use_errno=True)
    answer = ctypes.create_string_buffer(b"\x01", 512)
    descriptor = os.open(mount, os.O_RDONLY)
    try:
        done = libc.syscall(443, descriptor, 0x5808 << 8 | number, 0, answer)
    finally:
        os.close(descriptor)
    flags = 0 if done else int.from_bytes(answer.raw[2:4], "little")
    counted, enforced = bool(flags >> 2 * number & 1), bool(flags >> 2 * number & 2)
    return {"counted": counted, "enforced": counted and enforced, "records": quota_records(mount, number, counted)}


def quota_records(mount, number, counted):
    if not counted:
        return {}
    listed = run("repquota", list(KINDS.values())[number], "-vnp", "-O", "csv", mount).stdout
    rows = [line.split(",") for line in listed.splitlines()[1:]]
    return {row[0][1:]: [int(word) for word in (*row[3:6], *row[7:10])] for row in rows}


ACTIONS.update({function.__name__: function for function in (quotas, share, spots, wipe, running)})
