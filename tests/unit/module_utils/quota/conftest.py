# SPDX-License-Identifier: GPL-3.0-or-later
"""A host with file systems that have quotas, and some that have not, without a kernel that has any."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.quota import filesystem, kernel, observe, tools
from ansible.module_utils.lyceum.quota.filesystem import Mount
from ansible.module_utils.lyceum.quota.kernel import State, Tag

FIXTURES = Path(__file__).resolve().parents[3] / "fixtures"
KINDS = ("user", "group", "project")


class FakeHost:
    """Mounted at folder/home (ext4), folder/srv (XFS), folder/plain (ext4 without quotas), folder/net (NFS)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "quotas.json"
        self.projid = folder / "projid"
        self.states: dict[tuple[str, str], State] = {}
        self.tags: dict[str, Tag] = {}
        self.mounts = [
            self.mount("home", "ext4", "8:1"),
            self.mount("srv", "xfs", "8:2"),
            self.mount("plain", "ext4", "8:3"),
            self.mount("net", "nfs4", "0:50"),
        ]
        counted = [str(folder / name) for name in ("home", "srv")]
        self.write(
            {
                "mounts": {mount: {kind: {"0": [20, 0, 0, 0, 2, 0, 0, 0]} for kind in KINDS} for mount in counted},
                "graces": {},
                "block": 4,
                "deaf": [],
                "fail": [],
            }
        )
        for mount in counted:
            for kind in KINDS:
                self.states[mount, kind] = State(counted=True, enforced=True)

    def mount(self, name: str, fstype: str, device: str) -> Mount:
        (self.folder / name).mkdir()
        return Mount(device, "/", str(self.folder / name), fstype, f"/dev/{name}")

    def read(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.file.read_text())
        return content

    def write(self, content: dict[str, Any]) -> None:
        self.file.write_text(json.dumps(content))

    def limits(self, mount: str, kind: str) -> dict[int, list[int]]:
        """soft, hard, files soft, files hard by id; ids without any are left out."""
        rows = self.read()["mounts"][str(self.folder / mount)][kind]
        return {int(number): [*row[1:3], *row[5:7]] for number, row in rows.items() if any([*row[1:3], *row[5:7]])}

    def use(self, mount: str, kind: str, number: int, kib: int, files: int) -> None:
        content = self.read()
        row = content["mounts"][str(self.folder / mount)][kind].setdefault(str(number), [0] * 8)
        row[0], row[4] = kib, files
        self.write(content)

    def calls(self, program: str) -> list[str]:
        """What was started, with the options."""
        log = Path(f"{self.file}.log")
        lines = log.read_text().splitlines() if log.exists() else []
        return [line for line in lines if line.startswith(program)]

    def grace(self, mount: str, kind: str) -> tuple[int, int]:
        space, files = self.read()["graces"].get(f"{mount} {kind}", [604800, 604800])
        return space, files

    def read_tag(self, path: str) -> Tag | None:
        return self.tags.get(path, Tag(0, inherit=False)) if Path(path).is_dir() else None

    def write_tag(self, path: str, project: int) -> None:
        self.tags[path] = Tag(project, inherit=True)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    fake = FakeHost(tmp_path)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("repquota", "setquota"):
        script = shlex.join([sys.executable, str(FIXTURES / "quota_tools.py"), name])
        (programs / name).write_text(f'#!/bin/sh\nexec {script} "$@"\n')
        (programs / name).chmod(0o755)
    monkeypatch.setenv("FAKE_QUOTAS", str(fake.file))
    monkeypatch.setattr(tools, "PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setattr(filesystem, "mounts", lambda: fake.mounts)
    monkeypatch.setattr(kernel, "state", lambda mount, kind: fake.states.get((mount, kind), State(False, False)))
    monkeypatch.setattr(kernel, "grace", fake.grace)
    monkeypatch.setattr(kernel, "kernel_has_quotas", lambda: True)
    monkeypatch.setattr(kernel, "read_tag", fake.read_tag)
    monkeypatch.setattr(kernel, "write_tag", fake.write_tag)
    # The host's file systems have the blocks of the stand-in, whatever holds the test's folder.
    monkeypatch.setattr(observe, "block_of", lambda _mount: 4096)
    return fake
