# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared images: what there is, who uses it, and what nobody has used for long."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.containers import images, person
from ansible.module_utils.lyceum.containers.images import Image, Use, due, load_uses, shared, used_by
from ansible.module_utils.lyceum.containers.settings import Policy, Settings
from ansible.module_utils.lyceum.errors import CommandError, LyceumError

from .samples import policy, settings

DAY = 86400.0
BASE, TOP, OTHER = "1" * 64, "2" * 64, "3" * 64


def write_store(store: Path, found: list[dict[str, Any]], layers: list[dict[str, Any]]) -> None:
    for name, content in (("overlay-images/images.json", found), ("overlay-layers/layers.json", layers)):
        (store / name).parent.mkdir(parents=True, exist_ok=True)
        (store / name).write_text(json.dumps(content))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """An image of two layers, and one of a single layer without a name, as containers-storage writes them."""
    write_store(
        tmp_path / "images",
        [
            {"id": "a" * 64, "names": ["localhost/python:3"], "layer": TOP, "created": "2026-11-21T11:24:48.6Z"},
            {
                "id": "b" * 64,
                "names-history": ["localhost/python:3"],
                "layer": OTHER,
                "created": "2026-01-01T00:00:00Z",
            },
        ],
        [{"id": BASE}, {"id": TOP, "parent": BASE}, {"id": OTHER}],
    )
    return tmp_path / "images"


def test_images_with_all_their_layers(store: Path) -> None:
    python, old = shared(store)
    assert python == Image("a" * 64, ("localhost/python:3",), frozenset({BASE, TOP}), "2026-11-21T11:24:48.6Z")
    assert (old.names, old.layers) == ((), frozenset({OTHER}))


def test_a_store_that_was_never_used_is_empty_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    assert shared(tmp_path) == []
    write_store(tmp_path, [{"no": "id"}], [])
    with pytest.raises(LyceumError, match=f"cannot read the images in {tmp_path}"):
        shared(tmp_path)


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's own storage, read without becoming that person."""
    monkeypatch.setattr(person, "call", lambda _policy, function: function())
    return tmp_path / "storage/amartin"


def test_what_a_person_uses(storage: Path) -> None:
    site = Settings(storage=storage.parent)
    assert used_by(site, policy()) == set()
    (storage / "overlay-containers").mkdir(parents=True)
    (storage / "overlay-layers").mkdir(parents=True)
    # podman 4.3 and 5.4 name the image of a container; its own layer has the image's as its parent.
    (storage / "overlay-containers/containers.json").write_text(
        json.dumps([{"id": "c" * 64, "image": "a" * 64, "layer": "d" * 64}])
    )
    (storage / "overlay-layers/layers.json").write_text(json.dumps([{"id": "d" * 64, "parent": TOP}, {"id": "e" * 64}]))
    assert used_by(site, policy()) == {"a" * 64, "d" * 64, TOP}


@pytest.mark.parametrize("content", ["{", "[1]", "[" * 100_000, '{"a": 1}'])
def test_storage_that_makes_no_sense_is_an_error(storage: Path, content: str) -> None:
    (storage / "overlay-containers").mkdir(parents=True)
    (storage / "overlay-containers/containers.json").write_text(content)
    with pytest.raises(LyceumError, match=r"as amartin: .* makes no sense"):
        used_by(Settings(storage=storage.parent), policy())


def test_unused_images_are_due_after_their_days(store: Path) -> None:
    found, uses = shared(store), dict[str, Use]()
    uses["f" * 64] = Use(0, 0)
    # New ones get their whole time, whatever the clock said when they were built.
    assert due(found, set(), uses, 100 * DAY, 30) == []
    assert set(uses) == {"a" * 64, "b" * 64}
    assert due(found, {BASE}, uses, 120 * DAY, 30) == []
    assert [image.identity for image in due(found, set(), uses, 131 * DAY, 30)] == ["b" * 64]
    assert [image.identity for image in due(found, set(), uses, 151 * DAY, 30)] == ["a" * 64, "b" * 64]


def test_without_days_and_without_knowledge_nothing_is_due(store: Path) -> None:
    found, uses = shared(store), dict[str, Use]()
    due(found, set(), uses, 0, 30)
    assert due(found, set(), uses, 1000 * DAY, None) == []
    assert due(found, None, uses, 1000 * DAY, 30) == []
    assert uses["a" * 64].used == 1000 * DAY


@pytest.mark.parametrize("content", ["{", "[]", '{"a": 1}', '{"a": {"first": 1}}'])
def test_lost_memories_prune_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "images.json").write_text(content)
    assert load_uses(tmp_path / "images.json") == {}


class Site:
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.settings = settings(folder, images_keep_days=30)
        self.removed: list[str] = []
        self.kept: set[str] = set()
        self.used: set[str] | LyceumError = set()
        monkeypatch.setattr(images, "run", self.run)
        monkeypatch.setattr(images, "used_by", self.used_by)
        (folder / "policies").mkdir()
        content = {"name": "amartin", "uid": 2001, "gid": 2001, "home": "/home/amartin", "limits": {}}
        (folder / "policies/amartin.json").write_text(json.dumps(content))
        (folder / "state").mkdir()
        old = {"a" * 64: {"first": 0, "used": 0}, "b" * 64: {"first": 0, "used": 0}}
        (folder / "state/images.json").write_text(json.dumps(old))

    def run(self, _settings: Settings, *words: str) -> None:
        assert words[:-1] == ("rmi", "--force")
        if words[-1] in self.kept:
            raise CommandError("podman rmi ended with 2")
        self.removed.append(words[-1])

    def used_by(self, _settings: Settings, _policy: Policy) -> set[str]:
        if isinstance(self.used, LyceumError):
            raise self.used
        return self.used


@pytest.fixture
def site(store: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(store.parent, monkeypatch)


def test_pruning_spares_what_somebody_uses(site: Site) -> None:
    site.used = {OTHER}
    old, problems = images.prune(site.settings, dry_run=False)
    assert ([image.identity for image in old], problems, site.removed) == (["a" * 64], [], ["a" * 64])
    assert json.loads(site.settings.log.read_text())["names"] == ["localhost/python:3"]


def test_an_image_that_podman_keeps_holds_up_no_other(site: Site) -> None:
    site.kept = {"a" * 64}
    old, problems = images.prune(site.settings, dry_run=False)
    assert ([image.identity for image in old], problems) == (["b" * 64], ["podman rmi ended with 2"])
    assert len(site.settings.log.read_text().splitlines()) == 1
    assert json.loads((site.settings.state / "images.json").read_text()).keys() == {"a" * 64, "b" * 64}


def test_a_dry_run_removes_and_writes_nothing(site: Site) -> None:
    before = (site.settings.state / "images.json").read_text()
    old, _problems = images.prune(site.settings, dry_run=True)
    assert len(old) == 2
    assert site.removed == []
    assert (site.settings.state / "images.json").read_text() == before


def test_one_person_who_cannot_be_asked_keeps_all_images(site: Site) -> None:
    site.used = LyceumError("as amartin: no answer")
    old, problems = images.prune(site.settings, dry_run=False)
    assert (old, site.removed) == ([], [])
    assert problems == ["as amartin: no answer; so every image counts as used"]


def test_the_list_says_when_an_image_was_last_used(site: Site) -> None:
    assert [(image["id"][:1], image["used"]) for image in images.listing(site.settings)] == [("a", 0.0), ("b", 0.0)]


def test_podman_is_told_which_store(tmp_path: Path) -> None:
    words = images.words(settings(tmp_path), "rmi", "x")
    assert words[:6] == ["/usr/bin/podman", "--root", f"{tmp_path}/images", "--runroot", "/run/lyceum-images",
                         "--storage-driver"]  # fmt: skip


@pytest.fixture
def podman(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A podman that writes down what it is asked and then says no if there is a file `no`."""
    program = tmp_path / "podman"
    program.write_text(f'#!/bin/sh\nshift 6\necho "$@" >> {tmp_path}/asked\n[ ! -e {tmp_path}/no ] || exit 125\n')
    program.chmod(0o755)
    monkeypatch.setattr(images.podman, "PODMAN", str(program))
    monkeypatch.setattr(images, "SETTINGS", tmp_path / "settings.json")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    (tmp_path / "settings.json").write_text(json.dumps({"images": str(tmp_path / "images"), "state": str(tmp_path)}))
    return tmp_path / "asked"


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["init"], ["images --quiet"]),
        (["pull", "debian:13", "python:3"], ["pull debian:13", "pull python:3"]),
        (["import", "x.tar"], ["load --input x.tar"]),
        (["import", "x.tar", "--as", "localhost/x:1"], ["import x.tar localhost/x:1"]),
        (["remove", "debian:13"], ["rmi debian:13"]),
    ],
)
def test_commands(podman: Path, tmp_path: Path, arguments: list[str], asked: list[str]) -> None:
    assert images.main(arguments) == 0
    assert podman.read_text().splitlines() == asked
    (tmp_path / "no").touch()
    assert images.main(arguments) == 1


def test_commands_that_need_no_podman(podman: Path, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert images.main(["list"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "localhost/python:3  aaaaaaaaaaaa  built 2026-11-21"
    assert images.main(["list", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 2
    assert images.main(["prune", "--dry-run"]) == 0
    assert not podman.exists()


def test_the_store_is_closed_to_all_but_root(podman: Path, tmp_path: Path) -> None:
    images.make_store(settings(tmp_path))
    assert (tmp_path / "images").stat().st_mode & 0o777 == 0o700
    (tmp_path / "no").touch()
    with pytest.raises(CommandError, match=f"cannot make {tmp_path}/images"):
        images.make_store(settings(tmp_path))


def test_only_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 2001)
    with pytest.raises(SystemExit):
        images.main(["list"])
