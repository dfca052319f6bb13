# SPDX-License-Identifier: GPL-3.0-or-later
"""A container engine and an ssh client that remember what they were told, for the tests of the lab."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.lab import containers, engine

FIXTURES = Path(__file__).parent.parent / "fixtures"


class FakeDocker:
    """What the stand-in knows. path: the folder of the programs, first and only in the PATH."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path / "state.json"
        self.write(containers={}, networks={}, images={}, created=0, systemd="running", fail=[])

    def read(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.file.read_text())
        return content

    def write(self, **values: Any) -> None:
        known = self.read() if self.file.exists() else {}
        self.file.write_text(json.dumps({**known, **values}))

    def program(self, name: str, script: str) -> None:
        """Put a program into the PATH."""
        target = self.path / name
        target.write_text(f"#!/bin/sh\n{script}\n")
        target.chmod(0o755)

    def containers(self) -> dict[str, Any]:
        """By host name."""
        return {item["labels"][f"{engine.LABEL}.host"]: item for item in self.read()["containers"].values()}


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDocker:
    """A machine where docker answers and every host boots at once."""
    folder = tmp_path / "bin"
    folder.mkdir()
    fake = FakeDocker(folder)
    fake.program("docker", f'exec {shlex.quote(sys.executable)} {shlex.quote(str(FIXTURES / "docker.py"))} "$@"')
    fake.program("ssh", "exit 0")
    fake.program("mmdebstrap", 'printf "%s" "tree of $*"')
    for name in ("sh", "env", "rm", "ssh-keygen"):
        fake.program(name, f'exec /usr/bin/{name} "$@"')
    monkeypatch.setenv("FAKE_DOCKER", str(fake.file))
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(engine, "PATH", str(folder))
    monkeypatch.setattr("ansible.module_utils.lyceum.lab.images.PATH", str(folder))
    monkeypatch.setattr(engine, "is_root", lambda: True)
    keyring = tmp_path / "keyring.gpg"
    keyring.touch()
    monkeypatch.setattr(engine, "KEYRING", keyring)
    monkeypatch.setattr(engine, "PIDFILE", tmp_path / "dockerd.pid")
    monkeypatch.setattr(containers, "greets", lambda address, port: True)
    monkeypatch.setattr("ansible.module_utils.lyceum.lab.images.cache_dir", lambda: tmp_path / "cache")
    return fake
