# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps about organizations one by one: looking whether they happened, and their traps."""

from __future__ import annotations

import pytest
from ansible.module_utils.lyceum.services.errors import Exists, Permanent
from ansible.module_utils.lyceum.services.gitea.client import Gitea, Patience
from ansible.module_utils.lyceum.services.gitea.organizations import units_of
from ansible.module_utils.lyceum.services.gitea.organizations_plan import Op, Plan
from ansible.module_utils.lyceum.services.gitea.organizations_steps import steps
from ansible.module_utils.lyceum.services.steps import Step

from .fake import FakeGitea


@pytest.fixture
def fake() -> FakeGitea:
    made = FakeGitea()
    for name in ("amartin", "bchen"):
        made.user(name)
    return made


def step(fake: FakeGitea, kind: str, **data: object) -> Step:
    client = Gitea(fake, patience=Patience(deadline_s=0))
    (made,) = steps(Plan({"retina": [Op(kind, kind, kind, data)]}), client)
    return made


def happens(one: Step) -> None:
    """It had not happened, then it has."""
    assert not one.confirm()
    one.send()
    assert one.confirm()


def test_an_organization_comes_changes_and_goes(fake: FakeGitea) -> None:
    happens(step(fake, "create_organization", visibility="private", description=""))
    happens(step(fake, "edit_organization", description="Eyes"))
    happens(step(fake, "delete_organization"))


def test_422_an_account_has_the_name(fake: FakeGitea) -> None:
    fake.user("retina")
    with pytest.raises(Permanent, match="the name retina is that of an account"):
        step(fake, "create_organization", visibility="private").send()


def test_422_the_organization_is_there(fake: FakeGitea) -> None:
    fake.org("retina", "amartin")
    with pytest.raises(Exists):
        step(fake, "create_organization", visibility="private").send()


def test_500_a_team_needs_units_and_a_name_every_time(fake: FakeGitea) -> None:
    fake.org("retina", "amartin")
    happens(step(fake, "create_team", team="write"))
    body = next(body for body in fake.bodies if body)
    assert (body["units_map"], body["name"], body["includes_all_repositories"]) == (units_of("write"), "write", True)
    edit = step(fake, "edit_team", team="write")
    edit.send()
    assert (edit.confirm(), edit.repeatable) == (None, True)


def test_members_come_and_go(fake: FakeGitea) -> None:
    fake.org("retina", "amartin")
    fake.team("retina", "write", [], units_of("write"))
    come, go = (step(fake, kind, team="write", person="bchen") for kind in ("add_member", "remove_member"))
    happens(come)
    come.send()  # twice is once
    happens(go)
    assert come.undo is not None
    assert go.undo is not None
    go.undo()
    assert fake.members("retina", "write") == ["bchen"]
    come.undo()
    assert fake.members("retina", "write") == []


def test_whoever_has_no_account_is_named(fake: FakeGitea) -> None:
    fake.org("retina", "amartin")
    with pytest.raises(Permanent, match="nobody has no account in this Gitea"):
        step(fake, "add_member", team="Owners", person="nobody").send()
    with pytest.raises(Permanent, match="organization retina has no team write"):
        step(fake, "add_member", team="write", person="bchen").send()


def test_a_repository_comes_is_protected_closed_and_goes(fake: FakeGitea) -> None:
    fake.org("retina", "amartin")
    happens(step(fake, "create_repository", name="a", private=True, description="", default_branch="main"))
    happens(step(fake, "edit_repository", name="a", private=False))
    happens(step(fake, "protect", name="a", branch="main"))
    fake.repos[0]["rules"]["main"] = True
    happens(step(fake, "edit_protection", name="a", branch="main"))
    happens(step(fake, "archive", name="a", archived=True))
    happens(step(fake, "delete_repository", name="a"))


def test_403_a_rule_that_is_there_is_no_refusal(fake: FakeGitea) -> None:
    fake.repo("retina", "a", rules={"main": False})
    fake.org("retina", "amartin")
    one = step(fake, "protect", name="a", branch="main")
    with pytest.raises(Exists):
        one.send()
    assert one.confirm() is True


def test_200_for_a_default_branch_that_was_not_set(fake: FakeGitea) -> None:
    fake.repo("retina", "a")
    with pytest.raises(Permanent, match="accepted the change of retina/a and did not make it"):
        step(fake, "edit_repository", name="a", default_branch="trunk").send()
