# SPDX-License-Identifier: GPL-3.0-or-later
"""Collects what the checks of a registry find, and says where it stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .model import VARIABLES
from .positions import DataPath, show
from .problem import ERROR, WARNING, Problem, shorten

Locate = Callable[[DataPath], str]

_ORDER = {section: number for number, section in enumerate(VARIABLES)}


class Findings:
    """locate: `load.Loaded.locate`; without it problems carry no file and line."""

    def __init__(self, raw: Mapping[str, Any], locate: Locate | None) -> None:
        self._raw = raw
        self._locate = locate
        self._found: list[tuple[tuple[int, ...], Problem]] = []
        self.failed = False

    def error(self, path: DataPath, message: str, remedy: str, *, value: Any = None, show: bool = True) -> None:
        """show: whether the value stands in the message; never for secrets and for whole mappings."""
        self.failed = True
        self._add(ERROR, path, message, remedy, value, show)

    def warning(self, path: DataPath, message: str, remedy: str, *, value: Any = None, show: bool = True) -> None:
        self._add(WARNING, path, message, remedy, value, show)

    def place(self, entry: tuple[str, int]) -> str:
        """'amartin (people.yml:12)' for the entry that another one clashes with."""
        name = self._raw[entry[0]][entry[1]].get("name")
        called = name if isinstance(name, str) else f"entry {entry[1]}"
        where = self._locate(entry) if self._locate else ""
        return f"{called} ({where})" if where else called

    def sorted(self) -> list[Problem]:
        """In the order of the sections and their entries."""
        return [problem for _, problem in sorted(self._found, key=lambda found: found[0])]

    def _add(self, severity: str, path: DataPath, message: str, remedy: str, value: Any, display: bool) -> None:
        index = next((step for step in path if isinstance(step, int)), -1)
        shown = "" if not display or isinstance(value, (dict, list)) else shorten(value)
        where = self._locate(path) if self._locate else ""
        problem = Problem(severity, where, show(path, self._raw), shown, message, remedy)
        self._found.append(((_ORDER.get(str(path[0]), len(_ORDER)), index), problem))
