# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the registry files of an inventory. What is wrong with a file becomes a problem with its line, no traceback."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .model import VARIABLES
from .positions import DataPath, line_of, parse, show
from .problem import ERROR, Problem, shorten
from .suggest import closest
from .yaml_text import Foreign, Twice, YamlTextError, compose, read_mapping, without_gc

# Folder inside group_vars/all that links to the defaults shared by all inventories. It holds no people.
COMMON = "00_common"

_EXTENSIONS = ("", ".yml", ".yaml", ".json")  # those Ansible reads
_SECTIONS = {variable: section for section, variable in VARIABLES.items()}
_TOP_LEVEL = re.compile(r"^(lyceum_[a-z0-9_]+)\s*:", re.MULTILINE)
_TEMPLATE = re.compile(r"\{\{|\{%|\{#")
_TEMPLATE_OR_TAG = re.compile(rf"{_TEMPLATE.pattern}|![A-Za-z]")

_READABLE = "Make it a file that you may read."
_PLAIN = "The registry is plain data that any program can read: write the value itself."
_WHERE_FILES_GO = "Give the inventory folder that holds group_vars/all/people.yml, for example inventories/lab."


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
    _positions: _Positions = field(repr=False)

    def locate(self, path: str | DataPath) -> str:
        """'people.yml:12' for ("people", 3, "uid") or "lyceum_people[amartin].uid"; "" when it is in no file.

        The file is named relative to group_vars/all. A key that is not there gives the line of what would hold it.
        """
        steps = parse(path, self.raw) if isinstance(path, str) else path
        file = self.defined_in.get(str(steps[0])) if steps else None
        return "" if file is None else self._positions.of(file, (VARIABLES[str(steps[0])], *steps[1:]))


def read(inventory_dir: Path | str) -> Loaded:
    """Read group_vars/all of an inventory. Never raises for what a user can write into those files."""
    root = Path(inventory_dir)
    reader = _Reader(root.parent if root.is_file() else root)
    with without_gc():
        reader.read_all()
    return Loaded(
        reader.positions.root,
        reader.raw,
        tuple(reader.files),
        reader.defined_in,
        tuple(reader.problems),
        reader.broken,
        reader.positions,
    )


class _Positions:
    """Line numbers in the files of one inventory, worked out only for the files somebody asks about."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "group_vars" / "all"
        self.texts: dict[Path, str] = {}
        self._nodes: dict[Path, yaml.Node | None] = {}

    def label(self, file: Path) -> str:
        """How messages call a file: people.yml for what lies in group_vars/all, else the path inside the inventory."""
        return str(file.relative_to(self.folder if file.is_relative_to(self.folder) else self.root))

    def of(self, file: Path, path: DataPath) -> str:
        if file not in self._nodes:
            self._nodes[file] = compose(self.texts[file])
        return f"{self.label(file)}:{line_of(self._nodes[file], path)}"


class _Reader:
    def __init__(self, root: Path) -> None:
        self.positions = _Positions(root)
        self.raw: dict[str, Any] = {}
        self.files: list[Path] = []
        self.defined_in: dict[str, Path] = {}
        self.problems: list[Problem] = []
        self.broken = False
        self.shared: set[str] = set()  # lyceum_* variables that the shared defaults define

    def read_all(self) -> None:
        folder = self.positions.folder
        try:
            for file in _registry_files(folder):
                self._read(file)
            for file in _other_files(self.positions.root, folder):
                self._read_elsewhere(file)
        except OSError as exc:
            self.broken = True
            self._report(str(exc.filename), "", f"cannot be read: {exc.strerror}", _READABLE)
        if not self.files and not self.problems:
            self.broken = True
            self._report(str(folder), "", "there are no registry files here", _WHERE_FILES_GO)

    def _report(self, where: str, path: str, message: str, remedy: str, value: str = "") -> None:
        self.problems.append(Problem(ERROR, where, path, value, message, remedy))

    def _text(self, file: Path) -> str | None:
        label = self.positions.label(file)
        try:
            return file.read_bytes().decode("utf-8")
        except OSError as exc:
            self._report(label, "", f"cannot be read: {exc.strerror}", _READABLE)
        except UnicodeDecodeError as exc:
            line = exc.object.count(b"\n", 0, exc.start) + 1
            message = f"is not UTF-8 text (byte 0x{exc.object[exc.start]:02x})"
            self._report(f"{label}:{line}", "", message, "Save the file as UTF-8.")
        self.broken = True
        return None

    def _read(self, file: Path) -> None:
        text = self._text(file)
        if text is None or text.startswith("$ANSIBLE_VAULT"):  # encrypted: secrets, never the registry
            return
        if file.is_relative_to(self.positions.folder / COMMON):
            self.shared.update(match[1] for match in _TOP_LEVEL.finditer(text))
            self._misplaced(file, text, "is set in the defaults shared by all inventories")
            return
        self.files.append(file)
        self.positions.texts[file] = text
        try:
            content, twice = read_mapping(text)
        except YamlTextError as exc:
            self.broken = True
            label = self.positions.label(file)
            self._report(f"{label}:{exc.line}" if exc.line else label, "", str(exc), exc.remedy)
            return
        for key in twice:
            self._set_twice(file, content, key)
        for variable, value in content.items():
            self._take(file, variable, value)

    def _read_elsewhere(self, file: Path) -> None:
        """A file for some groups or hosts only: Ansible would take a registry from there, every other reader not."""
        text = self._text(file)
        if text is not None:
            self._misplaced(file, text, "is set for some hosts only")

    def _misplaced(self, file: Path, text: str, message: str) -> None:
        for match in _TOP_LEVEL.finditer(text):
            if match[1] in _SECTIONS:
                line = text.count("\n", 0, match.start()) + 1
                remedy = "Move it to group_vars/all of the inventory whose people it describes."
                self._report(f"{self.positions.label(file)}:{line}", match[1], message, remedy)

    def _set_twice(self, file: Path, content: Mapping[Any, Any], key: Twice) -> None:
        section = _SECTIONS.get(str(key.path[0]), str(key.path[0]))
        self._report(
            f"{self.positions.label(file)}:{key.line}",
            show((section, *key.path[1:]), {section: content.get(key.path[0])}),
            f"is set twice in one place (first in line {key.first_line}); the second would silently win",
            "Keep one of the two.",
        )

    def _take(self, file: Path, variable: Any, value: Any) -> None:
        section = _SECTIONS.get(variable) if isinstance(variable, str) else None
        if section is None:
            self._unknown(file, variable)
        elif section in self.defined_in:
            first = self.positions.of(self.defined_in[section], (variable,))
            message = f"is also set in {first}; one of the two would be lost"
            self._report(self.positions.of(file, (variable,)), variable, message, "Merge them into one file.")
        else:
            self.defined_in[section] = file
            self.raw[section] = value
            if _TEMPLATE_OR_TAG.search(self.positions.texts[file]):
                self._not_plain(file, variable, section)

    def _not_plain(self, file: Path, variable: str, section: str) -> None:
        for path, text in _strings(self.raw[section], (section,)):
            where = (variable, *path[1:])
            if isinstance(text, Foreign):
                message = f"is not data but something tagged {text.tag}"
                self._report(self.positions.of(file, where), show(path, self.raw), message, _PLAIN)
            elif _TEMPLATE.search(text):
                shown = shorten(text)
                message = "is a Jinja expression"
                self._report(self.positions.of(file, where), show(path, self.raw), message, _PLAIN, shown)

    def _unknown(self, file: Path, variable: Any) -> None:
        if not isinstance(variable, str):
            message = "is not the name of a variable"
            self._report(self.positions.of(file, (str(variable),)), str(variable), message, "Remove it or quote it.")
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
        remedy = "Correct the name." if meant else f"Variables of the registry are {', '.join(_SECTIONS)}."
        message = f"is not a variable Lyceum knows.{hint}"
        self._report(self.positions.of(file, (variable,)), variable, message, remedy)


def _registry_files(folder: Path) -> Iterator[Path]:
    """The files Ansible would read for the group `all`, in its order."""
    yield from (path for extension in _EXTENSIONS if (path := Path(f"{folder}{extension}")).is_file())
    if folder.is_dir():
        yield from _walk(folder)


def _walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if path.name.startswith(".") or path.name.endswith("~"):
            continue
        if path.is_dir() and not path.suffix:
            yield from _walk(path)
        elif path.suffix in _EXTENSIONS:
            yield path


def _other_files(root: Path, folder: Path) -> Iterator[Path]:
    for name in ("group_vars", "host_vars"):
        for path in sorted((root / name).glob("**/*")):
            of_all = folder in path.parents or (path.parent == folder.parent and path.stem == folder.name)
            if path.suffix in _EXTENSIONS and path.is_file() and not of_all:
                yield path


def _strings(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _strings(item, (*path, str(key)))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _strings(item, (*path, index))
