# SPDX-License-Identifier: GPL-3.0-or-later
"""Booted lab hosts: observe, plan and apply machines that run systemd and sshd, and the files that reach them."""

from __future__ import annotations

import concurrent.futures
import io
import json
import os
import shutil
import socket
import tarfile
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..errors import CommandError, LyceumError
from .engine import run

BOOT_SECONDS = 90

SHARED, OWN = "shared", "own"
"""Whose kernel a host runs on: that of this machine, as a container, or one that only it uses."""


@dataclass(frozen=True)
class Host:
    """A host as it should be. spec: hash of everything that only a new host can change."""

    name: str
    image: str
    spec: str
    kernel: str = SHARED


@dataclass(frozen=True)
class Observed:
    """A host of this lab as this machine shows it."""

    identity: str
    spec: str
    running: bool
    kernel: str = SHARED


@dataclass(frozen=True)
class Record:
    """A finished host as this lab remembers it; one without its record was left half-made.

    source: address of this machine to connect from, which is there as long as the host's network; empty: any.
    """

    identity: str
    address: str
    port: int
    host_key: str
    source: str = ""


@dataclass(frozen=True)
class Action:
    """One step of a plan. kind: create | replace | start | remove, and `files` for the client files alone.

    kernel: of the host as it is now.
    """

    kind: str
    host: str
    sentence: str
    kernel: str = SHARED


class Backend(Protocol):
    """One way to have hosts."""

    def observe(self) -> dict[str, Observed]:
        """All its hosts of this lab, also unfinished ones, by name."""

    def create(self, host: Host) -> Record:
        """Make, boot and seed a host."""

    def start(self, name: str, record: Record) -> None:
        """Boot a stopped host."""

    def remove(self, name: str) -> None:
        """Remove a host with everything that belongs to it."""


@dataclass
class Lab:
    """One lab: what carries its hosts, by the kernel they run on, and its files."""

    state_dir: Path
    backends: Mapping[str, Backend]
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def key(self) -> Path:
        """Private key of the controller."""
        return self.state_dir / "id_ed25519"

    @property
    def ssh_config(self) -> Path:
        """File for `ssh -F` that reaches every host by its name."""
        return self.state_dir / "ssh_config"

    # -- observe ---------------------------------------------------------------------------------------------------

    def observe(self) -> dict[str, Observed]:
        """All hosts of this lab by name."""
        return {name: host for backend in self.backends.values() for name, host in backend.observe().items()}

    def records(self) -> dict[str, Record]:
        """Finished hosts by name."""
        try:
            content = json.loads((self.state_dir / "hosts.json").read_text())
        except FileNotFoundError:
            return {}
        fields = set(Record.__dataclass_fields__)
        # Written by another version of this file: such a host counts as unfinished.
        return {name: Record(**values) for name, values in content.items() if set(values) == fields}

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
            self._remove(action)
        if action.kind == "start":
            try:
                self.backends[action.kernel].start(action.host, self.records()[action.host])
                return
            except CommandError:
                # For instance its port is taken by now. A lab host holds nothing that a new one does not get again.
                self._remove(action)
        if action.kind != "remove" and host is not None:
            record = self.backends[host.kernel].create(host)
            with self._lock:
                self._write_records({**self.records(), host.name: record})

    def _remove(self, action: Action) -> None:
        self._forget(action.host)
        self.backends[action.kernel].remove(action.host)

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
        blocks = [ssh_block(name, record, known, self.key) for name, record in sorted(records.items())]
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
    """Steps from the hosts that exist to those that should. Hosts of this lab only; pure."""
    wanted = {host.name for host in hosts}
    actions = [
        Action("remove", name, f"remove {name}", found.kernel)
        for name, found in sorted(observed.items())
        if name not in wanted
    ]
    for host in hosts:
        found, record = observed.get(host.name), records.get(host.name)
        if found is None:
            actions.append(
                Action(
                    "create",
                    host.name,
                    f"create {host.name}{' with a kernel of its own' if host.kernel == OWN else f' from {host.image}'}",
                )
            )
        elif found.spec and found.spec != host.spec:
            actions.append(Action("replace", host.name, f"replace {host.name}: its definition changed", found.kernel))
        elif record is None or record.identity != found.identity:
            actions.append(Action("replace", host.name, f"replace {host.name}: it was left half-made", found.kernel))
        elif not found.running:
            actions.append(Action("start", host.name, f"start {host.name}", found.kernel))
    return actions


def describe(observed: Mapping[str, Observed]) -> str:
    """One line per host, for the `before` of a diff."""
    lines = [f"{name}: {item.spec} {'running' if item.running else 'stopped'}" for name, item in observed.items()]
    return "".join(f"{line}\n" for line in sorted(lines))


def describe_wanted(hosts: Sequence[Host]) -> str:
    """One line per host, for the `after` of a diff."""
    return "".join(f"{host.name}: {host.spec} running\n" for host in sorted(hosts, key=lambda host: host.name))


def ssh_block(name: str, record: Record, known_hosts: Path, key: Path) -> str:
    """Client configuration of one host. Only root gets the controller's key: people must show their own."""
    # A host that is down is not looked for outside this machine.
    source = f"\n    BindAddress {record.source}" if record.source else ""
    return f"""\
Host {name}
    HostName {record.address}{source}
    HostKeyAlias {name}
    Port {record.port}
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


def greets(address: str, port: int, source: str = "") -> bool:
    """Whether an SSH server answers there. source: address of this machine to ask from."""
    try:
        with socket.create_connection((address, port), timeout=2, source_address=(source, 0)) as link:
            return link.recv(8).startswith(b"SSH-2.0")
    except OSError:
        return False


def tar(entries: Mapping[str, tuple[int, bytes | None]]) -> bytes:
    """Archive of files that belong to root: mode and content by path, None for a folder."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for path, (mode, content) in entries.items():
            entry = tarfile.TarInfo(path)
            entry.mode, entry.mtime = mode, int(time.time())
            if content is None:
                entry.type = tarfile.DIRTYPE
            else:
                entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content or b""))
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
