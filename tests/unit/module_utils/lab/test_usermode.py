# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts with a kernel of their own, on stand-ins for supervisor, kernel and ssh, but with real processes."""

from __future__ import annotations

import importlib.util
import json
import os
import secrets
import signal
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import CommandError, LyceumError
from ansible.module_utils.lyceum.lab import hosts
from ansible.module_utils.lyceum.lab import usermode as core
from ansible.module_utils.lyceum.lab.kernel import Kernel

# Starts a process that looks like a kernel, and does as told by the file `orders` beside the lab's folder.
SUPERVISOR = """
import json, pathlib, subprocess, sys, time
folder = pathlib.Path(sys.argv[3])
orders = folder.parents[2] / "orders"
orders = orders.read_text() if orders.exists() else ""
settings = json.loads((folder / "supervisor.json").read_text())
(folder / "console.log").write_text("\\x1b[0mKernel panic\\n")
if orders == "refuse":
    sys.exit("OSError: [Errno 16] Device or resource busy")
if orders != "end":
    words = [settings["argv"][0], *settings["argv"][1:3], "--retry", "-F", "--quiet"]
    subprocess.Popen(words, executable="/usr/bin/tail", stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
print("ready", flush=True)
if orders == "end":
    sys.exit()
sys.stdout.close()
sys.stderr.close()
time.sleep(300)
"""


@pytest.fixture
def machines(docker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[core.UserModeHosts]:
    """The hosts of one lab; whatever is left of them is ended afterwards."""
    source = tmp_path / "stand_in.py"
    source.write_text(SUPERVISOR)
    spec = importlib.util.spec_from_file_location("stand_in", source)
    assert spec is not None
    # Never executed here: only its source is taken.
    monkeypatch.setattr(core, "supervisor", importlib.util.module_from_spec(spec))
    monkeypatch.setattr(core, "greets", lambda address, port, source: True)
    monkeypatch.setattr(core, "PATH", os.environ["PATH"])
    monkeypatch.setattr(core.supervisor, "__file__", str(source))
    docker.program("ip", "echo '2: eth0    inet 192.0.2.7/24 brd 192.0.2.255 scope global eth0'")
    docker.program("mke2fs", f'echo "$*" >> {tmp_path}/mke2fs')
    docker.program("ssh", f'echo "$*" >> {tmp_path}/ssh; /usr/bin/cat >> {tmp_path}/ssh; echo running')
    key = tmp_path / "lab" / "id_ed25519"
    hosts.make_key(key)
    instance = secrets.token_hex(4)
    kernel = Kernel(tmp_path / "kernel", "7.2.7", True)
    yield core.UserModeHosts(tmp_path / "lab", instance, key, kernel, 512, "touch /seeded\n")
    for _host, process in core.processes(instance):
        os.kill(process, signal.SIGKILL)


def settings(machines: core.UserModeHosts, host: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((machines.folder(host) / "supervisor.json").read_text())
    return content


def test_a_host_is_made_booted_and_seeded(machines: core.UserModeHosts, tmp_path: Path) -> None:
    wanted = machines.wanted("one", "/cache/disk-trixie-1")
    assert wanted.kernel == hosts.OWN
    record = machines.create(wanted)
    assert machines.observe() == {"one": hosts.Observed(record.identity, wanted.spec, True, hosts.OWN)}
    assert record.port == 22
    assert record.source == core.gateway_of(record.address)
    assert record.host_key in (machines.folder("one") / "host_key.pub").read_text()
    said = (tmp_path / "ssh").read_text()
    assert "one systemctl is-system-running --wait" in said
    assert said.endswith("sh -eu -s\ntouch /seeded\n")


def test_the_kernel_is_told_its_disks_and_its_place(machines: core.UserModeHosts, tmp_path: Path) -> None:
    record = machines.create(machines.wanted("one", "/cache/disk-trixie-1"))
    told = settings(machines, "one")
    words = told["argv"]
    assert words[:3] == ["/usr/bin/linux.uml", f"lyceum.lab={machines.instance}", "umid=one"]
    assert {
        "seccomp=on",
        "mem=512M",
        "noreboot",
        f"lab.address={record.address}",
        f"lab.gateway={record.source}",
    } <= set(words)
    assert [word for word in words if word.startswith("ubd")] == [
        "ubda=/lab/root.cow,/disks/disk-trixie-1", "ubdb=/lab/data0", "ubdc=/lab/data1", "ubdd=/lab/data2",
        "ubde=/lab/data3", "ubdf=/lab/own.tar",
    ]  # fmt: skip
    assert "lab.own=/dev/ubdf" in words
    assert (told["address"], told["gateway"]) == (record.address, record.source)
    assert len(told["device"]) <= 15
    made = (tmp_path / "mke2fs").read_text().splitlines()
    assert len(made) == 2  # XFS and swap are made by the host
    assert all("-O quota,project -E quotatype=usrquota:grpquota:prjquota,lazy_" in line for line in made)
    assert all(line.split().count("-E") == 1 for line in made)


def test_a_slow_kernel_is_not_asked_for_what_it_cannot(machines: core.UserModeHosts, tmp_path: Path) -> None:
    machines.kernel = Kernel(tmp_path / "kernel", "6.12", False)
    machines.create(machines.wanted("one", "/cache/disk-trixie-1"))
    assert [word for word in settings(machines, "one")["argv"] if "seccomp" in word] == []


def test_what_makes_it_this_host_comes_on_a_disk(machines: core.UserModeHosts) -> None:
    machines.create(machines.wanted("one", "/cache/disk-trixie-1"))
    with tarfile.open(machines.folder("one") / "disks" / "own.tar") as archive:
        modes = {entry.name: entry.mode for entry in archive.getmembers()}
        content = archive.extractfile("root/.ssh/authorized_keys")
        assert content is not None
        assert content.read().decode() == hosts.public_half(machines.key)
    assert modes["etc/ssh/ssh_host_ed25519_key"] == 0o600
    assert modes["root/.ssh"] == 0o700


def test_a_removed_host_leaves_nothing(machines: core.UserModeHosts) -> None:
    machines.create(machines.wanted("one", "/cache/disk-trixie-1"))
    machines.create(machines.wanted("two", "/cache/disk-trixie-1"))
    assert {host for host, _process in core.processes(machines.instance)} == {"one", "two"}
    machines.remove("one")
    assert {host for host, _process in core.processes(machines.instance)} == {"two"}
    assert not machines.folder("one").exists()
    assert set(machines.observe()) == {"two"}
    machines.remove("one")


def test_another_lab_is_not_seen(machines: core.UserModeHosts, tmp_path: Path) -> None:
    machines.create(machines.wanted("one", "/cache/disk-trixie-1"))
    other = core.UserModeHosts(tmp_path / "other", secrets.token_hex(4), machines.key)
    assert other.observe() == {}
    other.remove("one")
    assert machines.observe()["one"].running


def test_a_host_without_its_supervisor_is_stopped_and_starts_at_its_address(machines: core.UserModeHosts) -> None:
    wanted = machines.wanted("one", "/cache/disk-trixie-1")
    record = machines.create(wanted)
    for _host, process in core.processes(machines.instance):
        os.kill(process, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while machines.observe()["one"].running and time.monotonic() < deadline:
        time.sleep(0.05)
    assert machines.observe() == {"one": hosts.Observed(record.identity, wanted.spec, False, hosts.OWN)}
    machines.start("one", record)
    assert machines.observe()["one"].running
    assert settings(machines, "one")["address"] == record.address


def test_an_address_that_is_taken_by_now_is_not_used(machines: core.UserModeHosts, docker: Any) -> None:
    record = machines.create(machines.wanted("one", "/cache/disk-trixie-1"))
    machines._kill("one")
    docker.program("ip", f"echo '7: other    inet {record.source} peer 192.0.2.9/32 scope global other'")
    with pytest.raises(CommandError, match=rf"The address {record.address} of one is in use by now"):
        machines.start("one", record)


def test_a_host_whose_folder_was_removed_is_still_seen_and_ended(machines: core.UserModeHosts) -> None:
    machines.create(machines.wanted("one", "/cache/disk-trixie-1"))
    hosts.shutil.rmtree(machines.state_dir)
    assert machines.observe() == {"one": hosts.Observed("", "", True, hosts.OWN)}
    machines.remove("one")
    assert machines.observe() == {}


def test_a_half_made_host_is_seen(machines: core.UserModeHosts) -> None:
    machines.folder("one").mkdir(parents=True)
    assert machines.observe() == {"one": hosts.Observed("", "", False, hosts.OWN)}


@pytest.mark.parametrize(
    ("orders", "message"),
    [
        ("refuse", r"one cannot be started: OSError: \[Errno 16\] Device or resource busy"),
        ("end", r"one ended before it was up: Kernel panic"),
    ],
)
def test_a_host_that_does_not_come_up_says_why(
    machines: core.UserModeHosts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, orders: str, message: str
) -> None:
    (tmp_path / "orders").write_text(orders)
    monkeypatch.setattr(core, "greets", lambda address, port, source: False)
    with pytest.raises(CommandError, match=message):
        machines.create(machines.wanted("one", "/cache/disk-trixie-1"))


def test_a_host_that_does_not_answer_is_given_up(machines: core.UserModeHosts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "greets", lambda address, port, source: False)
    monkeypatch.setattr(core, "BOOT_SECONDS", 0.3)
    monkeypatch.setattr(core, "run", lambda *words, **more: "")
    with pytest.raises(CommandError, match=r"one did not boot within 0\.3 s: Kernel panic"):
        machines.create(machines.wanted("one", "/cache/disk-trixie-1"))


def test_failed_units_are_named(machines: core.UserModeHosts, docker: Any) -> None:
    docker.program("ssh", 'case "$*" in *is-system-running*) echo degraded ;; *) echo broken.service ;; esac')
    with pytest.raises(CommandError, match=r"one booted as 'degraded' with failed units: broken.service"):
        machines.create(machines.wanted("one", "/cache/disk-trixie-1"))


def test_without_a_kernel_nothing_is_booted(machines: core.UserModeHosts) -> None:
    machines.kernel = None
    with pytest.raises(LyceumError, match="cannot boot a host with a kernel of its own: no kernel was prepared"):
        machines.create(machines.wanted("one", "/cache/disk-trixie-1"))


def test_a_host_that_does_not_fit_into_the_memory_is_not_booted(
    machines: core.UserModeHosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core, "free_memory_mib", lambda: 300)
    with pytest.raises(LyceumError, match=r"own: it needs 512 MiB of memory, and 300 MiB are free\.$"):
        machines.create(machines.wanted("one", "/cache/disk-trixie-1"))


def test_the_definition_changes_with_every_input(machines: core.UserModeHosts, tmp_path: Path) -> None:
    specs = {machines.wanted("one", "/cache/1").spec, machines.wanted("one", "/cache/2").spec}
    machines.memory_mib = 1024
    specs.add(machines.wanted("one", "/cache/1").spec)
    hosts.make_key(machines.key)
    specs.add(machines.wanted("one", "/cache/1").spec)
    assert len(specs) == 4


def test_a_network_device_that_stays_is_an_error(machines: core.UserModeHosts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "device", lambda instance, host: "lo")
    monkeypatch.setattr(core, "STOP_SECONDS", 0.2)
    with pytest.raises(CommandError, match=r"one does not end: processes \[\], network device lo"):
        machines.remove("one")


def test_addresses_come_in_pairs_and_skip_what_is_taken() -> None:
    first = core.free_address("lab/one", set())
    assert first.startswith("198.18.")
    assert int(first.rsplit(".", 1)[1]) % 2 == 1
    assert core.free_address("lab/one", set()) == first
    assert core.free_address("lab/two", set()) != first
    assert core.free_address("lab/one", {core.gateway_of(first)}) != first
    every = {f"198.18.{high}.{low}" for high in range(256) for low in range(0, 256, 2)}
    with pytest.raises(LyceumError, match=r"No free address in 198\.18\.0\.0/16"):
        core.free_address("lab/one", every)


def test_addresses_of_this_machine_are_read(machines: core.UserModeHosts, docker: Any) -> None:
    docker.program(
        "ip", "echo '1: lo    inet 127.0.0.1/8 scope host lo'; echo '2: x    inet 198.18.0.2 peer 198.18.0.3/32 x'"
    )
    assert core.own_addresses() == {"127.0.0.1", "198.18.0.2"}
