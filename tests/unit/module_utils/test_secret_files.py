# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets that are made once."""

from __future__ import annotations

import getpass
import grp
import os
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum import secret_files
from ansible.module_utils.lyceum.errors import LyceumError


def entry(path: Path, **values: Any) -> dict[str, Any]:
    group = grp.getgrgid(os.getgid()).gr_name
    owned = {"owner": getpass.getuser(), "group": group}
    return {"path": str(path), "form": "base64url", "bytes": 32, "mode": "0640", **owned, **values}


def test_a_secret_is_made_once_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    wanted = {"files": [entry(path)]}
    assert secret_files.run(wanted, check=True)["changed"]
    assert not path.exists()
    first = secret_files.run(wanted, check=False)
    content = path.read_text()
    assert len(content.strip()) == 43
    assert content.strip() not in str(first)
    assert path.stat().st_mode & 0o777 == 0o640
    assert secret_files.run(wanted, check=False) == {"changed": False, "actions": []}
    assert path.read_text() == content


def test_two_secrets_differ(tmp_path: Path) -> None:
    secret_files.run({"files": [entry(tmp_path / "a", form="hex"), entry(tmp_path / "b", form="hex")]}, check=False)
    assert (tmp_path / "a").read_text() != (tmp_path / "b").read_text()


def test_wide_rights_are_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("kept\n")
    path.chmod(0o644)
    assert secret_files.run({"files": [entry(path)]}, check=False)["changed"]
    assert (path.stat().st_mode & 0o777, path.read_text()) == (0o640, "kept\n")


def test_an_empty_one_is_not_filled(tmp_path: Path) -> None:
    (tmp_path / "secret").touch()
    with pytest.raises(LyceumError, match="put back the one from a backup"):
        secret_files.run({"files": [entry(tmp_path / "secret")]}, check=False)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"mode": "0644"}, "it is no secret"),
        ({"bytes": 8}, "can be guessed"),
        ({"owner": "no-such"}, "there is no no-such"),
    ],
    ids=str,
)
def test_invalid_input(tmp_path: Path, values: dict[str, Any], message: str) -> None:
    with pytest.raises(LyceumError, match=message):
        secret_files.run({"files": [entry(tmp_path / "secret", **values)]}, check=False)
