# SPDX-License-Identifier: GPL-3.0-or-later
"""Layouts of control groups, limits as files, and what a kernel cannot do."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.module_utils.lyceum.slices.hierarchy import HYBRID, LEGACY, UNIFIED, Hierarchy, online_cpus, slice_path
from ansible.module_utils.lyceum.slices.properties import PROPERTIES

from .conftest import Host

LIMITS = """\
[Slice]
CPUWeight=50
CPUQuota=33.3%
AllowedCPUs=0-1,3
MemoryHigh=500M
MemoryMax=512M
MemorySwapMax=0
TasksMax=256
IOWeight=70
"""


def read(host: Host) -> Hierarchy:
    found = Hierarchy.read(host.root)
    assert found is not None
    return found


def limit(host: Host, uid: int, text: str) -> None:
    folder = host.root / f"etc/systemd/system/user-{uid}.slice.d"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "50-lyceum.conf").write_text(text)
    host.log_in(uid)


def test_version_2(host: Host) -> None:
    found = read(host)
    assert found.layout == UNIFIED
    assert set(found.controllers) == {"cpuset", "cpu", "io", "memory", "pids"}
    assert found.group("memory", 2001) == host.root / "sys/fs/cgroup/user.slice/user-2001.slice"


def test_version_1_beside_version_2(hybrid: Host) -> None:
    found = read(hybrid)
    assert found.layout == HYBRID
    assert found.unified == hybrid.root / "sys/fs/cgroup/unified"
    assert found.group("pids", 2001) == hybrid.root / "sys/fs/cgroup/pids/user.slice/user-2001.slice"
    assert found.group("io", 2001) is None


def test_version_1_alone(hybrid: Host) -> None:
    mounts = hybrid.root / "proc/mounts"
    mounts.write_text("".join(f"{line}\n" for line in mounts.read_text().splitlines() if "cgroup2" not in line))
    assert read(hybrid).layout == LEGACY


def test_nothing_of_systemds(tmp_path: Path) -> None:
    assert Hierarchy.read(tmp_path) is None


@pytest.mark.parametrize("version", ["host", "hybrid"])
def test_live_slices(version: str, request: pytest.FixtureRequest) -> None:
    host: Host = request.getfixturevalue(version)
    assert read(host).live() == []
    for uid in (2002, 0, 2001):
        host.log_in(uid)
    assert read(host).live() == [0, 2001, 2002]
    host.log_out(2002)
    assert read(host).live() == [0, 2001]


def test_limits_of_the_kernel(host: Host) -> None:
    limit(host, 2001, LIMITS)
    assert read(host).limits(2001) == {
        "CPUWeight": 50,
        "CPUQuota": 3330,
        "AllowedCPUs": (0, 1, 3),
        "MemoryHigh": 500 * 2**20,
        "MemoryMax": 2**29,
        "MemorySwapMax": 0,
        "TasksMax": 256,
    }


def test_limits_of_the_kernel_on_version_1(hybrid: Host) -> None:
    limit(hybrid, 2001, LIMITS)
    found = read(hybrid).limits(2001)
    assert found == {"CPUWeight": 50, "CPUQuota": 3330, "MemoryMax": 2**29, "TasksMax": 256}


@pytest.mark.parametrize("version", ["host", "hybrid"])
def test_no_limits(version: str, request: pytest.FixtureRequest) -> None:
    host: Host = request.getfixturevalue(version)
    limit(host, 2001, "[Slice]\nTasksMax=infinity\n")
    found = read(host).limits(2001)
    assert found.pop("CPUWeight") == 100
    assert set(found.values()) == {None}
    assert read(host).limits(2002) == {}


@pytest.mark.parametrize("weight", [1, 2, 55, 100, 250, 10_000])
def test_shares_of_version_1_are_weights_again(hybrid: Host, weight: int) -> None:
    limit(hybrid, 2001, f"[Slice]\nTasksMax=5\nCPUWeight={weight}\n")
    assert read(hybrid).limits(2001)["CPUWeight"] == weight


def test_what_version_2_cannot_do(host: Host) -> None:
    assert read(host).obstacles(PROPERTIES) == {"IOWeight": "no disk uses the scheduler bfq, and io.cost is off"}


def test_what_version_1_cannot_do(hybrid: Host) -> None:
    nothing = "cgroup v1 (hybrid): systemd sets nothing for it there"
    assert read(hybrid).obstacles(PROPERTIES) == {
        "AllowedCPUs": nothing,
        "MemoryHigh": nothing,
        "MemorySwapMax": nothing,
        "IOWeight": "no disk uses the scheduler bfq, and io.cost is off",
    }


def test_what_a_kernel_without_swap_bandwidth_and_cpuset_cannot_do(host: Host) -> None:
    users = host.root / "sys/fs/cgroup/user.slice"
    (users / "memory.swap.max").unlink()
    (users / "cpu.max").unlink()
    (host.root / "sys/fs/cgroup/cgroup.controllers").write_text("cpu io memory pids\n")
    assert read(host).obstacles(["CPUQuota", "MemoryMax", "MemorySwapMax", "AllowedCPUs"]) == {
        "CPUQuota": "the kernel has no cpu.max",
        "MemorySwapMax": "the kernel has no memory.swap.max",
        "AllowedCPUs": "the kernel offers no controller cpuset",
    }


def test_nothing_is_said_before_a_controller_is_at_work(host: Host) -> None:
    (host.root / "sys/fs/cgroup/cgroup.subtree_control").write_text("")
    assert read(host).obstacles(["CPUQuota", "MemorySwapMax", "AllowedCPUs"]) == {}


def test_disks_that_keep_weights(host: Host) -> None:
    queue = host.root / "sys/block/sda/queue"
    queue.mkdir(parents=True)
    (queue / "scheduler").write_text("none mq-deadline kyber [bfq]\n")
    assert read(host).obstacles(["IOWeight"]) == {}
    (queue / "scheduler").write_text("none [mq-deadline] kyber bfq\n")
    assert set(read(host).obstacles(["IOWeight"])) == {"IOWeight"}
    (host.root / "sys/fs/cgroup/io.cost.qos").write_text("8:0 enable=1 ctrl=auto\n")
    assert read(host).obstacles(["IOWeight"]) == {}


def test_cpus_that_are_online(host: Host) -> None:
    assert online_cpus(host.root) == (0, 1, 2, 3)


def test_the_path_of_a_slice() -> None:
    assert slice_path(2001) == "user.slice/user-2001.slice"
