# SPDX-License-Identifier: GPL-3.0-or-later
"""The tool `lyceum-share` on the host: keeps what is in shared directories shared. A timer runs it as root.

Its rule for each directory is what the directory itself has, so that a change of members reaches old files, too.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import stat
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import LyceumError
from ..files import write_atomically
from . import contents, posix
from .observe import SPECIAL, Parents

CONFIG = Path("/etc/lyceum/share.json")
STATE = Path("/var/lib/lyceum/share.json")

# After a look at everything that took a minute, the next one is no sooner than this many minutes later.
REST = 9


@dataclass(frozen=True)
class Shared:
    """One shared directory, open. told: everything that its contents should inherit, to be compared."""

    path: str
    descriptor: int
    rule: contents.Rule
    told: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0, or 1 if a directory could not be entered or something in one not be changed."""
    parser = argparse.ArgumentParser(prog="lyceum-share", description="Keep what is in shared directories shared.")
    parser.add_argument("--config", type=Path, default=CONFIG, help="which directories (default: %(default)s)")
    parser.add_argument("--state", type=Path, default=STATE, help="what the last run found (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        return _run(options.config, options.state)
    except LyceumError as exc:
        print(f"lyceum-share: {exc}", file=sys.stderr)
    except OSError as exc:
        print(f"lyceum-share: {exc.filename}: {exc.strerror}", file=sys.stderr)
    return 1


def _run(config_path: Path, state_path: Path) -> int:
    with config_path.open(encoding="utf-8") as handle, Parents() as parents:
        config = json.load(handle)
        fcntl.flock(handle, fcntl.LOCK_EX)  # one at a time, however it was started
        problems: list[str] = []
        found = list(_directories(config, parents, problems))
        told = hashlib.sha256("\n".join(shared.told for shared in found).encode()).hexdigest()
        last = _last(state_path)
        if not problems and told == last.get("told") and time.time() < last["finished"] + REST * last["seconds"]:
            return 0
        start = time.monotonic()
        trees = {}
        for shared in found:
            counts = contents.mend(shared.descriptor, shared.path, shared.rule)
            trees[shared.path] = asdict(counts)
            _tell(shared.path, counts)
        state = {"finished": time.time(), "seconds": time.monotonic() - start, "told": told, "trees": trees}
        write_atomically(state_path, json.dumps({**state, "problems": problems}).encode(), 0o600)
    for problem in problems:
        print(f"lyceum-share: {problem}", file=sys.stderr)
    return 1 if problems else 0


def _last(state_path: Path) -> dict[str, Any]:
    """What the last run left; nothing when there was none, or when what it left is not whole."""
    try:
        state: dict[str, Any] = json.loads(state_path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return state


def _directories(config: dict[str, Any], parents: Parents, problems: list[str]) -> Iterator[Shared]:
    paths = list(config["directories"])
    for folder in config["folders"]:
        try:
            with os.scandir(parents.directory(folder)) as entries:
                paths += sorted(f"{folder}/{entry.name}" for entry in entries if entry.is_dir(follow_symlinks=False))
        except FileNotFoundError:
            problems.append(f"there is no directory {folder}")
        except LyceumError as exc:
            problems.append(str(exc))
    for path in paths:
        try:
            shared = _shared(path, parents.directory(path))
        except FileNotFoundError:
            problems.append(f"there is no directory {path}")
        except LyceumError as exc:
            problems.append(str(exc))
        except OSError as exc:
            problems.append(f"cannot read {path}: {exc.strerror}")
        else:
            if shared is not None:
                yield shared


def _shared(path: str, descriptor: int) -> Shared | None:
    """None for a directory that is nobody's but its owner's: a sealed one."""
    info = os.fstat(descriptor)
    access = posix.minimal(info.st_mode)
    default: posix.Acl = ()
    try:
        access = posix.read(descriptor, posix.ACCESS) or access
        default = posix.read(descriptor, posix.DEFAULT)
    except posix.NoAclError:
        pass  # then the mode is all there is to hand down
    if not posix.mode_of(access) & 0o077:
        return None
    told = f"{path} {info.st_gid} {stat.S_IMODE(info.st_mode):o} {access} {default}"
    return Shared(path, descriptor, contents.Rule(info.st_gid, info.st_mode & SPECIAL, access, default), told)


def _tell(path: str, counts: contents.Counts) -> None:
    """One line for the journal, where there is something to say."""
    if counts.mended or counts.left:
        text = f"{path}: {counts.mended} of {counts.looked_at} files and directories shared anew"
        left = f", {counts.left} left: {'; '.join(counts.examples)}" if counts.left else ""
        print(f"{text}{left}")
