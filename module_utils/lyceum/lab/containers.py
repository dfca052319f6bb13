# SPDX-License-Identifier: GPL-3.0-or-later
"""Lab hosts that are containers: they share the kernel of this machine and boot in a second."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import CommandError, LyceumError
from .engine import LABEL, Engine, network_name
from .hosts import BOOT_SECONDS, Host, Observed, Record, greets, public_half, tar

CAPABILITIES = ("SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE", "SYS_NICE", "LINUX_IMMUTABLE", "AUDIT_CONTROL")

OPTIONS = (
    "--cgroupns=private",  # never the machine's own cgroup tree
    "--restart=always",  # a reboot inside the host ends the container
    "--stop-signal=SIGRTMIN+3",
    "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined",  # its stock profile refuses the mounts of lab-init
    "--tmpfs=/run:exec,mode=755",
    "--tmpfs=/run/lock",
    "--tmpfs=/tmp:exec",
    "--device=/dev/fuse",  # rootless containers: images as FUSE file systems
    "--device=/dev/net/tun",  # and their networks
    # A file system of the machine's own below homes and shares: an overlay cannot carry another overlay's layers.
    # The same for the images that all people share: the overlay cannot show them with other owners.
    "--volume=/home",
    "--volume=/srv",
    "--volume=/var/lib/lyceum",
    "--pull=never",  # the image is local; a registry must never be asked for its name
    *(f"--cap-add={name}" for name in CAPABILITIES),
)

INIT = "usr/local/sbin/lab-init"
INOTIFY_LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")
# Below the kernel's range for outgoing connections, so that a restarted host finds its port free again.
PORTS = range(20000, 30000)


@dataclass
class Containers:
    """The containers of one lab. engine: None only where there is none yet. key: private key of the controller.

    init: program that a host runs as its first process. seed: script that runs on a new host.
    """

    engine: Engine | None
    instance: str
    key: Path
    init: bytes = b""
    seed: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _ports: set[int] = field(default_factory=set)

    def name(self, host: str) -> str:
        """Name of a host's container."""
        return f"{network_name(self.instance)}-{host}"

    def wanted(self, name: str, image: str) -> Host:
        """A desired host with its hash."""
        inputs = [image, OPTIONS, hashlib.sha256(self.init).hexdigest(), public_half(self.key)]
        return Host(name, image, hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:16])

    def observe(self) -> dict[str, Observed]:
        """All containers of this lab by host name, in two engine calls."""
        if self.engine is None:
            return {}
        identities = self.engine.lines("ps", "--all", "--quiet", "--filter", f"label={LABEL}={self.instance}")
        if not identities:
            return {}
        found = {}
        for item in json.loads(self.engine.run("container", "inspect", *identities)):
            labels = item["Config"]["Labels"]
            found[labels[f"{LABEL}.host"]] = Observed(
                identity=item["Id"], spec=labels[f"{LABEL}.spec"], running=bool(item["State"]["Running"])
            )
        return found

    def create(self, host: Host) -> Record:
        """Make, boot and seed a host."""
        engine, name = self._engine(), self.name(host.name)
        with self._lock:
            port = free_port(name, self._ports)
            self._ports.add(port)
        engine.run(
            "create", "--name", name, "--hostname", host.name, "--network", network_name(self.instance),
            "--network-alias", host.name, "--publish", f"127.0.0.1:{port}:22",
            "--label", f"{LABEL}={self.instance}", "--label", f"{LABEL}.host={host.name}",
            "--label", f"{LABEL}.spec={host.spec}", *OPTIONS, host.image, f"/{INIT}",
        )  # fmt: skip
        engine.run("cp", "-", f"{name}:/", stdin=archive(self.init, public_half(self.key)))
        engine.run("start", name)
        self._wait(host.name, port)
        if self.seed:
            engine.run("exec", "--interactive", name, "sh", "-eu", "-s", stdin=self.seed, timeout=BOOT_SECONDS)
        # Read through the engine, which we trust already: the first ssh connection accepts nothing unseen.
        host_key = engine.run("exec", name, "cat", "/etc/ssh/ssh_host_ed25519_key.pub").split()
        identity = engine.run("container", "inspect", "--format", "{{.Id}}", name).strip()
        return Record(identity, "127.0.0.1", port, " ".join(host_key[:2]))

    def start(self, name: str, record: Record) -> None:
        """Boot a stopped host."""
        self._engine().run("start", self.name(name))
        self._wait(name, record.port)

    def remove(self, name: str) -> None:
        """Remove a host and its volumes."""
        self._engine().run("rm", "--force", "--volumes", self.name(name))

    def _engine(self) -> Engine:
        if self.engine is None:
            raise LyceumError("No container engine: run the engine step first.")
        return self.engine

    def _wait(self, name: str, port: int) -> None:
        """Wait until systemd has started everything and sshd greets; raise CommandError with the failed units."""
        engine, container = self._engine(), self.name(name)
        deadline = time.monotonic() + BOOT_SECONDS
        state = ""
        while state not in ("running", "degraded") or not greets("127.0.0.1", port):
            if time.monotonic() > deadline:
                raise CommandError(f"{name} did not boot within {BOOT_SECONDS} s; systemd says {state or 'nothing'!r}.")
            time.sleep(0.1)
            # It ends with a status other than 0 for every state but `running`.
            script = "systemctl is-system-running || true"
            state = engine.run("exec", container, "sh", "-c", script, timeout=BOOT_SECONDS).strip()
        if state == "degraded":
            units = engine.run("exec", container, "systemctl", "list-units", "--failed", "--plain", "--no-legend")
            raise CommandError(f"{name} booted with failed units: {units.strip()}{hint(units)}")


def hint(units: str, limit: Path = INOTIFY_LIMIT) -> str:
    """What to do about units that fail for want of a resource that all containers of a machine share."""
    # Those that watch a folder (*.path) are the first that get no inotify instance.
    if ".path" not in units or not limit.exists():
        return ""
    return (
        f". Each host needs about eight of the {limit.read_text().strip()} inotify instances that root may have on this"
        " machine: remove other labs, or raise fs.inotify.max_user_instances."
    )


def free_port(name: str, taken: Collection[int] = ()) -> int:
    """A TCP port of 127.0.0.1 that is free now, the same one for the same container where possible.

    taken: ports given to hosts that do not listen yet.
    """
    first = int(hashlib.sha256(name.encode()).hexdigest(), 16) % len(PORTS)
    for offset in range(len(PORTS)):
        port = PORTS[(first + offset) % len(PORTS)]
        if port in taken:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise LyceumError(f"No free port in {PORTS.start}-{PORTS.stop - 1} on 127.0.0.1.")


def archive(init: bytes, public_key: str) -> bytes:
    """Tar with what a new container gets before its first boot: its init and the controller's key."""
    return tar(
        {
            INIT: (0o755, init),
            "root/.ssh": (0o700, None),
            "root/.ssh/authorized_keys": (0o600, public_key.encode()),
        }
    )
