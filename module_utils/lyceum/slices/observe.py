# SPDX-License-Identifier: GPL-3.0-or-later
"""What is there: drop-ins of ours and of others, live slices with what systemd and the kernel hold for them.

One directory listing per place of unit files, one `systemctl show` for all live slices, a few kernel files for each.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import LyceumError
from . import systemd, usage
from .dropin import DEFAULT, FILE, UNITS, uid_of
from .hierarchy import Hierarchy, online_cpus
from .properties import PROPERTIES, Value

ROOT = Path("/")
# Set between the first changed file and the reload of systemd: a run killed there leaves work to the next one. Below
# /run, because a boot reads everything anyway.
MARK = Path("/run/lyceum/slices.reload")
# Where drop-ins may lie (systemd.unit(5)), those that `systemctl set-property` writes first.
CONTROL = (Path("/etc/systemd/system.control"), Path("/run/systemd/system.control"))
PLACES = (
    *CONTROL,
    UNITS,
    Path("/run/systemd/system"),
    Path("/usr/local/lib/systemd/system"),
    Path("/usr/lib/systemd/system"),
)
NO_LOGIN = ("nologin", "false", "sync")


@dataclass(frozen=True)
class Foreign:
    """A drop-in of somebody else that sets managed properties. wins: it is read after ours."""

    path: Path
    properties: tuple[str, ...]
    by_set_property: bool

    @property
    def wins(self) -> bool:
        return self.path.name > FILE


@dataclass(frozen=True)
class Live:
    """A slice that exists now. shown: what systemd holds. kernel: what is in force, as far as the kernel tells."""

    shown: Mapping[str, Value]
    kernel: Mapping[str, Value]
    unreclaimable: int | None = None


@dataclass(frozen=True)
class Observed:
    """files: slice -> content of our drop-in. foreign: slice -> drop-ins of others.
    accounts: uid -> name of the accounts of this host that can log in. hierarchy: None where systemd has no cgroups.
    """

    files: Mapping[str, str]
    foreign: Mapping[str, tuple[Foreign, ...]]
    live: Mapping[int, Live]
    accounts: Mapping[int, str]
    hierarchy: Hierarchy | None
    cpus: tuple[int, ...] = (0,)
    reload_waits: bool = False
    obstacles: Mapping[str, str] = field(default_factory=dict)


def observe(only: Iterable[int] | None = None) -> Observed:
    """Read everything once. only: these live slices, instead of all. Raises LyceumError."""
    files, foreign = dropins()
    hierarchy = Hierarchy.read(ROOT)
    return Observed(
        files=files,
        foreign=foreign,
        live=live_slices(hierarchy, only),
        accounts={
            entry.pw_uid: entry.pw_name for entry in pwd.getpwall() if entry.pw_shell.rpartition("/")[2] not in NO_LOGIN
        },
        hierarchy=hierarchy,
        cpus=online_cpus(ROOT) or (0,),
        reload_waits=below(MARK).exists(),
        obstacles={} if hierarchy is None else hierarchy.obstacles(PROPERTIES),
    )


def live_slices(hierarchy: Hierarchy | None, only: Iterable[int] | None = None) -> dict[int, Live]:
    """All live slices of users, or those of `only`. Raises CommandError."""
    if hierarchy is None:
        return {}
    uids = hierarchy.live()
    if only is not None:
        uids = sorted(set(uids) & set(only))
    shown = systemd.show(uids)
    return {
        uid: Live(shown.get(uid, {}), hierarchy.limits(uid), usage.read(hierarchy, uid).unreclaimable) for uid in uids
    }


def below(path: Path) -> Path:
    return ROOT / path.relative_to("/")


def dropins() -> tuple[dict[str, str], dict[str, tuple[Foreign, ...]]]:
    """slice -> content of our drop-in, and slice -> drop-ins of others that set managed properties.

    Raises LyceumError.
    """
    ours: dict[str, str] = {}
    foreign: dict[str, list[Foreign]] = {}
    seen: set[str] = set()
    for place in PLACES:
        real = os.path.realpath(below(place))  # /lib and /usr/lib may be one
        if real in seen:
            continue
        seen.add(real)
        for slice_name, folder in _folders(real):
            for name, path in _configurations(folder):
                text = _read(path)
                if place == UNITS and name == FILE:
                    ours[slice_name] = text
                    continue
                properties = _assigned(text)
                if properties:
                    foreign.setdefault(slice_name, []).append(Foreign(Path(path), properties, place in CONTROL))
    return ours, {name: tuple(found) for name, found in foreign.items()}


def _folders(place: str) -> list[tuple[str, str]]:
    """(slice, folder of its drop-ins) for slices of users in one place of unit files."""
    found = []
    try:
        with os.scandir(place) as entries:
            for entry in entries:
                slice_name = entry.name[: -len(".d")]
                if entry.name.endswith(".slice.d") and (slice_name == DEFAULT or uid_of(slice_name) is not None):
                    found.append((slice_name, entry.path))
    except FileNotFoundError:
        return []
    return found


def _configurations(folder: str) -> list[tuple[str, str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted((entry.name, entry.path) for entry in entries if entry.name.endswith(".conf"))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError as exc:
        raise LyceumError(f"cannot read {path}: {exc.strerror}") from exc


def _assigned(text: str) -> tuple[str, ...]:
    """The managed properties that a unit file sets, each once."""
    names = (line.partition("=")[0].strip() for line in text.splitlines() if "=" in line)
    return tuple(dict.fromkeys(name for name in names if name in PROPERTIES))
