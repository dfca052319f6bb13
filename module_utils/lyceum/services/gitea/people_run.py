# SPDX-License-Identifier: GPL-3.0-or-later
"""One run about people: read, plan, carry out, read back, remember."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..engine import preview
from ..engine import run as carry_out
from ..errors import NotFound, Permanent
from ..outcome import Outcome
from .client import Gitea, gather_by
from .connection import Session
from .guard import Guard
from .people import ACCOUNT, LIMIT, LOST_KEY, LOST_TOKEN, SHUT, Memory, Person, Policy, Wanted
from .people_diff import diff
from .people_plan import NOTHING, Observed, Plan, match, plan
from .people_steps import steps
from .state import Account, Repository

FEW = 10  # people who are looked up one by one; reading all accounts takes one call for 50 of them
CLOSE_LOOK = 50  # changed people whose keys are read back; of more, Gitea's answer to each call must do
UNREADABLE = ("limit",)
NO_GUARD = Guard(10**9, 100)


def run(wanted: Wanted, session: Session, *, check: bool, with_diff: bool) -> dict[str, Any]:
    """The module's result. LyceumError when nothing could be planned."""
    stored = session.journal.remembered()
    memories = {person.uid: Memory.from_journal(stored.get(person.slot, {})) for person in wanted.people}
    observed = observe(wanted.people, session.reader, session.bot, memories, wanted.policy)
    todo = plan(wanted.people, observed, memories, wanted.policy)
    todo_steps = steps(todo, session.writer, wanted.passwords, must_change=wanted.must_change, bot=session.bot.name)
    names = [person.name for person in wanted.people]
    if check:
        outcome = preview(todo_steps)
    else:
        session.journal.remember(_losses(todo))
        accounts = dict(todo.accounts)

        def read_back() -> set[tuple[str, str]]:
            changed = [person for person in wanted.people if person.name in todo.people]
            return _still_to_do(changed, session, memories, wanted.policy, accounts)

        outcome = carry_out(
            todo_steps,
            session.policy,
            session.journal,
            scope=names,
            ready=session.writer.healthy,
            read_back=read_back,
            secrets=(*session.secrets, *wanted.passwords.values()),
        )
        _remember(wanted.people, todo, outcome, accounts, memories, observed, session)
    result = outcome.result(
        "gitea", [name for name in names if name in todo.accounts or name in todo.people],
        unmanaged=todo.unmanaged, refused=todo.refused,
    )  # fmt: skip
    result["lyceum"]["not_enforced"] = todo.notes
    result["server"] = session.server
    if with_diff:
        result["diff"] = [diff(one) for one in todo.people.values()]
    return result


def observe(
    people: Sequence[Person],
    client: Gitea,
    bot: Account,
    memories: Mapping[int, Memory],
    policy: Policy,
    *,
    with_keys: bool = True,
) -> Observed:
    """All that the plan needs, in as few calls as Gitea offers: all accounts page by page, then the keys of each."""
    observed = Observed(bot, _accounts(people, client, memories, policy))
    names = {account.name.lower(): account for account in observed.accounts.values()}
    found: dict[str, Account] = {}
    for person in people:
        account, _why = match(person, observed.accounts, names, memories.get(person.uid, NOTHING))
        if account is not None:
            found[person.name] = account
    if with_keys:
        keys = gather_by({account.name for account in found.values()}, client.keys)
        observed.keys = {account.id: keys[account.name] for account in found.values()}
    shut = [person for person in people if person.state != "present" and person.name in found]
    unsure = [
        found[person.name]
        for person in shut
        if not found[person.name].shut or memories.get(person.uid, NOTHING).shut != found[person.name].id
    ]
    # Nobody can get a token for an account that is shut, so that looking once is enough.
    tokens = gather_by((account.name for account in unsure), client.tokens)
    observed.tokens = {account.id: tokens[account.name] for account in unsure}
    absent = [person for person in shut if person.state == "absent"]
    organizations = gather_by((found[person.name].name for person in absent), client.organizations_of)
    observed.organizations = {found[person.name].id: organizations[found[person.name].name] for person in absent}
    owners = {found[person.name].name for person in absent}
    heirs = {person.heir or policy.default_heir for person in absent} - {""}
    # Whoever this run makes an account for owns nothing yet; whoever it renames is asked for by the name of now.
    coming = {person.name for person in people if person.state == "present" and person.name not in found}
    called = {name: found[name].name if name in found else name for name in (owners | heirs) - coming}
    owned = gather_by(sorted(called.values()), lambda owner: _belongings(client, owner))
    observed.belongings = {
        **{name.lower(): [] for name in heirs & coming},
        **{name.lower(): owned[now] for name, now in called.items()},
    }
    return observed


def _accounts(
    people: Sequence[Person], client: Gitea, memories: Mapping[int, Memory], policy: Policy
) -> dict[int, Account]:
    if policy.complete or len(people) > FEW:
        return {account.id: account for account in client.accounts()}
    before = [memory.account[1] for memory in memories.values() if memory.account]
    found = gather_by([*(person.name for person in people), *before], client.account)
    return {account.id: account for account in found.values() if account is not None}


def _belongings(client: Gitea, owner: str) -> list[Repository] | None:
    try:
        return client.repositories(owner)
    except (NotFound, Permanent):  # a redirect to whoever was called that before is no owner, either
        return None


def _still_to_do(
    people: Sequence[Person],
    session: Session,
    memories: Mapping[int, Memory],
    policy: Policy,
    accounts: dict[str, Account],
) -> set[tuple[str, str]]:
    """Plan again from what Gitea has now; `accounts` gets the accounts of the people."""
    close = len(people) <= CLOSE_LOOK
    policy = replace(policy, complete=False, guard=NO_GUARD)
    # What we remember is from before the run: a renamed account is now found by its name.
    now = {uid: replace(memory, account=None) for uid, memory in memories.items()}
    observed = observe(people, session.reader, session.bot, now, policy, with_keys=close)
    again = plan(people, observed, now, policy)
    accounts.update(again.accounts)
    return {
        (name, op.key)
        for name, one in again.people.items()
        for op in one.ops
        if op.kind not in UNREADABLE and (close or op.kind not in ("add_key", "remove_key"))
    }


def _losses(todo: Plan) -> dict[tuple[str, str], Any]:
    """What a suspension is about to take away."""
    lost: dict[tuple[str, str], Any] = {}
    for one in todo.people.values():
        for key in one.lose_keys:
            lost[one.person.slot, LOST_KEY + key.fingerprint] = {"title": key.title, "line": key.line}
        for token in one.lose_tokens:
            lost[one.person.slot, f"{LOST_TOKEN}{token.id}"] = {"name": token.name}
    return lost


def _remember(
    people: Sequence[Person],
    todo: Plan,
    outcome: Outcome,
    accounts: Mapping[str, Account],
    memories: Mapping[int, Memory],
    observed: Observed,
    session: Session,
) -> None:
    """Whose account is whose (for renames), which limits were set, and who was seen shut; only what is new."""
    open_people = {item.step.person for item in outcome.having("failed", "deferred", "skipped", "undone")}
    done = {(item.step.person, item.step.key) for item in outcome.having("done", "adopted")}
    stored = session.journal.remembered()
    values: dict[tuple[str, str], Any] = {}
    for person in people:
        memory, account = memories[person.uid], accounts.get(person.name)
        settled = person.name not in open_people and person.name not in todo.refused
        if person.state == "absent" and settled and (account is None or (person.name, f"delete {person.name}") in done):
            if memory != NOTHING:
                session.journal.forget(person.slot)
            continue
        if account is None:
            continue
        if settled and memory.account != (account.id, account.name):
            values[person.slot, ACCOUNT] = {"id": account.id, "name": account.name}
        if (person.name, f"limit {person.name}") in done:
            values[person.slot, LIMIT] = {"id": account.id, "value": person.limit}
        if person.state == "present" and settled and (memory.keys or memory.tokens or memory.shut):
            lost = [key for key in stored.get(person.slot, {}) if key.startswith((LOST_KEY, LOST_TOKEN))]
            session.journal.forget(person.slot, [*lost, SHUT])
        looked = account.id in observed.tokens
        if person.state != "present" and settled and looked and memory.shut != account.id:
            values[person.slot, SHUT] = {"id": account.id}
    if values:
        session.journal.remember(values)
