# SPDX-License-Identifier: GPL-3.0-or-later
"""An nginx that reads its files as far as it matters here, a systemd that takes notes, and an authority."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.web import openssl
from ansible.module_utils.lyceum.web.nginx import Done, Nginx
from ansible.module_utils.lyceum.web.sites import Places

DAY = 86400


@dataclass
class Host:
    """Paths of the pretended host, and what happened on it."""

    root: Path
    installed: bool = True
    active: bool = True
    taken: bool = False  # an address that cannot be bound
    version: str = "1.22.1"
    ocsp: str = ""
    calls: list[list[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.places = Places(self.root / "etc", self.root / "certificates", self.root / "state/loaded")
        for folder in ("etc", "proc/7", "proc/8"):
            (self.root / folder).mkdir(parents=True)
        self.places.main.write_text("# Debian's\n")
        (self.root / "pid").write_text("7\n")
        (self.root / "proc/7/stat").write_text("7 (nginx) S 1 7\n")
        (self.root / "proc/8/stat").write_text("8 (nginx: ) x) S 7 7\n")
        self.nginx = Nginx(self.run, self.root / "pid", self.root / "error.log", self.root / "proc")

    def certificate(self, name: str) -> None:
        chain, key = self.places.pair(name)
        chain.parent.mkdir(parents=True, exist_ok=True)
        chain.write_text("chain")
        key.write_text("key")

    def run(self, argv: Sequence[str]) -> Done:
        self.calls.append(list(argv))
        if argv[0] == "openssl":
            return Done(0, self.ocsp)
        if argv[0] == "systemctl":
            return self._systemctl(argv[1])
        if not self.installed:
            return Done(127, "nginx is not installed")
        if argv[1] == "-v":
            return Done(0, f"nginx version: nginx/{self.version} (Debian)")
        return self._test(Path(argv[3]) if "-c" in argv else self.places.main)

    def _systemctl(self, verb: str) -> Done:
        if verb == "is-active":
            return Done(0 if self.active else 3, "")
        if self.taken and "9443" in self.places.main.read_text():
            (self.root / "error.log").write_text("2026/11/21 15:00:00 [emerg] 7#7: bind() to 0.0.0.0:9443 failed\n")
            return Done(0, "")
        number = max(int(path.name) for path in (self.root / "proc").iterdir()) + 1
        (self.root / f"proc/{number}").mkdir()
        (self.root / f"proc/{number}/stat").write_text(f"{number} (nginx) S 7 7\n")
        return Done(0, "")

    def _test(self, main: Path) -> Done:
        folders = re.findall(r"include (\S+)/\*\.conf;", main.read_text())
        names: set[str] = set()
        for path in sorted(Path(folders[-1]).glob("*.conf")) if folders else []:
            text = path.read_text()
            if "nonsense" in text:
                return Done(1, f'nginx: [emerg] unknown directive "nonsense" in {path}:3\nnginx: configuration file x')
            for name in set(re.findall(r"server_name (\S+);", text)):
                if name in names:
                    return Done(0, f'nginx: [warn] conflicting server name "{name}" on 0.0.0.0:80, ignored')
                names.add(name)
        if "hopeless" in main.read_text():
            return Done(1, f'nginx: [emerg] unknown directive "hopeless" in {main}:9\nnginx: configuration test failed')
        return Done(0, "")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "host")


def site(name: str, **changes: Any) -> dict[str, Any]:
    """One entry as the module hands it over."""
    return {
        "name": name, "state": "present", "server_names": [f"{name}.example.org"], "certificate": None,
        "upstream": "http://127.0.0.1:3000", "max_body_mib": 10, "websocket": False, "buffering": True, "allow": [],
        "deny": [], "denied_paths": [], "rate_limit": None, "headers": {}, "read_timeout_s": 60, "directives": "",
        **changes,
    }  # fmt: skip


@dataclass
class Authority:
    """An authority that signs as the controller does."""

    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir()
        (self.folder / "ca.key").write_text(openssl.new_key())
        words = ["req", "-x509", "-new", "-key", str(self.folder / "ca.key"), "-subj", "/CN=Authority", "-days", "3650",
                 "-addext", "basicConstraints=critical,CA:TRUE"]  # fmt: skip
        self.certificate = openssl.openssl(words, "no authority")
        (self.folder / "ca.pem").write_text(self.certificate)

    def sign(self, request: str, days: int = 397) -> str:
        words = ["x509", "-req", "-CA", str(self.folder / "ca.pem"), "-CAkey", str(self.folder / "ca.key"),
                 "-copy_extensions", "copy", "-days", str(days)]  # fmt: skip
        return openssl.openssl(words, "not signed", request)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")
