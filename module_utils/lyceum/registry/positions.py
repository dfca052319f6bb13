# SPDX-License-Identifier: GPL-3.0-or-later
"""Where in a YAML text a value stands, and how its path is written for people."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from .model import VARIABLES

DataPath = Sequence[str | int]

_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
_STEP = re.compile(r"\.(?P<key>[A-Za-z0-9_][A-Za-z0-9_-]*)|\[(?P<item>[^\]]*)\]")
_SECTIONS = {variable: section for section, variable in VARIABLES.items()}


def show(path: DataPath, raw: Mapping[str, Any]) -> str:
    """'lyceum_people[amartin].uid' for ("people", 3, "uid"): entries of a list go by their name where they have one."""
    if not path:
        return ""
    shown = VARIABLES.get(str(path[0]), str(path[0]))
    node: Any = raw.get(str(path[0]))
    for step in path[1:]:
        node = _step(node, step)
        name = node.get("name") if isinstance(step, int) and isinstance(node, Mapping) else None
        if isinstance(name, str) and _WORD.fullmatch(name):
            shown += f"[{name}]"
        elif isinstance(step, int):
            shown += f"[{step}]"
        elif _WORD.fullmatch(step):
            shown += f".{step}"
        else:
            shown += f"[{step!a}]"
    return shown


def parse(shown: str, raw: Mapping[str, Any]) -> tuple[str | int, ...]:
    """The opposite of `show`; () for what is not a path into the registry."""
    variable = re.match(r"\w+", shown)
    if variable is None or variable[0] not in _SECTIONS:
        return ()
    path: list[str | int] = [_SECTIONS[variable[0]]]
    node: Any = raw.get(str(path[0]))
    for match in _STEP.finditer(shown, variable.end()):
        step = match["key"] if match["key"] is not None else _item(node, match["item"])
        path.append(step)
        node = _step(node, step)
    return tuple(path)


def line_of(root: yaml.Node | None, path: DataPath) -> int:
    """1-based line of the value at `path` (keys and indexes from the top of the document).

    A mapping's value has the line of its key. What is not there has the line of the nearest thing around it.
    """
    line = 1 if root is None else root.start_mark.line + 1
    node = root
    for step in path:
        found = _child(node, step)
        if found is None:
            break
        node, line = found
    return line


def _child(node: yaml.Node | None, step: str | int) -> tuple[yaml.Node, int] | None:
    if isinstance(node, yaml.SequenceNode):
        if isinstance(step, int) and 0 <= step < len(node.value):
            item = node.value[step]
            return item, item.start_mark.line + 1
        return None
    if isinstance(node, yaml.MappingNode):
        # From the end: where a key stands twice, the last one is the value that was read.
        for key, value in reversed(node.value):
            if isinstance(key, yaml.ScalarNode) and key.value == str(step):
                return value, key.start_mark.line + 1
    return None


def _step(node: Any, step: str | int) -> Any:
    if isinstance(step, int):
        return node[step] if isinstance(node, Sequence) and not isinstance(node, str) and step < len(node) else None
    return node.get(step) if isinstance(node, Mapping) else None


def _item(node: Any, text: str) -> str | int:
    """Index of the entry called `text`, or the index itself; in a mapping the (quoted) key."""
    if isinstance(node, Sequence) and not isinstance(node, str):
        for index, entry in enumerate(node):
            if isinstance(entry, Mapping) and entry.get("name") == text:
                return index
        if text.isdigit():
            return int(text)
    return text.strip("'\"")
