# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories below a temporary folder, and people who need no account."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.acl import model

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="changing owners needs root")

USERS = {"amartin": 2001, "bchen": 2002, "dlopez": 2003, "root": 0}
GROUPS = {"retina": 11001, "vision": 10001, "root": 0}
ENTRY: dict[str, Any] = {
    "state": "present",
    "create": True,
    "owner": "root",
    "group": "root",
    "mode": None,
    "acl": None,
    "default_acl": None,
    "recurse": False,
    "target": None,
    "person": None,
}


class FakeNames(model.Names):
    """The names above instead of those of this machine."""

    def __init__(self) -> None:
        super().__init__()
        self._uids, self._gids = USERS, GROUPS
        self._users = {uid: name for name, uid in USERS.items()}
        self._groups = {gid: name for name, gid in GROUPS.items()}


def spec(
    *entries: dict[str, Any], folders: tuple[dict[str, Any], ...] = (), names: model.Names | None = None
) -> model.Spec:
    """The module's parameters, completed as the argument spec does."""
    params = {
        "entries": [{**ENTRY, **entry, "path": str(entry["path"])} for entry in entries],
        "folders": [{"links": None, **folder, "path": str(folder["path"])} for folder in folders],
    }
    return model.spec_from_params(params, names or FakeNames())


@pytest.fixture
def names() -> FakeNames:
    return FakeNames()


@pytest.fixture
def srv(tmp_path: Path) -> Iterator[Path]:
    """A folder that everybody may enter, as tests of what people can do need it."""
    for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        folder.chmod(0o711)
    yield tmp_path
    tmp_path.parent.parent.chmod(0o700)


def as_user(uid: int, gids: list[int], action: Callable[[], object], umask: int = 0o022) -> bool:
    """Whether `action` is let through when a process with these ids does it."""
    child = os.fork()
    if child == 0:
        status = 2
        try:
            os.setgroups(gids)
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            os.umask(umask)
            action()
            status = 0
        except PermissionError:
            status = 1
        finally:
            os._exit(status)
    _, ended = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(ended)
    assert code in (0, 1), f"the action ended in an unexpected way ({code})"
    return code == 0


def open_files() -> list[str]:
    """The descriptors of this process."""
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())
