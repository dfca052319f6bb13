# SPDX-License-Identifier: GPL-3.0-or-later
"""Mounts, quotas, slices and hidden processes, which a boot makes anew. Everything else has been proved before it."""

from __future__ import annotations

from test_host import test_every_unit_is_up  # noqa: F401
from test_quotas import *  # noqa: F403
from test_slices import *  # noqa: F403
from test_storage import *  # noqa: F403
