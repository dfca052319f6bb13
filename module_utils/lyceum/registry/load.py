# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the registry files of an inventory. What is wrong with a file becomes a problem with its line, no traceback."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .model import VARIABLES
from .positions import DataPath, line_of, parse, show
from .problem import ERROR, Problem, shorten
from .suggest import closest

# Folder inside group_vars/all that links to the defaults shared by all inventories. It holds no people.
COMMON = "00_common"
_EXTENSIONS = ("", ".yml", ".yaml", ".json")  # those Ansible reads
_SECTIONS = {variable: section for section, variable in VARIABLES.items()}
_TOP_LEVEL = re.compile(r"^(lyceum_[a-z0-9_]+)\s*:", re.MULTILINE)
_TEMPLATE = re.compile(r"\{\{|\{%|\{#")
# Anchors may repeat parts of a registry; beyond this many values in one file it is a mistake or an attack.
_MAX_VALUES = 5_000_000


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
    _texts: dict[Path, str] = field(repr=False)
    _roots: dict[Path, yaml.Node | None] = field(default_factory=dict, repr=False)

    def locate(self, path: str | DataPath) -> str:
        """'people.yml:12' for ("people", 3, "uid") or "lyceum_people[amartin].uid"; "" when it is in no file.

        The file is named relative to group_vars/all. A key that is not there gives the line of what would hold it.
        """
        steps = parse(path, self.raw) if isinstance(path, str) else path
        file = self.defined_in.get(str(steps[0])) if steps else None
        if file is None:
            return ""
        if file not in self._roots:
            with _without_gc():
                self._roots[file] = yaml.compose(self._texts[file], Loader=_Loader)
        line = line_of(self._roots[file], (VARIABLES[str(steps[0])], *steps[1:]))
        return f"{_label(self.inventory_dir, file)}:{line}"


def read(inventory_dir: Path | str) -> Loaded:
    """Read group_vars/all of an inventory. Never raises for what a user can write into those files."""
    root = Path(inventory_dir)
    if root.is_file():
        root = root.parent
    reader = _Reader(root)
    with _without_gc():
        for file in _files(root):
            reader.read(file)
    for file in _elsewhere(root):
        reader.read_elsewhere(file)
    if not reader.files:
        reader.broken = True
        reader.report(str(root / "group_vars" / "all"), "", "there are no registry files here", _WHERE_FILES_GO)
    return Loaded(
        root,
        reader.raw,
        tuple(reader.files),
        reader.defined_in,
        tuple(reader.problems),
        reader.broken,
        reader.texts,
    )


_WHERE_FILES_GO = "Give the inventory folder that holds group_vars/all/people.yml, for example inventories/lab."
_PLAIN = "The registry is plain data that any program can read: write the value itself."


class _Reader:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.raw: dict[str, Any] = {}
        self.files: list[Path] = []
        self.defined_in: dict[str, Path] = {}
        self.problems: list[Problem] = []
        self.texts: dict[Path, str] = {}
        self.broken = False
        self.shared: set[str] = set()  # lyceum_* variables that the shared defaults define

    def report(self, where: str, path: str, message: str, remedy: str, value: str = "") -> None:
        self.problems.append(Problem(ERROR, where, path, value, message, remedy))

    def read(self, file: Path) -> None:
        label = _label(self.root, file)
        try:
            text = file.read_bytes().decode("utf-8")
        except OSError as exc:
            self.broken = True
            return self.report(label, "", f"cannot be read: {exc.strerror}", "Make it a file that you may read.")
        except UnicodeDecodeError as exc:
            self.broken = True
            line = exc.object.count(b"\n", 0, exc.start) + 1
            byte = exc.object[exc.start]
            return self.report(
                f"{label}:{line}", "", f"is not UTF-8 text (byte 0x{byte:02x})", "Save the file as UTF-8."
            )
        if file.is_relative_to(_folder(self.root) / COMMON):
            return self._read_shared(label, text)
        if text.startswith("$ANSIBLE_VAULT"):
            return None  # secrets; the registry itself is never encrypted
        self.files.append(file)
        self.texts[file] = text
        content = self._content(label, text)
        if content is None:
            return None
        for variable, value in content.items():
            self._take(file, variable, value)
        return None

    def _read_shared(self, label: str, text: str) -> None:
        self.shared.update(match[1] for match in _TOP_LEVEL.finditer(text))
        self._misplaced(label, text, "is set in the defaults shared by all inventories")

    def read_elsewhere(self, file: Path) -> None:
        """A file for some groups or hosts only: Ansible would take a registry from there, every other reader not."""
        try:
            text = file.read_bytes().decode("utf-8", errors="replace")
        except OSError as exc:
            message = f"cannot be read: {exc.strerror}"
            return self.report(_label(self.root, file), "", message, "Make it a file that you may read.")
        return self._misplaced(_label(self.root, file), text, "is set for some hosts only")

    def _misplaced(self, label: str, text: str, message: str) -> None:
        for match in _TOP_LEVEL.finditer(text):
            if match[1] in _SECTIONS:
                line = text.count("\n", 0, match.start()) + 1
                remedy = "Move it to group_vars/all of the inventory whose people it describes."
                self.report(f"{label}:{line}", match[1], message, remedy)

    def _content(self, label: str, text: str) -> dict[Any, Any] | None:
        """The mapping a file holds; None, and a problem where due, when it holds none."""
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            if not isinstance(node, yaml.MappingNode) or node.tag != "tag:yaml.org,2002:map":
                self.broken = True
                self.report(
                    f"{label}:{node.start_mark.line + 1}",
                    "",
                    "does not hold `variable: value` lines at its top",
                    "Begin with a line such as `lyceum_people:` and indent what belongs to it.",
                )
                return None
            twice = list(_set_twice(node))  # before construction, which writes merge keys (<<) out
            data = loader.construct_document(node)
            if "*" in text and _count(data, {}) > _MAX_VALUES:
                raise ValueError("its anchors and aliases expand without end")
        except yaml.YAMLError as exc:
            self.broken = True
            self._syntax_error(label, text, exc)
            return None
        except (ValueError, LookupError, RecursionError) as exc:
            # What an explicit tag (`!!int x`) or absurd nesting makes PyYAML raise.
            self.broken = True
            reason = "nested too deeply" if isinstance(exc, RecursionError) else str(exc)
            self.report(label, "", f"a value cannot be read ({reason})", _PLAIN)
            return None
        finally:
            loader.dispose()
        for path, line, first in twice:
            self._report_twice(label, data, path, line, first)
        return dict(data)

    def _syntax_error(self, label: str, text: str, exc: yaml.YAMLError) -> None:
        mark = getattr(exc, "problem_mark", None) or getattr(exc, "context_mark", None)
        if mark is None:  # a ReaderError: a character YAML does not know
            position = getattr(exc, "position", 0) or 0
            character = getattr(exc, "character", None)
            line = text.count("\n", 0, position) + 1
            shown = (
                f" (character {ord(character) if isinstance(character, str) else character:#x})" if character else ""
            )
            return self.report(f"{label}:{line}", "", f"is not text that YAML allows{shown}", "Remove that character.")
        lines = text.splitlines()
        here = lines[mark.line] if mark.line < len(lines) else ""
        message = f"is not valid YAML: {exc.problem}"  # type: ignore[attr-defined]
        begin = getattr(exc, "context_mark", None)
        if begin is not None and begin.line != mark.line:
            message += f" (in what begins in line {begin.line + 1})"
        remedy = "Compare the indentation, colons, quotes and brackets of this line with those above it."
        if "mapping values are not allowed" in message:
            remedy = "Put a text that contains `: ` in quotes, and begin each key on a line of its own."
        if "\t" in here[: len(here) - len(here.lstrip())] or here[mark.column : mark.column + 1] == "\t":
            message, remedy = "is not valid YAML: the line is indented with a tab", "Indent with spaces."
        elif "could not find expected ':'" in str(exc.problem):  # type: ignore[attr-defined]
            remedy = "Write `key: value` with a colon and a space; the mistake may be in the line above."
        elif "expected a single document" in str(exc):
            message, remedy = (
                "holds more than one YAML document",
                "Remove the lines that are just `---` inside the file.",
            )
        return self.report(f"{label}:{mark.line + 1}", "", message, remedy, shorten(here.strip()))

    def _report_twice(self, label: str, data: Mapping[Any, Any], path: DataPath, line: int, first: int) -> None:
        section = _SECTIONS.get(str(path[0]), path[0])
        self.report(
            f"{label}:{line}",
            show((section, *path[1:]), {str(section): data.get(path[0])}),
            f"is set twice in one place (first in line {first}); the second would silently win",
            "Keep one of the two.",
        )

    def _take(self, file: Path, variable: Any, value: Any) -> None:
        label = _label(self.root, file)
        section = _SECTIONS.get(variable) if isinstance(variable, str) else None
        if section is None:
            self._unknown(file, variable)
        elif section in self.defined_in:
            here = self._where(file, variable)
            first = self._where(self.defined_in[section], variable)
            self.report(
                here, variable, f"is also set in {first}; one of the two would be lost", "Merge them into one file."
            )
        else:
            self.defined_in[section] = file
            self.raw[section] = value
            if _TEMPLATE.search(self.texts[file]) or _Foreign.tag_hint.search(self.texts[file]):
                for path, text in _strings(value, (section,)):
                    if isinstance(text, _Foreign) or _TEMPLATE.search(text):
                        kind = f"the tag {text.tag}" if isinstance(text, _Foreign) else "a Jinja expression"
                        line = line_of(self._root_of(file), (variable, *path[1:]))
                        shown = "" if isinstance(text, _Foreign) else shorten(str(text))
                        self.report(f"{label}:{line}", show(path, self.raw), f"{kind} is not data", _PLAIN, shown)

    def _unknown(self, file: Path, variable: Any) -> None:
        if not isinstance(variable, str):
            self.report(
                self._where(file, variable), str(variable), "is not the name of a variable", "Remove it or quote it."
            )
            return
        known = {*_SECTIONS, *self.shared}
        if variable in known:
            return
        if variable in VARIABLES and file.stem in ("people", "groups", "projects", "limits"):
            meant: str | None = VARIABLES[variable]
        elif variable.startswith("lyceum_"):
            meant = closest(variable, known)
        else:
            meant = closest(variable, _SECTIONS, cutoff=0.85)
            if meant is None:
                return  # some variable of the site's own
        hint = f" Did you mean {meant!r}?" if meant else ""
        self.report(
            self._where(file, variable),
            variable,
            f"is not a variable Lyceum knows.{hint}",
            "Correct the name." if meant else f"Variables of the registry are {', '.join(_SECTIONS)}.",
        )

    def _where(self, file: Path, variable: Any) -> str:
        return f"{_label(self.root, file)}:{line_of(self._root_of(file), (str(variable),))}"

    def _root_of(self, file: Path) -> yaml.Node | None:
        return yaml.compose(self.texts[file], Loader=_Loader)


class _Foreign(str):
    """Text that stood behind a tag such as !vault or !unsafe."""

    tag = ""
    tag_hint = re.compile(r"![A-Za-z]")


class _Loader(yaml.CSafeLoader):
    """YAML as Ansible reads it, except that dates stay text (the validator says which are impossible)."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def _set_twice(root: yaml.Node) -> Iterator[tuple[DataPath, int, int]]:
    """(path, line, first line) of each key that a mapping has a second time."""
    seen: set[int] = set()
    todo: list[tuple[yaml.Node, tuple[str | int, ...]]] = [(root, ())]
    while todo:
        node, path = todo.pop()
        if isinstance(node, yaml.ScalarNode) or id(node) in seen:
            continue
        seen.add(id(node))  # an alias leads to a node more than once
        if isinstance(node, yaml.SequenceNode):
            todo.extend((item, (*path, index)) for index, item in enumerate(node.value))
            continue
        keys: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            todo.append((value, (*path, key.value)))
            line = key.start_mark.line + 1
            if key.value in keys:
                yield (*path, key.value), line, keys[key.value]
            keys.setdefault(key.value, line)


def _foreign(loader: yaml.CSafeLoader, suffix: str, node: yaml.Node) -> _Foreign:
    value = _Foreign(node.value if isinstance(node, yaml.ScalarNode) else "")
    value.tag = f"!{suffix}"
    return value


def _text(loader: yaml.CSafeLoader, node: yaml.ScalarNode) -> Any:
    return loader.construct_scalar(node)


_Loader.add_multi_constructor("!", _foreign)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _text)


@contextmanager
def _without_gc() -> Iterator[None]:
    """The collector walks the growing tree again and again: 10,000 people take 4.7 s with it, 1.3 s without."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _folder(root: Path) -> Path:
    return root / "group_vars" / "all"


def _files(root: Path) -> list[Path]:
    """The files Ansible would read for the group `all`, in its order."""
    single = [path for extension in _EXTENSIONS if (path := Path(f"{_folder(root)}{extension}")).is_file()]
    return [*single, *_walk(_folder(root))]


def _elsewhere(root: Path) -> list[Path]:
    inside = _folder(root)
    return [
        path
        for name in ("group_vars", "host_vars")
        for path in sorted((root / name).glob("**/*"))
        if path.suffix in _EXTENSIONS and path.is_file() and inside not in path.parents and path.stem != inside.name
    ]


def _walk(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    found: list[Path] = []
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if path.name.startswith(".") or path.name.endswith("~"):
            continue
        if path.is_dir() and not path.suffix:
            found.extend(_walk(path))
        elif path.suffix in _EXTENSIONS:
            found.append(path)
    return found


def _label(root: Path, file: Path) -> str:
    """How messages call a file: people.yml for what lies in group_vars/all, else the path inside the inventory."""
    folder = _folder(root)
    return str(file.relative_to(folder if file.is_relative_to(folder) else root))


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


def _strings(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _strings(item, (*path, str(key)))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _strings(item, (*path, index))
