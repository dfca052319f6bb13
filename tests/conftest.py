# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the core, the modules and the plugins importable as Ansible sees them."""

from __future__ import annotations

import sys
from pathlib import Path

import ansible.module_utils

ROOT = Path(__file__).resolve().parent.parent

for folder in ("library", "filter_plugins", "lookup_plugins", "callback_plugins"):
    sys.path.insert(0, str(ROOT / folder))
ansible.module_utils.__path__.append(str(ROOT / "module_utils"))
