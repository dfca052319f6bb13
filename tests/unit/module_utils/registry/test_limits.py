# SPDX-License-Identifier: GPL-3.0-or-later
"""The merge of limits: missing inherits, null is unlimited, 0 is none, later layers win, provenance tells the truth."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.registry import limits, schema
from ansible.module_utils.lyceum.registry.limits import KEYS, Effective, Layer, explain, merge
from ansible.module_utils.lyceum.registry.model import Registry
from ansible.module_utils.lyceum.slices import limits as slices
from hypothesis import given
from hypothesis import strategies as st

from .samples import TODAY, registry

AMOUNTS = st.none() | st.integers(0, 100)
VALUES = st.recursive(AMOUNTS, lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=8)
LAYERS = st.lists(st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3), max_size=5).map(
    lambda all_values: [Layer(f"layer {number}", values) for number, values in enumerate(all_values)]
)


def leaves(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found.update(leaves(value, f"{prefix}{key}."))
        else:
            found[prefix + key] = value
    return found


def at(values: Mapping[str, Any], path: str) -> Any:
    """The value of a layer at a dotted path, or ... when the layer says nothing there."""
    node: Any = values
    for key in path.split("."):
        if not isinstance(node, Mapping) or key not in node:
            return ...
        node = node[key]
    return node


@pytest.mark.parametrize(
    ("weak", "strong", "merged"),
    [
        ({"a": 1}, {}, {"a": 1}),
        ({"a": 1}, {"a": None}, {"a": None}),
        ({"a": None}, {"a": 0}, {"a": 0}),
        ({"a": 0}, {"a": 1}, {"a": 1}),
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"y": None}}, {"a": {"x": 1, "y": None}}),
        ({"a": {"x": 1}}, {"a": {}}, {"a": {"x": 1}}),
        ({"a": 1}, {"a": {"b": {}}}, {"a": 1}),
        ({"a": {"x": 1}}, {"a": None}, {"a": None}),
        ({"a": None}, {"a": {"x": 1}}, {"a": {"x": 1}}),
    ],
)
def test_two_layers(weak: dict[str, Any], strong: dict[str, Any], merged: dict[str, Any]) -> None:
    assert merge([Layer("weak", weak), Layer("strong", strong)]) == merged


@given(LAYERS)
def test_the_last_layer_that_sets_a_leaf_wins(layers: list[Layer]) -> None:
    for path, value in leaves(merge(layers)).items():
        said = [at(layer.values, path) for layer in layers]
        # A mapping in which nothing is set says nothing.
        assert [word for word in said if word is not ... and leaves({"": word})][-1] == value


@given(LAYERS)
def test_every_leaf_of_the_last_layer_is_in_the_result(layers: list[Layer]) -> None:
    last = leaves(layers[-1].values) if layers else {}
    assert last.items() <= leaves(merge(layers)).items()


@given(LAYERS)
def test_a_key_nobody_sets_stays_away(layers: list[Layer]) -> None:
    set_somewhere = {path for layer in layers for path in leaves(layer.values)}
    assert set(leaves(merge(layers))) <= set_somewhere


@given(LAYERS)
def test_merging_a_result_again_changes_nothing(layers: list[Layer]) -> None:
    once = merge(layers)
    assert merge([Layer("once", once)]) == once
    assert merge([*layers, Layer("once", once)]) == once


@given(LAYERS, LAYERS)
def test_layers_may_be_merged_in_two_steps(weak: list[Layer], strong: list[Layer]) -> None:
    assert merge([Layer("weak", merge(weak)), *strong]) == merge([*weak, *strong])


@given(LAYERS)
def test_an_empty_layer_changes_nothing(layers: list[Layer]) -> None:
    for position in range(len(layers) + 1):
        assert merge([*layers[:position], Layer("empty", {}), *layers[position:]]) == merge(layers)


@given(LAYERS)
def test_inputs_are_left_alone(layers: list[Layer]) -> None:
    before = json.dumps([layer.values for layer in layers])
    merge(layers)
    assert json.dumps([layer.values for layer in layers]) == before


@given(LAYERS)
def test_provenance_agrees_with_the_values(layers: list[Layer]) -> None:
    values = {layer.name: layer.values for layer in layers}
    found = explain(layers)
    assert {path: effective.value for path, effective in found.items()} == leaves(merge(layers))
    for path, effective in found.items():
        assert at(values[effective.layer], path) == effective.value
        assert effective.trail[-1] == (effective.layer, effective.value)


def test_trail_names_every_layer_in_order() -> None:
    found = explain([Layer("defaults", {"a": 1}), Layer("person", {"a": None}), Layer("exception", {"a": 3})])
    assert found == {"a": Effective(3, "exception", (("defaults", 1), ("person", None), ("exception", 3)))}


def effective(name: str, **sections: Any) -> dict[str, Effective]:
    return limits.effective(Registry.from_raw(registry(**sections), today=TODAY), name)


def test_layers_of_a_person() -> None:
    bchen = effective("bchen")
    values = {key: found.value for key, found in bchen.items()}
    assert values == {"cpu_cores": 4, "cpu_weight": 100, "io_weight": 100, "memory_gib": 4, "gpu_slices": 4}
    assert bchen["cpu_cores"].layer == "defaults"
    assert bchen["memory_gib"].layer == "affiliation student"
    assert bchen["gpu_slices"].trail == (
        ("defaults", 1),
        ("project retina", 2),
        ("exception until 2026-12-01 (paper deadline)", 4),
    )


def test_unlimited_from_the_affiliation_can_be_narrowed_by_a_project() -> None:
    assert effective("dlopez")["gpu_slices"].trail == (
        ("defaults", 1),
        ("affiliation researcher", None),
        ("project retina", 2),
    )


def test_an_exception_that_is_over_has_no_effect() -> None:
    sections = registry()["limits"]
    sections["exceptions"][0]["expires"] = "2026-09-30"
    assert effective("bchen", limits=sections)["gpu_slices"].value == 2


def test_an_exception_holds_on_its_last_day_and_not_before_its_first() -> None:
    sections = registry()["limits"]
    sections["exceptions"][0].update(starts="2026-10-01", expires="2026-10-01")
    assert effective("bchen", limits=sections)["gpu_slices"].value == 4
    sections["exceptions"][0].update(starts="2026-10-02", expires="2026-10-03")
    assert effective("bchen", limits=sections)["gpu_slices"].value == 2


@given(st.permutations([("one", 3), ("two", None), ("three", 0), ("four", 7)]))
def test_the_most_generous_project_wins_in_any_order(projects: list[tuple[str, int | None]]) -> None:
    found = effective(
        "bchen",
        limits=None,
        projects=[
            {"name": name, "gid": 11001, "owner": "bchen", "limits": {"gpu_slices": value}} for name, value in projects
        ],
    )
    assert found["gpu_slices"] == Effective(
        None, "project two", (("project three", 0), ("project one", 3), ("project four", 7), ("project two", None))
    )


def test_a_person_of_their_own_limits_keeps_those_of_the_affiliation() -> None:
    """Seen elsewhere: an override merged onto the defaults took a researcher's other limits away."""
    people = [{"name": "x", "uid": 2001, "affiliation": "student", "limits": {"cpu_cores": 16}}]
    found = effective("x", people=people, projects=None)
    assert (found["cpu_cores"].value, found["memory_gib"].value) == (16, 4)


def test_project_limits_are_kept_apart_from_those_of_its_members() -> None:
    reg = Registry.from_raw(registry(), today=TODAY)
    assert limits.effective_project(reg, "retina") == {
        "storage_gib": Effective(500, "project retina", (("defaults", 100), ("project retina", 500)))
    }
    assert "storage_gib" not in limits.effective(reg, "bchen")


def test_unknown_person() -> None:
    with pytest.raises(LyceumError, match="There is no person 'bchan' in the registry"):
        effective("bchan")


def test_keys_are_those_of_the_schema() -> None:
    definitions = schema.document()["$defs"]
    of_people = {key for key, about in KEYS.items() if about.scope == limits.PERSON}
    assert set(definitions["person_limits"]["properties"]) == of_people
    assert set(definitions["all_limits"]["properties"]) == set(KEYS)


@pytest.mark.parametrize("key", KEYS)
def test_bounds_are_those_of_the_schema(key: str) -> None:
    rule = schema.document()["$defs"]["all_limits"]["properties"][key]
    assert rule["minimum"] == KEYS[key].minimum
    if KEYS[key].maximum is not None:
        assert rule["maximum"] == KEYS[key].maximum


def test_minimums_are_those_of_the_role_that_sets_them() -> None:
    """What the registry lets through must not stop a run in the middle."""
    minimums = {key: KEYS[key].minimum for key in ("cpu_cores", "memory_gib", "tasks")}
    assert minimums == {
        "cpu_cores": slices.MIN_CORES,
        "memory_gib": slices.MIN_MEMORY_GIB,
        "tasks": slices.MIN_TASKS,
    }
