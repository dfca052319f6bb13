# SPDX-License-Identifier: GPL-3.0-or-later
"""What Prometheus and the log of events get."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import LyceumError
from .processes import Container
from .settings import Policy
from .state import State

HELP = {
    "running": ("gauge", "Containers of a person that run"),
    "allowed": ("gauge", "Containers that a person may run"),
    "stops_total": ("counter", "Containers stopped by rule"),
    "without_policy": ("gauge", "Containers of people who have no policy here"),
    "failures": ("gauge", "What went wrong in the last look"),
    "last_run_timestamp_seconds": ("gauge", "When the last look ended"),
}


def exposition(
    policies: Mapping[int, Policy], running: Sequence[Container], state: State, failures: int, at: float
) -> str:
    """Everything in the text format of Prometheus. Names of people are plain words."""
    counts: dict[int, int] = {}
    for container in running:
        counts[container.uid] = counts.get(container.uid, 0) + 1
    samples: dict[str, list[str]] = {name: [] for name in HELP}
    for uid, policy in sorted(policies.items()):
        label = f'{{person="{policy.name}"}}'
        samples["running"].append(f"{label} {counts.get(uid, 0)}")
        if policy.containers is not None:
            samples["allowed"].append(f"{label} {policy.containers}")
    for name, person in sorted(state.people.items()):
        for kind, number in sorted(person.stops.items()):
            samples["stops_total"].append(f'{{person="{name}",rule="{kind}"}} {number}')
    samples["without_policy"].append(f" {sum(count for uid, count in counts.items() if uid not in policies)}")
    samples["failures"].append(f" {failures}")
    samples["last_run_timestamp_seconds"].append(f" {at:.0f}")
    lines = []
    for name, (kind, text) in HELP.items():
        metric = f"lyceum_containers_{name}"
        lines += [f"# HELP {metric} {text}", f"# TYPE {metric} {kind}"]
        lines += [f"{metric}{sample}" for sample in samples[name]]
    return "".join(f"{line}\n" for line in lines)


def log(path: Path, events: Sequence[Mapping[str, Any]]) -> None:
    """Append one line of JSON for each event, with the time in UTC. Raises LyceumError."""
    if not events:
        return
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    text = "".join(f"{json.dumps({'time': stamp, **event})}\n" for event in events)
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)
    except OSError as exc:
        raise LyceumError(f"cannot write {path}: {exc.strerror}") from exc
