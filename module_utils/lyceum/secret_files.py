# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets that a service invents for itself on its host: made once, kept for ever, and known to nobody else."""

from __future__ import annotations

import grp
import os
import pwd
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import LyceumError
from .files import write_all_atomically

FORMS = {"hex": secrets.token_hex, "base64url": secrets.token_urlsafe}


@dataclass(frozen=True)
class SecretFile:
    """form: how its bytes are written."""

    path: Path
    form: str
    length: int
    mode: int
    owner: str
    group: str

    @classmethod
    def from_params(cls, entry: Mapping[str, Any]) -> SecretFile:
        """From the parameters of a module. LyceumError when they make no sense."""
        path, mode = Path(entry["path"]), int(str(entry["mode"]), 8)
        if not path.is_absolute():
            raise LyceumError(f"{path} must be an absolute path")
        if mode & 0o007 or mode & 0o111:
            raise LyceumError(f"{path}: with mode {entry['mode']} it is no secret; leave others and programs out")
        if entry["bytes"] < 16:
            raise LyceumError(f"{path}: {entry['bytes']} bytes can be guessed; at least 16")
        return cls(path, entry["form"], entry["bytes"], mode, entry["owner"], entry["group"])

    def ids(self) -> tuple[int, int]:
        try:
            return pwd.getpwnam(self.owner).pw_uid, grp.getgrnam(self.group).gr_gid
        except KeyError as exc:
            raise LyceumError(f"{self.path}: there is no {self.owner} or no {self.group} to own it") from exc


def run(params: Mapping[str, Any], *, check: bool) -> dict[str, Any]:
    """What the module returns; no secret is in it."""
    actions = []
    for one in [SecretFile.from_params(entry) for entry in params["files"]]:
        try:
            found = one.path.lstat()
        except FileNotFoundError:
            actions.append(f"make {one.path}")
            if not check:
                content = f"{FORMS[one.form](one.length)}\n".encode()
                failures = write_all_atomically({one.path: content}, one.mode, one.ids())
                if failures:
                    raise LyceumError(failures[one.path]) from None
            continue
        if not stat.S_ISREG(found.st_mode) or not found.st_size:
            raise LyceumError(
                f"{one.path} is there and is no secret (empty, or no file): put back the one from a backup, since what"
                " was encrypted with it cannot be read with another"
            )
        if check and one.owner not in {entry.pw_name for entry in pwd.getpwall()}:
            continue
        if (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) != (one.mode, *one.ids()):
            actions.append(f"give {one.path} to {one.owner}:{one.group} with mode {one.mode:04o}")
            if not check:
                os.chown(one.path, *one.ids(), follow_symlinks=False)
                one.path.chmod(one.mode)
    return {"changed": bool(actions), "actions": actions}
