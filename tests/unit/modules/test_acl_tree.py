# SPDX-License-Identifier: GPL-3.0-or-later
"""The module from its parameters to its result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import acl_tree
import pytest

from ..module_utils.acl.conftest import needs_root
from .runner import run_module

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*entries: dict[str, Any], check: bool = False, diff: bool = False, **params: Any) -> dict[str, Any]:
        wanted = [{**entry, "path": str(entry["path"])} for entry in entries]
        return run_module(acl_tree, capsys, {"entries": wanted, **params}, check=check, diff=diff)

    return call


@needs_root
def test_check_apply_check_apply_and_sealed(tmp_path: Path, run: Run) -> None:
    entries = [
        {"path": tmp_path / "p", "mode": "0711"},
        {"path": tmp_path / "p/1", "group": "11001", "mode": "2770", "acl": ["user:2003:rX"], "default_acl": []},
        {"path": tmp_path / "p/retina", "target": "1"},
        {"path": tmp_path / "s", "owner": "2001", "group": "2001", "mode": "0700", "person": "amartin"},
    ]
    checked = run(*entries, check=True, diff=True)
    assert list(tmp_path.iterdir()) == []
    applied = run(*entries, diff=True)
    for key in ("changed", "actions", "changed_paths", "diff", "inside", "lyceum", "failed"):
        assert checked[key] == applied[key], key
    assert applied["actions"] == [
        f"{tmp_path}/p: create, root:root 0711",
        f"{tmp_path}/p/1: create, root:11001 2770",
        f"{tmp_path}/p/1: ACL user:2003:r-x",
        f"{tmp_path}/p/1: default ACL user::rwx, group::rwx, other::---",
        f"{tmp_path}/p/retina: create link to 1",
        f"{tmp_path}/s: create, 2001:2001 0700",
    ]
    assert applied["lyceum"]["results"] == {
        "amartin": {"result": "created", "actions": [applied["actions"][-1]], "error": None}
    }
    for check in (True, False):
        again = run(*entries, check=check, diff=True)
        assert (again["changed"], again["actions"], again["diff"]) == (False, [], [])
        assert again["lyceum"]["unchanged"] == ["amartin"]
    sealed = run({"path": tmp_path / "s", "state": "sealed", "person": "amartin"})
    assert sealed["actions"] == [f"{tmp_path}/s: seal: owner 2001 -> root, group 2001 -> root"]
    assert ((tmp_path / "s").stat().st_uid, (tmp_path / "s").stat().st_mode & 0o7777) == (0, 0o700)


@needs_root
def test_a_failure_comes_with_the_results_of_all(tmp_path: Path, run: Run) -> None:
    (tmp_path / "a").write_text("in the way")
    entries = [
        {"path": tmp_path / name, "owner": uid, "mode": "0700", "person": person}
        for name, uid, person in (("a", "2001", "amartin"), ("b", "2002", "bchen"))
    ]
    result = run(*entries)
    message = f"{tmp_path}/a is neither a directory nor a link, not a directory; it was left alone. Move it away"
    assert result["failed"]
    assert result["msg"] == f"1 of 2 paths failed: {message}"
    assert {name: one["result"] for name, one in result["lyceum"]["results"].items()} == {
        "amartin": "failed",
        "bchen": "created",
    }
    assert (tmp_path / "b").is_dir()


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"mode": "rwx"}, "{path}: mode must be octal digits in quotes, such as \"2770\", not 'rwx'"),
        (
            {"mode": "0700", "acl": ["amartin"]},
            ("{path}: 'amartin' is no ACL entry; write user:NAME:rwx, group:NAME:r-x, mask::rwx or other::---"),
        ),
        ({"target": "x", "mode": "0700"}, "{path}: a link has a target and no mode"),
        (
            {"state": "absent"},
            "value of state must be one of: present, sealed, got: absent found in entries",
        ),
    ],
)
def test_bad_input_is_one_message_and_touches_nothing(
    tmp_path: Path, run: Run, entry: dict[str, Any], message: str, check: bool
) -> None:
    result = run({"path": tmp_path / "x", **entry}, check=check)
    assert result["failed"]
    assert result["msg"] == message.format(path=tmp_path / "x")
    assert not (tmp_path / "x").exists()
