# SPDX-License-Identifier: GPL-3.0-or-later
"""The same attacks as `./lyceum prove`, those on what this role claims."""

from __future__ import annotations

from test_gitea import *  # noqa: F403
from test_secrets import *  # noqa: F403
