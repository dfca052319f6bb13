# SPDX-License-Identifier: GPL-3.0-or-later
"""The module from its parameters to its result."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import managed_files
import pytest

from ..module_utils.sshd.test_keys import needs_root
from .runner import run_module

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*, check: bool = False, diff: bool = False, **params: Any) -> dict[str, Any]:
        return run_module(managed_files, capsys, params, check=check, diff=diff)

    return call


@needs_root
def test_check_apply_check_apply_and_absent(tmp_path: Path, run: Run) -> None:
    files = [
        {
            "path": str(tmp_path / "d/amartin.json"),
            "content": "{}\n",
            "mode": "0640",
            "group": "4",
            "person": "amartin",
        },
        {"path": str(tmp_path / "d/tool"), "content": "#!/bin/sh\n", "mode": "0755"},
    ]
    wanted = {
        "files": files,
        "directories": [{"path": str(tmp_path / "d"), "mode": "0700"}],
        "exclusive": [{"directory": str(tmp_path / "d"), "pattern": "*.json"}],
    }
    checked = run(**wanted, check=True, diff=True)
    assert list(tmp_path.iterdir()) == []
    applied = run(**wanted, diff=True)
    assert checked == applied
    assert applied["changed"] is True
    assert applied["lyceum"]["results"]["amartin"]["result"] == "changed"
    status = (tmp_path / "d/amartin.json").stat()
    assert (oct(status.st_mode), status.st_gid) == (oct(0o100640), 4)
    assert (tmp_path / "d").stat().st_mode & 0o777 == 0o700
    again = run(**wanted)
    assert (again["changed"], again["actions"], again["lyceum"]["unchanged"]) == (False, [], ["amartin"])

    (tmp_path / "d/stale.json").write_text("{}")
    (tmp_path / "d/notes").write_text("kept: no pattern names it")
    removed = run(**{**wanted, "files": [files[1], {**files[0], "state": "absent"}]})
    assert removed["actions"] == [f"remove {tmp_path}/d/amartin.json", f"remove {tmp_path}/d/stale.json"]
    assert sorted(path.name for path in (tmp_path / "d").iterdir()) == ["notes", "tool"]


@needs_root
def test_drift_is_mended_and_a_link_is_replaced_not_followed(tmp_path: Path, run: Run) -> None:
    target, victim = tmp_path / "settings", tmp_path / "victim"
    victim.write_text("precious")
    target.symlink_to(victim)
    files = [{"path": str(target), "content": "x", "mode": "0600"}]
    assert run(files=files)["actions"] == [f"replace {target}, which is no plain file"]
    assert (victim.read_text(), target.is_symlink()) == ("precious", False)
    target.chmod(0o666)
    os.chown(target, 5, 5)
    assert run(files=files)["actions"] == [f"change {target}: mode 0666 to 0600, owner 5:5 to 0:0"]
    assert run(files=files)["changed"] is False


@needs_root
def test_a_secret_is_in_no_diff(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "token"
    path.write_text("old-secret")
    found = run(files=[{"path": str(path), "content": "new-secret", "secret": True}], diff=True)
    assert (found["diff"][0]["before"], found["diff"][0]["after"]) == ("<old content>\n", "<new content>\n")
    assert path.read_text() == "new-secret"
    gone = run(files=[{"path": str(path), "state": "absent", "secret": True}], diff=True, check=True)
    assert (gone["diff"][0]["before"], gone["diff"][0]["after"]) == ("<old content>\n", "")
    path.chmod(0o640)
    everything = [{"directory": str(tmp_path), "pattern": "*"}]
    stale = run(exclusive=everything, diff=True, check=True)
    assert (stale["diff"][0]["before"], stale["diff"][0]["after"]) == ("<old content>\n", "")
    path.chmod(0o644)
    public = run(exclusive=everything, diff=True)
    assert (public["diff"][0]["before"], path.exists()) == ("new-secret", False)


@needs_root
def test_people_get_to_the_files_whatever_the_umask(tmp_path: Path, run: Run) -> None:
    before = os.umask(0o077)
    try:
        folder = {"path": str(tmp_path / "x/y"), "mode": "0750"}
        run(files=[{"path": str(tmp_path / "a/b/tool"), "content": ""}], directories=[folder])
    finally:
        os.umask(before)
    modes = {name: oct((tmp_path / name).stat().st_mode & 0o7777) for name in ("a", "a/b", "a/b/tool", "x", "x/y")}
    assert modes == {"a": "0o755", "a/b": "0o755", "a/b/tool": "0o644", "x": "0o755", "x/y": "0o750"}


@needs_root
def test_one_failure_does_not_stop_the_others(tmp_path: Path, run: Run) -> None:
    (tmp_path / "folder").mkdir()
    found = run(files=[{"path": str(tmp_path / name), "content": "x", "person": name} for name in ("folder", "good")])
    assert found["failed"] is True
    assert found["msg"] == f"{tmp_path}/folder is a directory; look at it and move it away"
    assert found["lyceum"]["results"]["folder"]["result"] == "failed"
    assert (tmp_path / "good").read_text() == "x"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"path": "etc/x", "content": ""}, "path 'etc/x' must be absolute and without dot-dot"),
        ({"path": "/etc/../x", "content": ""}, "path '/etc/../x' must be absolute and without dot-dot"),
        ({"path": "/x"}, "files: /x needs `content`, or `state: absent`"),
        ({"path": "/x", "content": "", "mode": "rw"}, "/x: mode 'rw' must be octal as text, such as '0644'"),
        ({"path": "/x", "content": "", "owner": "no-such"}, "owner 'no-such' has no account on this host"),
        ({"path": "/x", "content": "", "group": "no-such"}, "there is no group 'no-such' on this host"),
    ],
    ids=str,
)
def test_invalid_input_is_one_sentence(entry: dict[str, Any], message: str, run: Run) -> None:
    assert run(files=[entry])["msg"] == message


def test_a_path_listed_twice(run: Run) -> None:
    twice = [{"path": "/x", "content": "a"}, {"path": "/x", "content": "b"}]
    assert run(files=twice)["msg"].startswith("files: /x is listed twice")
