# SPDX-License-Identifier: GPL-3.0-or-later
"""The tool `lyceum-slices` on the host: looks at all slices, remembers, and tells Prometheus and people.

A timer runs it every minute, and the user manager of a person once more when the last session ends, so that a short
login is not missed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import LyceumError
from ..files import write_atomically
from . import metrics, observe, survey
from .apply import locked, settle
from .hierarchy import Hierarchy

CONFIG = Path("/etc/lyceum/cgroups.json")
TEXTFILE_MODE = 0o644
STATE_FOLDER_MODE = 0o700


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 1 something is wrong (one sentence on stderr)."""
    parser = argparse.ArgumentParser(
        prog="lyceum-slices", description="What people use of this host, and their limits."
    )
    parser.add_argument("--json", action="store_true", help="print one record per person instead of the metrics' file")
    parser.add_argument("--uid", type=int, metavar="UID", help="only remember the counters of this person's slice")
    options = parser.parse_args(argv)
    try:
        config = read_config(CONFIG)
        if options.json:
            print(json.dumps(records(config), indent=1))
        elif options.uid is not None:
            if options.uid >= config["first_uid"]:  # the managers of root and of the system end like anybody's
                remember(config, only=options.uid)
        else:
            look(config)
    except LyceumError as exc:
        print(f"lyceum-slices: {exc}", file=sys.stderr)
        return 1
    return 0


def read_config(path: Path) -> Mapping[str, Any]:
    """`{first_uid, textfile, state}`. Raises LyceumError."""
    try:
        config: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise LyceumError(f"cannot read {path}: {exc}; the role cgroups writes it") from exc
    return config


def look(config: Mapping[str, Any]) -> None:
    """Everything that is done each time; what fails holds up nothing else. Raises LyceumError with all that failed."""
    failures = []
    for step in (complete, remember, publish):
        try:
            step(config)
        except LyceumError as exc:
            failures.append(str(exc))
    if failures:
        raise LyceumError("; ".join(failures))


def complete(_config: Mapping[str, Any]) -> None:
    """Make limits true that have waited. Raises LyceumError."""
    for sentence in settle():
        print(sentence)


def remember(config: Mapping[str, Any], only: int | None = None) -> None:
    """Add what has come since the last look to the totals. Raises LyceumError.

    One look at a time: two would add the same growth twice.
    """
    path = Path(config["state"])
    with locked(path.with_suffix(".lock"), STATE_FOLDER_MODE):
        state = survey.load_state(path, survey.boot_id())
        survey.save_state(path, survey.look(Hierarchy.read(observe.ROOT), state, config["first_uid"], only))


def records(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One record per person, with totals up to this moment; nothing is written."""
    hierarchy = Hierarchy.read(observe.ROOT)
    state = survey.load_state(Path(config["state"]), survey.boot_id())
    return survey.people(hierarchy, survey.look(hierarchy, state, config["first_uid"]), config["first_uid"])


def publish(config: Mapping[str, Any]) -> None:
    """Write the file for Prometheus. Raises LyceumError.

    One look at a time: two would take the temporary file away from each other.
    """
    with locked(Path(config["state"]).with_suffix(".lock"), STATE_FOLDER_MODE):
        text = metrics.text(records(config), time.time())
        write_atomically(Path(config["textfile"]), text.encode(), TEXTFILE_MODE)
