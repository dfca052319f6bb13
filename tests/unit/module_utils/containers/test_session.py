# SPDX-License-Identifier: GPL-3.0-or-later
"""A session gets its view of the shared images and storage settings, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from ansible.module_utils.lyceum.containers import idmap, session, subids
from ansible.module_utils.lyceum.containers.settings import Policy
from ansible.module_utils.lyceum.errors import LyceumError

from .samples import policy, settings

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other people")


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Everything below one folder; a mount that works is a file in it."""
    monkeypatch.setattr(session, "RUN", tmp_path / "run/lyceum/containers")
    (tmp_path / "run").mkdir()
    for name, own in (("SUBUID", "subuid"), ("SUBGID", "subgid")):
        (tmp_path / own).write_text("amartin:524288:65536\n")
        monkeypatch.setattr(subids, name, tmp_path / own)
    mounted: set[Path] = set()
    monkeypatch.setattr(idmap, "mount", lambda _source, target, _uids, _gids: mounted.add(target))
    monkeypatch.setattr(idmap, "unmount", lambda target: mounted.discard(target) or True)  # type: ignore[func-returns-value]
    monkeypatch.setattr(Path, "is_mount", lambda path: path in mounted)
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if parent.name.startswith("pytest"):
            parent.chmod(0o755)
    return tmp_path


@pytest.fixture
def person(places: Path) -> Policy:
    home = places / "home"
    home.mkdir()
    os.chown(home, 2001, 2001)
    return Policy("amartin", 2001, 2001, home)


@needs_root
def test_a_session_begins_twice_and_ends_twice(places: Path, person: Policy) -> None:
    for _ in range(2):
        assert session.start(settings(places), person) == []
    directory = places / "run/lyceum/containers/2001"
    link = person.home / ".config/containers/storage.conf"
    assert link.readlink() == directory / "storage.conf"
    assert link.lstat().st_uid == 2001
    info = directory.stat()
    assert (stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid) == (0o750, 0, 2001)
    assert stat.S_IMODE(directory.parent.stat().st_mode) == 0o755
    info = (directory / "storage.conf").stat()
    assert (stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid) == (0o640, 0, 2001)
    assert f'additionalimagestores = ["{directory}/images"]' in link.read_text()
    for _ in range(2):
        session.stop(2001)
    assert list(directory.parent.iterdir()) == []


@needs_root
def test_settings_of_the_persons_own_are_left_alone(places: Path, person: Policy) -> None:
    path = person.home / ".config/containers/storage.conf"
    path.parent.mkdir(parents=True)
    path.write_text("# mine\n")
    assert session.start(settings(places), person) == []
    assert path.read_text() == "# mine\n"


@needs_root
def test_a_home_that_leads_elsewhere_leads_root_nowhere(places: Path, person: Policy) -> None:
    secret = places / "secret"
    secret.mkdir(mode=0o700)
    (person.home / ".config").symlink_to(secret)
    [complaint] = session.start(settings(places), person)
    assert complaint.startswith("as amartin: ")
    assert list(secret.iterdir()) == []


@needs_root
def test_without_the_mount_podman_does_without_shared_images(
    places: Path, person: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise LyceumError("cannot mount")

    monkeypatch.setattr(idmap, "mount", refuse)
    assert session.start(settings(places), person) == ["cannot mount"]
    content = (places / "run/lyceum/containers/2001/storage.conf").read_text()
    assert "additionalimagestores" not in content
    assert f'graphroot = "{person.home}/.local/share/containers/storage"' in content


@needs_root
def test_without_subordinate_ids_it_is_said_what_is_missing(places: Path, person: Policy) -> None:
    (places / "subgid").write_text("")
    assert session.start(settings(places), person) == [
        f"amartin has no subordinate ids in {places}/subgid: see accounts_subid_count"
    ]


@needs_root
def test_a_folder_on_the_disk_for_containers(places: Path, person: Policy) -> None:
    (places / "disk").mkdir()
    assert session.start(settings(places, storage=str(places / "disk")), person) == []
    info = (places / "disk/amartin").stat()
    assert (stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid) == (0o700, 2001, 2001)
    assert f'graphroot = "{places}/disk/amartin"' in (places / "run/lyceum/containers/2001/storage.conf").read_text()


def test_both_roots_are_named() -> None:
    assert session.storage_conf(Path("/home/x/s"), 2001, None).splitlines()[1:] == [
        "[storage]",
        'driver = "overlay"',
        'runroot = "/run/user/2001/containers"',
        'graphroot = "/home/x/s"',
    ]


@needs_root
def test_the_command_line(places: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(session, "SETTINGS", places / "settings.json")
    assert session.main(["start", "2001"]) == 1
    assert "cannot use" in capsys.readouterr().err
    (places / "settings.json").write_text(json.dumps({"policies": str(places / "policies")}))
    # Nobody with a policy: nothing is made, and nobody is kept from logging in.
    assert session.main(["start", "0"]) == 0
    assert not (places / "run/lyceum").exists()
    assert session.main(["stop", "2001"]) == 0


def test_samples_are_of_the_person() -> None:
    assert policy().home == Path("/home/amartin")
