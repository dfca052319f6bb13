# SPDX-License-Identifier: GPL-3.0-or-later
"""Check, apply, check, apply on a machine with a stand-in archive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lab_kernel
import pytest
from ansible.module_utils.lyceum.lab import engine, kernel

from .runner import run_module

ARCHIVE = """
for word in "$@"; do
  case $word in
    --include=user-mode-linux=0) echo "E: no such version" >&2; exit 25 ;;
    */tree) tree=$word ;;
  esac
done
mkdir -p "$tree/usr/bin" "$tree/usr/lib/uml/modules/7.2.7" "$tree/etc/systemd/system" "$tree/usr/lib/modules"
echo "$OPTIONS" > "$tree/usr/bin/linux.uml"
"""


@pytest.fixture
def params(docker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A machine that can, and one disk."""
    docker.program("mmdebstrap", ARCHIVE)
    docker.program("mke2fs", "exit 0")
    docker.program("ip", "exit 0")
    docker.program("mkdir", 'exec /usr/bin/mkdir "$@"')
    monkeypatch.setenv("OPTIONS", "seccomp=<on/auto/off>")
    monkeypatch.setattr(kernel, "KEYRING", engine.KEYRING)
    monkeypatch.setattr(kernel, "obstacle", lambda: None)
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    return {
        "sources": [{"suite": "sid", "version": "7.2um1"}, {"suite": "trixie"}],
        "releases": ["trixie"],
        "packages": ["cron"],
        "overlay": str(overlay),
        "mirror": "http://debian.example.org/debian",
    }


def test_kernel_and_disk_in_four_steps(params: dict[str, Any], tmp_path: Path, capsys: Any) -> None:
    checked = run_module(lab_kernel, capsys, params, check=True)
    assert not (tmp_path / "cache").exists()
    assert (checked["kernel"], checked["disks"]) == ({}, {})
    applied = run_module(lab_kernel, capsys, params)
    assert checked["actions"] == applied["actions"] == [
        "fetch user-mode-linux 7.2um1 from sid", "make the disk of Debian trixie"
    ]  # fmt: skip
    assert applied["kernel"]["version"] == "7.2.7"
    assert applied["kernel"]["quick"] is True
    assert Path(applied["kernel"]["tree"]).is_dir()
    assert Path(applied["disks"]["trixie"]).exists()
    assert applied["diff"]["before"] == "kernel: none\ndisks: none\n"
    for check in (True, False):
        again = run_module(lab_kernel, capsys, params, check=check)
        assert not again["changed"]
        assert (again["kernel"], again["disks"]) == (applied["kernel"], applied["disks"])
        assert again["diff"]["before"] == again["diff"]["after"] == "kernel: 7.2.7\ndisks: trixie\n"


def test_only_the_missing_disk_is_made(params: dict[str, Any], capsys: Any) -> None:
    run_module(lab_kernel, capsys, params)
    params["releases"] = ["bookworm", "trixie"]
    assert run_module(lab_kernel, capsys, params)["actions"] == ["make the disk of Debian bookworm"]


def test_a_second_choice_is_taken_with_a_clear_word(
    params: dict[str, Any], capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPTIONS", "mem=<Amount of memory>")
    params["sources"][0]["version"] = "0"
    said: list[str] = []
    # Ansible says each warning once per process, and other tests share this one.
    monkeypatch.setattr(lab_kernel.AnsibleModule, "warn", lambda self, text: said.append(text))
    applied = run_module(lab_kernel, capsys, params)
    assert applied["actions"][0] == "fetch user-mode-linux of any version from trixie"
    first, second = said
    assert first == "there is no user-mode-linux 0 from sid: no such version"
    assert "three to four times slower" in second


def test_missing_programs_are_installed(
    params: dict[str, Any], docker: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = []
    (docker.path / "ip").unlink()

    def install(packages: list[str]) -> None:
        installed.append(packages)
        docker.program("ip", "exit 0")

    monkeypatch.setattr(engine, "install", install)
    assert run_module(lab_kernel, capsys, params, check=True)["actions"][0] == "install iproute2"
    assert installed == []
    assert run_module(lab_kernel, capsys, params)["actions"][0] == "install iproute2"
    assert installed == [["iproute2"]]


@pytest.mark.parametrize("check", [True, False])
def test_a_machine_that_cannot_says_so_in_the_fixed_words(
    params: dict[str, Any], capsys: Any, monkeypatch: pytest.MonkeyPatch, check: bool
) -> None:
    monkeypatch.setattr(kernel, "obstacle", lambda: "/dev/net/tun cannot be opened: No such file or directory")
    failed = run_module(lab_kernel, capsys, params, check=check)
    assert failed["failed"]
    assert failed["msg"] == (
        "This machine cannot boot a host with a kernel of its own: /dev/net/tun cannot be opened: No such file or"
        " directory."
    )


def test_a_release_that_cannot_be_made_is_an_error(params: dict[str, Any], docker: Any, capsys: Any) -> None:
    run_module(lab_kernel, capsys, params)
    docker.program("mke2fs", "echo no space left >&2; exit 1")
    params["packages"] = ["cron", "at"]
    failed = run_module(lab_kernel, capsys, params)
    assert failed["failed"]
    assert "no space left" in failed["msg"]
