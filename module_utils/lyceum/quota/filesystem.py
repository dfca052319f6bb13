# SPDX-License-Identifier: GPL-3.0-or-later
"""Which file system a path is on, and why quotas do not work there, with the remedy."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import LyceumError
from .kernel import State

MOUNTINFO = Path("/proc/self/mountinfo")
ESCAPE = re.compile(r"\\([0-7]{3})")
OPTIONS = "usrquota,grpquota,prjquota"
XFS_OPTIONS = "uquota,gquota,pquota"
FLAGS = {"user": "u", "group": "g", "project": "P"}


@dataclass(frozen=True)
class Mount:
    """One line of mountinfo. device: major:minor. root: what of the file system is mounted ("/": all of it)."""

    device: str
    root: str
    point: str
    type: str
    source: str


def mounts() -> list[Mount]:
    """All mounts, in the order they were made. Raises LyceumError."""
    try:
        return parse(MOUNTINFO.read_text(encoding="utf-8", errors="surrogateescape"))
    except OSError as exc:
        raise LyceumError(f"cannot read {MOUNTINFO}: {exc.strerror}") from exc


def parse(text: str) -> list[Mount]:
    """The lines of /proc/self/mountinfo, see proc(5)."""
    found = []
    for line in text.splitlines():
        fixed, _, rest = line.partition(" - ")
        _number, _parent, device, root, point, *_options = fixed.split(" ")
        kind, source, *_super = rest.split(" ")
        found.append(Mount(device, _plain(root), _plain(point), kind, _plain(source)))
    return found


def mount_of(path: str, known: Iterable[Mount]) -> Mount:
    """The mount through which quotas of a path's file system are reached, also if the path does not exist yet.

    Of several mounts of one file system (bind mounts) the first whole one: the programs know no other.
    Raises LyceumError when nothing is mounted there.
    """
    known = list(known)
    real = os.path.realpath(path)
    covering = [one for one in known if real == one.point or real.startswith(f"{one.point.rstrip('/')}/")]
    if not covering:
        raise LyceumError(f"{path} is on no mounted file system")
    # The deepest; of several mounted over one another the last is the one to be seen.
    nearest = max(enumerate(covering), key=lambda pair: (len(pair[1].point), pair[0]))[1]
    same = [one for one in known if one.device == nearest.device]
    return next((one for one in same if one.root == "/"), nearest)


def shortcoming(mount: Mount, state: State, kernel_has_quotas: Callable[[], bool]) -> str | None:
    """Why limits of the kind that is in this state stop nobody there, and the remedy; None if they do."""
    if state.enforced:
        return None
    where = f"{mount.point} ({mount.type} on {mount.source})"
    if mount.type not in ("ext4", "xfs"):
        server = " Set them on the file server." if mount.type.startswith("nfs") else ""
        return f"{where}: Lyceum sets quotas on ext4 and XFS only.{server}"
    off = "they are counted, but stop nobody" if state.counted else "they are off"
    root = mount.point == "/"
    if mount.type == "xfs":
        boot = f" (for /: rootflags={XFS_OPTIONS} on the kernel's command line, then reboot)" if root else ""
        return (
            f"{where}: {off}. Remedy: put {XFS_OPTIONS} into its options in /etc/fstab and mount it anew; a remount is"
            f" not enough{boot}."
        )
    if not kernel_has_quotas():
        return f"{where}: this kernel has no disk quotas (CONFIG_QUOTA, CONFIG_QFMT_V2). Remedy: boot one that has."
    if state.counted:
        return (
            f"{where}: {off}. Remedy: put {OPTIONS} into its options in /etc/fstab, and run `quotaon -ugP"
            f" {mount.point}` until it is mounted anew; a remount is not enough."
        )
    boot = ", from a rescue system since it is /" if root else ""
    return (
        f"{where}: {off}. Remedy: unmount it{boot}, run `tune2fs -O quota,project -Q {OPTIONS} {mount.source}`, put"
        f" {OPTIONS} into its options in /etc/fstab, mount it."
    )


def _plain(word: str) -> str:
    """mountinfo writes blanks, tabs, newlines and backslashes in octal."""
    return ESCAPE.sub(lambda match: chr(int(match[1], 8)), word)
