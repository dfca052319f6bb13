# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters hand the registry to the core and its answer to modules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible.module_utils.lyceum.quota import wanted
from ansible.module_utils.lyceum.storage.settings import SETTINGS, load
from lyceum_quotas import FilterModule, quota_id_ranges, storage_policy_files

from ..module_utils.quota.test_wanted import PLACES, person, project
from ..module_utils.storage import conftest

REGISTRY: dict[str, Any] = {
    "people": [{**person(home_gib=1, scratch_gib=1), "gid": 2001, "email": "amartin@example.org"}],
    "projects": [{**project(storage_gib=1), "state": "present"}],
}


def test_quotas_are_those_of_the_core() -> None:
    found = FilterModule().filters()["storage_quotas"](REGISTRY, PLACES)
    assert len(found) == 7
    assert found == wanted.quotas(REGISTRY, PLACES)


def test_policy_files_are_what_the_tools_read(tmp_path: Path) -> None:
    files = storage_policy_files(REGISTRY, PLACES, str(tmp_path))
    assert [(file["path"], file.get("person"), file["mode"]) for file in files] == [
        (f"{tmp_path}/groups_and_acls.d/amartin.json", "amartin", "0600"),
        (f"{tmp_path}/groups_and_acls.projects.d/11001.json", None, "0600"),
    ]
    for file in files:
        path = Path(file["path"])
        path.parent.mkdir()
        path.write_text(file["content"])
    (tmp_path / SETTINGS).write_text(json.dumps(conftest.SETTINGS))
    policy = load(tmp_path)
    assert list(policy.people) == ["amartin"]
    assert policy.projects["retina"].write == ("amartin",)


def test_ranges_of_people_and_of_their_directories() -> None:
    assert quota_id_ranges([{"first": 2001, "last": 9999}], [1_000_000, 2_000_000]) == [
        {"kind": "user", "first": 2001, "last": 9999},
        {"kind": "project", "first": 1_002_001, "last": 1_009_999},
        {"kind": "project", "first": 2_002_001, "last": 2_009_999},
    ]
