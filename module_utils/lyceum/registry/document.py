# SPDX-License-Identifier: GPL-3.0-or-later
"""Change one value of a YAML text and leave every other byte as it was.

A YAML emitter cannot do this, not even one that keeps comments: it decides indentation, quotes and line breaks for the
whole file. So the text is only *parsed* (with the parser Ansible reads it with; its events carry positions) and the
change is spliced in. Afterwards the new text is parsed again and must hold exactly the old data with that one change;
a layout this module does not understand is therefore refused, never damaged.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Union

import yaml

from ..errors import LyceumError
from .yaml_text import without_gc

Path = tuple[Union[str, int], ...]  # mapping keys and list positions

# Plain (unquoted) strings every YAML version reads as the same string, in block and in flow context.
_PLAIN = re.compile(r"[^\W\d][\w .@+/='()-]*|/[\w./-]*")
_RESERVED_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"}
# Longer strings get a line of their own instead of a place in a [flow list].
_FLOW_ITEM_LIMIT = 40


class DocumentError(LyceumError):
    """The text is not YAML this module can edit; the message says what to do by hand."""


@dataclass
class _Node:
    """A value in the text. `end` is where its content ends: without trailing blanks, comments or line breaks."""

    kind: str  # scalar, alias, seq or map
    start: int
    end: int
    column: int
    flow: bool = True  # scalars and aliases count as flow: they can be replaced in place
    identity: tuple[Any, ...] = ()  # what makes two scalars equal
    anchor: str | None = None
    items: list[_Node] = field(default_factory=list)
    pairs: list[tuple[_Node, _Node]] = field(default_factory=list)

    @property
    def value(self) -> str:
        return str(self.identity[-1]) if self.kind == "scalar" else ""

    @property
    def empty(self) -> bool:
        """Whether this is the null value that is written as nothing at all."""
        return self.kind == "scalar" and self.start == self.end

    @property
    def is_null(self) -> bool:
        return self.kind == "scalar" and self.identity[0] == "plain" and self.value in ("", "~", "null", "Null", "NULL")

    def pair(self, key: str) -> tuple[_Node, _Node] | None:
        return next((pair for pair in self.pairs if pair[0].value == key), None)


# -- values to text ------------------------------------------------------------------------------------------------


def scalar_text(value: Any) -> str:
    """Render a str, int, float, bool, None or date so that YAML 1.1 (Ansible) and 1.2 read back the same value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, datetime.date):
        return value.isoformat()
    text = str(value)
    plain = _PLAIN.fullmatch(text) and not text.endswith(" ") and text.lower() not in _RESERVED_WORDS
    return text if plain else _quoted(text)


def _quoted(text: str) -> str:
    """Double-quoted style: JSON's escapes, and escapes for whatever else is not printable."""
    return "".join(
        char
        if char.isprintable()
        else f"\\x{ord(char):02x}"
        if ord(char) < 0x100
        else f"\\u{ord(char):04x}"
        if ord(char) < 0x10000
        else f"\\U{ord(char):08x}"
        for char in json.dumps(text, ensure_ascii=False)
    )


def flow_text(value: Any) -> str:
    """Render a value on one line: `{name: vision, gid: 10001}`, `[a, b]` or a scalar."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar_text(key)}: {flow_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(flow_text(item) for item in value) + "]"
    return scalar_text(value)


def _pair_lines(key: str, value: Any, list_indent: int) -> list[str]:
    """Lines of `key: value` in block style; only lists with long items get a line per item."""
    if isinstance(value, (list, tuple)) and any(len(flow_text(item)) > _FLOW_ITEM_LIMIT for item in value):
        return [f"{scalar_text(key)}:", *(" " * list_indent + "- " + flow_text(item) for item in value)]
    return [f"{scalar_text(key)}: {flow_text(value)}"]


def entry_lines(value: Any, *, list_indent: int = 2, gap: str = " ", flow: bool = False) -> list[str]:
    """Lines of one `- ` entry, unindented. list_indent: columns of `-` under its key; gap: blanks after the dash."""
    if not isinstance(value, dict) or flow or not value:
        return [f"-{gap}{flow_text(value)}"]
    lines = [line for key, item in value.items() for line in _pair_lines(key, item, list_indent)]
    inner = " " * (1 + len(gap))
    return [f"-{gap}{lines[0]}", *(inner + line for line in lines[1:])]


# -- text to nodes -------------------------------------------------------------------------------------------------


def _build(text: str) -> _Node | None:
    """Parse a text of at most one document; None when it holds no value. Raises DocumentError."""
    try:
        events = list(yaml.parse(text, Loader=yaml.CSafeLoader))
    except yaml.YAMLError as error:
        raise DocumentError(f"this is not valid YAML: {' '.join(str(error).split())}") from error
    starts = [index for index, event in enumerate(events) if isinstance(event, yaml.DocumentStartEvent)]
    if not starts:
        return None
    if len(starts) > 1:
        raise DocumentError("the file holds several YAML documents (---); Ansible reads only one, merge them")
    node, _ = _node(text, events, starts[0] + 1, None)
    return node


def _node(text: str, events: Sequence[Any], at: int, key: _Node | None) -> tuple[_Node, int]:
    """Build the node whose first event is events[at]; returns it and the index of the event after it."""
    event = events[at]
    start, end, column = event.start_mark.index, event.end_mark.index, event.start_mark.column
    at += 1
    if isinstance(event, yaml.AliasEvent):
        return _Node("alias", start, end, column, identity=("alias",), anchor=event.anchor), at
    tag = str(getattr(event, "tag", None) or "")
    if isinstance(event, yaml.ScalarEvent):
        style = "quoted" if event.style else "plain"
        node = _Node("scalar", start, end, column, identity=(style, tag, event.value), anchor=event.anchor)
        if start == end:  # the parser puts "nothing" before the next token, it belongs behind its key or dash
            colon = re.compile(r"[ \t]*:").match(text, key.end) if key is not None else None
            node.start = node.end = colon.end() if colon else len(text[:start].rstrip())
        elif event.style in ("|", ">"):
            node.end = len(text[:end].rstrip())
        return node, at
    node = _Node(
        "seq" if isinstance(event, yaml.SequenceStartEvent) else "map", start, end, column, flow=bool(event.flow_style)
    )
    node.anchor = event.anchor
    while not isinstance(events[at], yaml.CollectionEndEvent):
        if node.kind == "seq":
            child, at = _node(text, events, at, None)
            node.items.append(child)
        else:
            name_node, at = _node(text, events, at, None)
            child, at = _node(text, events, at, name_node)
            node.pairs.append((name_node, child))
        if not node.flow:
            node.end = child.end
    if node.flow:
        node.end = events[at].end_mark.index
    return node, at + 1


def _data(node: _Node | None, anchors: dict[str, Any] | None = None) -> Any:
    """The data a node stands for, aliases resolved, comparable with ==; quoted 'no' and plain no differ."""
    anchors = {} if anchors is None else anchors
    if node is None:
        return {}
    data: Any = node.identity
    if node.kind == "alias":
        return deepcopy(anchors.get(node.anchor or "", data))
    if node.kind == "seq":
        data = [_data(item, anchors) for item in node.items]
    elif node.kind == "map":
        data = {key.value: _data(value, anchors) for key, value in node.pairs}
    if node.anchor:
        anchors[node.anchor] = data
    return data


def _new_data(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _new_data(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_new_data(item) for item in value]
    text = scalar_text(value)
    return ("quoted", "", value) if text.startswith('"') else ("plain", "", text)


# -- editing -------------------------------------------------------------------------------------------------------


class Document:
    """One YAML file in memory.

    Paths are tuples of mapping keys and list positions: ("lyceum_people", 3, "groups"). Every method changes one
    value, checks the result by parsing it again, and raises DocumentError (leaving the text as it was) when the
    layout around the value is one it cannot edit.
    """

    def __init__(self, text: str, name: str = "the file") -> None:
        self.name = name
        self._mark = "\ufeff" if text.startswith("\ufeff") else ""
        self._body = text[len(self._mark) :]
        self._newline = "\r\n" if "\r\n" in text else "\n"
        self._root = self._parse(self._body)

    @property
    def text(self) -> str:
        """The whole text as it would be written."""
        return self._mark + self._body

    def keys(self) -> list[str]:
        """Names of the top-level variables, in order."""
        return [key.value for key, _ in self._root.pairs] if self._root else []

    def find(self, variable: str, name: str) -> int | None:
        """Position in the list `variable` of the entry whose `name` is name; None when there is none."""
        pair = self._root.pair(variable) if self._root else None
        for index, item in enumerate(pair[1].items if pair else []):
            found = item.pair("name")
            if found is not None and found[1].value == name:
                return index
        return None

    def set(self, path: Path, value: Any, order: Sequence[str] = ()) -> None:
        """Give the key at `path` a value. A new key goes behind the nearest present key that precedes it in `order`."""
        parent, key = self._lookup(path[:-1]), path[-1]
        pair = parent.pair(str(key))
        if isinstance(key, int) or pair is not None:
            old = parent.items[key] if isinstance(key, int) else pair[1]  # type: ignore[index]
            changed = self._replaced(pair[0] if pair else None, old, value)
        else:
            changed = self._with_pair(parent, key, value, order)
        data = self._data_at(path[:-1])
        data[1][key] = _new_data(value)
        self._accept(changed, data[0], path)

    def delete(self, path: Path) -> None:
        """Remove the key or list entry at `path`; comments on its own lines go, all others stay."""
        parent, key = self._lookup(path[:-1]), path[-1]
        if parent.kind == "map":
            index = [name.value for name, _ in parent.pairs].index(str(key))
            spans = [(name, value.end) for name, value in parent.pairs]
        else:
            index = int(key)
            spans = [(item, item.end) for item in parent.items]
        if len(spans) == 1:
            self.set(path[:-1], {} if parent.kind == "map" else [])
            return
        first, end = spans[index]
        if parent.flow:
            changed = self._without_flow_item([(node.start, stop) for node, stop in spans], index)
        else:
            line = self._line_start(first.start if parent.kind == "map" else self._dash(parent, first))
            dash = first.start if parent.kind == "map" else self._dash(parent, first)
            if self._body[line:dash].strip():
                raise self._refusal(path)
            changed = self._body[:line] + self._body[self._line_end(end) :]
        data = self._data_at(path[:-1])
        del data[1][key]
        self._accept(changed, data[0], path)

    def append(self, path: Path, value: Any, *, flow: bool = False) -> None:
        """Add an entry at the end of the list at `path`, in the style of the entries before it.

        A missing or null list is created; `flow` chooses the style of a mapping that is the first entry.
        """
        parent = self._lookup(path[:-1]) if len(path) > 1 else self._root
        pair = parent.pair(str(path[-1])) if parent is not None and parent.kind == "map" else None
        target = pair[1] if pair else None
        if pair is None and parent is not None and parent.pair("<<") is not None:
            raise self._refusal(path)  # the list may come in through the merge key, and would be replaced
        if target is not None and target.kind != "seq" and not target.is_null:
            raise self._refusal(path)
        if target is not None and target.items:
            changed = self._with_flow_item(target, value) if target.flow else self._with_entry(target, value)
        elif len(path) > 1:
            self.set(path, [value])
            return
        else:
            changed = self._with_first_entry(str(path[-1]), pair, value, flow)
        data = self._data_at(path[:-1])
        old = data[1].get(path[-1])
        data[1][path[-1]] = [*(old if isinstance(old, list) else []), _new_data(value)]
        self._accept(changed, data[0], path)

    # -- splices; each returns the new text ------------------------------------------------------------------------

    def _replaced(self, key: _Node | None, old: _Node, value: Any) -> str:
        body = self._body
        if old.flow:
            blank = " " if old.empty else ""
            return body[: old.start] + blank + flow_text(value) + body[old.end :]
        if key is None:
            raise DocumentError(f"{self.name}: a list entry over several lines cannot be replaced; edit it by hand")
        colon = body.index(":", key.end) + 1
        line_end = self._line_end(colon)
        return body[:colon] + " " + flow_text(value) + body[colon:line_end] + body[self._line_end(old.end) :]

    def _with_pair(self, parent: _Node, key: str, value: Any, order: Sequence[str]) -> str:
        if parent.kind != "map":
            raise DocumentError(f"{self.name}: {key} can only be set in a mapping; edit the file by hand")
        text = f"{scalar_text(key)}: {flow_text(value)}"
        if not parent.pairs:
            return self._body[: parent.start] + "{" + text + "}" + self._body[parent.end :]
        rank = order.index(key) if key in order else len(order)
        before = [pair for pair in parent.pairs if pair[0].value in order[:rank]] if key in order else parent.pairs
        last = (before or parent.pairs[:1])[-1][1]
        if parent.flow:
            return self._body[: last.end] + ", " + text + self._body[last.end :]
        column = parent.pairs[0][0].column
        lines = _pair_lines(key, value, self._list_indent())
        return self._with_lines(last.end, [" " * column + line for line in lines])

    def _with_flow_item(self, target: _Node, value: Any) -> str:
        end = target.items[-1].end
        return self._body[:end] + ", " + flow_text(value) + self._body[end:]

    def _with_entry(self, target: _Node, value: Any) -> str:
        last = target.items[-1]
        dash = self._dash(target, last)
        gap = self._body[dash + 1 : last.start]
        flow = last.kind == "map" and last.flow
        lines = entry_lines(value, list_indent=self._list_indent(), gap=gap if gap.strip(" ") == "" else " ", flow=flow)
        lines = [" " * target.column + line for line in lines]
        if len(target.items) > 1:
            between = self._body[self._line_end(target.items[-2].end) : self._line_start(dash)]
            if between.startswith(("\n", "\r\n")):
                lines.insert(0, "")
        return self._with_lines(last.end, lines)

    def _with_first_entry(self, variable: str, pair: tuple[_Node, _Node] | None, value: Any, flow: bool) -> str:
        lines = ["  " + line for line in entry_lines(value, flow=flow)]
        if pair is None:
            return self._with_lines(len(self._body), [f"{variable}:", *lines])
        key, old = pair
        colon = self._body.index(":", key.end) + 1
        emptied = self._body[:colon] + self._body[old.end :]
        return self._with_lines(colon, lines, emptied)

    def _without_flow_item(self, spans: list[tuple[int, int]], index: int) -> str:
        body, (start, end) = self._body, spans[index]
        if index + 1 < len(spans) and "#" not in body[end : spans[index + 1][0]]:
            return body[:start] + body[spans[index + 1][0] :]
        if index > 0 and "#" not in body[spans[index - 1][1] : start]:
            return body[: spans[index - 1][1]] + body[end:]
        # Comments on both sides: take the value with its comma and leave them.
        comma = re.compile(r"[ \t]*,").match(body, end)
        return body[:start] + body[comma.end() if comma else end :]

    def _with_lines(self, position: int, lines: list[str], body: str | None = None) -> str:
        """Put whole lines behind the line that holds `position`; a missing final newline stays missing."""
        body = self._body if body is None else body
        at = self._line_end(position, body)
        block = self._newline.join(lines)
        if at and not body[:at].endswith("\n"):
            return body[:at] + self._newline + block + body[at:]
        return body[:at] + block + self._newline + body[at:]

    # -- positions -------------------------------------------------------------------------------------------------

    def _line_start(self, position: int) -> int:
        return self._body.rfind("\n", 0, position) + 1

    def _line_end(self, position: int, body: str | None = None) -> int:
        """Index behind the line break that ends the line holding `position`."""
        body = self._body if body is None else body
        found = body.find("\n", position)
        return len(body) if found < 0 else found + 1

    def _dash(self, target: _Node, item: _Node) -> int:
        """Index of the dash of an item of a block list: all dashes of one list stand in one column."""
        line = self._line_start(item.start)
        while line > 0 and self._body[line + target.column : line + target.column + 1] != "-":
            line = self._line_start(line - 1)
        return line + target.column

    def _list_indent(self) -> int:
        """How far this file indents the dashes of a list under its key (0 or 2): copied from its first block list."""
        for _, value in self._root.pairs if self._root else []:
            if value.kind == "seq" and not value.flow:
                return min(value.column, 2)
        return 2

    # -- reading and checking --------------------------------------------------------------------------------------

    def _parse(self, body: str) -> _Node | None:
        try:
            with without_gc():
                root = _build(body)
        except DocumentError as error:
            raise DocumentError(f"{self.name}: {error}") from error
        if root is not None and root.is_null:
            return None
        if root is not None and root.kind != "map":
            raise DocumentError(f"{self.name}: the file must hold variables (name: value), not a {root.kind}")
        return root

    def _lookup(self, path: Path) -> _Node:
        node = self._root
        for key in path:
            if node is not None and isinstance(key, int):
                node = node.items[key]
            else:
                pair = node.pair(str(key)) if node is not None else None
                node = pair[1] if pair else None
        if node is None:
            raise self._refusal(path)
        return node

    def _data_at(self, path: Path) -> tuple[Any, Any]:
        """The data of the whole document and, inside it, the container at `path` (the same object)."""
        whole = _data(self._root)
        inner = whole
        for key in path:
            inner = inner[key]
        return whole, inner

    def _accept(self, body: str, expected: Any, path: Path) -> None:
        if body.endswith("\n") and self._body and not self._body.endswith("\n"):
            body = body[: -len(self._newline)]
        try:
            root = self._parse(body)
        except DocumentError as error:
            raise self._refusal(path) from error
        if _data(root) != expected:
            raise self._refusal(path)
        self._body, self._root = body, root

    def _refusal(self, path: Path) -> DocumentError:
        where = ".".join(str(key) for key in path)
        return DocumentError(
            f"{self.name}: cannot change {where} without touching the text around it "
            "(an anchor, a merge key or an unusual layout); nothing was written: edit it by hand"
        )
