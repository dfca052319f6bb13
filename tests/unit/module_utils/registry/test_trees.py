# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared directories of the site: where they may lie and whom they name."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.lyceum.registry import validate

from .samples import TODAY, registry


def messages(*trees: dict[str, Any]) -> list[str]:
    return [str(problem) for problem in validate.problems(registry(trees=list(trees)), today=TODAY)]


def tree(**keys: Any) -> dict[str, Any]:
    return {"path": "/srv/data", "strategy": "posix_acl", **keys}


def test_people_groups_and_projects_can_be_named() -> None:
    assert messages(tree(owner="amartin", write=["amartin", "retina"], read=["vision"], group="vision")) == []


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (tree(path="/etc/data"), "lies in /etc, which belongs to the system"),
        (tree(path="/srv/projects/x"), "meets /srv/projects, whose content follows from people and projects"),
        (tree(path="/home/shared"), "meets /home, whose content follows"),
        (tree(path="/srv/../etc"), "is not a usable directory"),
        (
            tree(strategy="group_shared"),
            "is missing: with the strategy group_shared the directory belongs to one group",
        ),
        (
            tree(strategy="group_shared", group="nlp", read=["vision"]),
            "[0].read: means nothing with the strategy group_shared: it knows one group; more need posix_acl.",
        ),
        (
            tree(strategy="user_subdirs", owner="amartin"),
            "means nothing with the strategy user_subdirs: everybody has a directory of their own in it.",
        ),
        (tree(strategy="acl"), "Choose one of user_subdirs, group_shared, posix_acl."),
        (tree(write=["amartim"]), "is no person, group or project of the registry. Did you mean 'amartin'?"),
        (tree(read=["fmoreau"]), "is a person that was removed"),
        (tree(group="amartin"), "is no group or project of the registry."),
        (tree(owner="vision"), "is no person of the registry."),
    ],
    ids=str,
)
def test_messages(entry: dict[str, Any], message: str) -> None:
    found = messages(entry)
    assert len(found) == 1
    assert message in found[0]


@pytest.mark.parametrize("other", ["/srv/data", "/srv/data/sub"])
def test_trees_do_not_lie_in_one_another(other: str) -> None:
    [found] = messages(tree(), tree(path=other))
    assert "is the same as, or lies inside or around, /srv/data (entry 0)" in found


def test_a_tree_that_was_removed_may_name_anybody() -> None:
    assert messages(tree(strategy="group_shared", read=["fmoreau", "forgotten"], state="absent")) == []
    assert len(messages(tree(), tree(state="absent"))) == 1


def test_trees_beside_each_other() -> None:
    assert messages(tree(), tree(path="/srv/data2")) == []
