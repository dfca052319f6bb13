# SPDX-License-Identifier: GPL-3.0-or-later
"""The verify step of a Molecule scenario takes over whole modules of proofs: none of their tests may get lost."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
SCENARIOS = sorted(PROJECT.glob("molecule/*/tests/test_proofs.py"))


def taken_over(path: Path) -> list[Path]:
    """The modules of proofs of which a file takes everything."""
    imports = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ImportFrom)]
    stars = [node.module for node in imports if node.names[0].name == "*"]
    return [PROJECT / "tests/proof" / f"{name}.py" for name in stars]


def names(path: Path) -> list[str]:
    """What a module defines at its top."""
    found = []
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            found.append(node.name)
        elif isinstance(node, ast.Assign):
            found += [target.id for target in node.targets if isinstance(target, ast.Name)]
    return found


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.parts[-3])
def test_every_proof_is_taken_over(scenario: Path) -> None:
    proofs = taken_over(scenario)
    assert proofs
    # With such a list, everything else would stay behind without a word.
    assert [path.name for path in proofs if "__all__" in names(path)] == []
    tests = [name for path in proofs for name in names(path) if name.startswith("test_")]
    # Of two tests with one name only the second would run.
    assert sorted(tests) == sorted(set(tests))


def test_scenarios_are_found() -> None:
    assert len(SCENARIOS) > 3
