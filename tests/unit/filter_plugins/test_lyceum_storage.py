# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter as a template uses it."""

from __future__ import annotations

from typing import Any

from lyceum_storage import FilterModule

PLACES: dict[str, Any] = {
    "passable": ["/srv"],
    "projects": "",
    "collaborative": "",
    "readonly": "",
    "scratch": "",
    "everybody": "lyceum-people",
}
REGISTRY: dict[str, Any] = {"people": [], "uids": {}, "projects": [], "groups": [], "trees": [], "admins": []}
storage_layout = FilterModule().filters()["storage_layout"]
storage_sections = FilterModule().filters()["storage_sections"]


def test_parameters_of_acl_tree() -> None:
    assert storage_layout(REGISTRY, PLACES) == {
        "entries": [{"path": "/srv", "mode": "0711"}],
        "folders": [],
        "shared": [],
    }


def test_sections_of_the_report() -> None:
    nothing = {key: [] for key in ("projects", "shared", "sealed", "archives", "drift", "unmanaged")}
    titles = [section["title"] for section in storage_sections({**nothing, "blocked": "", "share": {}})]
    assert titles[0] == "Shared directories"
