# SPDX-License-Identifier: GPL-3.0-or-later
"""plan(people, observed, memory, policy) -> Plan. Pure: no call is made here.

`changed`, the diff, check mode and the sentences all come from the plan, so check mode cannot differ from a run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .people import Memory, Person, Policy, WantedKey, label
from .state import NO_LIMIT, Account, Key, Repository, Token

NOTHING = Memory()


@dataclass
class Observed:
    """What was read. accounts: by id. keys, tokens, organizations: by account id.

    belongings: repositories of people who go and of their heirs, by login in lower case; None: there is no such owner.
    """

    bot: Account
    accounts: dict[int, Account] = field(default_factory=dict)
    keys: dict[int, list[Key]] = field(default_factory=dict)
    tokens: dict[int, list[Token]] = field(default_factory=dict)
    organizations: dict[int, list[str]] = field(default_factory=dict)
    belongings: dict[str, list[Repository] | None] = field(default_factory=dict)

    def named(self, name: str) -> Account | None:
        return next((one for one in self.accounts.values() if one.name.lower() == name.lower()), None)


@dataclass(frozen=True)
class Op:
    """One call. key: names it in the journal, the same in every run, and nothing else in its lane.

    first: before what others of the lane need. last: after everything else.
    """

    kind: str
    key: str
    sentence: str
    data: Mapping[str, Any] = field(default_factory=dict)
    result: str = "changed"
    first: bool = False
    last: bool = False


@dataclass
class PersonPlan:
    """account, keys, limit: as they are before; no account: it is to be made. lose_*: what goes with a suspension."""

    person: Person
    account: Account | None
    keys: list[Key] = field(default_factory=list)
    limit: int | None = None
    ops: list[Op] = field(default_factory=list)
    lose_keys: list[Key] = field(default_factory=list)
    lose_tokens: list[Token] = field(default_factory=list)


@dataclass
class Plan:
    """people: by name, those for whom there is something to do. accounts: of everybody listed, as matched.

    refused: person -> why nothing is done. notes: what the registry says and Gitea cannot be held to.
    lanes: person -> lane, where people depend on each other.
    """

    people: dict[str, PersonPlan] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    unmanaged: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    lanes: dict[str, str] = field(default_factory=dict)


def match(
    person: Person, accounts: Mapping[int, Account], names: Mapping[str, Account], memory: Memory
) -> tuple[Account | None, str]:
    """The account of a person, and why it cannot be told, if so.

    The remembered id counts only while that account is still called what we left it: after a reinstallation the id
    belongs to somebody else.
    """
    by_name = names.get(person.name.lower())
    by_id = accounts.get(memory.account[0]) if memory.account else None
    if memory.account is None or by_id is None or by_id.name.lower() != memory.account[1].lower():
        return by_name, ""
    if by_name is not None and by_name.id != by_id.id:
        return None, (
            f"the account of this person is called {by_id.name}, and {person.name} is the name of another account"
            f" (id {by_name.id}); rename or remove one of the two in Gitea"
        )
    return by_id, ""


def plan(people: Sequence[Person], observed: Observed, memories: Mapping[int, Memory], policy: Policy) -> Plan:
    """Compare. Raises RefusedError when the guard stops the removals. memories: by uid."""
    result = Plan()
    names = {account.name.lower(): account for account in observed.accounts.values()}
    mine: dict[int, str] = {}
    shrinking = []
    for person in people:
        memory = memories.get(person.uid, NOTHING)
        account, why = match(person, observed.accounts, names, memory)
        why = why or _why_not(person, account, observed, policy, mine)
        if why:
            result.refused[person.name] = why
            continue
        if account is not None:
            mine[account.id] = person.name
            result.accounts[person.name] = account
        one = PersonPlan(person, account)
        if account is not None:
            one.keys, one.limit = observed.keys.get(account.id, []), memory.knows_limit(account)
        if person.state == "present":
            _present(one, memory, policy, result.notes)
        elif account is not None:
            _shut(one, observed)
            if person.state == "absent":
                _absent(one, observed, policy, result.notes)
            if any(op.kind == "delete" for op in one.ops) or not account.shut:
                shrinking.append(person.name)
        if one.ops:
            result.people[person.name] = one
    _name_other_holders(result, observed)
    policy.guard.check(shrinking, len(mine), "accounts")
    if policy.complete:
        known = set(mine) | {observed.bot.id}
        listed = {person.name.lower() for person in people} | {name.lower() for name in policy.protected}
        result.unmanaged = sorted(
            one.name for one in observed.accounts.values() if one.id not in known and one.name.lower() not in listed
        )
    result.lanes = _lanes(result)
    return result


def _why_not(
    person: Person, account: Account | None, observed: Observed, policy: Policy, mine: Mapping[int, str]
) -> str:
    if person.name.lower() in {observed.bot.name.lower(), *(name.lower() for name in policy.protected)}:
        return f"{person.name} is the name of a protected account; nobody in the registry may be called that"
    if account is None:
        return ""
    if account.id == observed.bot.id:
        return "this is the account that Lyceum itself works with"
    if account.id in mine:
        return f"{mine[account.id]} has the same account ({account.name})"
    return ""


# Somebody who is present


def _present(one: PersonPlan, memory: Memory, policy: Policy, notes: list[str]) -> None:
    person, account = one.person, one.account
    if account is None:
        one.ops.append(
            Op(
                "create",
                f"account {person.name}",
                f"create account {person.name} ({person.email}, {person.visibility})",
                {"restricted": person.restricted},
                "created",
            )
        )
        # A new account has everything but these two from the start.
        if person.admin:
            one.ops.append(Op("edit", f"edit {person.name}", "make an administrator", {"admin": True}, "created"))
    else:
        if account.name.lower() != person.name.lower():
            one.ops.append(
                Op(
                    "rename",
                    f"rename {person.name}",
                    f"rename account {account.name} to {person.name}",
                    {"from": account.name},
                    first=True,
                )
            )
        differing = account.differs(person.account)
        if differing:
            one.ops.append(Op("edit", f"edit {person.name}", _edit_sentence(account, differing), differing))
    set_before = memory.knows_limit(account) if account else NO_LIMIT
    if person.limit != set_before and not (set_before is None and person.max_repositories is None):
        was = "not known" if set_before is None else limit_words(set_before)
        one.ops.append(
            Op(
                "limit",
                f"limit {person.name}",
                f"own repositories: {was} -> {limit_words(person.limit)}",
                {"max_repo_creation": person.limit},
            )
        )
    _plan_keys(one, memory, policy, notes)
    notes += [f"{person.name}: {what} is not used: Gitea would let it in regardless" for what in person.left_out]


def _edit_sentence(account: Account, differing: Mapping[str, Any]) -> str:
    if {"active", "prohibit_login"} & set(differing):
        rest = {key: value for key, value in differing.items() if key not in ("active", "prohibit_login")}
        return "let in again" + (f"; {_edit_sentence(account, rest)}" if rest else "")
    return "; ".join(
        f"{key.replace('_', ' ')}: {show(getattr(account, key))} -> {show(value)}" for key, value in differing.items()
    )


def show(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) or "none"


def limit_words(value: int) -> str:
    return "no limit of their own" if value == NO_LIMIT else str(value)


def _plan_keys(one: PersonPlan, memory: Memory, policy: Policy, notes: list[str]) -> None:
    """Exactly the keys of the registry; with exclusive_keys off also what the person had put there."""
    has = {key.fingerprint: key for key in one.keys}
    wanted = {key.fingerprint: key for key in one.person.keys}
    titles = {key.fingerprint: key.title for key in memory.keys}
    for lost in memory.keys:
        if lost.fingerprint not in wanted and not policy.exclusive_keys:
            wanted[lost.fingerprint] = WantedKey(lost.fingerprint, lost.line, lost.title)
        elif lost.fingerprint not in wanted:
            notes.append(
                f"{one.person.name}: key {label(lost.fingerprint, lost.title)} went with the suspension and does not"
                " come back: it is not in the registry"
            )
    if policy.exclusive_keys:
        for key in has.values():
            if key.fingerprint not in wanted:
                one.ops.append(_remove(key, "changed"))
    used = {key.title for key in has.values() if policy.exclusive_keys is False or key.fingerprint in wanted}
    for fingerprint, new in wanted.items():
        if fingerprint in has:
            continue
        title = _free_title(titles.get(fingerprint) or new.comment or "key", fingerprint, used)
        used.add(title)
        one.ops.append(
            Op(
                "add_key",
                f"ssh_key {fingerprint}",
                f"add key {label(fingerprint, title)}",
                {"fingerprint": fingerprint, "line": new.line, "title": title},
            )
        )


def _free_title(title: str, fingerprint: str, used: set[str]) -> str:
    """Gitea takes a title only once for a person."""
    return f"{title} {fingerprint[len('SHA256:') :][:8]}" if title in used else title


def _remove(key: Key, result: str) -> Op:
    return Op(
        "remove_key",
        f"no ssh_key {key.fingerprint}",
        f"remove key {label(key.fingerprint, key.title)}",
        {"id": key.id, "fingerprint": key.fingerprint, "line": key.line, "title": key.title},
        result,
        first=True,
    )


# Somebody who may not get in


def _shut(one: PersonPlan, observed: Observed) -> None:
    """Out of the account, its keys and its tokens; nothing else of it is touched."""
    account = one.account
    assert account is not None  # noqa: S101 - the caller's promise
    name = one.person.name
    if not account.shut:
        one.ops.append(
            Op(
                "edit",
                f"shut {name}",
                f"shut out {account.name}: inactive, no login",
                {"active": False, "prohibit_login": True},
                "suspended",
                first=True,
            )
        )
    one.lose_keys = one.keys
    one.ops += [_remove(key, "suspended") for key in one.lose_keys]
    one.lose_tokens = observed.tokens.get(account.id, [])
    one.ops += [
        Op(
            "remove_token",
            f"no token {token.id}",
            f"remove access token {token.name}",
            {"id": token.id},
            "suspended",
            first=True,
        )
        for token in one.lose_tokens
    ]


def _absent(one: PersonPlan, observed: Observed, policy: Policy, notes: list[str]) -> None:
    """Hand over what the account owns, leave the organizations, delete it; or keep it shut and say why."""
    person, account = one.person, one.account
    assert account is not None  # noqa: S101 - the caller's promise
    owned = observed.belongings.get(account.name.lower()) or []
    purge = person.name in policy.purge
    heir = person.heir or policy.default_heir
    if owned and not purge:
        theirs = observed.belongings.get(heir.lower()) if heir else None
        if theirs is None:
            who = f"the heir {heir} has no account and is no organization" if heir else "there is no heir"
            notes.append(
                f"{person.name}: the account is shut but kept, because it owns repositories"
                f" ({_some(owned)}) and {who}. Name one (heir), or purge them"
            )
            return
        _hand_over(one, owned, heir, {repository.name.lower() for repository in theirs})
    one.ops += [
        Op(
            "leave",
            f"leave {name} {person.name}",
            f"leave organization {name}",
            {"organization": name},
            "removed",
            last=True,
        )
        for name in observed.organizations.get(account.id, [])
    ]
    what = f" and its repositories ({_some(owned)})" if purge and owned else ""
    one.ops.append(
        Op(
            "delete",
            f"delete {person.name}",
            f"delete account {account.name}{what}",
            {"purge": purge},
            "removed",
            last=True,
        )
    )


def _some(owned: Sequence[Repository]) -> str:
    return ", ".join(repository.name for repository in owned[:5]) + (", ..." if len(owned) > 5 else "")


def _hand_over(one: PersonPlan, owned: Sequence[Repository], heir: str, taken: set[str]) -> None:
    account = one.account
    assert account is not None  # noqa: S101 - the caller's promise
    for repository in owned:
        name = repository.name
        if name.lower() in taken:
            name = _free_name(f"{account.name}-{name}", taken | {each.name.lower() for each in owned})
            one.ops.append(
                Op(
                    "rename_repository",
                    f"rename repository {repository.id}",
                    f"rename repository {account.name}/{repository.name} to {name}, for {heir} has one of that name",
                    {"id": repository.id, "owner": account.name, "name": repository.name, "new": name},
                    "removed",
                    last=True,
                )
            )
        taken.add(name.lower())
        one.ops.append(
            Op(
                "transfer",
                f"transfer repository {repository.id}",
                f"give repository {account.name}/{name} to {heir}",
                {"id": repository.id, "owner": account.name, "name": name, "heir": heir},
                "removed",
                last=True,
            )
        )


def _free_name(name: str, taken: set[str]) -> str:
    number, free = 2, name
    while free.lower() in taken:
        free, number = f"{name}-{number}", number + 1
    return free


# Everybody together


def _name_other_holders(result: Plan, observed: Observed) -> None:
    """Refuse to plan for people who want the key of somebody who keeps it: a key belongs to one account only."""
    holders = {key.fingerprint: account for account, keys in observed.keys.items() for key in keys}
    leaving = {op.data["fingerprint"] for one in result.people.values() for op in one.ops if op.kind == "remove_key"}
    for name, one in list(result.people.items()):
        for op in one.ops:
            if op.kind != "add_key" or op.data["fingerprint"] in leaving or op.data["fingerprint"] not in holders:
                continue
            holder = observed.accounts[holders[op.data["fingerprint"]]]
            one.ops.remove(op)
            result.refused[name] = held_by(op.data["fingerprint"], op.data["title"], holder.name)
            break
        if not one.ops:
            del result.people[name]


def held_by(fingerprint: str, title: str, holder: str) -> str:
    """Why a key cannot be added."""
    who = f"belongs to the account {holder}" if holder else "is a deploy key of a repository"
    return (
        f"key {label(fingerprint, title)} already {who}, and Gitea takes a key only once; it cannot tell two people"
        " apart by the same key. Remove it there, or make a new one for this person"
    )


def _lanes(result: Plan) -> dict[str, str]:
    """People who must wait for each other share a lane: one takes over a key or a repository of the other."""
    leaders: dict[str, str] = {}

    def leader(name: str) -> str:
        while leaders.get(name, name) != name:
            name = leaders[name]
        return name

    holders: dict[str, str] = {}
    for name, one in result.people.items():
        for op in one.ops:
            if op.kind == "remove_key":
                holders[op.data["fingerprint"]] = name
    for name, one in result.people.items():
        for op in one.ops:
            other = holders.get(op.data["fingerprint"]) if op.kind == "add_key" else None
            other = op.data["heir"] if op.kind == "transfer" else other
            if other in result.people and leader(other) != leader(name):
                leaders[leader(name)] = leader(other)
    return {name: leader(name) for name in result.people if name in leaders or name in leaders.values()}
