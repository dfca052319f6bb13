# SPDX-License-Identifier: GPL-3.0-or-later
"""The module from its parameters to its result."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import artifact_cache
import pytest

from .runner import run_module


def params(folder: Path, **values: Any) -> dict[str, Any]:
    (folder / "tool-1.0").write_bytes(b"x")
    wanted = {
        "name": "tool",
        "version": "1.0",
        "file": "tool-1.0",
        "sha256": hashlib.sha256(b"x").hexdigest(),
        **values,
    }
    return {"artifacts": [wanted], "mirror": str(folder), "directory": str(folder / "cache")}


def test_check_apply_check_apply(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = [
        run_module(artifact_cache, capsys, params(tmp_path), check=check) for check in (True, False, True, False)
    ]
    assert [result["changed"] for result in results] == [True, True, False, False]
    assert len({frozenset(set(result) - {"invocation"}) for result in results}) == 1
    assert [result["artifacts"]["tool"]["available"] for result in results] == [True] * 4


def test_what_is_required_and_cannot_be_had_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = run_module(artifact_cache, capsys, params(tmp_path, file="lost"))
    assert result["failed"]
    assert result["msg"] == (
        f"tool 1.0 cannot be had ({tmp_path}/lost: No such file or directory): put lost into a directory, and name that"
        " directory in lyceum_artifact_mirror"
    )


def test_invalid_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = run_module(artifact_cache, capsys, params(tmp_path, sha256="abc"))
    assert result["msg"] == "tool: 'abc' is not a sha256; it has 64 digits from 0 to 9 and a to f"
