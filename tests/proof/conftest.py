# SPDX-License-Identifier: GPL-3.0-or-later
"""The proofs, run on their own: see plugin.py."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from plugin import *  # noqa: F403
