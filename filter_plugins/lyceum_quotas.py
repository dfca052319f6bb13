# SPDX-License-Identifier: GPL-3.0-or-later
"""From the registry to the quotas of a host and what its tools have to know, for the role groups_and_acls."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import ansible.module_utils

_CORE = str(Path(__file__).resolve().parent.parent / "module_utils")
if _CORE not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(_CORE)

from ansible.module_utils.lyceum.quota import wanted  # noqa: E402
from ansible.module_utils.lyceum.storage.settings import PEOPLE, PROJECTS  # noqa: E402


def storage_quotas(registry: Mapping[str, Any], places: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The parameter `quotas` of disk_quotas, see module_utils/lyceum/quota/wanted.py."""
    return wanted.quotas(registry, places)


def storage_policy_files(registry: Mapping[str, Any], places: Mapping[str, Any], folder: str) -> list[dict[str, Any]]:
    """The parameter `files` of managed_files: what the tools know of each person and each project."""
    found = wanted.policies(registry, places)
    files = [
        {"path": f"{folder}/{PEOPLE}/{one['name']}.json", "content": one, "person": one["name"]}
        for one in found["people"]
    ]
    files += [{"path": f"{folder}/{PROJECTS}/{one['gid']}.json", "content": one} for one in found["projects"]]
    return [
        {**file, "content": json.dumps(file["content"], indent=1, ensure_ascii=False) + "\n", "mode": "0600"}
        for file in files
    ]


def quota_id_ranges(uid_ranges: Iterable[Mapping[str, int]], bases: Iterable[int]) -> list[dict[str, Any]]:
    """The parameter `id_ranges` of disk_quotas: people, and the projects of their directories from each base on."""
    ranges = [(one["first"], one["last"]) for one in uid_ranges]
    return [{"kind": "user", "first": first, "last": last} for first, last in ranges] + [
        {"kind": "project", "first": base + first, "last": base + last} for base in bases for first, last in ranges
    ]


class FilterModule:
    """Jinja filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "quota_id_ranges": quota_id_ranges,
            "storage_policy_files": storage_policy_files,
            "storage_quotas": storage_quotas,
        }
