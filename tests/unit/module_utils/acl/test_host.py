# SPDX-License-Identifier: GPL-3.0-or-later
"""The tool on a host: which directories it takes, what it tells, when it rests."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.acl import host, posix
from ansible.module_utils.lyceum.acl.posix import USER, Entry

from .conftest import needs_root

pytestmark = needs_root

ACL = posix.complete(0o770, [Entry(USER, 5, 2003)])
Share = Callable[..., int]


@pytest.fixture
def share(tmp_path: Path) -> Share:
    """Run the tool on `projects/.gid` and the directories named."""

    def run(*directories: str, folders: tuple[str, ...] = ("gid",)) -> int:
        config = {
            "folders": [str(tmp_path / name) for name in folders],
            "directories": [str(tmp_path / name) for name in directories],
        }
        (tmp_path / "share.json").write_text(json.dumps(config))
        return host.main(["--config", str(tmp_path / "share.json"), "--state", str(tmp_path / "state.json")])

    (tmp_path / "gid").mkdir()
    return run


def project(path: Path, gid: int = 11001) -> Path:
    path.mkdir()
    os.chown(path, 0, gid)
    for attribute in posix.ATTRIBUTES:
        os.setxattr(path, attribute, posix.pack(ACL))
    path.chmod(0o2770)
    return path


def moved(path: Path) -> Path:
    path.write_text("mine")
    os.chown(path, 2001, 2001)
    os.removexattr(path, posix.ACCESS)
    path.chmod(0o600)
    return path


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def state(tmp_path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((tmp_path / "state.json").read_text())
    return content


def test_every_project_and_every_named_directory_is_mended(
    tmp_path: Path, share: Share, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [moved(project(tmp_path / path) / "file") for path in ("gid/11001", "gid/11002", "other", "unnamed")]
    assert share("other") == 0
    assert [mode(path) for path in files] == [0o660, 0o660, 0o660, 0o600]
    output = capsys.readouterr()
    assert output.out.splitlines() == [
        f"{tmp_path}/{path}: 1 of 1 files and directories shared anew" for path in ("other", "gid/11001", "gid/11002")
    ]
    assert output.err == ""
    assert state(tmp_path)["trees"][f"{tmp_path}/other"] == {
        "looked_at": 1,
        "wrong": 1,
        "mended": 1,
        "left": 0,
        "examples": [],
    }
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == 0o600


def test_what_is_sealed_stays_as_it_is(tmp_path: Path, share: Share) -> None:
    sealed = tmp_path / "gid/11001"
    sealed.mkdir(mode=0o700)
    file = moved_into_sealed(sealed)
    assert share() == 0
    assert mode(file) == 0o660
    assert state(tmp_path)["trees"] == {}


def moved_into_sealed(sealed: Path) -> Path:
    file = sealed / "file"
    file.write_text("x")
    file.chmod(0o660)
    return file


def test_a_link_where_a_directory_should_be_is_not_followed(
    tmp_path: Path, share: Share, capsys: pytest.CaptureFixture[str]
) -> None:
    file = moved(project(tmp_path / "real") / "file")
    (tmp_path / "gid/11001").symlink_to(tmp_path / "real")
    (tmp_path / "link").symlink_to("real")
    assert share("link") == 1
    assert mode(file) == 0o600
    assert f"lyceum-share: {tmp_path}/link is a link or a file" in capsys.readouterr().err


def test_what_is_missing_is_told_and_the_rest_is_done(
    tmp_path: Path, share: Share, capsys: pytest.CaptureFixture[str]
) -> None:
    file = moved(project(tmp_path / "gid/11001") / "file")
    assert share("missing", folders=("gid", "nowhere")) == 1
    assert mode(file) == 0o660
    assert capsys.readouterr().err.splitlines() == [
        f"lyceum-share: there is no directory {tmp_path}/nowhere",
        f"lyceum-share: there is no directory {tmp_path}/missing",
    ]


def test_it_rests_in_proportion_to_its_work_unless_members_changed(
    tmp_path: Path, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = project(tmp_path / "gid/11001")
    assert share() == 0
    file = moved(top / "file")
    slow = {**state(tmp_path), "seconds": 100.0}
    (tmp_path / "state.json").write_text(json.dumps(slow))
    assert share() == 0
    assert mode(file) == 0o600
    os.setxattr(top, posix.DEFAULT, posix.pack(posix.complete(0o770, [Entry(USER, 5, 2004)])))
    assert share() == 0
    assert mode(file) == 0o660
    (tmp_path / "state.json").write_text(json.dumps({**state(tmp_path), "seconds": 100.0}))
    file.chmod(0o600)
    finished = state(tmp_path)["finished"]
    monkeypatch.setattr(host.time, "time", lambda: finished + 100 * host.REST + 1)
    assert share() == 0
    assert mode(file) == 0o660


def test_a_torn_state_is_no_state(tmp_path: Path, share: Share) -> None:
    (tmp_path / "state.json").write_text('{"told": ')
    file = moved(project(tmp_path / "gid/11001") / "file")
    assert share() == 0
    assert mode(file) == 0o660


def test_what_is_left_is_told(tmp_path: Path, share: Share, capsys: pytest.CaptureFixture[str]) -> None:
    file = moved(project(tmp_path / "gid/11001") / "file")
    os.chown(file, 2001, 11002)
    os.link(file, tmp_path / "theirs")
    assert share() == 0
    assert capsys.readouterr().out == (
        f"{tmp_path}/gid/11001: 0 of 1 files and directories shared anew, 1 left:"
        f" {file}: has another name elsewhere, in somebody else's care\n"
    )


def test_a_file_system_without_acls_is_shared_by_modes(
    tmp_path: Path, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    os.chown(shared, 0, 10001)
    shared.chmod(0o2770)
    (shared / "file").write_text("x")

    def refuse(*_args: object, **_options: object) -> bytes:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "getxattr", refuse)
    assert share("shared") == 0
    assert (mode(shared / "file"), (shared / "file").stat().st_gid) == (0o660, 10001)


def test_a_missing_configuration_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "missing.json"
    assert host.main(["--config", str(missing)]) == 1
    assert capsys.readouterr().err == f"lyceum-share: {missing}: No such file or directory\n"
