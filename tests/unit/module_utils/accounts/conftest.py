# SPDX-License-Identifier: GPL-3.0-or-later
"""A host in a directory: account files, skel and homes below a temporary root. No process is ever signalled."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.accounts import apply
from ansible.module_utils.lyceum.accounts.model import Desired

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="changing owners needs root")
TODAY = datetime.date(2026, 11, 21)

DEFAULTS: dict[str, Any] = {
    "complete": True,
    "home_mode": "0700",
    "skel": "/etc/skel",
    "archive_dir": "/var/backups/homes",
    "keep_data": False,
    "subid_base": 524288,
    "subid_count": 65536,
    "uid_ranges": [{"first": 2001, "last": 2999}],
    "max_removals": 10,
    "max_removals_percent": 10,
    "allow_removals": [],
    "protected": ["root"],
    "search_paths": ["/srv"],
}


class Host:
    """The root directory of a pretended host, and shortcuts to run the module's core on it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ended: list[str] = []
        etc = root / "etc"
        (etc / "skel").mkdir(parents=True)
        (etc / "skel" / ".profile").write_text("umask 077\n")
        (root / "home").mkdir()
        (root / "srv").mkdir()
        for name, content in {
            "passwd": "root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33::/var/www:/usr/sbin/nologin\n",
            "shadow": "root:*:19000:0:99999:7:::\nwww-data:*:19000:0:99999:7:::\n",
            "group": "root:x:0:\nwww-data:x:33:\nsudo:x:27:\n",
            "gshadow": "root:*::\nwww-data:*::\nsudo:*::\n",
            "subuid": "",
            "subgid": "",
        }.items():
            (etc / name).write_text(content)

    def desired(
        self, people: list[dict[str, Any]], groups: list[dict[str, Any]] | None = None, **policy: Any
    ) -> Desired:
        """The parameters as the module would pass them on."""
        return Desired.from_params({**DEFAULTS, **policy, "people": people, "groups": groups or []})

    def run(
        self,
        people: list[dict[str, Any]],
        groups: list[dict[str, Any]] | None = None,
        *,
        check: bool = False,
        **policy: Any,
    ) -> apply.Outcome:
        def end(people: dict[str, tuple[int, list[tuple[int, int]]]]) -> dict[str, str]:
            self.ended += people
            return {}

        return apply.run(
            self.desired(people, groups, **policy), check=check, root=self.root, today=TODAY, end_sessions=end
        )

    def append(self, name: str, *lines: str) -> None:
        """Lines that somebody else wrote into an account file."""
        path = self.root / "etc" / name
        path.write_text(path.read_text() + "".join(f"{line}\n" for line in lines))

    def lines(self, name: str) -> list[str]:
        return (self.root / "etc" / name).read_text().splitlines()

    def line(self, name: str, login: str) -> str | None:
        return next((line for line in self.lines(name) if line.startswith(f"{login}:")), None)

    def snapshot(self) -> dict[str, Any]:
        """Everything that may differ between two states: files with content, mode and owner."""
        state = {}
        for folder, directories, files in os.walk(self.root):
            for name in [*directories, *files]:
                path = Path(folder, name)
                info = path.lstat()
                state[str(path.relative_to(self.root))] = (
                    info.st_mode,
                    info.st_uid,
                    info.st_gid,
                    path.read_bytes() if path.is_file() else None,
                )
        return state


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.fixture
def make_host(tmp_path: Path) -> Callable[[str], Host]:
    def make(name: str) -> Host:
        (tmp_path / name).mkdir()
        return Host(tmp_path / name)

    return make


def person(name: str = "amartin", uid: int = 2001, **keys: Any) -> dict[str, Any]:
    return {"name": name, "uid": uid, "gecos": "A. Martin", **keys}
