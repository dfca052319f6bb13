# SPDX-License-Identifier: GPL-3.0-or-later
"""The module from its parameters to its result, with the real ssh-keygen."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import ssh_krl

from ..module_utils.sshd.conftest import Keys
from .runner import run_module


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    (tmp_path / "keys").mkdir()
    return Keys(tmp_path / "keys")


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def call(revoked: list[str], *, check: bool = False, **params: Any) -> dict[str, Any]:
        wanted = {"path": str(tmp_path / "krl"), "revoked": revoked, "admins": [], **params}
        return run_module(ssh_krl, capsys, wanted, check=check)

    return call


def test_check_apply_check_apply_and_nothing_revoked(tmp_path: Path, keys: Keys, run: Any) -> None:
    stolen, path = [keys.public("stolen"), keys.fingerprint("lost")], tmp_path / "krl"
    checked = run(stolen, check=True)
    assert not path.exists()
    applied = run(stolen)
    assert applied == checked
    assert (applied["changed"], applied["actions"]) == (True, [f"write {path}"])
    assert applied["diff"]["before"] == ""
    assert applied["diff"]["after"].count("\n") == 2
    for check in (True, False):
        again = run(stolen, check=check)
        assert (again["changed"], again["actions"]) == (False, [])
    path.chmod(0o600)
    assert run(stolen)["changed"]
    assert path.stat().st_mode & 0o777 == 0o644
    emptied = run([])
    assert (emptied["changed"], emptied["diff"]["after"]) == (True, "")
    assert not run([])["changed"]


def test_bad_input_is_one_message(tmp_path: Path, run: Any) -> None:
    result = run(["laptop"])
    assert result["failed"]
    assert result["msg"] == (
        "revoked: 'laptop' is neither a public key, nor \"SHA256:...\" as ssh-keygen -l shows it, nor"
        ' "serial: 7" or "id: NAME" of a certificate'
    )
    assert not (tmp_path / "krl").exists()


def test_what_cannot_be_written_is_said(tmp_path: Path, keys: Keys, run: Any) -> None:
    result = run([keys.public("stolen")], path=str(tmp_path / "none/krl"))
    assert result["msg"] == f"cannot write {os.fspath(tmp_path)}/none/krl: No such file or directory"
