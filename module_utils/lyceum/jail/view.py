# SPDX-License-Identifier: GPL-3.0-or-later
"""The root directory of an sftp login (ChrootDirectory), made for this login alone.

pam_namespace gives the login a mount namespace of its own with an empty tmpfs at ROOT and starts this as root in it.
The person's directories are bound into that tmpfs. Nothing of it exists outside of the login: there is nothing to clean
up, nothing for others to see, and no second path under which somebody could delete a home by mistake.
"""

# No Path objects: see policy.py.
# ruff: noqa: PTH103, PTH110, PTH120, PTH123, PTH208, PTH211

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import sys
import syslog
from collections.abc import Sequence

from ..errors import LyceumError
from . import places, policy

ROOT = "/run/lyceum/sftp"
JOURNAL = "/run/systemd/journal/dev-log"
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND = 1, 2, 4, 8, 32, 4096
HARMLESS = MS_NOSUID | MS_NODEV | MS_NOEXEC


def main(argv: Sequence[str] | None = None) -> int:
    """pam_namespace's init script: DIRECTORY INSTANCE IS_NEW USER ... Ends by a signal when there is no view.

    pam_namespace takes no notice of an exit status and would let the person in, to an empty directory.
    """
    arguments = sys.argv if argv is None else argv
    try:
        if len(arguments) < 5 or arguments[1] != ROOT:
            raise LyceumError(f"not started by pam_namespace for {ROOT}")
        account = pwd.getpwnam(arguments[4])
        person = policy.load_person(account.pw_name, account.pw_uid)
        if person.profile != "sftp":
            raise LyceumError(f"the profile of {account.pw_name} is {person.profile}")
        build(ROOT, person)
    except (LyceumError, KeyError, OSError) as exc:
        syslog.openlog("lyceum", 0, syslog.LOG_AUTH)
        syslog.syslog(syslog.LOG_ERR, f"sftp login refused, there is nothing to show: {exc}")
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)
    return 0


def build(root: str, person: policy.Person) -> None:
    """Fill the empty tmpfs at `root`. Raises LyceumError or OSError."""
    # Not the host's own directory of that name.
    if not os.path.ismount(root) or os.listdir(root):
        raise LyceumError(f"{root} is not an empty file system of this login's own")
    os.umask(0o022)
    found, links = places.visible(person)
    for place in found:
        _bind(place.path, root + place.path, HARMLESS if place.writable else HARMLESS | MS_RDONLY)
    for name, path in links.items():
        os.makedirs(os.path.dirname(root + name), exist_ok=True)
        os.symlink(path, root + name)
    if os.path.exists(JOURNAL):
        # sshd logs file operations from inside.
        os.makedirs(f"{root}/dev")
        with open(f"{root}/dev/log", "x", encoding="ascii"):
            pass
        _mount(JOURNAL, f"{root}/dev/log", MS_BIND)
    _mount(None, root, MS_REMOUNT | MS_BIND | HARMLESS | MS_RDONLY)


def _bind(source: str, target: str, flags: int) -> None:
    os.makedirs(target, exist_ok=True)
    _mount(source, target, MS_BIND)
    _mount(None, target, MS_REMOUNT | MS_BIND | flags)


def _mount(source: str | None, target: str, flags: int) -> None:
    """mount(2), which Python does not offer. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    words = [None if word is None else os.fsencode(word) for word in (source, target)]
    if libc.mount(*words, None, ctypes.c_ulong(flags), None) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"mounting {target}: {os.strerror(error)}")
