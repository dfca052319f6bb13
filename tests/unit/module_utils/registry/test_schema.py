# SPDX-License-Identifier: GPL-3.0-or-later
"""The shape of a registry, told in plain words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.lyceum.registry import schema
from ansible.module_utils.lyceum.registry.findings import Findings
from ansible.module_utils.lyceum.registry.model import DEFAULT_AFFILIATIONS, VARIABLES
from jsonschema import Draft202012Validator

from .samples import registry


def check(raw: dict[str, Any]) -> list[str]:
    findings = Findings(raw, None)
    schema.check(raw, findings)
    return [str(problem) for problem in findings.sorted()]


def person(**keys: Any) -> dict[str, Any]:
    return {"people": [{"name": "bchen", "uid": 2002, **keys}]}


def test_file_is_a_schema_of_its_draft() -> None:
    Draft202012Validator.check_schema(json.loads(schema.FILE.read_text()))


def test_file_and_validator_know_the_same_variables() -> None:
    assert set(schema.document()["properties"]) == set(VARIABLES.values())


def test_every_key_has_a_description_for_editors() -> None:
    for kind in ("person", "group", "project", "exception"):
        for key, rule in schema.document()["$defs"][kind]["properties"].items():
            assert rule.get("description"), f"{kind}.{key}"


def test_description_of_affiliation_names_the_built_in_ones() -> None:
    text = schema.document()["$defs"]["person"]["properties"]["affiliation"]["description"]
    assert all(name in text for name in DEFAULT_AFFILIATIONS)


def test_no_reference_is_left() -> None:
    assert "$ref" not in json.dumps(schema.document()["properties"])


def test_keys_of_an_entry() -> None:
    assert schema.keys_of("group") == ["name", "gid", "description", "state"]


def test_valid_registry() -> None:
    assert check(registry()) == []


@pytest.mark.parametrize("section", VARIABLES)
def test_a_section_of_nothing_but_comments_is_empty(section: str) -> None:
    if section != "allow_empty":
        assert check(registry(**{"people": [], section: None}) | {section: None}) == []


def test_optional_keys_of_nothing_but_comments_are_empty() -> None:
    optional = [key for key in schema.keys_of("person") if key not in ("name", "uid")]
    assert check(person(**dict.fromkeys(optional))) == []


MESSAGES = yaml.safe_load((Path(__file__).parents[2] / "data" / "schema" / "messages.yml").read_text())


@pytest.mark.parametrize("case", MESSAGES, ids=lambda case: case["message"][:50])
def test_message(case: dict[str, Any]) -> None:
    assert check(case["raw"]) == [case["message"]]


@pytest.mark.parametrize("key", ["name", "uid"])
def test_required_keys_must_not_be_null(key: str) -> None:
    assert len(check(person(**{key: None}))) == 1


GOOD = {
    "full_name": "Bo",
    "email": "b@example.org",
    "home": "/home/b",
    "shell": "/bin/sh",
    "name": "b",
    "ends": "2026-01-01",
}


@pytest.mark.parametrize("key", GOOD)
def test_a_line_break_at_the_end_is_seen(key: str) -> None:
    """In Python `$` matches before a final line break; in the password database that would be a line of its own."""
    good = {
        "full_name": "Bo",
        "email": "b@example.org",
        "home": "/home/b",
        "shell": "/bin/sh",
        "name": "b",
        "ends": "2026-01-01",
    }
    assert check(person(**{key: good[key]})) == []
    assert len(check(person(**{key: good[key] + "\n"}))) == 1


def test_several_problems_of_one_entry_are_all_reported() -> None:
    assert len(check(person(uid="x", grups=[], state="gone"))) == 3


NONE = ("memory_swap_gib", "home_gib", "home_files", "scratch_gib", "scratch_files", "containers", "gpu_slices")


def test_none_where_there_can_be_none() -> None:
    assert check(person(limits=dict.fromkeys(NONE, 0))) == []


def test_the_least_and_the_unlimited() -> None:
    least = {"cpu_cores": 0.05, "memory_gib": 0.0625, "tasks": 16}
    assert check(person(limits=least)) == check(person(limits=dict.fromkeys(least))) == []
