# SPDX-License-Identifier: GPL-3.0-or-later
"""import"""

from __future__ import annotations

import argparse


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
