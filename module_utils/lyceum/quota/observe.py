# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the quotas of all file systems concerned, one process for each file system and kind."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

from ..errors import LyceumError
from . import filesystem, kernel, tools
from .model import KIB, Limits, Quota, Target, add_up
from .plan import Observed, kinds_of
from .tools import Record


def locate(quotas: Iterable[Quota]) -> tuple[list[Target], dict[str, filesystem.Mount]]:
    """What the quotas come to on the file systems they are on, and those by mount point. Raises LyceumError."""
    known = filesystem.mounts()
    points: dict[str, filesystem.Mount] = {}
    places: dict[str, str] = {}

    def mount_of(path: str) -> str:
        if path not in places:
            mount = filesystem.mount_of(path, known)
            points[mount.point] = mount
            places[path] = mount.point
        return places[path]

    return add_up(quotas, mount_of), points


def read_places(targets: Sequence[Target], points: dict[str, filesystem.Mount], *, check: bool) -> Observed:
    """All quotas of the targets' kinds; what fails for one file system is in `errors` and leaves the others."""
    result = Observed()
    lacking = tools.missing()
    for mount, kind in kinds_of(targets):
        try:
            state = kernel.state(mount, kind)
            reason = filesystem.shortcoming(points[mount], state, kernel.kernel_has_quotas)
            if reason:
                result.shortcomings[mount, kind] = reason
            if not state.counted:
                continue
            if lacking and not check:
                raise LyceumError(f"quotas on {mount}: {lacking}")
            # On a new host check mode comes before the installation: no program could have set anything yet.
            result.records[mount, kind] = {} if lacking else tools.read(mount, kind)
            result.blocks[mount] = block_of(mount)
            grace = kernel.grace(mount, kind)
            if grace is not None:
                result.graces[mount, kind] = grace
        except (LyceumError, OSError) as exc:
            result.errors.append(str(exc))
            result.records.pop((mount, kind), None)
    return result


def block_of(mount: str) -> int:
    """Bytes of a block, in which limits are rounded; the kernel keeps them in KiB."""
    return max(os.statvfs(mount).f_frsize, KIB)


def rows(targets: Iterable[Target], observed: Observed) -> list[dict[str, Any]]:
    """The quotas that are counted, with what is used of them."""
    found: list[dict[str, Any]] = []
    for target in targets:
        place = (target.mount, target.kind)
        if place not in observed.records:
            continue
        record = observed.records[place].get(target.id, Record(Limits(), 0, 0))
        found.append(
            {
                "filesystem": target.mount,
                "kind": target.kind,
                "id": target.id,
                "name": target.name,
                "person": target.person,
                "used_bytes": record.space_used * KIB,
                "soft_bytes": record.limits.space_soft * KIB or None,
                "hard_bytes": record.limits.space_hard * KIB or None,
                "space_ends": record.space_ends,
                "used_files": record.files_used,
                "soft_files": record.limits.files_soft or None,
                "hard_files": record.limits.files_hard or None,
                "files_ends": record.files_ends,
                "enforced": place not in observed.shortcomings,
            }
        )
    return found
