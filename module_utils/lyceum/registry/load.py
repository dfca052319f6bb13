# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the registry files of an inventory. What is wrong with a file becomes a problem with its line, no traceback."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .problem import Problem

DataPath = Sequence[str | int]


@dataclass(frozen=True)
class Loaded:
    """raw: {people, groups, projects, limits, id_ranges, classify, affiliations, hardware, allow_empty} as found
        (a section nobody defines is not in it), plain values only; dates are strings as written.
    files: every file that was read, in Ansible's order.
    defined_in: section -> file that defines it.
    problems: what is wrong with the files themselves.
    broken: a file could not be read at all, so that what follows from `raw` is not worth reporting.
    """

    inventory_dir: Path
    raw: dict[str, Any]
    files: tuple[Path, ...]
    defined_in: dict[str, Path]
    problems: tuple[Problem, ...]
    broken: bool

    def locate(self, path: str | DataPath) -> str:
        """'people.yml:12' for ("people", 3, "uid") or "lyceum_people[amartin].uid"; "" when it is in no file.

        The file is named relative to group_vars/all. A key that is not there gives the line of what would hold it.
        """
        raise NotImplementedError


def read(inventory_dir: Path | str) -> Loaded:
    """Read group_vars/all of an inventory. Never raises for what a user can write into those files."""
    raise NotImplementedError
