# SPDX-License-Identifier: GPL-3.0-or-later
"""The drop-in file of one slice, as text and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .properties import PROPERTIES, Value, from_text, to_text

UNITS = Path("/etc/systemd/system")
# A file of the same name in user-<uid>.slice.d replaces the one in user-.slice.d as a whole (systemd.unit(5)), so that
# what the defaults set never reaches somebody with a file of their own. It also sorts after 50-MemoryMax.conf and its
# like, which `systemctl set-property` writes: those last until the next reload of systemd only.
FILE = "50-lyceum.conf"
MODE = 0o644
DEFAULT = "user-.slice"

_HEADER = "# Written by Lyceum (role cgroups): what is changed here by hand is lost with the next run."
_FOR = "# For: "
_PENDING = "# Pending until less memory is in use: "
_SLICE = re.compile(r"user-([0-9]+)\.slice\Z")


@dataclass(frozen=True)
class DropIn:
    """whose: a login name, or what else the limits are for. pending: values that wait (see plan.py)."""

    whose: str
    values: Mapping[str, Value] = field(default_factory=dict)
    pending: Mapping[str, Value] = field(default_factory=dict)


def slice_of(uid: int) -> str:
    """By uid, never by name: a hyphen in the name of a slice makes it the child of another."""
    return f"user-{uid}.slice"


def uid_of(name: str) -> int | None:
    """The uid of a user's slice, None for any other unit."""
    match = _SLICE.match(name)
    return int(match[1]) if match else None


def path_of(slice_name: str, units: Path = UNITS) -> Path:
    return units / f"{slice_name}.d" / FILE


def render(dropin: DropIn) -> str:
    """The file's content. Properties in the order of PROPERTIES, so that equal limits are equal files."""
    lines = [_HEADER, f"{_FOR}{dropin.whose}"]
    lines += [
        f"{_PENDING}{name}={to_text(name, dropin.pending[name])}" for name in PROPERTIES if name in dropin.pending
    ]
    lines += ["", "[Slice]"]
    lines += [f"{name}={to_text(name, dropin.values[name])}" for name in PROPERTIES if name in dropin.values]
    return "\n".join(lines) + "\n"


def parse(text: str) -> DropIn:
    """The way back from `render`; properties that are not managed here are left out.

    Raises ValueError on a value that is not one, which only a hand can have written.
    """
    whose = ""
    values: dict[str, Value] = {}
    pending: dict[str, Value] = {}
    for line in text.splitlines():
        if line.startswith(_FOR):
            whose = line[len(_FOR) :]
        elif line.startswith(_PENDING):
            _assign(pending, line[len(_PENDING) :])
        else:
            _assign(values, line)
    return DropIn(whose, values, pending)


def _assign(values: dict[str, Value], line: str) -> None:
    name, equals, text = line.partition("=")
    if equals and name.strip() in PROPERTIES:
        values[name.strip()] = from_text(name.strip(), text.strip())
