# SPDX-License-Identifier: GPL-3.0-or-later
"""A confined person sees directories of people and groups, under the names the host gives them, and nothing wider."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.jail import places, policy
from ansible.module_utils.lyceum.jail.places import Place


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host's file system, at a path that does not count as the system's."""
    monkeypatch.setattr(places, "SYSTEM", frozenset({"etc", "usr", "run", "proc"}))
    monkeypatch.setattr(places, "_others_write", lambda folder: Path(folder).name == "open")
    for name in ("home/jweber", "srv/projects/.gid/11001", "srv/projects/.gid/11002", "srv/readonly"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "srv/projects/retina").symlink_to(".gid/11001")
    return tmp_path


def person(root: Path, write: list[str], read: list[str], home: str = "home/jweber") -> policy.Person:
    return policy.Person(
        2009, "jail", str(root / home), [str(root / one) for one in write], [str(root / one) for one in read]
    )


def test_home_projects_and_their_names(root: Path) -> None:
    found, links = places.visible(person(root, ["srv/projects/retina"], ["srv/readonly"]))
    assert found == [
        Place(str(root / "home/jweber"), True),
        Place(str(root / "srv/projects/.gid/11001"), True),
        Place(str(root / "srv/readonly"), False),
    ]
    assert links == {str(root / "srv/projects/retina"): str(root / "srv/projects/.gid/11001")}


def test_what_is_not_there_yet_is_left_out(root: Path) -> None:
    (root / "srv/projects/old").symlink_to(".gid/404")
    (root / "srv/file").touch()
    found, links = places.visible(person(root, ["srv/projects/speech", "srv/projects/old"], ["srv/file"]))
    assert [place.path for place in found] == [str(root / "home/jweber")]
    assert links == {}


def test_what_one_may_write_is_not_made_read_only_by_another_name(root: Path) -> None:
    found, _links = places.visible(person(root, ["srv/projects/retina"], ["srv/projects/.gid/11001"]))
    assert Place(str(root / "srv/projects/.gid/11001"), True) in found


@pytest.mark.parametrize("place", ["srv/open/team", "srv/open/deep/team", "srv/named"])
def test_what_others_could_exchange_is_refused(root: Path, place: str) -> None:
    """Between the look and the mount it could become a link to anything, by its own name or by what that leads to."""
    (root / "srv/open/team").mkdir(parents=True)
    (root / "srv/open/deep/team").mkdir(parents=True)
    (root / "srv/named").symlink_to("open/team")
    with pytest.raises(
        LyceumError, match=rf"{place} could be exchanged for something else by .* write to .*/srv/open$"
    ):
        places.visible(person(root, [place], []))
    with pytest.raises(LyceumError, match="could be exchanged"):
        places.visible(person(root, [], [], home=place))


def test_what_is_not_there_cannot_be_exchanged(root: Path) -> None:
    assert len(places.visible(person(root, ["srv/open/none"], []))[0]) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="nothing here belongs to root")
@pytest.mark.parametrize(
    ("mode", "uid", "others"),
    [(0o755, 0, False), (0o711, 0, False), (0o775, 0, True), (0o1777, 0, True), (0o700, 2009, True)],
)
def test_who_may_write_to_a_directory(tmp_path: Path, mode: int, uid: int, others: bool) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(mode)
    os.chown(folder, uid, -1)
    assert places._others_write(str(folder)) is others


def test_parents_come_before_what_lies_in_them(root: Path) -> None:
    (root / "srv/readonly/data").mkdir()
    found, _links = places.visible(person(root, ["srv/readonly/data", "srv/projects/.gid/11002"], ["srv/readonly"]))
    paths = [place.path for place in found]
    assert paths == sorted(paths)
    assert paths.index(str(root / "srv/readonly")) < paths.index(str(root / "srv/readonly/data"))


def test_a_home_that_lies_elsewhere_keeps_its_name(root: Path) -> None:
    (root / "data/jweber").mkdir(parents=True)
    (root / "home/moved").symlink_to(root / "data/jweber")
    found, links = places.visible(person(root, [], [], home="home/moved"))
    assert found == [Place(str(root / "data/jweber"), True)]
    assert links == {str(root / "home/moved"): str(root / "data/jweber")}


def test_without_a_home_there_is_no_login(root: Path) -> None:
    with pytest.raises(LyceumError, match=r"^there is no home directory .*/home/nobody$"):
        places.visible(person(root, [], [], home="home/nobody"))


@pytest.mark.parametrize(
    "path",
    ["/", "/etc", "/etc/ssh", "/usr/local", "/run/user/0", "/proc/1", "/root", "/bin", "/lib", "/home", "/srv", "/var"],
)
def test_the_system_and_everybody_s_directories_are_refused(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "isdir", lambda path: True)
    one = policy.Person(2009, "jail", "/nowhere", [path], [])
    with pytest.raises(LyceumError, match="is not a directory of one person or group"):
        places.visible(one)


def test_a_link_to_the_system_is_refused(root: Path) -> None:
    (root / "srv/sly").symlink_to("/")
    with pytest.raises(LyceumError, match="srv/sly is not a directory of one person or group"):
        places.visible(person(root, ["srv/sly"], []))
    (root / "home/sly").symlink_to("/etc")
    with pytest.raises(LyceumError, match="home/sly is not a directory of one person or group"):
        places.visible(person(root, [], [], home="home/sly"))
