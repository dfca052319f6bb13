# SPDX-License-Identifier: GPL-3.0-or-later
"""The module from its parameters to its result."""

from __future__ import annotations

from pathlib import Path

import acl_tree_info
import pytest

from .runner import run_module


@pytest.mark.parametrize("check", [True, False])
def test_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str], check: bool) -> None:
    (tmp_path / "file").write_text("x")
    params = {"paths": [str(tmp_path), str(tmp_path / "missing")], "usage": True}
    result = run_module(acl_tree_info, capsys, params, check=check)
    assert (result["failed"], result["changed"]) == (False, False)
    (found,) = result["directories"]
    assert (found["path"], found["mode"], found["files"]) == (str(tmp_path), "0700", 1)
    assert found["acl"] == ["user::rwx", "group::---", "other::---"]


def test_an_unknown_parameter_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    result = run_module(acl_tree_info, capsys, {"paths": [], "sizes": True})
    assert "Unsupported parameters" in result["msg"]
    assert "sizes" in result["msg"]
