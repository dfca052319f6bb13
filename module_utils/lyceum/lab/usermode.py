# SPDX-License-Identifier: GPL-3.0-or-later
"""Lab hosts that boot a kernel of their own: user-mode Linux, each kept by a supervisor, with disks and a network."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import io
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import CommandError, LyceumError
from . import images, supervisor
from .engine import PATH, machine_lock, run
from .hosts import (
    OWN,
    Host,
    Observed,
    Record,
    greets,
    make_key,
    public_half,
    replace_file,
    ssh_block,
    tar,
)
from .kernel import DATA_DISKS, LAZY, LINUX, MAKE_EXT4, Kernel, free_memory_mib, unable

SUPERVISOR = "supervisor.py"
SSH_PORT = 22
BOOT_SECONDS = 240
"""Ten times what it takes on an idle machine: a kernel that traces calls is slow, and machines are loaded."""

STOP_SECONDS = 30

NETWORK = "198.18"
"""First half of all addresses: the range for tests between network devices, which nobody routes."""

PAIRS = 1 << 15
"""Pairs of addresses in it: the even one for this machine, the odd one for the host."""


@dataclass
class UserModeHosts:
    """The hosts with a kernel of their own of one lab. kernel: None where none is to be booted.

    key: private key of the controller. seed: script that runs on a new host.
    """

    state_dir: Path
    instance: str
    key: Path
    kernel: Kernel | None = None
    memory_mib: int = 0
    seed: str = ""

    def folder(self, host: str) -> Path:
        """Everything of one host."""
        return self.state_dir / "machines" / host

    def wanted(self, name: str, disk: str) -> Host:
        """A desired host with its hash."""
        source = hashlib.sha256(inspect.getsource(supervisor).encode()).hexdigest()
        inputs = [disk, self.memory_mib, public_half(self.key), source, [str(item) for item in DATA_DISKS]]
        return Host(name, disk, hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:16], OWN)

    def observe(self) -> dict[str, Observed]:
        """Hosts that have a process or a folder."""
        supervised = {host for host, _process in processes(self.instance)}
        names = {path.name for path in self.folder("").glob("*/")} | supervised
        found = {}
        for name in names:
            try:
                known = json.loads((self.folder(name) / "host.json").read_text())
            except FileNotFoundError:
                known = {"identity": "", "spec": ""}  # its making was interrupted, or somebody removed the folder
            found[name] = Observed(known["identity"], known["spec"], name in supervised, OWN)
        return found

    def create(self, host: Host) -> Record:
        """Make, boot and seed a host."""
        folder = self.folder(host.name)
        disks = folder / "disks"
        disks.mkdir(parents=True, mode=0o700)
        for number, disk in enumerate(DATA_DISKS):
            image = disks / f"data{number}"
            with image.open("wb") as handle:
                handle.truncate(disk.gib << 30)
            if disk.file_system == "ext4":
                options = ["-O", "quota,project", "-E", f"quotatype=usrquota:grpquota:prjquota,{LAZY}"]
                run([*MAKE_EXT4, *options, str(image)], timeout=BOOT_SECONDS)
        make_key(folder / "host_key")
        host_key = " ".join(public_half(folder / "host_key").split()[:2])
        (disks / "own.tar").write_bytes(own_files(host.name, self.key, folder / "host_key"))
        (folder / SUPERVISOR).write_text(inspect.getsource(supervisor))
        identity = secrets.token_hex(16)
        replace_file(folder / "host.json", json.dumps({"identity": identity, "spec": host.spec, "disk": host.image}))
        # One at a time on this machine: an address is free until the network device that has it is there.
        with machine_lock("addresses"):
            address = free_address(f"{self.instance}/{host.name}", own_addresses())
            self._boot(host.name, address)
        record = Record(identity, address, SSH_PORT, host_key, gateway_of(address))
        self._wait(host.name, record)
        if self.seed:
            self.run(host.name, record, "sh -eu -s", stdin=self.seed)
        return record

    def start(self, name: str, record: Record) -> None:
        """Boot a stopped host at the address it has."""
        self._kill(name)
        with machine_lock("addresses"):
            if record.source in own_addresses():
                raise CommandError(f"The address {record.address} of {name} is in use by now.")
            self._boot(name, record.address)
        self._wait(name, record)

    def remove(self, name: str) -> None:
        """End a host's processes, with which its network and its mounts are gone, and remove its folder."""
        self._kill(name)
        if self.folder(name).exists():
            shutil.rmtree(self.folder(name))

    # -- boot ------------------------------------------------------------------------------------------------------

    def _boot(self, name: str, address: str) -> None:
        """Start the supervisor of a host, and through it the kernel."""
        if self.kernel is None:
            raise unable("no kernel was prepared for it")
        if free_memory_mib() < self.memory_mib:
            raise unable(f"it needs {self.memory_mib} MiB of memory, and {free_memory_mib()} MiB are free")
        folder = self.folder(name)
        disk = Path(json.loads((folder / "host.json").read_text())["disk"])
        own = hashlib.sha256(f"{self.instance}/{name}".encode()).hexdigest()
        own_disk = "bcdefgh"[len(DATA_DISKS)]
        settings = {
            "tree": str(self.kernel.tree),
            "disks": str(images.cache_dir()),
            "memory_mib": self.memory_mib,
            "device": device(self.instance, name),
            "gateway": gateway_of(address),
            "address": address,
            "mac": ":".join(["02", *(own[index : index + 2] for index in range(0, 10, 2))]),
            "argv": [
                f"/{LINUX}", f"lyceum.lab={self.instance}", f"umid={name}", "uml_dir=/lab/",
                *(["seccomp=on"] if self.kernel.quick else []),
                f"mem={self.memory_mib}M", f"ubda=/lab/root.cow,/disks/{disk.name}",
                *(f"ubd{letter}=/lab/data{number}" for number, letter in enumerate("bcdefgh"[: len(DATA_DISKS)])),
                f"ubd{own_disk}=/lab/own.tar", f"lab.own=/dev/ubd{own_disk}",
                "root=/dev/ubda", "rw", "loglevel=5", "noreboot",
                "con=null", "con0=null,fd:1", "con1=null", "ssl=null",
                f"lab.address={address}", f"lab.gateway={gateway_of(address)}",
                f"systemd.machine_id={own[:32]}",
            ],
        }  # fmt: skip
        replace_file(folder / "supervisor.json", json.dumps(settings, indent=2))
        # A session of its own and no mark of the command it is started by: it outlives this process.
        child = subprocess.Popen(
            [sys.executable, "-I", str(folder / SUPERVISOR), self.instance, name, str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            env={"PATH": PATH, "LC_ALL": "C"},
            start_new_session=True,
        )
        with child.stdout or io.BytesIO() as said, child.stderr or io.BytesIO() as complaint:
            if said.readline() != b"ready\n":
                words = complaint.read().decode(errors="replace").strip().split("\n")
                child.wait()
                raise CommandError(f"{name} cannot be started: {words[-1]}")

    def _wait(self, name: str, record: Record) -> None:
        """Wait until sshd greets and systemd has started everything; raise CommandError with the failed units."""
        deadline = time.monotonic() + BOOT_SECONDS
        while not greets(record.address, record.port, record.source):
            if not any(host == name for host, _process in processes(self.instance)):
                raise CommandError(f"{name} ended before it was up: {self._last_words(name)}")
            if time.monotonic() > deadline:
                raise CommandError(f"{name} did not boot within {BOOT_SECONDS} s: {self._last_words(name)}")
            time.sleep(0.1)
        # It ends with a status other than 0 for every state but `running`.
        state = self.run(name, record, "systemctl is-system-running --wait || true").strip()
        if state != "running":
            units = self.run(name, record, "systemctl list-units --failed --plain --no-legend")
            raise CommandError(f"{name} booted as {state!r} with failed units: {units.strip()}")

    def _last_words(self, name: str) -> str:
        text = (self.folder(name) / "console.log").read_text(errors="replace")
        return " / ".join(re.sub(r"\x1b\[[0-9;]*m", "", text).split("\n")[-6:])

    def run(self, name: str, record: Record, command: str, stdin: str | None = None) -> str:
        """Run a shell command in a host, before the lab's own ssh_config knows it."""
        folder = self.folder(name)
        known = folder / "known_hosts"
        replace_file(known, f"{name} {record.host_key}\n")
        replace_file(folder / "ssh_config", ssh_block(name, record, known, self.key))
        words = ["ssh", "-F", str(folder / "ssh_config"), "-o", "BatchMode=yes", name, command]
        return run(words, stdin=stdin, timeout=BOOT_SECONDS)

    def _kill(self, name: str) -> None:
        """End the processes of a host and wait until its network is gone with them."""
        network = Path("/sys/class/net") / device(self.instance, name)
        deadline = time.monotonic() + STOP_SECONDS
        while True:
            found = [process for host, process in processes(self.instance) if host == name]
            if not found and not network.exists():
                return
            if time.monotonic() > deadline:
                raise CommandError(f"{name} does not end: processes {found}, network device {network.name}.")
            for process in found:
                with contextlib.suppress(ProcessLookupError):  # a kernel ends with its supervisor
                    os.kill(process, signal.SIGKILL)
            time.sleep(0.05)


def processes(instance: str) -> Iterator[tuple[str, int]]:
    """(host, process) of every supervisor and every kernel of a lab. Their arguments say whose they are."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().decode(errors="replace").split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if len(words) > 4 and words[1] == "-I" and Path(words[2]).name == SUPERVISOR and words[3] == instance:
            yield words[4], int(entry.parent.name)
        elif words[0] == f"/{LINUX}" and words[1] == f"lyceum.lab={instance}":
            yield words[2].removeprefix("umid="), int(entry.parent.name)


def device(instance: str, host: str) -> str:
    """Name of a host's network device on this machine; a kernel allows 15 letters."""
    return f"lyceum-{hashlib.sha256(f'{instance}/{host}'.encode()).hexdigest()[:8]}"


def own_addresses() -> set[str]:
    """IPv4 addresses of this machine."""
    return set(re.findall(r" inet ([0-9.]+)", run(["ip", "-4", "-oneline", "address"])))


def free_address(name: str, taken: Collection[str]) -> str:
    """An address for a host, the same one for the same host where possible. taken: addresses of this machine."""
    first = int(hashlib.sha256(name.encode()).hexdigest(), 16) % PAIRS
    for offset in range(PAIRS):
        high, low = divmod((first + offset) % PAIRS, 128)
        address = f"{NETWORK}.{high}.{2 * low + 1}"
        if gateway_of(address) not in taken:
            return address
    raise LyceumError(f"No free address in {NETWORK}.0.0/16 on this machine.")


def gateway_of(address: str) -> str:
    """The other end of a host's network, on this machine."""
    head, _, last = address.rpartition(".")
    return f"{head}.{int(last) - 1}"


def own_files(name: str, key: Path, host_key: Path) -> bytes:
    """Tar with what makes a copy of the first disk this very host. It is the content of the last disk."""
    return tar(
        {
            "etc/hostname": (0o644, f"{name}\n".encode()),
            "etc/hosts": (0o644, f"127.0.0.1 localhost\n127.0.1.1 {name}\n::1 localhost\n".encode()),
            "etc/ssh/ssh_host_ed25519_key": (0o600, host_key.read_bytes()),
            "etc/ssh/ssh_host_ed25519_key.pub": (0o644, public_half(host_key).encode()),
            "root/.ssh": (0o700, None),
            "root/.ssh/authorized_keys": (0o600, public_half(key).encode()),
        }
    )
