# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits against the hardware (`lyceum_hardware`) and against one another. Only warnings: a site may overcommit on
purpose, but should know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from . import limits
from .findings import Findings
from .model import Registry
from .positions import DataPath

WEIGHTS = ("cpu_weight", "io_weight")
SHARED = ("cpu_cores", "memory_gib", "tasks")
QUOTAS = tuple(name for name, key in limits.KEYS.items() if key.kind == "quota")


def check(registry: Registry, findings: Findings) -> None:
    """Warn of caps that can never bind, of missing weights, and of CPUs and space that are promised and not there.

    The registry must be valid.
    """
    _weights(registry, findings)
    if not registry.hardware:
        return
    for path, values in _places(registry):
        for key, value in values.items():
            _never_binds((*path, key), key, value, registry.hardware, findings)
    _totals(registry, findings)
    _promised(registry, findings)


def _places(registry: Registry) -> Iterator[tuple[DataPath, Mapping[str, Any]]]:
    yield ("limits", "defaults"), registry.limits.defaults
    for name, values in registry.limits.affiliations.items():
        yield ("limits", "affiliations", name), values
    for index, exception in enumerate(registry.limits.exceptions):
        yield ("limits", "exceptions", index, "limits"), exception.limits
    for index, person in enumerate(registry.people):
        yield ("people", index, "limits"), person.limits
    for index, project in enumerate(registry.projects):
        yield ("projects", index, "limits"), project.limits


def _never_binds(path: DataPath, key: str, value: Any, hardware: Mapping[str, Any], findings: Findings) -> None:
    bound = hardware.get(limits.KEYS[key].hardware)
    if value is not None and bound is not None and value > bound:
        findings.warning(
            path,
            f"can never bind: lyceum_hardware.{limits.KEYS[key].hardware} is {bound}",
            "Lower it, or write null if unlimited is meant.",
            value=value,
        )


def _totals(registry: Registry, findings: Findings) -> None:
    """Caps of whole affiliations. The role gives each as many CPUs of its own as it may use, while there are any."""
    bound = registry.hardware.get("cpu_cores")
    if bound is None:
        return
    binding = {}
    for name, values in registry.limits.affiliation_totals.items():
        cores = values.get("cpu_cores")
        if cores is not None and cores < bound:
            binding[name] = cores
        elif cores is not None:
            findings.warning(
                ("limits", "affiliation_totals", name, "cpu_cores"),
                f"can never bind: no host has more than {bound:g} (lyceum_hardware.cpu_cores)",
                "Lower it, or take it out.",
                value=cores,
            )
    together = sum(binding.values())
    if together > bound:
        findings.warning(
            ("limits", "affiliation_totals"),
            f"gives {', '.join(binding)} {together} CPUs in all, and lyceum_hardware.cpu_cores is {bound:g}",
            "Lower some, or accept that these affiliations share CPUs.",
            show=False,
        )


def _weights(registry: Registry, findings: Findings) -> None:
    """Caps alone are no fairness: four people with a cap of a third each leave nothing for the fifth."""
    lacking: dict[str, int] = {}
    for person in registry.people:
        if person.effective_state(registry.today)[0] == "present":
            found = limits.effective(registry, person.name)
            if any(key in found and found[key].value is not None for key in SHARED):
                for weight in WEIGHTS:
                    lacking[weight] = lacking.get(weight, 0) + (weight not in found)
    missing = [weight for weight, people in lacking.items() if people]
    if missing:
        findings.warning(
            ("limits", "defaults"),
            f"caps {max(lacking.values())} people but gives them no {' and no '.join(missing)}",
            f"Add {' and '.join(f'`{weight}: 100`' for weight in missing)}: without a weight nobody's share is sure "
            "when the machine is busy.",
            show=False,
        )


def _promised(registry: Registry, findings: Findings) -> None:
    space = registry.hardware.get("storage_gib")
    if space is None:
        return
    people = [person.name for person in registry.people if person.effective_state(registry.today)[0] == "present"]
    projects = [project.name for project in registry.projects if project.live(registry.today)]
    total = _sum(limits.effective(registry, name) for name in people)
    total += _sum(limits.effective_project(registry, name) for name in projects)
    if total > space:
        findings.warning(
            ("hardware", "storage_gib"),
            f"is less than the {total:g} GiB promised by {', '.join(QUOTAS)} "
            f"to {len(people)} people and {len(projects)} projects",
            "Lower the quotas, add storage, or accept that it is overcommitted.",
            value=space,
        )


def _sum(effective: Iterable[dict[str, limits.Effective]]) -> float:
    return sum(values[key].value or 0 for values in effective for key in QUOTAS if key in values)
