# SPDX-License-Identifier: GPL-3.0-or-later
"""The same attacks as `./lyceum prove`, those on keys and certificates."""

from __future__ import annotations

from test_certificates import *  # noqa: F403
