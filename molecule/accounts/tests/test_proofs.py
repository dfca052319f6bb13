# SPDX-License-Identifier: GPL-3.0-or-later
"""The same attacks as `./lyceum prove`."""

from __future__ import annotations

from test_login import *  # noqa: F403
from test_offboarding import *  # noqa: F403
from test_separation import *  # noqa: F403
