# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's sshd in a directory: configuration, a program that reads it as sshd does, and a systemd that takes notes."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.sshd import dropin

# The part of sshd that matters here: -t refuses words it does not know, -T prints what comes first for every option.
# Relative names in Include are looked up beside the real configuration, whatever -f says.
SSHD = """#!/bin/sh
config={main}
test_only=
while [ $# -gt 0 ]; do
  case "$1" in
    -f) config=$2; shift;;
    -t) test_only=1;;
    -C) echo "$2" >> {root}/contexts; shift;;
  esac
  shift
done
read_config() {{
  while read -r key value; do
    case "$key" in
      ''|'#'*) continue;;
      [Ii]nclude)
        for pattern in $value; do
          case "$pattern" in /*) ;; *) pattern={main_directory}/$pattern;; esac
          for file in $pattern; do [ -f "$file" ] && read_config < "$file"; done
        done;;
      Bad*) echo "$config: Bad configuration option: $key" >&2; exit 255;;
      *) printf '%s %s\\n' "$(printf %s "$key" | tr A-Z a-z)" "$value";;
    esac
  done
}}
output=$(read_config < "$config") || exit 255
[ -n "$test_only" ] || printf '%s\\n' "$output"
"""
# Units that are "active" are files; what is asked for is written down.
SYSTEMCTL = """#!/bin/sh
echo "systemctl $*" >> {root}/calls
case "$1" in
  is-active) [ -e "{root}/active/$3" ];;
  stop) rm "{root}/active/$2";;
  reload) [ ! -e {root}/reload-fails ] || {{ echo 'Job for ssh.service failed.' >&2; exit 1; }};;
  reset-failed) exit 1;;
esac
"""
SYSTEMD_RUN = """#!/bin/sh
echo "systemd-run $*" >> {root}/calls
[ ! -e {root}/run-fails ] || {{ echo 'Failed to start transient timer unit' >&2; exit 1; }}
for word; do case "$word" in --unit=*) unit=${{word#--unit=}};; esac; script=$word; done
touch "{root}/active/$unit.timer"
printf '%s\\n' "$script" > "{root}/$unit.sh"
"""


class Sshd:
    """Paths of the pretended host, and what happened on it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.main = root / "etc/ssh/sshd_config"
        self.dropins = root / "etc/ssh/sshd_config.d"
        self.path = self.dropins / "00-lyceum.conf"
        self.dropins.mkdir(parents=True)
        (root / "bin").mkdir()
        (root / "active").mkdir()
        (root / "active/ssh").touch()
        self.main.write_text(f"Include {self.dropins}/*.conf\nPasswordAuthentication yes\nX11Forwarding no\n")
        values = {"root": root, "main": self.main, "main_directory": self.main.parent}
        for name, script in {"sshd": SSHD, "systemctl": SYSTEMCTL, "systemd-run": SYSTEMD_RUN}.items():
            (root / "bin" / name).write_text(script.format(**values))
            (root / "bin" / name).chmod(0o700)

    def spec(
        self, content: str | None, expect: dict[str, dict[str, Any]] | None = None, **keys: Any
    ) -> dropin.DropinSpec:
        return dropin.DropinSpec.from_params(self.params(content, expect, **keys))

    def params(
        self, content: str | None, expect: dict[str, dict[str, Any]] | None = None, **keys: Any
    ) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "content": content,
            "state": "absent" if content is None else "present",
            "expect": [{"user": user, "options": options} for user, options in (expect or {}).items()],
            "service": "ssh",
            "confirm_seconds": 60,
            **keys,
        }

    @property
    def calls(self) -> list[str]:
        path = self.root / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def time_passes(self, unit: str = "lyceum-sshd-revert-00-lyceum") -> None:
        """The timer of a unit fires: what systemd would run is run."""
        (self.root / f"active/{unit}.timer").unlink()
        script = (self.root / f"{unit}.sh").read_text()
        subprocess.run(["/bin/sh", "-c", script], check=True)


def pretend(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Sshd:
    """Let the core see this host instead of the machine the tests run on."""
    one = Sshd(folder)
    monkeypatch.setattr(dropin, "SSHD", str(one.root / "bin/sshd"))
    monkeypatch.setattr(dropin, "MAIN_CONFIG", one.main)
    monkeypatch.setattr(dropin, "PRIVILEGE_SEPARATION", one.root / "sshd-empty")
    monkeypatch.setattr(dropin, "STATE_DIRECTORY", one.root / "state")
    monkeypatch.setenv("PATH", f"{one.root / 'bin'}:{os.environ['PATH']}")
    assert shutil.which("systemctl") == str(one.root / "bin/systemctl")
    return one


@pytest.fixture
def sshd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sshd:
    return pretend(tmp_path / "host", monkeypatch)


def keygen(*words: str) -> str:
    return subprocess.run(["ssh-keygen", *words], capture_output=True, text=True, check=True).stdout


class Keys:
    """Keys by name, made when first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        path = self.folder / name
        if not path.exists():
            keygen("-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path))
        return path.with_suffix(".pub")

    def public(self, name: str) -> str:
        return self.path(name).read_text().strip()

    def fingerprint(self, name: str) -> str:
        return keygen("-lf", str(self.path(name))).split()[1]

    def certificate(self, authority: str, name: str, serial: int) -> Path:
        key = self.path(name)
        keygen(
            "-q",
            "-s",
            str(self.path(authority).with_suffix("")),
            "-I",
            f"id of {name}",
            "-n",
            name,
            "-z",
            str(serial),
            str(key),
        )
        return self.folder / f"{name}-cert.pub"


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    (tmp_path / "keys").mkdir()
    return Keys(tmp_path / "keys")
