# SPDX-License-Identifier: GPL-3.0-or-later
"""Check, apply, check, apply and the way back, on a stand-in engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lab_engine
import pytest
from ansible.module_utils.lyceum.lab import engine

DOCKER = {"kind": "docker", "argv": ["docker"]}


def test_present_in_four_steps(docker: Any, tmp_path: Path) -> None:
    name = engine.network_name(engine.instance_id(tmp_path))
    checked = lab_engine.present("auto", tmp_path, check=True)
    assert docker.read()["networks"] == {}
    applied = lab_engine.present("auto", tmp_path, check=False)
    assert checked == applied
    assert applied["actions"] == [f"create the network {name}"]
    assert applied["engine"] == DOCKER
    assert applied["diff"]["after"] == f"engine: docker\nnetwork: {name}\n"
    for check in (True, False):
        again = lab_engine.present("auto", tmp_path, check=check)
        assert not again["changed"]
        assert again["diff"]["before"] == again["diff"]["after"]


def test_an_engine_is_installed_and_started(docker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = []
    docker.write(fail=["ps"])
    (docker.path / "mmdebstrap").unlink()
    monkeypatch.setattr(engine, "install", lambda packages: done.append(packages))

    def start(choice: str, log: Path) -> engine.Engine:
        done.append(log.name)
        return engine.Engine("docker", ("docker",))

    monkeypatch.setattr(engine, "start", start)
    checked = lab_engine.present("auto", tmp_path / "lab", check=True)
    assert done == []
    assert checked["engine"] == {}
    applied = lab_engine.present("auto", tmp_path / "lab", check=False)
    assert applied["actions"] == checked["actions"]
    assert [text.split()[0] for text in applied["actions"]] == ["install", "start", "create"]
    assert done == [["docker.io", "mmdebstrap"], "dockerd.log"]


def test_a_lab_does_not_move_when_its_engine_is_down(docker: Any, tmp_path: Path) -> None:
    lab_engine.present("auto", tmp_path, check=False)
    docker.program("podman", "exit 0")
    docker.program("dockerd", "exit 0")
    docker.write(fail=["ps"])
    checked = lab_engine.present("auto", tmp_path, check=True)
    assert checked["engine"] == {}
    assert checked["actions"][0] == "start docker"


def test_absent_leaves_an_engine_that_was_there(docker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "stop", lambda: pytest.fail("stopped an engine that no lab had started"))
    lab_engine.present("auto", tmp_path, check=False)
    assert lab_engine.absent("auto", tmp_path, check=True)["changed"]
    assert lab_engine.absent("auto", tmp_path, check=False)["changed"]
    assert docker.read()["networks"] == {}
    assert not lab_engine.absent("auto", tmp_path, check=False)["changed"]


def test_absent_stops_an_engine_of_the_labs(docker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = []
    lab_engine.present("auto", tmp_path, check=False)
    monkeypatch.setattr(engine, "own_daemon", lambda: 4711)
    monkeypatch.setattr(engine, "stop", lambda: stopped.append(True))
    assert lab_engine.absent("auto", tmp_path, check=True)["actions"][1] == "stop docker, which a lab had started"
    assert stopped == []
    lab_engine.absent("auto", tmp_path, check=False)
    assert stopped == [True]


def test_absent_without_an_engine_is_done(docker: Any, tmp_path: Path) -> None:
    docker.write(fail=["ps"])
    assert not lab_engine.absent("auto", tmp_path, check=False)["changed"]
