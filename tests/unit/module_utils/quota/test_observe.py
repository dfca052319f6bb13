# SPDX-License-Identifier: GPL-3.0-or-later
"""Quotas and their use, as a host has them."""

from __future__ import annotations

import os
from pathlib import Path

from ansible.module_utils.lyceum.quota.observe import block_of, locate, read_places, rows

from .conftest import FakeHost
from .test_apply import home, run, scratch
from .test_plan import spec


def test_paths_are_grouped_by_file_system(host: FakeHost) -> None:
    quotas = spec(home(host), scratch(host), home(host, path=f"{host.folder}/srv", name="scratch")).quotas
    targets, points = locate(quotas)
    assert [(target.mount, target.kind, target.name) for target in targets] == [
        (f"{host.folder}/home", "user", "home"),
        (f"{host.folder}/srv", "project", "scratch-p2001"),
        (f"{host.folder}/srv", "user", "scratch"),
    ]
    assert {point: mount.type for point, mount in points.items()} == {
        f"{host.folder}/home": "ext4",
        f"{host.folder}/srv": "xfs",
    }
    observed = read_places(targets, points, check=False)
    assert sorted(observed.records) == [
        (f"{host.folder}/home", "user"),
        (f"{host.folder}/srv", "project"),
        (f"{host.folder}/srv", "user"),
    ]
    assert observed.errors == []


def test_usage_is_read_back(host: FakeHost) -> None:
    host.use("home", "user", 2001, 2048, 17)
    outcome = run(host, home(host, hard_files=100))
    assert rows(outcome.targets, outcome.after) == [
        {
            "filesystem": str(host.folder / "home"),
            "kind": "user",
            "id": 2001,
            "name": "home",
            "person": "p2001",
            "used_bytes": 2097152,
            "soft_bytes": 943720 * 1024,
            "hard_bytes": 1073741824,
            "space_ends": None,
            "used_files": 17,
            "soft_files": 90,
            "hard_files": 100,
            "files_ends": None,
            "enforced": True,
        }
    ]


def test_blocks_are_those_of_the_file_system(tmp_path: Path) -> None:
    assert block_of(str(tmp_path)) == max(os.statvfs(tmp_path).f_frsize, 1024)
