# SPDX-License-Identifier: GPL-3.0-or-later
"""People as the registry wants them in Gitea, and what is remembered of them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...errors import LyceumError
from ...registry.sshkeys import PublicKey, parse
from ..secret import Secret
from .guard import Guard
from .state import NO_LIMIT, Account, Key

TITLE_LENGTH = 60
# Options that say when, from where or how a key may be used. Gitea knows none of them and would let it in regardless.
NARROWING = ("from", "expiry-time", "verify-required")

# Keys of what the journal remembers about a person.
ACCOUNT, LIMIT, SHUT = "account", "max_repositories", "shut"
LOST_KEY, LOST_TOKEN = "lost key ", "lost token "


@dataclass(frozen=True)
class WantedKey:
    """line: type and data, without options and comment."""

    fingerprint: str
    line: str
    comment: str = ""


@dataclass(frozen=True)
class Person:
    """max_repositories: None is as many as the server allows. left_out: keys that Gitea would give too much."""

    name: str
    uid: int
    full_name: str = ""
    email: str = ""
    state: str = "present"
    admin: bool = False
    restricted: bool = False
    max_repositories: int | None = None
    visibility: str = "limited"
    heir: str = ""
    keys: tuple[WantedKey, ...] = ()
    left_out: tuple[str, ...] = ()

    @classmethod
    def from_params(cls, entry: Mapping[str, Any]) -> Person:
        """LyceumError names the person and the key that cannot be read."""
        keys, left_out = _keys(entry["name"], entry.get("ssh_keys") or ())
        limit = entry.get("max_repositories")
        return cls(
            name=entry["name"],
            uid=int(entry["uid"]),
            full_name=entry.get("full_name") or "",
            email=entry.get("email") or "",
            state=entry.get("state") or "present",
            admin=bool(entry.get("admin")),
            restricted=bool(entry.get("restricted")),
            max_repositories=None if limit is None else int(limit),
            visibility=entry.get("visibility") or "limited",
            heir=entry.get("heir") or "",
            keys=keys,
            left_out=left_out,
        )

    @property
    def account(self) -> dict[str, Any]:
        """What the account of this person, if present, should say."""
        return {
            "full_name": self.full_name,
            "email": self.email,
            "admin": self.admin,
            "restricted": self.restricted,
            "visibility": self.visibility,
            "active": True,
            "prohibit_login": False,
        }

    @property
    def limit(self) -> int:
        return NO_LIMIT if self.max_repositories is None else self.max_repositories

    @property
    def slot(self) -> str:
        """Under what the journal remembers this person: the name may change, the uid never does."""
        return f"uid {self.uid}"


def _keys(name: str, lines: Sequence[str]) -> tuple[tuple[WantedKey, ...], tuple[str, ...]]:
    wanted: dict[str, WantedKey] = {}
    left_out = []
    for number, line in enumerate(lines, start=1):
        try:
            key = parse(line)
        except LyceumError as exc:
            raise LyceumError(f"{name}: SSH key {number}: {exc}") from exc
        narrow = [option for option in key.options if option.partition("=")[0].lower() in NARROWING]
        if narrow:
            left_out.append(f"key {label(key.fingerprint, key.comment)} with the option {narrow[0].partition('=')[0]}")
        else:
            wanted[key.fingerprint] = WantedKey(key.fingerprint, f"{key.type} {key.blob}", _title(key))
    return tuple(wanted.values()), tuple(left_out)


def _title(key: PublicKey) -> str:
    return key.comment[:TITLE_LENGTH].strip()


def label(fingerprint: str, title: str) -> str:
    """How a key is called in sentences."""
    return f"{fingerprint} ({title})" if title else fingerprint


@dataclass(frozen=True)
class Memory:
    """What the journal knows about one person.

    account: id and login of the account we last left in order. limit: (account id, what was set), because Gitea never
    says what it is. keys: what a suspension took away. shut: id of the account that was seen without keys and tokens
    after it had been shut.
    """

    account: tuple[int, str] | None = None
    limit: tuple[int, int] | None = None
    keys: tuple[Key, ...] = ()
    tokens: tuple[str, ...] = ()
    shut: int | None = None

    @classmethod
    def from_journal(cls, entries: Mapping[str, Any]) -> Memory:
        account, limit, shut = entries.get(ACCOUNT), entries.get(LIMIT), entries.get(SHUT)
        return cls(
            account=(int(account["id"]), str(account["name"])) if account else None,
            limit=(int(limit["id"]), int(limit["value"])) if limit else None,
            keys=tuple(
                Key(0, value["title"], key[len(LOST_KEY) :], value["line"])
                for key, value in sorted(entries.items())
                if key.startswith(LOST_KEY)
            ),
            tokens=tuple(value["name"] for key, value in sorted(entries.items()) if key.startswith(LOST_TOKEN)),
            shut=int(shut["id"]) if shut else None,
        )

    def knows_limit(self, account: Account) -> int | None:
        """What was set on this very account; None when nobody knows."""
        return self.limit[1] if self.limit and self.limit[0] == account.id else None


@dataclass(frozen=True)
class Policy:
    """complete: the list is the whole registry. exclusive_keys: whoever is listed has the keys listed and no other.

    purge: people whose repositories go with them. protected: accounts that are never touched.
    """

    complete: bool = True
    exclusive_keys: bool = True
    default_heir: str = ""
    purge: frozenset[str] = frozenset()
    protected: frozenset[str] = frozenset()
    guard: Guard = field(default_factory=Guard)


@dataclass(frozen=True)
class Wanted:
    """must_change: whether passwords given in `passwords` are for the first login only."""

    people: Sequence[Person]
    policy: Policy = field(default_factory=Policy)
    passwords: Mapping[str, Secret] = field(default_factory=dict)
    must_change: bool = True

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Wanted:
        """From the parameters of the module. LyceumError with every entry that makes no sense."""
        people, problems = [], []
        for entry in params["people"]:
            try:
                people.append(Person.from_params(entry))
            except LyceumError as exc:
                problems.append(str(exc))
        problems += _problems(people)
        if problems:
            raise LyceumError(f"{len(problems)} problem(s) in the list of people: {'; '.join(problems)}")
        policy = Policy(
            complete=params["complete"],
            exclusive_keys=params["exclusive_keys"],
            default_heir=params["default_heir"],
            purge=frozenset(params["purge"]),
            protected=frozenset(params["protected"]),
            guard=Guard(params["max_removals"], params["max_removals_percent"], frozenset(params["allow_removals"])),
        )
        passwords = {name: Secret(text) for name, text in params["passwords"].items()}
        return cls(people, policy, passwords, params["must_change_password"])


def _problems(people: Sequence[Person]) -> list[str]:
    """What no server could make of the list."""
    problems = []
    for what, values in (
        ("name", [person.name.lower() for person in people]),
        ("uid", [str(person.uid) for person in people]),
        ("address", [person.email.lower() for person in people if person.email and person.state == "present"]),
    ):
        problems += [
            f"the {what} {value} is there {count} times" for value, count in Counter(values).items() if count > 1
        ]
    holders: dict[str, str] = {}
    for person in people:
        if person.state == "present" and not person.email:
            problems.append(f"{person.name} has no address, and Gitea opens no account without one")
        for key in person.keys if person.state == "present" else ():
            other = holders.setdefault(key.fingerprint, person.name)
            if other != person.name:
                problems.append(
                    f"{person.name} and {other} have the same key {label(key.fingerprint, key.comment)}; Gitea takes a"
                    " key only once"
                )
    return problems
