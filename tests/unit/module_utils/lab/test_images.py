# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of images, building them once, and where this machine gets Debian from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import CommandError
from ansible.module_utils.lyceum.lab import images
from ansible.module_utils.lyceum.lab.engine import Engine

DOCKER = Engine("docker", ("docker",))
IMAGE = images.Image("trixie", ("cron", "acl"), "http://debian.example.org/debian")


def test_the_tag_changes_with_every_input_and_not_with_order() -> None:
    assert IMAGE.tag.startswith("lyceum-lab-trixie:")
    assert images.Image("trixie", ("acl", "cron"), IMAGE.mirror).tag == IMAGE.tag
    others = {
        images.Image("bookworm", IMAGE.packages, IMAGE.mirror).tag,
        images.Image("trixie", ("cron",), IMAGE.mirror).tag,
        images.Image("trixie", IMAGE.packages, None).tag,
        IMAGE.tag,
    }
    assert len(others) == 4


def test_build_makes_an_image_once_and_leaves_nothing(docker: Any, tmp_path: Path) -> None:
    left = tmp_path / "cache" / f"build-{IMAGE.tag.replace(':', '-')}"
    left.mkdir(parents=True)
    (left / "half-a-tree").touch()
    assert images.build(DOCKER, IMAGE)
    assert not images.build(DOCKER, IMAGE)
    content = docker.read()["images"]
    assert list(content) == [IMAGE.tag]
    assert "--include=cron,acl" in content[IMAGE.tag]
    assert content[IMAGE.tag].endswith(f"trixie - {IMAGE.mirror}")
    assert list((tmp_path / "cache").iterdir()) == []


def test_an_unfinished_tree_never_gets_the_name(docker: Any) -> None:
    docker.program("mmdebstrap", "printf half; echo E: no such suite >&2; exit 25")
    with pytest.raises(CommandError, match="image of Debian trixie: E: no such suite"):
        images.build(DOCKER, IMAGE)
    assert docker.read()["images"] == {}


def test_a_refused_import_is_an_error(docker: Any) -> None:
    docker.write(fail=["import"])
    with pytest.raises(CommandError, match="no import today"):
        images.build(DOCKER, IMAGE)


@pytest.fixture
def apt(tmp_path: Path) -> Path:
    """Apt's configuration of a Debian 12 machine without sources."""
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "os-release").write_text('ID=debian\nVERSION_CODENAME="bookworm"\n')
    return tmp_path


DEB822 = """\
# made by the installer
Types: deb
URIs: http://tools.example.org/apt
Suites: stable-tools

Types: deb-src
URIs: http://source.example.org/debian
Suites: bookworm

Enabled: no
Types: deb
URIs: http://off.example.org/debian
Suites: bookworm

Types: deb deb-src
# URIs: http://commented.example.org/debian
URIs: http://near.example.org/debian http://far.example.org/debian
Suites: bookworm bookworm-updates
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 URIs: not-a-field
"""


@pytest.mark.parametrize(
    ("name", "text", "mirror"),
    [
        ("sources.list.d/debian.sources", DEB822, "http://near.example.org/debian"),
        ("sources.list", "deb [arch=amd64] http://one.example.org/debian bookworm main\n", "http://one.example.org/debian"),
        ("sources.list.d/x.list", "# deb http://a/ bookworm main\ndeb http://b/debian bookworm main\n", "http://b/debian"),
        ("sources.list", "deb http://security.example.org bookworm-security main\n", None),
    ],
)  # fmt: skip
def test_the_mirror_is_the_one_apt_uses(apt: Path, name: str, text: str, mirror: str | None) -> None:
    (apt / name).write_text(text)
    assert images.machine_mirror(apt, apt / "os-release") == mirror


def test_a_mirror_list_is_read_for_the_chroot_that_cannot_see_it(apt: Path) -> None:
    (apt / "mirrors.list").write_text("https://first.example.org/debian\nhttps://second.example.org/debian\n")
    (apt / "sources.list").write_text(f"deb mirror+file://{apt}/mirrors.list bookworm main\n")
    assert images.machine_mirror(apt, apt / "os-release") == "https://first.example.org/debian"


def test_another_system_leaves_the_choice_to_mmdebstrap(apt: Path) -> None:
    (apt / "sources.list").write_text("deb http://archive.example.org/ubuntu noble main\n")
    (apt / "os-release").write_text("ID=ubuntu\nVERSION_CODENAME=noble\n")
    assert images.machine_mirror(apt, apt / "os-release") is None
