# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that is wrong with a registry, all at once, before any host is touched."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from .load import DataPath, Loaded
from .problem import ERROR, WARNING, Problem, errors

__all__ = ["ERROR", "WARNING", "Problem", "errors", "inventory", "problems"]

Locate = Callable[[DataPath], str]


def problems(raw: Mapping[str, Any], *, today: date, locate: Locate | None = None) -> list[Problem]:
    """Structure (JSON Schema) and meaning of a raw registry, in the order of the files. [] when all is well.

    locate: `Loaded.locate`; without it problems carry no file and line.
    """
    raise NotImplementedError


def inventory(inventory_dir: Path | str, *, today: date) -> tuple[Loaded, list[Problem]]:
    """Read the registry of an inventory and check it: problems of the files first, then those of the data."""
    raise NotImplementedError
