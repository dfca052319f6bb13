# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory and cores of one container, as the kernel has them: only with cgroup v2 can they be set without being root.

A person may change them back at any time, as for everything in one's own slice; that slice is what nobody gets beyond.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .processes import PROC, Container
from .settings import Policy

CGROUPS = Path("/sys/fs/cgroup")


def enforceable(cgroups: Path = CGROUPS) -> bool:
    """Whether this host has cgroup v2 alone: its top folder then has the list of all controllers."""
    return (cgroups / "cgroup.controllers").exists()


def cgroup_of(container: Container, proc: Path = PROC, cgroups: Path = CGROUPS) -> Path | None:
    """The cgroup that podman made for a container; None if it made none, or the container has just ended."""
    try:
        lines = (proc / str(container.main) / "cgroup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return None
    parts = next((line[3:].strip("/").split("/") for line in lines if line.startswith("0::")), [])
    # A scope of systemd's, or a folder of podman's own where it does without systemd.
    names = {f"libpod-{container.identity}.scope", f"libpod-{container.identity}", container.identity}
    for number, part in enumerate(parts, 1):
        if part in names:
            return cgroups.joinpath(*parts[:number])
    return None


def too_wide(policy: Policy, cgroup: Path) -> Iterator[str]:
    """What a container may use beyond what its person may use for one, as sentences."""
    if policy.memory_bytes is not None:
        memory = _read(cgroup / "memory.max")
        # The kernel counts in pages.
        if memory == "max" or (memory and int(memory) > policy.memory_bytes):
            yield f"memory {memory}, allowed {policy.memory_bytes}"
    if policy.cpu_cores is not None:
        quota, _, period = _read(cgroup / "cpu.max").partition(" ")
        if quota == "max" or (quota and int(quota) / int(period) > policy.cpu_cores * 1.001):
            yield f"cpu {quota}/{period}, allowed {policy.cpu_cores:g} cores"


def _read(path: Path) -> str:
    """Empty where the controller is not switched on, or the container has ended."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
