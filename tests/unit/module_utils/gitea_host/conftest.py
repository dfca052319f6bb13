# SPDX-License-Identifier: GPL-3.0-or-later
"""A host with the stand-in of Gitea on a Unix socket; systemd is played by the test."""

from __future__ import annotations

import getpass
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.gitea_host.host import Host

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from fixtures.gitea import pack

CONFIG = """RUN_USER = {user}
WORK_PATH = {folder}/home
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true

[server]
PROTOCOL = http+unix
HTTP_ADDR = {folder}/socket
ROOT_URL = https://git.example.org/

[database]
DB_TYPE = sqlite3
PATH = {folder}/home/data/gitea.db

[security]
INSTALL_LOCK = true

[service]
REQUIRE_SIGNIN_VIEW = true
"""


@dataclass
class Machine:
    """folder: everything of this host. verbs: what systemctl was asked for."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None
    verbs: list[str] = field(default_factory=list)

    @property
    def params(self) -> dict[str, Any]:
        """Parameters that all modules share."""
        return {
            "program": str(self.folder / "gitea"),
            "config": str(self.folder / "app.ini"),
            "user": getpass.getuser(),
            "home": str(self.folder / "home"),
            "socket": str(self.folder / "socket"),
            "unit": "gitea.service",
        }

    @property
    def host(self) -> Host:
        return Host.from_params(self.params)

    def release(self, name: str = "release", *, says: str = "", breaks: str = "") -> Path:
        """A release. says: another version than its own. breaks: what it does instead of `migrate`."""
        path = self.folder / name
        packed = self.folder / f"{name}.real"
        pack.write(packed)
        version = f'--version) echo "gitea version {says} built"; exit;;' if says else ""
        migrate = f"migrate) {breaks}; exit 1;;" if breaks else ""
        python, real = shlex.quote(sys.executable), shlex.quote(str(packed))
        path.write_text(f'#!/bin/sh\ncase "$1" in {version} {migrate} esac\nexec {python} -I {real} "$@"\n')
        path.chmod(0o755)
        return path

    def active(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def systemctl(self, verb: str) -> None:
        self.verbs.append(verb)
        if verb in ("stop", "restart") and self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)
            self.process = None
            (self.folder / "socket").unlink(missing_ok=True)
        if verb in ("start", "restart"):
            words = [str(self.folder / "gitea"), "web", "--config", str(self.folder / "app.ini")]
            with (self.folder / "log").open("ab") as log:
                self.process = subprocess.Popen(words, stdout=log, stderr=log, env={**os.environ, "LC_ALL": "C.UTF-8"})


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    one = Machine(tmp_path)
    for name in ("home/data", "backups"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "app.ini").write_text(CONFIG.format(user=getpass.getuser(), folder=tmp_path))
    monkeypatch.setattr(Host, "systemctl", lambda _self, verb: one.systemctl(verb))
    monkeypatch.setattr(Host, "is_active", lambda _self: one.active())
    monkeypatch.setattr(Host, "started", lambda _self: 0)
    yield one
    one.systemctl("stop")
