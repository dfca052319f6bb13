# SPDX-License-Identifier: GPL-3.0-or-later
"""The module from its parameters to its result."""

from __future__ import annotations

from pathlib import Path

import pytest
import secret_files

from ..module_utils.test_secret_files import entry
from .runner import run_module


def test_check_apply_check_apply(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = {"files": [entry(tmp_path / "secret")]}
    results = [run_module(secret_files, capsys, values, check=check) for check in (True, False, True, False)]
    assert [result["changed"] for result in results] == [True, True, False, False]
    assert (tmp_path / "secret").read_text().strip() not in str(results)


def test_invalid_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = run_module(secret_files, capsys, {"files": [entry(tmp_path / "secret", bytes=8)]})
    assert result["msg"] == f"{tmp_path}/secret: 8 bytes can be guessed; at least 16"
