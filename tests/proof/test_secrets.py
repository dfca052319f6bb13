# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets of the services: in no output, diff, log, journal, process list or configuration of git, on either side."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
import secret_scene
from plugin import Proof
from secret_scene import BAIT, Scene
from secret_watch import Secrets
from target import Target

ROLE = "gitea"
pytestmark = pytest.mark.role(ROLE)


@pytest.fixture(scope="session")
def secrecy(target: Target) -> Iterator[Scene]:
    """What the role says, with all secrets in memory and none planted yet."""
    plan = target.plan[ROLE]
    if not plan["version"]:
        pytest.skip("there is no Gitea: its program could not be had")
    claims = plan["secrecy"]
    scene = Scene(target, claims, Secrets({BAIT: secrets.token_hex(16)}))
    yield scene
    scene.probe("uproot")


@pytest.mark.control("secrets", "search files, configurations of git, journal and processes of the host")
def test_the_host_has_them_nowhere_else(secrecy: Scene, proof: Proof) -> None:
    secret_scene.search_host(secrecy, proof)


@pytest.mark.control("secrets", "watch output, diffs and processes of a whole run")
def test_a_run_shows_none(secrecy: Scene, proof: Proof) -> None:
    secret_scene.watch_run(secrecy, proof)


@pytest.mark.control("secrets", "search what runs keep on the controller")
def test_the_controller_keeps_none(secrecy: Scene, proof: Proof) -> None:
    secret_scene.search_controller(secrecy, proof)


@pytest.mark.control("secrets", "look at who may read the files that secrets live in")
def test_their_files_are_private(secrecy: Scene, proof: Proof) -> None:
    secret_scene.look_at_modes(secrecy, proof)
