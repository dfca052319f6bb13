# SPDX-License-Identifier: GPL-3.0-or-later
"""Check, apply, check, apply and the way back, on a stand-in engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lab_hosts
import pytest
from ansible.module_utils.lyceum.lab.hosts import Host, Record
from ansible.module_utils.lyceum.lab.kernel import Kernel
from ansible.module_utils.lyceum.lab.usermode import UserModeHosts


@pytest.fixture
def params(tmp_path: Path) -> dict[str, Any]:
    """Two hosts, two people."""
    init = tmp_path / "init"
    init.write_text("#!/bin/sh\n")
    seed = tmp_path / "seed"
    seed.write_text("touch /seeded\n")
    return {
        "engine": {"kind": "docker", "argv": ["docker"]},
        "kernel": {},
        "disks": {},
        "memory_mib": 512,
        "state_dir": str(tmp_path / "lab"),
        "hosts": [
            {"name": "one", "release": "bookworm", "kernel": "shared"},
            {"name": "two", "release": "trixie", "kernel": "shared"},
        ],
        "images": {"bookworm": "image:12", "trixie": "image:13"},
        "people": ["amartin", "bchen"],
        "init": str(init),
        "seed": str(seed),
    }


def test_present_in_four_steps(docker: Any, params: dict[str, Any]) -> None:
    checked = lab_hosts.present(params, check=True)
    assert not Path(params["state_dir"]).exists()
    applied = lab_hosts.present(params, check=False)
    assert checked["actions"] == applied["actions"] == [
        "make 3 keys", "create one from image:12", "create two from image:13"
    ]  # fmt: skip
    assert set(applied["hosts"]) == {"one", "two"}
    assert Path(applied["ssh_config"]).exists()
    for check in (True, False):
        again = lab_hosts.present(params, check=check)
        assert not again["changed"]
        assert again["diff"]["before"] == again["diff"]["after"]


def test_a_new_person_gets_a_key_and_no_host_is_touched(docker: Any, params: dict[str, Any]) -> None:
    lab_hosts.present(params, check=False)
    before = docker.read()
    params["people"].append("dlopez")
    assert lab_hosts.present(params, check=False)["actions"] == ["make 1 key"]
    assert docker.read() == before
    assert (Path(params["state_dir"]) / "keys" / "dlopez.pub").exists()


def test_lost_client_files_are_written_again(docker: Any, params: dict[str, Any]) -> None:
    config = Path(lab_hosts.present(params, check=False)["ssh_config"])
    config.unlink()
    assert lab_hosts.present(params, check=True)["actions"] == ["write ssh_config and known_hosts"]
    lab_hosts.present(params, check=False)
    assert config.exists()


def test_absent_removes_hosts_and_files(docker: Any, params: dict[str, Any]) -> None:
    lab_hosts.present(params, check=False)
    gone = {**params, "engine": {}, "hosts": [], "people": [], "init": None, "seed": None}
    assert lab_hosts.absent(gone, check=True)["actions"] == ["remove one", "remove two"]
    assert len(docker.containers()) == 2
    assert lab_hosts.absent(gone, check=False)["changed"]
    assert docker.containers() == {}
    assert not Path(params["state_dir"]).exists()
    assert not lab_hosts.absent(gone, check=False)["changed"]


def test_a_host_with_a_kernel_of_its_own_needs_no_engine(
    docker: Any, params: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def create(self: UserModeHosts, host: Host) -> Record:
        made.append((self.kernel, self.memory_mib, self.seed, host.image))
        return Record("m1", "198.18.0.3", 22, "ssh-ed25519 AAAA", "198.18.0.2")

    monkeypatch.setattr(UserModeHosts, "create", create)
    params |= {
        "engine": {},
        "hosts": [{"name": "own", "release": "trixie", "kernel": "own"}],
        "kernel": {"tree": "/cache/kernel", "version": "7.2.7", "quick": True},
        "disks": {"trixie": "/cache/disk"},
    }
    assert lab_hosts.present(params, check=True)["actions"] == ["make 3 keys", "create own with a kernel of its own"]
    assert made == []
    applied = lab_hosts.present(params, check=False)
    assert made == [(Kernel(Path("/cache/kernel"), "7.2.7", True), 512, "touch /seeded\n", "/cache/disk")]
    assert applied["hosts"]["own"]["address"] == "198.18.0.3"
    assert "HostName 198.18.0.3" in Path(applied["ssh_config"]).read_text()


def test_check_mode_works_before_there_is_a_kernel(docker: Any, params: dict[str, Any]) -> None:
    params["hosts"] = [{"name": "own", "release": "trixie", "kernel": "own"}]
    assert lab_hosts.present(params, check=True)["actions"][-1] == "create own with a kernel of its own"
