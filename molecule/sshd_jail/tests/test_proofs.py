# SPDX-License-Identifier: GPL-3.0-or-later
"""The same attacks as `./lyceum prove`."""

from __future__ import annotations

from test_jail import *  # noqa: F403
from test_jail_escapes import *  # noqa: F403
from test_jail_transfers import *  # noqa: F403
from test_sshd import *  # noqa: F403
