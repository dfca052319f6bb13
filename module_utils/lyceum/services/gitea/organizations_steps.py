# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of the engine for a plan about organizations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import Exists, NotFound, Permanent
from ..steps import Found, Step
from .client import Gitea
from .organizations import WRITE, units_of
from .organizations_plan import Op, Plan
from .state import Repository

# Whoever may push may not rewrite: that is what a rule without anything else says.
RULE = {"enable_push": True, "enable_force_push": False}


def steps(plan: Plan, client: Gitea) -> list[Step]:
    """One lane for each organization, because the teams must be there before their members."""
    return [_Maker(client, name).step(op) for name, ops in plan.ops.items() for op in ops]


class _Maker:
    def __init__(self, client: Gitea, organization: str) -> None:
        self.client = client
        self.name = organization

    def step(self, op: Op) -> Step:
        make: Callable[[Op], dict[str, Any]] = getattr(self, f"_{op.kind}")
        return Step(
            person=op.person,
            key=op.key if op.key != "delete" else f"delete organization {self.name}",
            sentence=op.sentence,
            after=op.after,
            lane=f"organization {self.name}",
            **make(op),
        )

    def _create_organization(self, op: Op) -> dict[str, Any]:
        def send() -> str:
            try:
                return str(self.client.create_organization({"username": self.name, **op.data}).id)
            except Exists as exc:
                if self.client.organization(self.name) is not None:
                    raise
                raise Permanent(f"the name {self.name} is that of an account; rename one of the two") from exc

        def confirm() -> bool | Found:
            found = self.client.organization(self.name)
            return Found(str(found.id)) if found else False

        return {"send": send, "confirm": confirm, "creates": True}

    def _edit_organization(self, op: Op) -> dict[str, Any]:
        def confirm() -> bool:
            found = self.client.organization(self.name)
            return found is not None and all(getattr(found, field) == value for field, value in op.data.items())

        return {
            "send": lambda: self.client.edit_organization(self.name, op.data),
            "confirm": confirm,
            "repeatable": True,
        }

    def _delete_organization(self, op: Op) -> dict[str, Any]:
        return {
            "send": lambda: self.client.delete_organization(self.name),
            "confirm": lambda: self.client.organization(self.name) is None,
        }

    # Teams

    def _team(self, name: str) -> int | None:
        return next((team.id for team in self.client.teams(self.name) if team.name == name), None)

    def _known(self, name: str) -> int:
        """The id of a team that must be there by now."""
        found = self._team(name)
        if found is None:
            raise Permanent(f"organization {self.name} has no team {name}")
        return found

    def _team_body(self, team: str) -> dict[str, Any]:
        """All of it every time: without units Gitea answers 500, and an edit without a name is none."""
        return {
            "name": team,
            "permission": team,
            "units_map": units_of(team),
            "includes_all_repositories": True,
            "can_create_org_repo": team == WRITE,
        }

    def _create_team(self, op: Op) -> dict[str, Any]:
        team = op.data["team"]

        def confirm() -> bool | Found:
            found = self._team(team)
            return Found(str(found)) if found else False

        return {
            "send": lambda: str(self.client.create_team(self.name, self._team_body(team)).id),
            "confirm": confirm,
            "creates": True,
        }

    def _edit_team(self, op: Op) -> dict[str, Any]:
        team = op.data["team"]
        return {
            "send": lambda: self.client.edit_team(self._known(team), self._team_body(team)),
            "confirm": lambda: None,
            "repeatable": True,
        }

    def _add_member(self, op: Op) -> dict[str, Any]:
        team, person = op.data["team"], op.data["person"]

        def send() -> None:
            try:
                self.client.add_member(self._known(team), person)
            except NotFound as exc:
                raise Permanent(f"{person} has no account in this Gitea") from exc

        return {
            "send": send,
            "confirm": lambda: self._is_member(team, person),
            "undo": lambda: self.client.remove_member(self._known(team), person),
            "repeatable": True,
        }

    def _remove_member(self, op: Op) -> dict[str, Any]:
        team, person = op.data["team"], op.data["person"]
        return {
            "send": lambda: self.client.remove_member(self._known(team), person),
            "confirm": lambda: not self._is_member(team, person),
            "undo": lambda: self.client.add_member(self._known(team), person),
            "repeatable": True,
        }

    def _is_member(self, team: str, person: str) -> bool:
        found = self._team(team)
        members = self.client.members(found) if found is not None else []
        return person.lower() in {name.lower() for name in members}

    # Repositories

    def _create_repository(self, op: Op) -> dict[str, Any]:
        def confirm() -> bool | Found:
            found = self.client.repository(self.name, op.data["name"])
            return Found(str(found.id)) if found else False

        return {
            "send": lambda: str(self.client.create_repository(self.name, {**op.data, "auto_init": False}).id),
            "confirm": confirm,
            "creates": True,
        }

    def _edit_repository(self, op: Op) -> dict[str, Any]:
        body = {field: value for field, value in op.data.items() if field != "name"}
        return self._change(op.data["name"], body)

    def _archive(self, op: Op) -> dict[str, Any]:
        return self._change(op.data["name"], {"archived": op.data["archived"]})

    def _change(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        def is_so(found: Repository | None) -> bool:
            return found is not None and all(getattr(found, field) == value for field, value in body.items())

        def send() -> None:
            # Gitea says 200 also where it leaves the default branch as it was.
            if not is_so(self.client.edit_repository(self.name, name, body)):
                raise Permanent(f"Gitea accepted the change of {self.name}/{name} and did not make it")

        return {"send": send, "confirm": lambda: is_so(self.client.repository(self.name, name)), "repeatable": True}

    def _delete_repository(self, op: Op) -> dict[str, Any]:
        name = op.data["name"]
        return {
            "send": lambda: self.client.delete_repository(self.name, name),
            "confirm": lambda: self.client.repository(self.name, name) is None,
        }

    def _protect(self, op: Op) -> dict[str, Any]:
        name, branch = op.data["name"], op.data["branch"]
        return {
            "send": lambda: self.client.protect(self.name, name, {**RULE, "rule_name": branch}),
            "confirm": lambda: self._is_protected(name, branch),
            "creates": True,
        }

    def _edit_protection(self, op: Op) -> dict[str, Any]:
        name, branch = op.data["name"], op.data["branch"]
        return {
            "send": lambda: self.client.edit_protection(self.name, name, branch, {"enable_force_push": False}),
            "confirm": lambda: self._is_protected(name, branch),
            "repeatable": True,
        }

    def _is_protected(self, name: str, branch: str) -> bool:
        rules = self.client.protections(self.name, name)
        return any(rule["rule_name"] == branch and not rule.get("enable_force_push") for rule in rules)
