# SPDX-License-Identifier: GPL-3.0-or-later
"""What each person and project may use, and which layer of the registry says so.

Layers, weakest first: defaults < affiliation < projects < person < live exceptions. A missing key inherits, `null`
means unlimited, `0` means none; what nobody can log in without (CPU, memory, tasks) has a minimum instead. Nested
mappings merge key by key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from .model import Project, Registry

PERSON = "person"
PROJECT = "project"


@dataclass(frozen=True)
class Key:
    """unit: what one is (the number's unit stands in the key's name too).
    kind: cap (a ceiling that may be promised to more people than fit) | quota (space that is promised, so that sums
        count) | weight (a share under contention) | time.
    scope: person | project. A project may also set person keys: they hold for its members.
    hardware: the key of lyceum_hardware that bounds it, or "".
    """

    unit: str
    kind: str
    scope: str
    description: str
    minimum: float = 0
    maximum: float | None = None
    hardware: str = ""


KEYS: Mapping[str, Key] = MappingProxyType(
    {
        "cpu_cores": Key(
            "cores", "cap", PERSON, "CPU time, in whole or part cores", minimum=0.05, hardware="cpu_cores"
        ),
        "cpu_weight": Key(
            "share", "weight", PERSON, "Share of the CPU when it is contended; 100 is usual", minimum=1, maximum=10000
        ),
        "memory_gib": Key("GiB", "cap", PERSON, "Main memory", minimum=0.0625, hardware="memory_gib"),
        "memory_swap_gib": Key("GiB", "cap", PERSON, "Swap space"),
        "tasks": Key("tasks", "cap", PERSON, "Processes and threads", minimum=16),
        "io_weight": Key(
            "share", "weight", PERSON, "Share of disk bandwidth when contended; 100 is usual", minimum=1, maximum=10000
        ),
        "home_gib": Key("GiB", "quota", PERSON, "Space in the home directory", hardware="storage_gib"),
        "home_files": Key("files", "cap", PERSON, "Files and directories in the home directory"),
        "scratch_gib": Key("GiB", "quota", PERSON, "Space in the scratch directory", hardware="storage_gib"),
        "scratch_files": Key("files", "cap", PERSON, "Files and directories in the scratch directory"),
        "containers": Key("containers", "cap", PERSON, "Running containers"),
        "container_memory_gib": Key(
            "GiB", "cap", PERSON, "Main memory of one container", minimum=0.0625, hardware="memory_gib"
        ),
        "container_cpu_cores": Key(
            "cores", "cap", PERSON, "CPU time of one container", minimum=0.05, hardware="cpu_cores"
        ),
        "gpu_slices": Key("slices", "cap", PERSON, "GPU slices under lease at a time", hardware="gpu_slices"),
        "idle_minutes": Key("minutes", "time", PERSON, "Time a session, container or lease may stay idle"),
        "runtime_hours": Key("hours", "time", PERSON, "Time a job, container or lease may run"),
        "storage_gib": Key("GiB", "quota", PROJECT, "Space in the project directory", hardware="storage_gib"),
        "storage_files": Key("files", "cap", PROJECT, "Files and directories in the project directory"),
    }
)


@dataclass(frozen=True)
class Layer:
    """name: as shown to people, e.g. "affiliation student"."""

    name: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Effective:
    """value: a number, or None for unlimited. layer: the one that set it.
    trail: (layer, value) of every layer that had a say, in order; the last one won.
    """

    value: Any
    layer: str
    trail: tuple[tuple[str, Any], ...]


def merge(layers: Iterable[Layer]) -> dict[str, Any]:
    """The deep-merged values of the layers, weakest first."""
    return _values(_resolve(layers))


def explain(layers: Iterable[Layer]) -> dict[str, Effective]:
    """Like `merge`, with provenance: one entry per leaf, nested keys joined by dots."""
    found: dict[str, Effective] = {}
    _flatten(_resolve(layers), "", found)
    return found


def layers_of(registry: Registry, name: str) -> list[Layer]:
    """The layers that apply to a person today, weakest first. LyceumError when there is no such person."""
    person = registry.person(name)
    layers = [Layer("defaults", _of_scope(registry.limits.defaults, PERSON))]
    if person.affiliation in registry.limits.affiliations:
        layers.append(Layer(f"affiliation {person.affiliation}", registry.limits.affiliations[person.affiliation]))
    layers.extend(_project_layers(registry.live_projects_of(name)))
    layers.append(Layer("person", person.limits))
    layers.extend(
        Layer(f"exception until {exception.expires} ({exception.reason})", exception.limits)
        for exception in registry.limits.exceptions
        if exception.person == name and exception.live(registry.today)
    )
    return layers


def effective(registry: Registry, name: str) -> dict[str, Effective]:
    """key -> effective limit of a person today. A key that no layer sets is not in it: nothing manages it.

    LyceumError when there is no such person.
    """
    return explain(layers_of(registry, name))


def effective_project(registry: Registry, name: str) -> dict[str, Effective]:
    """key -> effective limit of a project's own resources (defaults < project)."""
    project = registry.project(name)
    return explain(
        [
            Layer("defaults", _of_scope(registry.limits.defaults, PROJECT)),
            Layer(f"project {name}", _of_scope(project.limits, PROJECT)),
        ]
    )


def _of_scope(values: Mapping[str, Any], scope: str) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key in KEYS and KEYS[key].scope == scope}


def _project_layers(projects: Sequence[Project]) -> Iterator[Layer]:
    """One layer per key and project, the most generous last: so it wins, and the order of projects never matters."""
    values = {project.name: _of_scope(project.limits, PERSON) for project in projects}
    for key in sorted({key for limits in values.values() for key in limits}):
        having = ((_generosity(limits[key]), name) for name, limits in values.items() if key in limits)
        for _, name in sorted(having):
            yield Layer(f"project {name}", {key: values[name][key]})


def _generosity(value: float | None) -> float:
    return float("inf") if value is None else value


_Tree = dict[str, Any]  # key -> Effective (a leaf) or another _Tree


def _resolve(layers: Iterable[Layer]) -> _Tree:
    tree: _Tree = {}
    for layer in layers:
        _apply(tree, layer.name, layer.values)
    return tree


def _apply(tree: _Tree, layer: str, values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        below = tree.get(key)
        if isinstance(value, Mapping):
            if not _sets_something(value):
                continue  # an empty mapping sets nothing, so everything inherits
            if not isinstance(below, dict):
                below = tree[key] = {}
            _apply(below, layer, value)
        else:
            trail: tuple[tuple[str, Any], ...] = ()
            if isinstance(below, Effective):
                trail = below.trail
            elif below:
                trail = (("several layers", _values(below)),)
            tree[key] = Effective(value, layer, (*trail, (layer, value)))


def _sets_something(values: Mapping[str, Any]) -> bool:
    return any(not isinstance(value, Mapping) or _sets_something(value) for value in values.values())


def _values(tree: _Tree) -> dict[str, Any]:
    return {key: node.value if isinstance(node, Effective) else _values(node) for key, node in tree.items()}


def _flatten(tree: _Tree, prefix: str, found: dict[str, Effective]) -> None:
    for key, node in tree.items():
        if isinstance(node, Effective):
            found[prefix + key] = node
        else:
            _flatten(node, f"{prefix}{key}.", found)
