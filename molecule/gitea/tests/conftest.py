# SPDX-License-Identifier: GPL-3.0-or-later
"""Molecule's verify step: the proofs of tests/proof, and the effective state of the hosts."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tests" / "proof"))

from plugin import *  # noqa: F403
