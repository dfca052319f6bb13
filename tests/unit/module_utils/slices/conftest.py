# SPDX-License-Identifier: GPL-3.0-or-later
"""A host in a directory: unit files, control groups of either version, and a systemd that reads the former and writes
the latter."""

from __future__ import annotations

import pwd
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import CommandError
from ansible.module_utils.lyceum.slices import apply, observe, systemd
from ansible.module_utils.lyceum.slices.plan import Desired

BOOT = "6f2a9a52-0000-4000-8000-000000000001"
CPUS = "0-3"
PARAMS: dict[str, Any] = {
    "only": "",
    "defaults": {},
    "exempt": [],
    "exempt_below": 1000,
    "memory_high_percent": 95.0,
    "memory_swap_percent": 10.0,
    "when_over": "defer",
}
# property -> (controller, file) for each version, as systemd writes them
V2 = {
    "CPUWeight": ("cpu", "cpu.weight"),
    "CPUQuota": ("cpu", "cpu.max"),
    "AllowedCPUs": ("cpuset", "cpuset.cpus"),
    "MemoryHigh": ("memory", "memory.high"),
    "MemoryMax": ("memory", "memory.max"),
    "MemorySwapMax": ("memory", "memory.swap.max"),
    "TasksMax": ("pids", "pids.max"),
}
V1 = {
    "CPUWeight": ("cpu", "cpu.shares"),
    "CPUQuota": ("cpu", "cpu.cfs_quota_us"),
    "MemoryMax": ("memory", "memory.limit_in_bytes"),
    "TasksMax": ("pids", "pids.max"),
}
V1_CONTROLLERS = ("cpu", "cpuacct", "cpuset", "memory", "pids", "blkio")
SYSTEM_TASKS = "63600"
SUFFIXES = {"K": 2**10, "M": 2**20, "G": 2**30}
# Where unit files lie, the most important place first.
PLACES = (
    "etc/systemd/system.control",
    "run/systemd/system.control",
    "etc/systemd/system",
    "run/systemd/system",
    "usr/lib/systemd/system",
)


class Host:
    """lazy: systemd reads changed files on a reload and leaves live slices alone, as 256 and 257 do."""

    def __init__(self, root: Path, version: int, *, lazy: bool = False) -> None:
        self.root, self.version, self.lazy = root, version, lazy
        self.calls: list[list[str]] = []
        self.fail: set[str] = set()
        self._held: dict[int, dict[str, str]] = {}
        self._runtime: dict[int, dict[str, str]] = {}
        (root / "sys/devices/system/cpu").mkdir(parents=True)
        (root / "sys/devices/system/cpu/online").write_text(f"{CPUS}\n")
        (root / "proc/sys/kernel/random").mkdir(parents=True)
        (root / "proc/sys/kernel/random/boot_id").write_text(f"{BOOT}\n")
        (root / "etc").mkdir()
        (root / "sys/block").mkdir()
        defaults = root / "usr/lib/systemd/system/user-.slice.d"
        defaults.mkdir(parents=True)
        (defaults / "10-defaults.conf").write_text("[Slice]\nTasksMax=33%\n")
        (root / "etc/systemd/system").mkdir(parents=True)
        self._mount()

    def _mount(self) -> None:
        top = self.root / "sys/fs/cgroup"
        top.mkdir(parents=True)
        if self.version == 2:
            (self.root / "proc/mounts").write_text("cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n")
            for name in ("cgroup.procs", "cpu.stat"):
                (top / name).touch()
            (top / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
            (top / "cgroup.subtree_control").write_text("cpu memory pids\n")
            users = top / "user.slice"
            users.mkdir()
            for name in ("cgroup.procs", "memory.swap.max", "memory.high", "memory.max", "cpu.max", "cpu.weight"):
                (users / name).touch()
            (users / "pids.max").touch()
            (users / "cgroup.subtree_control").write_text("")
            return
        lines = ["tmpfs /sys/fs/cgroup tmpfs ro 0 0", "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0"]
        for name in ("name=systemd", *V1_CONTROLLERS):
            folder = top / name.rpartition("=")[2]
            lines.append(f"cgroup /sys/fs/cgroup/{folder.name} cgroup rw,nosuid,{name} 0 0")
            (folder / "user.slice").mkdir(parents=True)
            (folder / "cgroup.procs").touch()
            for controller, file in V1.values():
                if controller == name:
                    (folder / file).touch()
        (top / "unified/user.slice").mkdir(parents=True)
        (top / "unified/cgroup.procs").touch()
        (self.root / "proc/mounts").write_text("\n".join(lines) + "\n")

    # --- control groups ---

    def group(self, controller: str, uid: int) -> Path:
        middle = "" if self.version == 2 else f"{controller}/"
        return self.root / f"sys/fs/cgroup/{middle}user.slice/user-{uid}.slice"

    def log_in(self, uid: int, **files: int | str) -> None:
        """The slice comes to live with what the files say now. files: dots written as __, such as memory__current=5."""
        controllers = {controller for controller, _file in (V2 if self.version == 2 else V1).values()}
        names = {*controllers, *(() if self.version == 2 else ("systemd", "unified", "cpuacct"))}
        for controller in names:
            self.group(controller, uid).mkdir(parents=True, exist_ok=True)
        self._held[uid] = self._read(uid)
        self._realize(uid)
        for name, value in files.items():
            self.write(uid, name.replace("__", "."), value)

    def write(self, uid: int, file: str, value: int | str) -> None:
        controller = file.partition(".")[0]
        self.group("unified" if file == "cpu.stat.unified" else controller, uid).joinpath(
            file.replace(".unified", "")
        ).write_text(f"{value}\n")

    def log_out(self, uid: int) -> None:
        for path in sorted((self.root / "sys/fs/cgroup").rglob(f"user-{uid}.slice"), reverse=True):
            for inside in sorted(path.rglob("*"), reverse=True):
                inside.rmdir() if inside.is_dir() else inside.unlink()
            path.rmdir()
        self._held.pop(uid, None)

    def kernel(self, uid: int, name: str) -> str:
        controller, file = (V2 if self.version == 2 else V1)[name]
        return (self.group(controller, uid) / file).read_text().strip()

    # --- systemd ---

    def systemctl(self, arguments: list[str]) -> str:
        self.calls.append(arguments)
        if arguments[0] in self.fail:
            raise CommandError(f"systemctl {arguments[0]} failed with exit status 1: no")
        if arguments[0] == "daemon-reload":
            for uid in self._held:
                self._runtime.pop(uid, None)
                self._held[uid] = self._read(uid)
                if not self.lazy:
                    self._realize(uid)
            return ""
        if arguments[0] == "set-property":
            self._set_property(arguments)
            return ""
        assert arguments[0] == "show"
        names = arguments[arguments.index("--") + 1 :]
        return "\n\n".join(self._shown(int(re.findall(r"\d+", name)[0])) for name in names) + "\n"

    def _set_property(self, arguments: list[str]) -> None:
        place = 2 if arguments[1] == "--runtime" else 1
        rest = [word for word in arguments[place:] if word != "--"]
        uid = int(re.findall(r"\d+", rest[0])[0])
        folder = self.root / ("run" if place == 2 else "etc") / f"systemd/system.control/user-{uid}.slice.d"
        folder.mkdir(parents=True, exist_ok=True)
        for word in rest[1:]:
            name, _equals, value = word.partition("=")
            (folder / f"50-{name}.conf").write_text(f"[Slice]\n{name}={value}\n")
            self._held[uid][name] = value
        self._realize(uid)

    def _read(self, uid: int) -> dict[str, str]:
        """The values of all drop-ins: one file per name, the most special directory first, then by name."""
        chosen: dict[str, Path] = {}
        for unit in (f"user-{uid}.slice.d", "user-.slice.d"):
            for place in PLACES:
                for path in sorted((self.root / place / unit).glob("*.conf")):
                    chosen.setdefault(path.name, path)
        values = {}
        for name in sorted(chosen):
            for line in chosen[name].read_text().splitlines():
                key, equals, value = line.partition("=")
                if equals and not key.startswith("#"):
                    values[key] = SYSTEM_TASKS if value == "33%" else value
        return values

    def _realize(self, uid: int) -> None:
        values = self._held[uid]
        for name, (controller, file) in (V2 if self.version == 2 else V1).items():
            value = values.get(name, "")
            folder = self.group(controller, uid)
            if name == "CPUQuota":
                quota = round(float(value.rstrip("%")) * 1000) if value else None
                if self.version == 2:
                    text = f"{quota or 'max'} 100000"
                else:
                    text = str(quota or -1)
                    (folder / "cpu.cfs_period_us").write_text("100000\n")
            elif name == "CPUWeight":
                weight = int(value or 100)
                text = str(weight if self.version == 2 else weight * 1024 // 100)
            elif name == "AllowedCPUs":
                text = value
            elif name == "TasksMax":
                text = "max" if value == "infinity" else value
            else:
                size = number(value)
                text = str(size) if size is not None else "max" if self.version == 2 else str(2**63 - 4096)
            (folder / file).write_text(f"{text}\n")

    def _shown(self, uid: int) -> str:
        values = self._held.get(uid, self._read(uid))
        quota = values.get("CPUQuota", "")
        seconds = float(quota.rstrip("%")) / 100 if quota else 0
        lines = [f"Id=user-{uid}.slice"]
        lines.append(f"CPUQuotaPerSecUSec={f'{seconds:.6f}s' if quota else 'infinity'}")
        lines += [f"{name}={values.get(name) or '[not set]'}" for name in ("CPUWeight", "IOWeight")]
        lines.append(f"AllowedCPUs={values.get('AllowedCPUs', '').replace(',', ' ')}")
        for name in ("MemoryHigh", "MemoryMax", "MemorySwapMax", "TasksMax"):
            size = number(values.get(name, "infinity"))
            lines.append(f"{name}={'infinity' if size is None else size}")
        return "\n".join(lines)

    # --- runs ---

    def dropin(self, uid: int | str) -> str | None:
        path = self.root / f"etc/systemd/system/user-{uid}.slice.d/50-lyceum.conf"
        return path.read_text() if path.exists() else None

    def run(self, people: Iterable[dict[str, Any]], *, check: bool = False, **params: Any) -> apply.Outcome:
        entries = [{"affiliation": "", "state": "present", "limits": {}, **person} for person in people]
        return apply.run(Desired.from_params({**PARAMS, **params, "people": entries}), check=check)

    def snapshot(self) -> dict[str, str]:
        files = [path for place in ("etc", "run") for path in (self.root / place).rglob("*") if path.is_file()]
        return {str(path.relative_to(self.root)): path.read_text() for path in files}

    def reloads(self) -> int:
        return sum(call[0] == "daemon-reload" for call in self.calls)


def number(text: str) -> int | None:
    if text in ("", "infinity"):
        return None
    return int(text[:-1]) * SUFFIXES[text[-1]] if text[-1] in SUFFIXES else int(text)


class Account:
    """As getpwall() gives it, as far as it is looked at."""

    def __init__(self, name: str, uid: int, shell: str) -> None:
        self.pw_name, self.pw_uid, self.pw_shell = name, uid, shell


ACCOUNTS = (
    Account("root", 0, "/bin/bash"),
    Account("sync", 4, "/bin/sync"),
    Account("www-data", 33, "/usr/sbin/nologin"),
    Account("postgres", 105, "/bin/bash"),
    Account("amartin", 2001, "/bin/bash"),
    Account("bchen", 2002, "/bin/bash"),
    Account("backup-admin", 2900, "/bin/bash"),
)


def take_over(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that looks at the machine looks at the pretended one instead."""

    def account(uid: int) -> Account:
        for entry in ACCOUNTS:
            if entry.pw_uid == uid:
                return entry
        raise KeyError(uid)

    monkeypatch.setattr(observe, "ROOT", host.root)
    monkeypatch.setattr(systemd, "RUNTIME_CONTROL", host.root / "run/systemd/system.control")
    monkeypatch.setattr(systemd, "_systemctl", host.systemctl)
    monkeypatch.setattr(pwd, "getpwall", lambda: list(ACCOUNTS))
    monkeypatch.setattr(pwd, "getpwuid", account)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """cgroup v2, and a systemd that applies on a reload."""
    one = Host(tmp_path, 2)
    take_over(one, monkeypatch)
    return one


@pytest.fixture
def hybrid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """cgroup v1 beside version 2 without controllers."""
    one = Host(tmp_path, 1)
    take_over(one, monkeypatch)
    return one
