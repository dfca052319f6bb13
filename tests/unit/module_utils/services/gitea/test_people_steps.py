# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps one by one: looking whether they happened, and taking them back."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.lyceum.services.errors import Permanent
from ansible.module_utils.lyceum.services.gitea.client import Gitea, Patience
from ansible.module_utils.lyceum.services.gitea.people import Memory, Person, Policy
from ansible.module_utils.lyceum.services.gitea.people_plan import Observed, plan
from ansible.module_utils.lyceum.services.gitea.people_steps import steps
from ansible.module_utils.lyceum.services.gitea.state import Key, Token
from ansible.module_utils.lyceum.services.http import Basic
from ansible.module_utils.lyceum.services.secret import Secret
from ansible.module_utils.lyceum.services.steps import Step

from .fake import FakeGitea, fingerprint, public_key
from .test_people import entry

LINE = public_key(1, "laptop")


class World:
    def __init__(self) -> None:
        self.fake = FakeGitea()
        self.client = Gitea(self.fake, basic=Basic("lyceum-bot", Secret("x")), patience=Patience(deadline_s=0))

    def steps(self, person: Person, memory: Memory | None = None, policy: Policy | None = None) -> dict[str, Step]:
        """Of one person, as things are now."""
        fake = self.fake
        seen = Observed(self.client.me(), {one.id: one for one in self.client.accounts()})
        for one in seen.accounts.values():
            owned = [Key.from_api(key) for key in fake.keys.values() if key["owner"] == one.name.lower()]
            seen.keys[one.id] = owned
            seen.tokens[one.id] = [Token.from_api(token) for token in fake.tokens.values() if token["of"] == one.name]
            seen.organizations[one.id] = self.client.organizations_of(one.name)
            seen.belongings[one.name.lower()] = self.client.repositories(one.name)
        todo = plan([person], seen, {person.uid: memory or Memory()}, policy or Policy())
        return {step.key: step for step in steps(todo, self.client, {}, must_change=False, bot="lyceum-bot")}


@pytest.fixture
def world() -> World:
    return World()


def person(**values: Any) -> Person:
    return Person.from_params(entry(visibility="limited", **values))


def test_create_is_looked_up_and_undone_by_shutting_out(world: World) -> None:
    step = world.steps(person())["account amartin"]
    assert step.confirm() is False
    number = step.send()
    found = step.confirm()
    assert found
    assert str(world.fake.users["amartin"]["id"]) == number == getattr(found, "external_id", None)
    assert step.undo is not None
    step.undo()
    assert world.fake.users["amartin"]["active"] is False


def test_an_account_of_another_address_is_not_ours(world: World) -> None:
    step = world.steps(person())["account amartin"]
    world.fake.user("amartin", email="other@example.org")
    assert step.confirm() is False


def test_edit_and_its_way_back(world: World) -> None:
    world.fake.user("amartin", full_name="Before")
    step = world.steps(person(full_name="After", admin=True))["edit amartin"]
    assert step.confirm() is False
    step.send()
    assert step.confirm() is True
    assert step.undo is not None
    step.undo()
    assert (world.fake.users["amartin"]["full_name"], world.fake.users["amartin"]["is_admin"]) == ("Before", False)


def test_nobody_can_tell_whether_a_limit_was_set(world: World) -> None:
    world.fake.user("amartin")
    step = world.steps(person(max_repositories=2))["limit amartin"]
    step.send()
    assert (step.confirm(), step.repeatable) == (None, True)
    assert world.fake.users["amartin"]["max_repo_creation"] == 2


def test_rename_and_back(world: World) -> None:
    user = world.fake.user("amartin")
    wanted = Person.from_params(entry("a-martin", visibility="limited"))
    made = world.steps(wanted, Memory(account=(user["id"], "amartin")))
    step = made["rename a-martin"]
    assert step.confirm() is False
    step.send()
    assert step.confirm() is True
    assert step.undo is not None
    step.undo()
    assert "amartin" in world.fake.users
    assert made["edit a-martin"].after == ("rename a-martin",)


def test_a_key_and_back(world: World) -> None:
    world.fake.user("amartin")
    step = world.steps(person(ssh_keys=[LINE]))[f"ssh_key {fingerprint(LINE)}"]
    assert step.confirm() is False
    step.send()
    assert step.confirm() is True
    assert step.undo is not None
    step.undo()
    assert world.fake.keys == {}


def test_a_key_that_is_stored_as_another_is_refused(world: World) -> None:
    world.fake.user("amartin")
    step = world.steps(person(ssh_keys=[LINE]))[f"ssh_key {fingerprint(LINE)}"]
    world.fake.fault = lambda method, path: (201, world.fake.key("amartin", public_key(2)))
    with pytest.raises(Permanent, match="Gitea stored another key"):
        step.send()


def test_a_removed_key_and_token_and_back(world: World) -> None:
    world.fake.user("amartin")
    world.fake.key("amartin", LINE, "laptop")
    world.fake.tokens[90] = {"id": 90, "name": "ci", "of": "amartin"}
    made = world.steps(person(state="suspended"))
    key, token = made[f"no ssh_key {fingerprint(LINE)}"], made["no token 90"]
    assert (key.confirm(), token.confirm()) == (False, False)
    key.send()
    token.send()
    assert (key.confirm(), token.confirm()) == (True, True)
    assert key.undo is not None
    key.undo()
    assert [each["title"] for each in world.fake.keys.values()] == ["laptop"]
    assert token.undo is None


def test_repositories_move_and_come_back(world: World) -> None:
    world.fake.user("amartin")
    world.fake.user("bchen")
    mine, _theirs = world.fake.repo("amartin", "thesis"), world.fake.repo("bchen", "thesis")
    made = world.steps(person(state="absent", heir="bchen"))
    rename, give = made[f"rename repository {mine['id']}"], made[f"transfer repository {mine['id']}"]
    assert give.after == (rename.key,)
    assert set(made["delete amartin"].after) >= {rename.key, give.key}
    for step in (rename, give):
        assert step.confirm() is False
        step.send()
        assert step.confirm() is True
    assert (mine["of"], mine["name"]) == ("bchen", "amartin-thesis")
    for step in (give, rename):
        assert step.undo is not None
        step.undo()
    assert (mine["of"], mine["name"]) == ("amartin", "thesis")


def test_leaving_and_deleting(world: World) -> None:
    world.fake.user("amartin")
    world.fake.org("speech", "amartin")
    made = world.steps(person(state="absent"))
    leave, delete = made["leave speech amartin"], made["delete amartin"]
    assert (leave.confirm(), delete.confirm()) == (False, False)
    leave.send()
    delete.send()
    assert (leave.confirm(), delete.confirm()) == (True, True)
    assert world.fake.members("speech", "Owners") == ["lyceum-bot"]
    assert "speech" in world.fake.orgs


def test_repositories_are_never_purged_unless_asked(world: World) -> None:
    world.fake.user("amartin")
    world.fake.repo("amartin", "thesis")
    assert "delete" not in world.steps(person(state="absent"))
    made = world.steps(person(state="absent"), policy=Policy(purge=frozenset({"amartin"})))
    assert made["delete amartin"].sentence == "amartin: delete account amartin and its repositories (thesis)"


def test_the_body_of_a_new_account_says_everything(world: World) -> None:
    """must_change_password is true unless said, and later edits need a login_name."""
    world.steps(person(restricted=True))["account amartin"].send()
    body = next(body for body in world.fake.bodies if body)
    assert {key: body[key] for key in ("must_change_password", "login_name", "source_id", "send_notify")} == {
        "must_change_password": False, "login_name": "amartin", "source_id": 0, "send_notify": False,
    }  # fmt: skip
    assert world.fake.users["amartin"]["restricted"] is True
