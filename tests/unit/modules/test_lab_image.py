# SPDX-License-Identifier: GPL-3.0-or-later
"""Check, apply, check, apply on a stand-in engine."""

from __future__ import annotations

from typing import Any

import lab_image
import pytest
from ansible.module_utils.lyceum.errors import CommandError

PARAMS = {
    "engine": {"kind": "docker", "argv": ["docker"]},
    "releases": ["bookworm", "trixie"],
    "packages": ["cron"],
    "mirror": "http://debian.example.org/debian",
}


def test_images_in_four_steps(docker: Any) -> None:
    checked = lab_image.run(PARAMS, check=True)
    assert docker.read()["images"] == {}
    applied = lab_image.run(PARAMS, check=False)
    assert checked == applied
    assert sorted(applied["images"].values()) == sorted(docker.read()["images"])
    assert applied["actions"] == [f"make the image {applied['images'][name]}" for name in ("bookworm", "trixie")]
    for check in (True, False):
        again = lab_image.run(PARAMS, check=check)
        assert not again["changed"]
        assert again["images"] == applied["images"]
        assert again["diff"]["before"] == again["diff"]["after"]


def test_only_the_missing_image_is_made(docker: Any) -> None:
    lab_image.run({**PARAMS, "releases": ["trixie"]}, check=False)
    assert len(lab_image.run(PARAMS, check=False)["actions"]) == 1


def test_check_mode_works_before_there_is_an_engine() -> None:
    assert len(lab_image.run({**PARAMS, "engine": {}}, check=True)["actions"]) == 2


def test_a_release_that_cannot_be_made_is_an_error(docker: Any) -> None:
    docker.program("mmdebstrap", "echo E: no network >&2; exit 1")
    with pytest.raises(CommandError, match="E: no network"):
        lab_image.run(PARAMS, check=False)
