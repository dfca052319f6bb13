# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has containers that run stays after logging out, and nobody else does by our doing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from ansible.module_utils.lyceum.containers import lingering, session
from ansible.module_utils.lyceum.containers.processes import Container
from ansible.module_utils.lyceum.containers.settings import Settings
from ansible.module_utils.lyceum.containers.state import State

from .samples import container, policy


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(lingering, "LINGER", tmp_path / "linger")
    monkeypatch.setattr(lingering, "RUNTIME", tmp_path / "user")
    monkeypatch.setattr(session, "RUN", tmp_path / "run")
    return tmp_path


def care(linger: str | tuple[str, ...], running: Sequence[Container], state: State) -> list[str]:
    return lingering.care(Settings(linger=linger), {2001: policy()}, running, state)


def test_as_long_as_a_container_runs(places: Path) -> None:
    state, file = State("x"), places / "linger/amartin"
    assert care("running", [container()], state) == []
    assert file.exists()
    assert care("running", [container()], state) == []
    assert care("running", [container(uid=2999)], state) == []
    assert not file.exists()
    assert not state.person("amartin").lingers


def test_what_others_decided_is_left_alone(places: Path) -> None:
    state, file = State("x"), places / "linger/amartin"
    file.parent.mkdir()
    file.touch()
    for linger in ("running", "nobody", ("amartin",)):
        assert care(linger, [container()], state) == []
        assert care(linger, [], state) == []
        assert file.exists()


def test_a_site_that_changes_its_mind(places: Path) -> None:
    state = State("x")
    care("running", [container()], state)
    care("nobody", [container()], state)
    assert not (places / "linger/amartin").exists()


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
