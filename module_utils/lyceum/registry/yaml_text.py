# SPDX-License-Identifier: GPL-3.0-or-later
"""YAML as Ansible reads it, with every mistake turned into a line number and a sentence."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import yaml

from ..errors import LyceumError
from .positions import DataPath

_MAP = "tag:yaml.org,2002:map"
_NULL = "tag:yaml.org,2002:null"
_TIMESTAMP = "tag:yaml.org,2002:timestamp"
# Anchors may repeat parts of a registry; a file that becomes larger than this is a mistake or an attack.
_MAX_VALUES = 5_000_000
_MAX_DEPTH = 50
# libyaml overflows the stack at some 100,000 levels, so absurd nesting is refused before it sees the text.
_MAX_OPEN_BRACKETS = 1000
_DEEP_BLOCK = re.compile(r"(?:[-?] ){500}")


class YamlTextError(LyceumError):
    """line: 1-based, 0 when unknown. The message says what is wrong, `remedy` what to do. Never quotes the text,
    which may be a private key pasted by mistake."""

    def __init__(self, line: int, message: str, remedy: str) -> None:
        super().__init__(message)
        self.line = line
        self.remedy = remedy


class Foreign(str):
    """Text that stood behind a tag such as !vault or !unsafe."""

    tag = ""


@dataclass(frozen=True)
class Twice:
    """A key that a mapping has a second time; the second would silently win."""

    path: DataPath
    line: int
    first_line: int


def read_mapping(text: str) -> tuple[dict[Any, Any], list[Twice]]:
    """The mapping at the top of a file ({} for an empty one) and the keys that stand twice in it.

    Dates stay text. YamlTextError for everything that cannot be read.
    """
    _refuse_absurd_nesting(text)
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None or node.tag == _NULL:  # nothing, or nothing below `---`
            return {}, []
        if not isinstance(node, yaml.MappingNode) or node.tag != _MAP:
            raise YamlTextError(
                node.start_mark.line + 1,
                "does not hold `variable: value` lines at its top",
                "Begin with a line such as `lyceum_people:` and indent what belongs to it.",
            )
        twice = list(_set_twice(node))  # before construction, which writes merge keys (<<) out
        data = loader.construct_document(node)
        if "*" in text and _count(data, {}) > _MAX_VALUES:
            raise ValueError("its anchors and aliases expand without end")
    except yaml.MarkedYAMLError as exc:
        raise _syntax_error(text, exc) from exc
    except yaml.reader.ReaderError as exc:
        line = text.count("\n", 0, exc.position) + 1
        raise YamlTextError(line, "contains a character that YAML does not allow", "Remove that character.") from exc
    except (ValueError, LookupError) as exc:  # what an explicit tag such as `!!int x` makes PyYAML raise
        raise YamlTextError(0, f"a value in it cannot be read ({exc})", "Write plain text, numbers and lists.") from exc
    finally:
        loader.dispose()
    return dict(data), twice


def compose(text: str) -> yaml.Node | None:
    """The node tree of a text that `read_mapping` has read, for line numbers."""
    with without_gc():
        node: yaml.Node | None = yaml.compose(text, Loader=_Loader)
    return node


@contextmanager
def without_gc() -> Iterator[None]:
    """The collector walks the growing tree again and again: 10,000 people take 4.7 s with it, 1 s without."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _syntax_error(text: str, exc: yaml.MarkedYAMLError) -> YamlTextError:
    mark = exc.problem_mark or exc.context_mark
    if mark is None:
        return YamlTextError(0, f"is not valid YAML: {exc.problem}", "Correct the file.")
    lines = text.split("\n")
    here = lines[mark.line] if mark.line < len(lines) else ""
    problem = str(exc.problem)
    message = f"is not valid YAML: {problem}"
    remedy = "Compare the indentation, colons, quotes and brackets of this line with those above it."
    if "\t" in here[: len(here) - len(here.lstrip())] or here[mark.column : mark.column + 1] == "\t":
        message, remedy = "is not valid YAML: the line is indented with a tab", "Indent with spaces."
    elif "expected a single document" in str(exc):
        message = "holds more than one YAML document"
        remedy = "Remove the lines inside the file that are just `---`."
    else:
        if "mapping values are not allowed" in problem:
            remedy = "Put a text that contains `: ` in quotes, and begin each key on a line of its own."
        elif "could not find expected ':'" in problem:
            remedy = "Write `key: value` with a colon and a space; the mistake may be in the line above."
        begin = exc.context_mark
        if begin is not None and begin.line != mark.line:
            message += f" (in what begins in line {begin.line + 1})"
    return YamlTextError(mark.line + 1, message, remedy)


def _refuse_absurd_nesting(text: str) -> None:
    depth = 0
    if text.count("[") + text.count("{") > _MAX_OPEN_BRACKETS:
        for bracket in re.finditer(r"[\[\]{}]", text):
            depth += 1 if bracket[0] in "[{" else -1
            if depth > _MAX_OPEN_BRACKETS:
                break
    if depth > _MAX_OPEN_BRACKETS or _DEEP_BLOCK.search(text):
        raise YamlTextError(0, "is nested too deeply", "Look for brackets that are never closed.")


def _set_twice(root: yaml.Node) -> Iterator[Twice]:
    seen: set[int] = set()
    todo: list[tuple[yaml.Node, tuple[str | int, ...]]] = [(root, ())]
    while todo:
        node, path = todo.pop()
        if isinstance(node, yaml.ScalarNode) or id(node) in seen:
            continue
        if len(path) > _MAX_DEPTH:
            raise YamlTextError(node.start_mark.line + 1, "is nested too deeply", "Write it flatter.")
        seen.add(id(node))  # an alias leads to a node more than once
        if isinstance(node, yaml.SequenceNode):
            todo.extend((item, (*path, index)) for index, item in enumerate(node.value))
            continue
        keys: dict[str, int] = {}
        for key, value in node.value:
            todo.append((value, (*path, str(key.value) if isinstance(key, yaml.ScalarNode) else "?")))
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            line = key.start_mark.line + 1
            if key.value in keys:
                yield Twice((*path, key.value), line, keys[key.value])
            keys.setdefault(key.value, line)


def _count(value: Any, known: dict[int, int]) -> int:
    """How many values a structure has when its aliases are written out. ValueError when it contains itself."""
    if not isinstance(value, (dict, list)):
        return 1
    if id(value) in known:
        if known[id(value)] < 0:
            raise ValueError("an anchor contains itself")
        return known[id(value)]
    known[id(value)] = -1
    items = value.values() if isinstance(value, dict) else value
    known[id(value)] = 1 + sum(_count(item, known) for item in items)
    return known[id(value)]


class _Loader(yaml.CSafeLoader):
    """Dates stay text, so that the validator can say which are impossible; unknown tags are kept as `Foreign`."""


def _foreign(loader: yaml.CSafeLoader, suffix: str, node: yaml.Node) -> Foreign:
    value = Foreign(node.value if isinstance(node, yaml.ScalarNode) else "")
    value.tag = f"!{suffix}"
    return value


def _text(loader: yaml.CSafeLoader, node: yaml.ScalarNode) -> Any:
    return loader.construct_scalar(node)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_multi_constructor("!", _foreign)
_Loader.add_constructor(_TIMESTAMP, _text)
