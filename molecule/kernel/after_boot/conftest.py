# SPDX-License-Identifier: GPL-3.0-or-later
"""Molecule's verify step after the reboot: the proofs of what a boot could undo."""

from __future__ import annotations

import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(PROJECT / "tests" / "proof"), str(PROJECT / "molecule" / "kernel" / "tests")]

from plugin import *  # noqa: E402, F403
