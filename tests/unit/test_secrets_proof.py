# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof about secrets, with this machine as host and controller: a leak is BROKEN, and its text is not told."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "proof"))

import secret_scene
from plugin import Proof
from secret_scene import BAIT, Scene
from secret_watch import Secrets
from target import Target

TEXT = "not-to-be-seen-anywhere-0123456789"
PLAY = """
- name: Say something
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Ensure it is said
      ansible.builtin.debug:
        msg: "{{ %s }}"
"""


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A host with one secret in a file of its own, and a run that says nothing about it."""
    for name in ("etc", "state"):
        (tmp_path / name).mkdir()
    (tmp_path / "state" / "log").write_text("a run was made\n")
    own = tmp_path / "etc" / "token"
    own.write_text(f"{TEXT}\n")
    own.chmod(0o640)
    (tmp_path / "play.yml").write_text(PLAY % "'nothing'")
    monkeypatch.setattr(secret_scene, "ROOTS", [str(tmp_path / "etc"), "/run/lyceum-proof-secrets"])
    monkeypatch.setattr(secret_scene, "WATCH_SECONDS", 1)
    on_host = [{"name": "token", "path": str(own), "where": "host"}]
    claims = {
        "secrets": on_host,
        "state_dir": str(tmp_path / "state"),
        "inventory": ["localhost,"],
        "playbook": str(tmp_path / "play.yml"),
    }
    target = Target({"host": "localhost", "people": [], "identities": {}, "connection": {
        "become": False, "python": sys.executable, "args": "", "host": "localhost", "port": None, "user": None,
        "key": None}})  # fmt: skip
    target.shared = ["sh", "-c"]
    target.host = SimpleNamespace(file=lambda path: SimpleNamespace(mode=Path(path).stat().st_mode & 0o7777))
    return Scene(target, claims, Secrets({BAIT: "b" * 32}))


def verdicts(test: Callable[[Scene, Any], None], scene: Scene) -> dict[str, list[str]]:
    proof = Proof("secrets", "search", "localhost")
    test(scene, proof)
    assert TEXT not in str(proof.seen)
    return proof.seen


def test_a_quiet_host_holds(scene: Scene) -> None:
    seen = verdicts(secret_scene.search_host, scene)
    assert seen["BROKEN"] == []
    assert len(seen["held"]) == 1
    # Whether this machine has a journal is not ours to say.
    assert set(seen["not tested"]) <= {"the bait in the journal was not found"}


def test_copies_on_a_host_are_found(scene: Scene, tmp_path: Path) -> None:
    config = tmp_path / "etc" / "config"
    config.write_text(f"url = https://bot:{TEXT}@localhost/\n")
    seen = verdicts(secret_scene.search_host, scene)
    assert (seen["BROKEN"], seen["held"]) == ([f"token in {config}"], [])


def test_a_quiet_run_holds(scene: Scene) -> None:
    seen = verdicts(secret_scene.watch_run, scene)
    assert (seen["BROKEN"], seen["not tested"]) == ([], [])
    assert "of output" in seen["held"][0]


def test_a_talkative_run_is_broken(scene: Scene) -> None:
    Path(scene.claims["playbook"]).write_text(PLAY % f"lookup('ansible.builtin.file', '{scene.on_host[0]['path']}')")
    assert verdicts(secret_scene.watch_run, scene)["BROKEN"] == ["token in the output"]


def test_a_run_that_fails_shows_nothing(scene: Scene) -> None:
    Path(scene.claims["playbook"]).write_text("no playbook")
    seen = verdicts(secret_scene.watch_run, scene)
    assert seen["held"] == []
    assert "the run failed" in seen["not tested"][0]


def test_the_state_directory_is_searched(scene: Scene, tmp_path: Path) -> None:
    assert verdicts(secret_scene.search_controller, scene)["held"] == ["1 files of the state directory"]
    journal = tmp_path / "state" / "journal.sqlite3"
    journal.write_bytes(b"\0\1" + TEXT.encode() + b"\0")
    assert verdicts(secret_scene.search_controller, scene)["BROKEN"] == [f"token in {journal}"]


def test_a_file_for_everybody_is_broken(scene: Scene) -> None:
    assert verdicts(secret_scene.look_at_modes, scene)["BROKEN"] == []
    Path(scene.on_host[0]["path"]).chmod(0o644)
    assert len(verdicts(secret_scene.look_at_modes, scene)["BROKEN"]) == 1
