# SPDX-License-Identifier: GPL-3.0-or-later
"""A host whose people, projects and directories lie in a folder of the test."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum import notices
from ansible.module_utils.lyceum.quota import wanted
from ansible.module_utils.lyceum.storage import host as tool
from ansible.module_utils.lyceum.storage import purger, settings, state
from ansible.module_utils.lyceum.storage.settings import Policy, load

from ..quota.conftest import FakeHost, host

__all__ = ["host"]  # the fixture

SETTINGS: dict[str, Any] = {
    "scratch": "/srv/scratch",
    "soft_percent": 90,
    "warn_percent": [100, 80, 90],
    "mail": False,
    "walk_hours": 24,
    "textfile_dir": "",
    "groups": {},
    "purge": {
        "after_days": 60,
        "notice_days": 7,
        "age_by": ["read", "changed", "arrived"],
        "exclude": [],
        "exempt": [],
    },
}


class Site:
    """Two people and a project on the stand-in's file systems. Everything is written anew by `write`."""

    def __init__(self, host: FakeHost) -> None:
        self.host = host
        self.folder = host.folder
        self.etc = host.folder / "etc"
        self.base = host.folder / "lyceum/storage"
        self.scratch = host.folder / "srv/scratch"
        self.settings: dict[str, Any] = {**SETTINGS, "scratch": str(self.scratch)}
        self.people = [
            self.person("amartin", 2001, home_gib=1, home_files=1000, scratch_gib=2),
            self.person("bchen", 2002, home_gib=1),
        ]
        self.projects = [
            {"name": "retina", "gid": 11001, "state": "present", "write": ["amartin"], "limits": {"storage_gib": 4}}
        ]
        self.scratch.mkdir()
        (self.base / "people").mkdir(parents=True)

    def person(self, name: str, uid: int, state: str = "present", **limits: Any) -> dict[str, Any]:
        home = f"{self.folder}/home/{name}"
        about = {"name": name, "uid": uid, "gid": uid, "home": home, "email": f"{name}@example.org"}
        return {**about, "state": state, "limits": limits}

    def write(self) -> Policy:
        places = {
            "scratch": str(self.scratch),
            "projects": f"{self.folder}/srv/projects",
            "home_projects": False,
            "home_base": 2_000_000,
            "scratch_base": 1_000_000,
            "other_gib": 1,
            "other_files": 10,
        }
        found = wanted.policies({"people": self.people, "projects": self.projects}, places)
        for name, entries, key in ((settings.PEOPLE, "people", "name"), (settings.PROJECTS, "projects", "gid")):
            (self.etc / name).mkdir(parents=True, exist_ok=True)
            for path in (self.etc / name).iterdir():
                path.unlink()
            for entry in found[entries]:
                (self.etc / name / f"{entry[key]}.json").write_text(json.dumps(entry))
        (self.etc / settings.SETTINGS).write_text(json.dumps(self.settings))
        return load(self.etc)


@pytest.fixture
def site(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> Site:
    made = Site(host)
    monkeypatch.setattr(tool, "ETC", made.etc)
    monkeypatch.setattr(state, "BASE", made.base)
    monkeypatch.setattr(notices, "NOTICES", made.folder / "lyceum/notices")
    monkeypatch.setattr(notices, "TERMINALS", ())
    monkeypatch.setattr(purger, "STATE", made.base / "purge")
    monkeypatch.setattr(purger, "LISTS", made.base / "people")
    monkeypatch.setattr(purger, "LOG", made.folder / "log/purge.log")
    # People of the test are whoever runs it, unless it may give files away.
    if os.geteuid() != 0:
        pytest.skip("hands out files to people")
    made.write()
    return made


def notice_of(site: Site, uid: int, source: str) -> str | None:
    path: Path = site.folder / "lyceum/notices" / str(uid) / source
    return path.read_text() if path.exists() else None
