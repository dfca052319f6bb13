# SPDX-License-Identifier: GPL-3.0-or-later
"""Once a day, where the site asks for it: containers that have not run for long become images, and only then go.

A container whose person has put the label `lyceum.keep=true` on it is left alone.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from ..errors import LyceumError
from . import metrics, podman
from .lingering import RUNTIME
from .settings import Policy, Settings, load_policies

DAY = 86400


def main(settings: Settings, *, only: str | None, dry_run: bool, as_json: bool) -> int:
    """Tidy up everybody's containers, one after the other. Exit status 1 if something went wrong for somebody."""
    policies, failures = load_policies(settings.policies, only)
    events: list[dict[str, Any]] = []
    if settings.keep_days is not None:
        for policy in policies.values():
            try:
                events += tidy_one(settings, policy, settings.keep_days, time.time(), dry_run=dry_run)
            except LyceumError as exc:
                failures.append(str(exc))
                events.append({"event": "failed", "person": policy.name, "uid": policy.uid, "text": str(exc)})
    if not dry_run:
        metrics.log(settings.log, events)
    if as_json:
        print(json.dumps({"events": events, "failures": failures}, indent=1))
    else:
        print("\n".join([*map(sentence, events), *(f"FAILED {text}" for text in failures)]))
    return 1 if failures else 0


def tidy_one(settings: Settings, policy: Policy, days: float, now: float, *, dry_run: bool) -> list[dict[str, Any]]:
    """Save and remove one person's old containers. Returns what was done. Raises LyceumError."""
    if not podman.has_storage(settings.storage_of(policy)):
        return []
    if not (RUNTIME / str(policy.uid)).is_dir():
        # Without its runtime directory podman would think the machine had been started anew.
        return [{"event": "skipped", "person": policy.name, "uid": policy.uid, "text": "not logged in"}]
    events = []
    for container in podman.stopped(policy):
        if container.keep or now - container.ended < days * DAY:
            continue
        image = podman.saved_name(container.name, time.gmtime(now))
        if not dry_run:
            podman.save_and_remove(policy, container, image)
        events.append(
            {
                "event": "saved",
                "person": policy.name,
                "uid": policy.uid,
                "container": container.identity,
                "image": image,
            }
        )
    return events


def sentence(event: Mapping[str, Any]) -> str:
    """One event for people."""
    if event["event"] == "saved":
        return f"{event['person']}: container {event['container'][:12]} is now the image {event['image']}"
    return f"{event['person']}: {event['event']}: {event['text']}"
