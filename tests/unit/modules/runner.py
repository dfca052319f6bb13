# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a module's real main(): parameters in as Ansible hands them over, the printed result out."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args


def run_module(
    module: ModuleType,
    capsys: pytest.CaptureFixture[str],
    params: dict[str, Any],
    *,
    check: bool = False,
    diff: bool = False,
) -> dict[str, Any]:
    """The result with `failed` always in it. The exit status must say the same."""
    with (
        patch_module_args({**params, "_ansible_check_mode": check, "_ansible_diff": diff}),
        pytest.raises(SystemExit) as ended,
    ):
        module.main()
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    result.setdefault("failed", False)
    assert bool(ended.value.code) == result["failed"]
    return result
