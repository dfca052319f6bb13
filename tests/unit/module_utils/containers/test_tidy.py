# SPDX-License-Identifier: GPL-3.0-or-later
"""Old containers become images before they go, and only where the site asks for it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.containers import podman, tidy
from ansible.module_utils.lyceum.containers.podman import Stopped
from ansible.module_utils.lyceum.errors import CommandError

from .samples import settings

DAY = 86400.0


class Site:
    """One person with an old container, a young one and one that is to be kept."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.saved: list[str] = []
        self.refuses = False
        now = time.time()
        containers = [
            Stopped("a" * 64, "old", now - 31 * DAY, keep=False),
            Stopped("b" * 64, "young", now - 29 * DAY, keep=False),
            Stopped("c" * 64, "kept", 0, keep=True),
        ]
        monkeypatch.setattr(podman, "stopped", lambda _policy: containers)
        monkeypatch.setattr(podman, "save_and_remove", self.save)
        monkeypatch.setattr(tidy, "RUNTIME", folder / "user")
        (folder / "user/2001").mkdir(parents=True)
        storage = folder / "home/.local/share/containers/storage/overlay-containers"
        storage.mkdir(parents=True)
        (storage / "containers.json").write_text(json.dumps([{}, {}, {}]))
        (folder / "policies").mkdir()
        content = {"name": "amartin", "uid": 2001, "gid": 2001, "home": str(folder / "home"), "limits": {}}
        (folder / "policies/amartin.json").write_text(json.dumps(content))

    def save(self, _policy: object, container: Stopped, image: str) -> None:
        if self.refuses:
            raise CommandError("disk quota exceeded")
        assert image.startswith(f"localhost/lyceum-saved/{container.name}:")
        self.saved.append(container.name)

    def run(self, keep_days: float | None = 30, **options: Any) -> int:
        found = settings(self.folder, keep_days=keep_days)
        return tidy.main(found, **{"only": None, "dry_run": False, "as_json": False, **options})

    def events(self) -> list[dict[str, Any]]:
        path = self.folder / "log"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(tmp_path, monkeypatch)


def test_the_old_one_is_saved(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.run() == 0
    assert site.saved == ["old"]
    assert [event["event"] for event in site.events()] == ["saved"]
    assert "container aaaaaaaaaaaa is now the image localhost/lyceum-saved/old:" in capsys.readouterr().out


@pytest.mark.parametrize("options", [{"keep_days": None}, {"dry_run": True}, {"only": "bchen"}])
def test_nothing_is_saved(site: Site, options: dict[str, Any]) -> None:
    assert site.run(**options) == 0
    assert site.saved == []
    assert site.events() == []


def test_a_failure_is_told_and_logged(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.refuses = True
    assert site.run(as_json=True) == 1
    assert json.loads(capsys.readouterr().out)["failures"] == ["disk quota exceeded"]
    assert [event["event"] for event in site.events()] == ["failed"]


def test_who_is_not_logged_in_is_left_for_another_day(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    (site.folder / "user/2001").rmdir()
    assert site.run() == 0
    assert site.saved == []
    assert capsys.readouterr().out == "amartin: skipped: not logged in\n"
