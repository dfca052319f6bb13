# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role `containers` hands to managed_files, and what it says in the report."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

HEADER = ["person", "running", "allowed", "longest", "idle for", "stopped by us", "lingers"]
POLICY_KEYS = ("name", "uid", "gid", "home", "email", "limits")


def containers_policies(people: Iterable[Mapping[str, Any]], directory: str) -> list[dict[str, Any]]:
    """The policy file of each person who may run containers; gone for everybody else."""
    files = []
    for person in people:
        entry = {"path": f"{directory}/{person['name']}.json", "person": person["name"], "mode": "0600"}
        if may_run(person):
            policy = {key: person[key] for key in POLICY_KEYS if key in person}
            files.append({**entry, "content": f"{json.dumps(policy, indent=1, sort_keys=True)}\n", "state": "present"})
        else:
            files.append({**entry, "state": "absent"})
    return files


def containers_linger_files(
    people: Iterable[Mapping[str, Any]], directory: str, policy: str | Collection[str]
) -> list[dict[str, Any]]:
    """The file by which logind lets a person's processes go on after the last logout. Only for who may run any.

    policy: everybody, nobody, names, or running: then the tool on the host decides about those who may run containers.
    """
    files = []
    for person in people:
        if may_run(person) and policy == "running":
            continue
        wanted = policy == "everybody" if isinstance(policy, str) else person["name"] in policy
        files.append(
            {
                "path": f"{directory}/{person['name']}",
                "person": person["name"],
                "content": "",
                "state": "present" if may_run(person) and wanted else "absent",
            }
        )
    return files


def may_run(person: Mapping[str, Any]) -> bool:
    """Whether containers are for this person: only a full shell comes with them."""
    return (person["state"], person["access"]) == ("present", "shell")


def containers_report(
    shown: Mapping[str, Any], images: Sequence[Mapping[str, Any]], drift: Sequence[str]
) -> list[dict[str, Any]]:
    """Sections of the report. shown: `lyceum-containers show`, empty where there is no such tool yet; images: those of
    `lyceum-images list --json`."""
    notes = [f"drift: {text}" for text in drift]
    if not shown:
        return [{"title": "Containers", "header": HEADER, "rows": [], "notes": [*notes, "not set up yet"]}]
    rows = []
    for name, person in shown["people"].items():
        if not person["running"] and not person["stops"]:
            continue
        ages = [item["age_seconds"] for item in person["running"]]
        idle = [item["idle_seconds"] for item in person["running"] if item["idle_seconds"] is not None]
        allowed = "unlimited" if person["allowed"] is None else str(person["allowed"])
        stops = ", ".join(f"{kind} {number}" for kind, number in sorted(person["stops"].items()))
        rows.append(
            [
                name,
                str(len(person["running"])),
                allowed,
                duration(max(ages, default=None)),
                duration(max(idle, default=None)),
                stops or "-",
                "yes" if person["lingers"] else "no",
            ]
        )
    notes += [f"uid {uid} runs containers without a policy" for uid in shown["without_policy"]]
    if not shown["limits_enforced"]:
        notes.append(
            "memory and cores of single containers are not enforced (cgroup v1); the person's slice caps them all"
        )
    notes += [f"failed: {text}" for text in shown["failures"]]
    idle_for = [["-" if image["used"] is None else duration(time.time() - image["used"])] for image in images]
    return [
        {
            "title": "Containers",
            "header": HEADER,
            "rows": rows,
            "notes": notes,
        },
        {
            "title": "Shared images",
            "header": ["image", "id", "not used for"],
            "rows": [
                [", ".join(image["names"]) or "-", image["id"][:12], *unused] for image, unused in zip(images, idle_for)
            ],
            "notes": [],
        },
    ]


def duration(seconds: float | None) -> str:
    """In the largest unit that leaves a number above one."""
    if seconds is None:
        return "-"
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


class FilterModule:
    """Jinja filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "containers_linger_files": containers_linger_files,
            "containers_policies": containers_policies,
            "containers_report": containers_report,
        }
