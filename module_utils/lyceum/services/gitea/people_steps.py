# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of the engine for a plan about people: how each is sent, and how to see whether it happened."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import Exists, Permanent
from ..secret import Secret
from ..steps import Found, Step
from .client import Gitea
from .people_plan import Op, PersonPlan, Plan, held_by
from .state import Account

LAST_OWNER = "last member of owner team"
OWNERS = "Owners"
# Too short, too simple, known to the world.
PASSWORD_WORDS = ("PasswordIsRequired", "PasswordComplexity", "PasswordPwned")


def steps(plan: Plan, client: Gitea, passwords: Mapping[str, Secret], *, must_change: bool, bot: str) -> list[Step]:
    """In the order in which they may be carried out: what others wait for, then the rest, then what ends an account."""
    maker = _Maker(client, passwords, must_change, bot)
    rounds: list[list[Step]] = [[], [], []]
    for name, one in plan.people.items():
        for op in one.ops:
            rounds[0 if op.first else 2 if op.last else 1].append(maker.step(one, op, plan.lanes.get(name, "")))
    return [step for each in rounds for step in each]


class _Maker:
    def __init__(self, client: Gitea, passwords: Mapping[str, Secret], must_change: bool, bot: str) -> None:
        self.client = client
        self.passwords = passwords
        self.must_change = must_change
        self.bot = bot

    def step(self, one: PersonPlan, op: Op, lane: str) -> Step:
        make: Callable[[PersonPlan, Op], dict[str, Any]] = getattr(self, f"_{op.kind}")
        earlier = {each.kind: each.key for each in one.ops[: one.ops.index(op)]}
        after = [key for kind, key in earlier.items() if kind in ("create", "rename")]
        if op.kind == "delete":
            # What could not be handed over must not go with the account.
            after = [each.key for each in one.ops if each.last and each is not op]
        elif op.kind == "transfer" and f"rename repository {op.data['id']}" in [each.key for each in one.ops]:
            after = [f"rename repository {op.data['id']}"]
        return Step(
            person=one.person.name,
            key=op.key,
            sentence=f"{one.person.name}: {op.sentence}",
            after=tuple(after),
            result=op.result,
            lane=lane,
            **make(one, op),
        )

    # Accounts

    def _create(self, one: PersonPlan, op: Op) -> dict[str, Any]:
        person = one.person
        given = self.passwords.get(person.name)
        # Nobody needs to know the other kind: who has none signs in with a key, or asks for a new one.
        password = given or Secret(f"{secrets.token_urlsafe(32)}aA1-")
        body = {
            "username": person.name,
            "email": person.email,
            "full_name": person.full_name,
            "must_change_password": self.must_change and given is not None,
            "restricted": person.restricted,
            "visibility": person.visibility,
            "send_notify": False,
            "source_id": 0,
            # Means nothing for an account with a password here, but later edits must say something.
            "login_name": person.name,
        }

        def send() -> str:
            try:
                return str(self.client.create_account({**body, "password": password.reveal()}).id)
            except (Exists, Permanent) as exc:
                raise self._why_not_created(person.name, person.email, exc) from exc

        def confirm() -> bool | Found:
            found = self.client.account(person.name)
            same = found is not None and found.email.lower() == person.email.lower()
            return Found(str(found.id)) if found is not None and same else False

        def undo() -> None:
            self._edit_now(person.name, {"active": False, "prohibit_login": True})

        return {"send": send, "confirm": confirm, "undo": undo, "creates": True, "secrets": (password,)}

    def _why_not_created(self, name: str, email: str, exc: Exists | Permanent) -> Exists | Permanent:
        """One code says it all; find out which it is."""
        text = str(exc).lower()
        if "e-mail already in use" in text:
            holder = self.client.holder_of_address(email)
            return Permanent(
                f"the address {email} belongs to the account {holder or 'of somebody else'}; if that is the same person"
                " under an earlier name, rename that account in Gitea, else give one of them another address"
            )
        if isinstance(exc, Exists) and self.client.account(name) is None:
            return Permanent(f"the name {name} is taken by an organization or a bot; rename one of the two")
        refused = next((word for word in PASSWORD_WORDS if word.lower() in text), "")
        if refused:
            return Permanent(f"Gitea does not take the first password given for {name}: {refused}")
        if "name is reserved" in text or "name pattern is not allowed" in text:
            return Permanent(f"Gitea keeps the name {name} for itself; this person needs another name, or no Gitea")
        return exc

    def _edit(self, one: PersonPlan, op: Op) -> dict[str, Any]:
        name = self._name(one)

        def send() -> None:
            try:
                self._edit_now(name, op.data, one.account)
            except Permanent as exc:
                if "e-mail already in use" not in str(exc).lower():
                    raise
                holder = self.client.holder_of_address(op.data["email"])
                raise Permanent(f"the address {op.data['email']} belongs to the account {holder}") from exc

        def confirm() -> bool:
            found = self.client.account(name)
            return found is not None and not found.differs(op.data)

        before = {key: getattr(one.account, key) for key in op.data} if one.account else {"admin": False}

        def undo() -> None:
            self._edit_now(name, before)

        return {"send": send, "confirm": confirm, "undo": undo, "repeatable": True}

    def _edit_now(self, name: str, values: Mapping[str, Any], known: Account | None = None) -> None:
        """Edit, and say again what an edit would wipe. Gitea takes no empty login_name, which local accounts have."""
        account = known or self.client.account(name)
        login, source = (account.login_name, account.source_id) if account else ("", 0)
        self.client.edit_account(name, {**values, "login_name": login or name, "source_id": source})

    def _limit(self, one: PersonPlan, op: Op) -> dict[str, Any]:
        name = one.person.name

        def send() -> None:
            self._edit_now(name, op.data, one.account)

        # Gitea does not tell what the limit is.
        return {"send": send, "confirm": lambda: None, "repeatable": True}

    def _rename(self, one: PersonPlan, op: Op) -> dict[str, Any]:
        account, new = one.account, one.person.name
        assert account is not None  # noqa: S101 - only who has an account is renamed

        def confirm() -> bool:
            found = self.client.account(new)
            return found is not None and found.id == account.id

        return {
            "send": lambda: self.client.rename_account(account.name, new),
            "confirm": confirm,
            "undo": lambda: self.client.rename_account(new, account.name),
        }

    def _delete(self, one: PersonPlan, op: Op) -> dict[str, Any]:
        account = one.account
        assert account is not None  # noqa: S101 - only who has an account is deleted
        return {
            "send": lambda: self.client.delete_account(account.name, purge=op.data["purge"]),
            "confirm": lambda: self.client.account(account.name) is None,
        }

    # Keys and tokens

    def _name(self, one: PersonPlan) -> str:
        """What the account is called when this step is sent: renaming comes first."""
        return one.person.name if one.person.state == "present" or one.account is None else one.account.name

    def _add_key(self, one: PersonPlan, op: Op) -> dict[str, Any]:
        return self._key(one, op, add=True)

    def _remove_key(self, one: PersonPlan, op: Op) -> dict[str, Any]:
        return self._key(one, op, add=False)

    def _key(self, one: PersonPlan, op: Op, *, add: bool) -> dict[str, Any]:
        name, fingerprint = self._name(one), op.data["fingerprint"]

        def there() -> bool:
            return any(key.fingerprint == fingerprint for key in self.client.keys(name))

        def put() -> str:
            try:
                key = self.client.add_key(name, op.data["title"], op.data["line"])
            except Exists:
                holder = self.client.key_of(fingerprint)
                if holder is not None and holder.owner.lower() == name.lower():
                    raise
                raise Permanent(held_by(fingerprint, op.data["title"], holder.owner if holder else "")) from None
            if key.fingerprint != fingerprint:
                raise Permanent(f"Gitea stored another key: {key.fingerprint}")
            return str(key.id)

        def take() -> None:
            self.client.delete_key(name, op.data["id"])

        def take_new() -> None:
            for key in self.client.keys(name):
                if key.fingerprint == fingerprint:
                    self.client.delete_key(name, key.id)

        def put_back() -> None:
            put()

        if add:
            return {"send": put, "confirm": there, "undo": take_new, "creates": True}
        return {"send": take, "confirm": lambda: not there(), "undo": put_back}

    def _remove_token(self, one: PersonPlan, op: Op) -> dict[str, Any]:
        name, token = self._name(one), op.data["id"]
        return {
            "send": lambda: self.client.delete_token(name, token),
            "confirm": lambda: all(each.id != token for each in self.client.tokens(name)),
        }

    # What somebody leaves behind

    def _rename_repository(self, one: PersonPlan, op: Op) -> dict[str, Any]:
        owner, name, new = op.data["owner"], op.data["name"], op.data["new"]

        def send() -> None:
            self.client.edit_repository(owner, name, {"name": new})

        def undo() -> None:
            self.client.edit_repository(owner, new, {"name": name})

        return {"send": send, "confirm": lambda: self._has(owner, op.data["id"], new), "undo": undo}

    def _transfer(self, one: PersonPlan, op: Op) -> dict[str, Any]:
        owner, name, heir = op.data["owner"], op.data["name"], op.data["heir"]
        return {
            "send": lambda: self.client.transfer(owner, name, heir),
            "confirm": lambda: self._has(heir, op.data["id"], name),
            "undo": lambda: self.client.transfer(heir, name, owner),
        }

    def _has(self, owner: str, repository: int, name: str) -> bool:
        found = self.client.repository_with(repository)
        return found is not None and (found.owner.lower(), found.name.lower()) == (owner.lower(), name.lower())

    def _leave(self, one: PersonPlan, op: Op) -> dict[str, Any]:
        account, organization = one.account, op.data["organization"]
        assert account is not None  # noqa: S101 - only members leave
        name = account.name

        def send() -> None:
            try:
                self.client.leave(organization, name)
            except Permanent as exc:
                if LAST_OWNER not in str(exc):
                    raise
                owners = next(team for team in self.client.teams(organization) if team.name == OWNERS)
                self.client.add_member(owners.id, self.bot)
                self.client.leave(organization, name)

        def confirm() -> bool:
            return organization not in self.client.organizations_of(name)

        return {"send": send, "confirm": confirm, "repeatable": True}
