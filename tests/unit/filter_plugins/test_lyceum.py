# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters as Ansible calls them: on its own types, with its own errors."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from lyceum import FilterModule, registry_for, registry_problems

RAW: dict[str, Any] = {
    "people": [
        {"name": "amartin", "uid": 2001, "affiliation": "researcher", "groups": ["vision"], "ends": "2027-01-31"},
        {"name": "bchen", "uid": 2002, "affiliation": "student", "limits": {"memory_gib": None}},
    ],
    "groups": [{"name": "vision", "gid": 10001}],
    "projects": [],
    "limits": {},
    "allow_empty": False,
    "today": "2026-10-01",
}


def changed(**keys: Any) -> dict[str, Any]:
    return {**RAW, "people": [{**RAW["people"][0], **keys}, RAW["people"][1]]}


def test_filters_have_the_names_playbooks_use() -> None:
    assert set(FilterModule().filters()) == {"registry_for", "registry_problems"}


def test_projection() -> None:
    assert [person["name"] for person in registry_for(RAW, "accounts")] == ["amartin", "bchen"]
    assert [person["name"] for person in registry_for(RAW, "accounts", only="bchen")] == ["bchen"]
    assert registry_for(RAW, "accounts", only="bchen", allowed_groups=["vision"])[0]["state"] == "suspended"


def test_today_of_the_registry_decides() -> None:
    assert registry_for({**RAW, "today": "2027-01-31"}, "accounts")[0]["state"] == "present"
    assert registry_for({**RAW, "today": datetime.date(2027, 2, 1)}, "accounts")[0]["state"] == "suspended"


def test_valid_registry_has_no_problems() -> None:
    assert registry_problems(RAW) == []


def test_problems_are_lines() -> None:
    assert registry_problems(changed(groups=["visio"])) == [
        (
            "lyceum_people[amartin].groups[0] = visio: is not in lyceum_groups. Did you mean 'vision'? "
            "Correct the name, or add the group to groups.yml."
        )
    ]


def test_errors_and_warnings_are_told_apart() -> None:
    raw = {
        **RAW,
        "hardware": {"memory_gib": 1},
        "limits": {"defaults": {"memory_gib": 2, "cpu_weight": 100, "io_weight": 100}},
    }
    assert registry_problems(raw) == []
    assert registry_problems(raw, severity="warning") == [
        (
            "warning: lyceum_limits.defaults.memory_gib = 2: can never bind: lyceum_hardware.memory_gib is 1. "
            "Lower it, or write null if unlimited is meant."
        )
    ]


def write(folder: Path, people: list[dict[str, Any]], text: str = "") -> Path:
    target = folder / "group_vars" / "all"
    target.mkdir(parents=True)
    (target / "people.yml").write_text(yaml.safe_dump({"lyceum_people": people}, sort_keys=False) + text)
    return folder


def test_lines_of_the_files(tmp_path: Path) -> None:
    raw = changed(uid=2002)
    (line,) = registry_problems(raw, str(write(tmp_path, raw["people"])))
    assert line.startswith("people.yml:9: lyceum_people[bchen].uid = 2002: is also the uid of amartin (people.yml:2).")


def test_no_lines_for_data_that_came_from_elsewhere(tmp_path: Path) -> None:
    (line,) = registry_problems(changed(uid=2002), str(write(tmp_path, RAW["people"])))
    assert line.startswith("lyceum_people[bchen].uid = 2002: is also the uid of amartin. ")


def test_what_ansible_overlooks_in_the_files(tmp_path: Path) -> None:
    """Ansible only warns of a key set twice."""
    (line,) = registry_problems(RAW, str(write(tmp_path, RAW["people"], "lyceum_people: []\n")))
    assert line.startswith("people.yml:")
    assert "lyceum_people: is set twice" in line


def test_a_folder_without_a_registry_is_no_matter(tmp_path: Path) -> None:
    assert registry_problems(RAW, str(tmp_path)) == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: registry_for(RAW["people"], "accounts"), "registry_for works on the variable lyceum_registry"),
        (lambda: registry_for({"x": 1}, "accounts"), "registry_for works on the variable lyceum_registry"),
        (lambda: registry_problems("x"), "registry_problems works on the variable lyceum_registry"),
        (lambda: registry_for(RAW, "acounts"), "registry_for has nothing for 'acounts'. Did you mean 'accounts'?"),
        (lambda: registry_for(RAW, "accounts", only="amartn"), "There is no person 'amartn' in the registry."),
        (lambda: registry_for(RAW, "accounts", only=5), "`only` must be a name or a list of names, not 5."),
        (lambda: registry_for(RAW, "accounts", extra_keys=[1]), "`extra_keys` must be a mapping"),
        (
            lambda: registry_for(RAW, "accounts", allowed_groups="vision"),
            "`allowed_groups` and `profiles` must be lists",
        ),
        (lambda: registry_for({**RAW, "today": "soon"}, "accounts"), "must be a date as YYYY-MM-DD, not 'soon'."),
        (lambda: registry_for({"people": []}, "accounts"), "lyceum_registry.today is missing"),
        (lambda: registry_problems(RAW, severity="all"), "severity must be 'error' or 'warning', not 'all'."),
        (
            lambda: registry_for(changed(uid=None), "accounts", only="amartin"),
            "The registry is not valid (see ./lyceum validate): lyceum_people[amartin].uid = null: must be",
        ),
        (lambda: registry_for(changed(ends="never"), "accounts"), "lyceum_people[amartin].ends = never: is not a date"),
    ],
)
def test_misuse_is_one_sentence(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        call()
    assert message in str(caught.value)


def test_types_of_ansible(tmp_path: Path) -> None:
    """Templates hand over tagged strings, dates and lazy containers; what comes out must be plain."""
    (tmp_path / "vars.yml").write_text(
        "people:\n  - name: amartin\n    uid: 2001\n    affiliation: student\n    ends: 2027-01-31\n"
        "groups: []\ntoday: '{{ day }}'\nday: 2026-10-01\n"
    )
    loader = DataLoader()
    variables = loader.load_from_file(str(tmp_path / "vars.yml"), trusted_as_template=True)
    template = trust_as_template("{{ {'people': people, 'groups': groups, 'today': today} }}")
    registry = Templar(loader=loader, variables=variables).template(template)
    assert registry_problems(registry) == []
    (person,) = registry_for(registry, "accounts")
    assert (person["uid"], person["expires"]) == (2001, "2027-01-31")
    assert {type(value) for value in person.values()} == {str, int, bool, list}
