# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of ours in files that belong to somebody else (PAM's services), between two marks. Pure functions on text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import LyceumError

DIRECTORY = Path("/etc/pam.d")


@dataclass(frozen=True)
class Block:
    """Lines to have in one file, right after (or before) the first line that matches `anchor`.

    strip: a pattern that is removed from every other line, None for nothing. optional: no file, no block.
    """

    path: Path
    text: str
    anchor: str
    before: bool
    strip: str | None
    optional: bool

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Block:
        """Build from the module's parameters. Raises LyceumError for a path elsewhere or a pattern that is none."""
        path = Path(params["path"])
        if path.parent != DIRECTORY:
            raise LyceumError(f"blocks: {path} is not in {DIRECTORY}")
        for pattern in (params["anchor"], params["strip"] or ""):
            try:
                re.compile(pattern)
            except re.error as exc:
                raise LyceumError(f"blocks: {path}: {pattern!r} is not a pattern: {exc}") from exc
        return cls(path, params["text"], params["anchor"], params["before"], params["strip"], params["optional"])


def apply(block: Block, text: str | None, owner: str, *, present: bool) -> str | None:
    """The file with the block of this owner, or without. Lines between older marks of the owner are replaced.

    Raises LyceumError when there is no place for the block. What `strip` took away does not come back.
    """
    if text is None:
        if block.optional or not present:
            return None
        raise LyceumError(f"{block.path} does not exist")
    begin, end = f"# BEGIN {owner}", f"# END {owner}"
    lines = _without(text, begin, end)
    if not present:
        return "".join(lines)
    if block.strip:
        lines = [re.sub(block.strip, "", line) for line in lines]
    anchor = next((number for number, line in enumerate(lines) if re.search(block.anchor, line)), None)
    if anchor is None:
        raise LyceumError(f"{block.path} has no line {block.anchor!r}, so there is no place for what belongs there")
    lines[anchor] = lines[anchor].rstrip("\n") + "\n"
    position = anchor if block.before else anchor + 1
    lines[position:position] = [f"{begin}\n", block.text.rstrip("\n") + "\n", f"{end}\n"]
    return "".join(lines)


def _without(text: str, begin: str, end: str) -> list[str]:
    """The lines that are not between the marks. An unfinished block ends with its begin mark."""
    lines = re.findall(r"[^\n]*\n|[^\n]+\Z", text)
    kept: list[str] = []
    skipped: list[str] = []
    inside = False
    for line in lines:
        if line.rstrip() == begin:
            kept += skipped[1:]
            inside, skipped = True, [line]
        elif inside and line.rstrip() == end:
            inside, skipped = False, []
        elif inside:
            skipped.append(line)
        else:
            kept.append(line)
    return kept + skipped[1:]
