# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has containers that run stays after logging out, and nobody else does where the site says so."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from ansible.module_utils.lyceum.containers import lingering, session
from ansible.module_utils.lyceum.containers.processes import Container
from ansible.module_utils.lyceum.containers.settings import Settings

from .samples import container, policy


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(lingering, "LINGER", tmp_path / "linger")
    monkeypatch.setattr(lingering, "RUNTIME", tmp_path / "user")
    monkeypatch.setattr(session, "RUN", tmp_path / "run")
    return tmp_path


def care(linger: str | tuple[str, ...], running: Sequence[Container]) -> list[str]:
    return lingering.care(Settings(linger=linger), {2001: policy()}, running)


def test_as_long_as_a_container_runs(places: Path) -> None:
    file = places / "linger/amartin"
    assert care("running", []) == []
    assert care("running", [container()]) == []
    assert file.exists()
    assert care("running", [container()]) == []
    assert file.exists()
    assert care("running", [container(uid=2999)]) == []
    assert not file.exists()


def test_with_another_policy_the_files_are_the_affair_of_the_role(places: Path) -> None:
    file = places / "linger/amartin"
    for linger in ("nobody", ("amartin",)):
        assert care(linger, [container()]) == []
        assert not file.exists()
    file.parent.mkdir()
    file.touch()
    for linger in ("nobody", ("amartin",)):
        assert care(linger, []) == []
        assert file.exists()


def test_a_site_that_let_everybody_stay_and_changed_its_mind(places: Path) -> None:
    (places / "linger").mkdir()
    for name in ("amartin", "ehansen"):
        (places / "linger" / name).touch()
    assert care("running", []) == []
    # Of others, who have no policy file, the role looks after the files.
    assert [path.name for path in (places / "linger").iterdir()] == ["ehansen"]


def test_what_cannot_be_written_is_said(places: Path) -> None:
    (places / "linger").write_text("")
    assert care("running", [container()]) == [f"amartin: {places}/linger: File exists"]


def test_sessions_from_before_are_made_ready_once(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(lingering, "_systemctl", lambda *words: asked.append(words) or [])  # type: ignore[func-returns-value]
    assert lingering.make_ready([2001, 2002]) == []
    (places / "user/2001/systemd").mkdir(parents=True)
    lingering.make_ready([2001, 2002])
    assert asked == [
        ("start", "lyceum-containers-session@2001.service"),
        ("--user", "--machine=2001@.host", "start", "podman.socket"),
    ]
    (places / "run/2001").mkdir(parents=True)
    lingering.make_ready([2001, 2002])
    assert len(asked) == 2


def test_what_systemd_does_not_do_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "systemctl"
    program.write_text("#!/bin/sh\necho no such unit >&2\nexit 5\n")
    program.chmod(0o755)
    monkeypatch.setattr(lingering, "ENVIRONMENT", {"PATH": str(tmp_path)})
    monkeypatch.setenv("PATH", str(tmp_path))
    assert lingering._systemctl("start", "x") == ["systemctl start x: no such unit"]
