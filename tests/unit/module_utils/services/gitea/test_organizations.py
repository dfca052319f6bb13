# SPDX-License-Identifier: GPL-3.0-or-later
"""Projects as the registry gives them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.services.gitea.organizations import Project, Wanted, WantedRepository, units_of

PARAMS: dict[str, Any] = {
    "only": "",
    "purge": [],
    "protected": [],
    "max_removals": 10,
    "max_removals_percent": 10,
    "allow_removals": [],
}


def test_a_project_as_projected_from_the_registry() -> None:
    repository = {
        "name": "analysis",
        "description": "",
        "private": True,
        "default_branch": "main",
        "protected": True,
        "archived": False,
    }
    project = Project.from_params(
        {"name": "retina", "owner": "amartin", "write": ["bchen"], "read": None, "repositories": [repository]}
    )
    assert project.teams("bot") == {"Owners": ("amartin",), "write": ("bchen",), "read": ()}
    assert project.repositories == (WantedRepository("analysis"),)
    assert (project.visibility, project.full_name) == ("private", None)


@pytest.mark.parametrize("state", ["archived", "absent"])
def test_a_project_that_ended_has_no_members(state: str) -> None:
    project = Project("retina", state=state, owner="amartin", write=("bchen",))
    assert project.teams("bot") == {"Owners": ("bot",), "write": (), "read": ()}


def test_somebody_owns_it_always() -> None:
    assert Project("retina").teams("bot")["Owners"] == ("bot",)


def test_capital_letters_make_no_other_name() -> None:
    entries = [{"name": "retina", "repositories": [{"name": "a"}, {"name": "A"}]}, {"name": "Retina"}]
    with pytest.raises(LyceumError) as caught:
        Wanted.from_params({**PARAMS, "organizations": entries})
    assert str(caught.value) == (
        "2 problem(s) in the list of organizations: the organization retina is there 2 times; the repository of retina"
        " a is there 2 times"
    )


def test_rights_by_unit() -> None:
    assert units_of("read")["repo.code"] == "read"
    assert set(units_of("write").values()) == {"write"}
