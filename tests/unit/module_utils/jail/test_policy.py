# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies that could have been written by somebody else than root, or say something unknown, let nobody in."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.jail import policy

HOST: dict[str, Any] = {
    "shell": "/bin/bash",
    "network": True,
    "system": ["/opt"],
    "hidden": ["/etc/lyceum"],
    "devices": [],
    "sftp_server": "/usr/lib/openssh/sftp-server",
}
PERSON: dict[str, Any] = {
    "uid": 2009,
    "profile": "jail",
    "home": "/home/jweber",
    "write": ["/srv/projects/retina"],
    "read": ["/srv/readonly"],
}


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    path.chmod(0o640)
    return path


def load(folder: Path, content: Any, name: str = "jweber", uid: int = 2009) -> policy.Person:
    write(folder / f"{name}.json", content)
    return policy.load_person(name, uid, str(folder))


def test_what_root_wrote_is_what_holds(tmp_path: Path) -> None:
    assert policy.load_host(str(write(tmp_path / "host", HOST))) == policy.Host(**HOST)
    assert load(tmp_path, PERSON) == policy.Person(**PERSON)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"uid": 2010}, "jweber.json is about uid 2010, not 2009"),
        ({"uid": "2009"}, "is about uid 2009, not 2009"),
        ({"profile": "shell"}, "profile 'shell' is none of sftp, rsync, jail"),
        ({"profile": None}, "profile None is none of"),
        ({"home": "home/jweber"}, "'home/jweber' is not a plain absolute path"),
        ({"home": "/home/../etc"}, "'/home/../etc' is not a plain absolute path"),
        ({"write": ["/srv//x"]}, "'/srv//x' is not a plain absolute path"),
        ({"write": ["/srv/x\0y"]}, "is not a plain absolute path"),
        ({"read": "/srv"}, "read is not a list"),
        ({"read": None}, "read is not a list"),
        ({"extra": 1}, "unknown key 'extra'"),
    ],
)
def test_senseless_policies(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(LyceumError, match=message):
        load(tmp_path, {**PERSON, **change})


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "is not JSON: "), ("[]", "is not a JSON object"), ('{"network": true}', "system is not a list")],
)
def test_senseless_files(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(LyceumError, match=message):
        policy.load_host(str(write(tmp_path / "host", content)))


def test_only_true_shares_the_network(tmp_path: Path) -> None:
    assert not policy.load_host(str(write(tmp_path / "host", {**HOST, "network": "yes"}))).network


def test_a_missing_policy_is_no_login(tmp_path: Path) -> None:
    with pytest.raises(LyceumError, match=r"^cannot read .*/jweber.json: No such file or directory$"):
        policy.load_person("jweber", 2009, str(tmp_path))


@pytest.mark.parametrize("name", [".hidden", "../jweber", "a/b"])
def test_names_that_are_none(tmp_path: Path, name: str) -> None:
    with pytest.raises(LyceumError, match="is not a login name"):
        policy.load_person(name, 2009, str(tmp_path))


@pytest.mark.parametrize("mode", [0o660, 0o646])
def test_what_others_can_write_is_not_believed(tmp_path: Path, mode: int) -> None:
    write(tmp_path / "jweber.json", PERSON).chmod(mode)
    with pytest.raises(LyceumError, match="could have been written by somebody else than root"):
        policy.load_person("jweber", 2009, str(tmp_path))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_what_belongs_to_others_is_not_believed(tmp_path: Path) -> None:
    os.chown(write(tmp_path / "jweber.json", PERSON), 2009, 2009)
    with pytest.raises(LyceumError, match="could have been written by somebody else than root"):
        policy.load_person("jweber", 2009, str(tmp_path))


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "jweber.json").symlink_to(write(tmp_path / "other", PERSON))
    with pytest.raises(LyceumError, match="cannot read"):
        policy.load_person("jweber", 2009, str(tmp_path))


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "jweber.json")
    begin = time.monotonic()
    with pytest.raises(LyceumError, match="could have been written by somebody else"):
        policy.load_person("jweber", 2009, str(tmp_path))
    assert time.monotonic() - begin < 5


def test_nothing_slow_is_imported() -> None:
    text = Path(policy.__file__).read_text()
    assert [word for word in ("dataclasses", "pathlib", "subprocess", "import re") if f"import {word}" in text] == []
