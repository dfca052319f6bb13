# SPDX-License-Identifier: GPL-3.0-or-later
"""The control groups of this kernel: where they are, which limit is which file, and which cannot work at all."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from .dropin import slice_of, uid_of
from .properties import Value
from .units import CORE, PAGE, cpus_of

UNIFIED = "unified"
HYBRID = "hybrid"
LEGACY = "legacy"
USERS = "user.slice"

# property -> (controller, file); what is missing under a version, systemd does not set there.
_V2 = {
    "CPUWeight": ("cpu", "cpu.weight"),
    "CPUQuota": ("cpu", "cpu.max"),
    "AllowedCPUs": ("cpuset", "cpuset.cpus"),
    "MemoryHigh": ("memory", "memory.high"),
    "MemoryMax": ("memory", "memory.max"),
    "MemorySwapMax": ("memory", "memory.swap.max"),
    "TasksMax": ("pids", "pids.max"),
    "IOWeight": ("io", "io.weight"),
}
_V1 = {
    "CPUWeight": ("cpu", "cpu.shares"),
    "CPUQuota": ("cpu", "cpu.cfs_quota_us"),
    "MemoryMax": ("memory", "memory.limit_in_bytes"),
    "TasksMax": ("pids", "pids.max"),
    "IOWeight": ("blkio", "blkio.bfq.weight"),
}
_V1_CONTROLLERS = {"name=systemd", "cpu", "cpuacct", "cpuset", "memory", "pids", "blkio"}
# memory.limit_in_bytes without a limit: the largest number of whole pages.
V1_UNLIMITED = 2**63 - PAGE


@dataclass(frozen=True)
class Hierarchy:
    """controllers: name -> where its groups begin. tracking: the hierarchy that holds every process of every unit.
    unified: where version 2 is mounted, if at all.
    """

    layout: str
    controllers: Mapping[str, Path]
    tracking: Path
    unified: Path | None
    blocks: Path = Path("/sys/block")

    @classmethod
    def read(cls, root: Path) -> Hierarchy | None:
        """What is mounted below `root`; None where there is nothing of systemd's making."""
        v1: dict[str, Path] = {}
        unified = None
        for line in _text(root / "proc/mounts").splitlines():
            _source, where, kind, options = [*line.split(" "), "", "", "", ""][:4]
            path = root / where.lstrip("/")
            if kind == "cgroup2":
                unified = path
            elif kind == "cgroup":
                v1.update((name, path) for name in options.split(",") if name in _V1_CONTROLLERS)
        if unified is not None and (unified / "cgroup.procs").exists() and "name=systemd" not in v1:
            names = _text(unified / "cgroup.controllers").split()
            return cls(UNIFIED, dict.fromkeys(names, unified), unified, unified, root / "sys/block")
        if "name=systemd" not in v1:
            return None
        layout = LEGACY if unified is None else HYBRID
        return cls(layout, MappingProxyType(v1), v1["name=systemd"], unified, root / "sys/block")

    @functools.cached_property
    def files(self) -> Mapping[str, tuple[str, str]]:
        return _V2 if self.layout == UNIFIED else _V1

    def live(self) -> list[int]:
        """The uids whose slice exists now: somebody is logged in, lingers or has a job."""
        try:
            with os.scandir(self.tracking / USERS) as entries:
                found = [uid_of(entry.name) for entry in entries]
        except FileNotFoundError:
            return []
        return sorted(uid for uid in found if uid is not None)

    def group(self, controller: str, uid: int) -> Path | None:
        """The control group of a user's slice under one controller, None when the kernel has no such controller."""
        top = self.controllers.get(controller)
        return None if top is None else top / slice_path(uid)

    def obstacles(self, properties: Iterable[str]) -> dict[str, str]:
        """property -> why setting it changes nothing on this host, for those of `properties` of which it is so."""
        found = {}
        for name in properties:
            why = self._obstacle(name)
            if why:
                found[name] = why
        return found

    def _obstacle(self, name: str) -> str:
        if name not in self.files:
            return f"cgroup v1 ({self.layout}): systemd sets nothing for it there"
        controller, file = self.files[name]
        if controller not in self.controllers:
            return f"the kernel offers no controller {controller}"
        if name == "IOWeight":
            return self._io_obstacle()
        # A feature may be left out of the kernel (swap, bandwidth). Its file is in every group but the topmost.
        groups = [group for group in self._groups_of(controller) if (group / "cgroup.procs").exists()]
        if groups and not any((group / file).exists() for group in groups):
            return f"the kernel has no {file}"
        return ""

    def _groups_of(self, controller: str) -> Iterator[Path]:
        """Groups in which the controller is at work."""
        top = self.controllers[controller]
        if self.layout != UNIFIED:
            yield top
            return
        for parent in (top, top / USERS):
            if controller in _text(parent / "cgroup.subtree_control").split():
                with os.scandir(parent) as entries:
                    yield from (Path(entry.path) for entry in entries if entry.is_dir())

    def _io_obstacle(self) -> str:
        """Weights of disk bandwidth are kept by the scheduler bfq, or (version 2) by the io.cost model, per disk."""
        schedulers = [_text(path) for path in self.blocks.glob("*/queue/scheduler")]
        if any("[bfq]" in text for text in schedulers):
            return ""
        if self.unified is not None and "enable=1" in _text(self.unified / "io.cost.qos"):
            return ""
        return "no disk uses the scheduler bfq, and io.cost is off"

    def limits(self, uid: int) -> dict[str, Value]:
        """What the kernel holds for a live slice, property by property, as far as it tells. Weights of disks are left
        out: systemd writes them to several files, each with a scale of its own.
        """
        found: dict[str, Value] = {}
        for name, (controller, file) in self.files.items():
            group = self.group(controller, uid)
            if group is None or name == "IOWeight":
                continue
            # The person may have just logged out, or this kernel lacks the file: `obstacles` says so then.
            with contextlib.suppress(OSError):
                found[name] = self._value(name, (group / file).read_text(encoding="ascii").strip(), group)
        return found

    def _value(self, name: str, text: str, group: Path) -> Value:
        if name == "AllowedCPUs":
            return cpus_of(text) or None
        if name == "CPUQuota":
            if self.layout == UNIFIED:
                quota, _blank, period = text.partition(" ")
            else:
                quota, period = text, _text(group / "cpu.cfs_period_us")
            return None if quota in ("max", "-1") else round(int(quota) * CORE / int(period or 100_000))
        if name == "CPUWeight":
            return int(text) if self.layout == UNIFIED else round(int(text) * 100 / 1024)
        return None if text in ("max", str(V1_UNLIMITED)) else int(text)


def slice_path(uid: int) -> str:
    """Of a user's slice, below the top of any hierarchy."""
    return f"{USERS}/{slice_of(uid)}"


def online_cpus(root: Path) -> tuple[int, ...]:
    return cpus_of(_text(root / "sys/devices/system/cpu/online"))


def _text(path: Path) -> str:
    """A file of the kernel; "" when there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
