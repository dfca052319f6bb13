# SPDX-License-Identifier: GPL-3.0-or-later
"""Booted lab hosts: observe, plan and apply containers that run systemd and sshd, and the files that reach them."""

from __future__ import annotations

import concurrent.futures
import hashlib
import io
import json
import os
import shutil
import socket
import tarfile
import tempfile
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import CommandError, LyceumError
from .engine import LABEL, Engine, instance_id, network_name, run

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
BOOT_SECONDS = 90
# Below the kernel's range for outgoing connections, so that a restarted host finds its port free again.
PORTS = range(20000, 30000)


@dataclass(frozen=True)
class Host:
    """A host as it should be. spec: hash of everything that only a new container can change."""

    name: str
    image: str
    spec: str


@dataclass(frozen=True)
class Observed:
    """A container of this lab as the engine reports it."""

    container: str
    spec: str
    running: bool


@dataclass(frozen=True)
class Record:
    """A finished host as this lab remembers it; a container without its record was left half-made."""

    container: str
    port: int
    host_key: str


@dataclass(frozen=True)
class Action:
    """One step of a plan. kind: create | replace | start | remove, and `files` for the client files alone."""

    kind: str
    host: str
    sentence: str


@dataclass
class Lab:
    """One lab: its engine (None only in check mode on a machine that has none yet) and its files."""

    engine: Engine | None
    state_dir: Path
    init: bytes = b""
    seed: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _ports: set[int] = field(default_factory=set)

    @property
    def instance(self) -> str:
        """Instance id, part of every object's name."""
        return instance_id(self.state_dir)

    @property
    def key(self) -> Path:
        """Private key of the controller."""
        return self.state_dir / "id_ed25519"

    @property
    def ssh_config(self) -> Path:
        """File for `ssh -F` that reaches every host by its name."""
        return self.state_dir / "ssh_config"

    def container(self, host: str) -> str:
        """Name of a host's container."""
        return f"{network_name(self.instance)}-{host}"

    # -- observe ---------------------------------------------------------------------------------------------------

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
                container=item["Id"], spec=labels[f"{LABEL}.spec"], running=bool(item["State"]["Running"])
            )
        return found

    def records(self) -> dict[str, Record]:
        """Finished hosts by name."""
        try:
            text = (self.state_dir / "hosts.json").read_text()
        except FileNotFoundError:
            return {}
        return {name: Record(**values) for name, values in json.loads(text).items()}

    def wanted(self, name: str, image: str, public_key: str) -> Host:
        """A desired host with its hash."""
        inputs = [image, OPTIONS, hashlib.sha256(self.init).hexdigest(), public_key]
        return Host(name, image, hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:16])

    # -- apply -----------------------------------------------------------------------------------------------------

    def apply(self, actions: Sequence[Action], hosts: Sequence[Host]) -> None:
        """Carry out a plan, hosts in parallel, then write the files that reach them.

        One host's failure does not stop the others; a LyceumError names all that failed.
        """
        wanted = {host.name: host for host in hosts}
        failures = {}
        with concurrent.futures.ThreadPoolExecutor(max_workers=8) as pool:
            jobs = {
                action.host: pool.submit(self._apply_one, action, wanted.get(action.host))
                for action in actions
                if action.kind != "files"
            }
        for name, job in jobs.items():
            error = job.exception()
            if isinstance(error, LyceumError):
                failures[name] = str(error)
            elif error is not None:
                raise error
        self._write_client_files()
        if failures:
            raise LyceumError("; ".join(f"{name}: {text}" for name, text in failures.items()), failed=failures)

    def _apply_one(self, action: Action, host: Host | None) -> None:
        if action.kind in ("remove", "replace"):
            self._forget(action.host)
            self._engine().run("rm", "--force", "--volumes", self.container(action.host))
        if action.kind == "start":
            try:
                self._start(action.host)
                return
            except CommandError:
                # For instance its port is taken by now. A lab host holds nothing that a new one does not get again.
                self._forget(action.host)
                self._engine().run("rm", "--force", "--volumes", self.container(action.host))
        if action.kind != "remove" and host is not None:
            self._create(host)

    def _engine(self) -> Engine:
        if self.engine is None:
            raise LyceumError("No container engine: run the engine step first.")
        return self.engine

    def _start(self, name: str) -> None:
        self._engine().run("start", self.container(name))
        self._wait(name, self.records()[name].port)

    def _create(self, host: Host) -> None:
        engine, name = self._engine(), self.container(host.name)
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
        with self._lock:
            self._write_records({**self.records(), host.name: Record(identity, port, " ".join(host_key[:2]))})

    def _wait(self, name: str, port: int) -> None:
        """Wait until systemd has started everything and sshd greets; raise CommandError with the failed units."""
        engine, container = self._engine(), self.container(name)
        deadline = time.monotonic() + BOOT_SECONDS
        state = ""
        while state not in ("running", "degraded") or not greets(port):
            if time.monotonic() > deadline:
                raise CommandError(f"{name} did not boot within {BOOT_SECONDS} s; systemd says {state or 'nothing'!r}.")
            time.sleep(0.1)
            # It ends with a status other than 0 for every state but `running`.
            script = "systemctl is-system-running || true"
            state = engine.run("exec", container, "sh", "-c", script, timeout=BOOT_SECONDS).strip()
        if state == "degraded":
            units = engine.run("exec", container, "systemctl", "list-units", "--failed", "--plain", "--no-legend")
            raise CommandError(f"{name} booted with failed units: {units.strip()}")

    def _forget(self, name: str) -> None:
        with self._lock:
            records = self.records()
            if records.pop(name, None) is not None:
                self._write_records(records)

    def _write_records(self, records: Mapping[str, Record]) -> None:
        values = {name: asdict(record) for name, record in sorted(records.items())}
        replace_file(self.state_dir / "hosts.json", json.dumps(values, indent=2) + "\n")

    def _write_client_files(self) -> None:
        for path in self.stale_files():
            replace_file(path, self.client_files()[path])

    def stale_files(self) -> list[Path]:
        """Client files that are missing or do not fit the finished hosts."""
        return [path for path, text in self.client_files().items() if not path.exists() or path.read_text() != text]

    def client_files(self) -> dict[Path, str]:
        """Content of ssh_config and known_hosts for the finished hosts."""
        records = self.records()
        known = self.state_dir / "known_hosts"
        blocks = [ssh_block(name, record.port, known, self.key) for name, record in sorted(records.items())]
        keys = [f"{name} {record.host_key}\n" for name, record in sorted(records.items())]
        return {self.ssh_config: "\n".join(blocks), known: "".join(keys)}

    def verify(self, hosts: Sequence[Host]) -> None:
        """Log in to every host as Ansible will. Raises CommandError for the first that refuses."""
        words = ["ssh", "-F", str(self.ssh_config), "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"]
        with concurrent.futures.ThreadPoolExecutor(max_workers=8) as pool:
            list(pool.map(lambda host: run([*words, host.name, "true"], timeout=30), hosts))

    # -- keys ------------------------------------------------------------------------------------------------------

    def missing_keys(self, people: Sequence[str]) -> list[Path]:
        """Private key files that do not exist yet: the controller's and one throw-away identity per person."""
        wanted = [self.key, *(self.state_dir / "keys" / name for name in people)]
        return [path for path in wanted if not (path.exists() and public_half(path))]

    def make_keys(self, paths: Sequence[Path]) -> None:
        """Make ed25519 keys."""
        with concurrent.futures.ThreadPoolExecutor(max_workers=8) as pool:
            list(pool.map(make_key, paths))

    def destroy_files(self) -> None:
        """Remove everything this lab keeps on the controller."""
        if self.state_dir.exists():
            shutil.rmtree(self.state_dir)


def plan(hosts: Sequence[Host], observed: Mapping[str, Observed], records: Mapping[str, Record]) -> list[Action]:
    """Steps from the containers that exist to the hosts that should. Containers of this lab only; pure."""
    wanted = {host.name for host in hosts}
    actions = [Action("remove", name, f"remove {name}") for name in sorted(observed) if name not in wanted]
    for host in hosts:
        found, record = observed.get(host.name), records.get(host.name)
        if found is None:
            actions.append(Action("create", host.name, f"create {host.name} from {host.image}"))
        elif found.spec != host.spec:
            actions.append(Action("replace", host.name, f"replace {host.name}: its definition changed"))
        elif record is None or record.container != found.container:
            actions.append(Action("replace", host.name, f"replace {host.name}: it was left half-made"))
        elif not found.running:
            actions.append(Action("start", host.name, f"start {host.name}"))
    return actions


def describe(observed: Mapping[str, Observed]) -> str:
    """One line per host, for the `before` of a diff."""
    lines = [f"{name}: {item.spec} {'running' if item.running else 'stopped'}" for name, item in observed.items()]
    return "".join(f"{line}\n" for line in sorted(lines))


def describe_wanted(hosts: Sequence[Host]) -> str:
    """One line per host, for the `after` of a diff."""
    return "".join(f"{host.name}: {host.spec} running\n" for host in sorted(hosts, key=lambda host: host.name))


def ssh_block(name: str, port: int, known_hosts: Path, key: Path) -> str:
    """Client configuration of one host. Only root gets the controller's key: people must show their own."""
    return f"""\
Host {name}
    HostName 127.0.0.1
    HostKeyAlias {name}
    Port {port}
    User root
    IdentitiesOnly yes
    IdentityAgent none
    StrictHostKeyChecking yes
    GlobalKnownHostsFile /dev/null
    UserKnownHostsFile {quote(known_hosts)}
Match originalhost {name} user root
    IdentityFile {quote(key)}
"""


def quote(path: Path) -> str:
    """A path as ssh_config wants it: quoted for spaces, percent signs doubled."""
    return '"' + str(path).replace("%", "%%") + '"'


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


def greets(port: int) -> bool:
    """Whether an SSH server answers on a port of 127.0.0.1."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as link:
            return link.recv(8).startswith(b"SSH-2.0")
    except OSError:
        return False


def archive(init: bytes, public_key: str) -> bytes:
    """Tar with what a new container gets before its first boot: its init and the controller's key."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for path, mode, content in (
            (INIT, 0o755, init),
            ("root/.ssh", 0o700, None),
            ("root/.ssh/authorized_keys", 0o600, public_key.encode()),
        ):
            entry = tarfile.TarInfo(path)
            entry.mode, entry.mtime = mode, int(time.time())
            if content is None:
                entry.type = tarfile.DIRTYPE
                tar.addfile(entry)
            else:
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    return data.getvalue()


def make_key(path: Path) -> None:
    """Make one ed25519 key without a passphrase; it appears complete or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".new-") as folder:
        fresh = Path(folder) / "key"
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"{path.name}@lab", "-f", str(fresh)])
        fresh.replace(path)
        # Last: a private key without its public half counts as missing.
        fresh.with_suffix(".pub").replace(path.with_name(path.name + ".pub"))


def public_half(path: Path) -> str:
    """Public key that belongs to a private key file, or an empty string."""
    public = path.with_name(path.name + ".pub")
    return public.read_text() if public.exists() else ""


def replace_file(path: Path, text: str) -> None:
    """Write a file readable by its owner only, in one step."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(handle, "w") as out:
        out.write(text)
    Path(name).replace(path)


def result(actions: Sequence[Action], before: str, after: str, **more: Any) -> dict[str, Any]:
    """What a module returns, the same in check mode and in a real run."""
    sentences = [action.sentence for action in actions]
    return {"changed": bool(actions), "actions": sentences, "diff": {"before": before, "after": after}, **more}
