# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is what: affiliations and login names for accounts that come from somewhere else.

Sources are the registry variable `lyceum_classify` (rules, overrides, archived, default; for an import also same_person
and logins) and members files. What they leave open or contradict is reported, never guessed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import LyceumError
from .names import NAME

ARCHIVED = "archived"
_KEYS = ("rules", "overrides", "archived", "default", "same_person", "logins")


@dataclass(frozen=True)
class Rule:
    pattern: re.Pattern[str]
    affiliation: str


@dataclass(frozen=True)
class Verdict:
    """affiliation: None when nothing says. archived: the person has left. why: which rule or list said so."""

    affiliation: str | None
    archived: bool
    why: str


@dataclass(frozen=True)
class Members:
    """What members files say. listed: account -> affiliations of the files it stands in (file names without suffix)."""

    listed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    overrides: Mapping[str, str] = field(default_factory=dict)
    archived: frozenset[str] = frozenset()
    conflicts: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Every account in any file, in the order of the files."""
        return tuple(dict.fromkeys((*self.listed, *self.overrides, *sorted(self.archived))))


@dataclass(frozen=True)
class Classifier:
    """archived wins over all, then overrides, then members files, then the first rule that matches, then the default.

    Account names are compared without regard to case, as directory services do. same_person: main account -> its other
    accounts. logins: account -> login name chosen by hand.
    """

    rules: tuple[Rule, ...] = ()
    overrides: Mapping[str, str] = field(default_factory=dict)
    archived: frozenset[str] = frozenset()
    default: str | None = None
    same_person: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    logins: Mapping[str, str] = field(default_factory=dict)
    members: Members = field(default_factory=Members)

    @classmethod
    def from_raw(cls, raw: Mapping[str, Any] | None, members: Members | None = None) -> Classifier:
        """Build from the value of lyceum_classify. LyceumError lists everything that is wrong with it at once."""
        raw = raw or {}
        wrong: list[str] = []
        unknown = [str(key) for key in raw if key not in _KEYS]
        if unknown:
            wrong.append(f"unknown keys {', '.join(unknown)}: use {', '.join(_KEYS)}")
        default = raw.get("default")
        if default is not None and not isinstance(default, str):
            wrong.append(f"default: the name of an affiliation is wanted, not {default!r}")
        found = cls(
            rules=_rules(raw.get("rules"), wrong),
            overrides=_text_map(raw.get("overrides"), "overrides", wrong),
            archived=frozenset(name.lower() for name in _text_list(raw.get("archived"), "archived", wrong)),
            default=default,
            same_person=_same_person(raw.get("same_person"), wrong),
            logins=_logins(raw.get("logins"), wrong),
            members=members or Members(),
        )
        if wrong:
            raise LyceumError("lyceum_classify cannot be used:\n" + "\n".join(f"  - {line}" for line in wrong))
        return found

    def classify(self, names: Sequence[str]) -> Verdict:
        """What a person is who is known under these account names (all spellings of one account)."""
        keys = [name.lower() for name in names]
        for key in keys:
            if key in self.archived or key in self.members.archived:
                return Verdict(self._affiliation(keys)[0], True, "archived list")
        affiliation, why = self._affiliation(keys)
        return Verdict(affiliation, False, why)

    def _affiliation(self, keys: Sequence[str]) -> tuple[str | None, str]:
        for overrides, origin in ((self.overrides, "override"), (self.members.overrides, "override in a members file")):
            for key in keys:
                if key in overrides:
                    return overrides[key], origin
        for key in keys:
            if len(self.members.listed.get(key, ())) == 1:
                return self.members.listed[key][0], "members file"
        for rule in self.rules:
            if any(rule.pattern.search(key) for key in keys):
                return rule.affiliation, f"rule {rule.pattern.pattern}"
        if self.default is not None:
            return self.default, "default"
        return None, "nothing says"


def derive_login(account: str) -> str | None:
    """The login name for an account name of any kind; None when nothing usable is left of it.

    A name that is a POSIX login already is kept. Otherwise: a domain (`NAME@domain` or `DOMAIN\\NAME`) is cut off,
    letters are lower-cased and lose their accents, whatever is not a-z, 0-9, _ or - is dropped (a.martin -> amartin),
    and a name that begins with anything but a letter gets a `u` in front (12345 -> u12345). Longer than 32: None.
    """
    if NAME.fullmatch(account):
        return account
    local = account.rsplit("\\", 1)[-1].split("@", 1)[0]
    plain = unicodedata.normalize("NFKD", local.lower()).encode("ascii", "ignore").decode()
    kept = re.sub(r"[^a-z0-9_-]", "", plain)
    if not re.search(r"[a-z0-9]", kept):
        return None
    login = kept if kept[0].isalpha() else f"u{kept.lstrip('-_')}"
    return login if NAME.fullmatch(login) else None


def parse_members(files: Iterable[tuple[str, str]]) -> Members:
    """Read members files, given as (name of the file, its text).

    `researcher.members` holds one account per line: its affiliation is the file's name without suffix, and
    `archived.members` is the list of those who left. In any file, a line `account:affiliation` overrides. `#` begins a
    comment. An account in two files, or overridden twice differently, is a conflict: reported, and ignored here.
    """
    listed: dict[str, list[str]] = {}
    overrides: dict[str, set[str]] = {}
    archived: set[str] = set()
    for file, text in files:
        stem = file.rsplit("/", 1)[-1].split(".", 1)[0].lower()
        for line in text.lstrip("\ufeff").splitlines():
            account, _, affiliation = line.split("#", 1)[0].strip().partition(":")
            account, affiliation = account.strip().lower(), affiliation.strip()
            if account and affiliation == ARCHIVED:
                archived.add(account)
            elif account and affiliation:
                overrides.setdefault(account, set()).add(affiliation)
            elif account and stem == ARCHIVED:
                archived.add(account)
            elif account and stem not in listed.setdefault(account, []):
                listed[account].append(stem)
    conflicts = [
        f"{account} stands in several members files ({', '.join(stems)}); none of them was believed"
        for account, stems in listed.items()
        if len(stems) > 1 and account not in overrides and account not in archived
    ]
    conflicts.extend(
        f"{account} is overridden more than once ({', '.join(sorted(values))}); none of them was believed"
        for account, values in overrides.items()
        if len(values) > 1
    )
    return Members(
        listed={account: tuple(stems) for account, stems in listed.items()},
        overrides={account: next(iter(values)) for account, values in overrides.items() if len(values) == 1},
        archived=frozenset(archived),
        conflicts=tuple(conflicts),
    )


def _rules(value: Any, wrong: list[str]) -> tuple[Rule, ...]:
    rules: list[Rule] = []
    if not isinstance(value, (list, type(None))):
        wrong.append("rules: a list of {pattern: ..., affiliation: ...} is wanted")
        return ()
    for number, rule in enumerate(value or [], start=1):
        if not isinstance(rule, dict) or set(rule) != {"pattern", "affiliation"}:
            wrong.append(f"rules[{number}]: needs exactly the keys pattern and affiliation")
            continue
        pattern, affiliation = rule["pattern"], rule["affiliation"]
        if not isinstance(pattern, str) or not isinstance(affiliation, str) or not pattern or not affiliation:
            wrong.append(f"rules[{number}]: pattern and affiliation must be texts that are not empty")
            continue
        try:
            rules.append(Rule(re.compile(pattern, re.IGNORECASE), affiliation))
        except (re.error, OverflowError, RecursionError) as error:
            wrong.append(f"rules[{number}]: {pattern!r} is not a regular expression: {error}")
    return tuple(rules)


def _text_list(value: Any, where: str, wrong: list[str]) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list):
        wrong.append(f"{where}: a list of account names is wanted")
        return []
    texts = [item for item in value if isinstance(item, str)]
    wrong.extend(
        f"{where}: {item!r} must be quoted, or YAML reads it as something else" for item in value if item not in texts
    )
    return texts


def _text_map(value: Any, where: str, wrong: list[str]) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        wrong.append(f"{where}: `account: value` lines are wanted")
        return {}
    found: dict[str, str] = {}
    for key, item in value.items():
        if isinstance(key, str) and isinstance(item, str):
            found[key.lower()] = item
        else:
            wrong.append(f"{where}: {key!r}: {item!r} must be two texts; quote names that consist of digits")
    return found


def _same_person(value: Any, wrong: list[str]) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, (dict, type(None))):
        wrong.append("same_person: `main account: [other accounts]` lines are wanted")
        return {}
    found: dict[str, tuple[str, ...]] = {}
    owner: dict[str, str] = {}
    for main, others in (value or {}).items():
        names = [name.lower() for name in _text_list(others, f"same_person: {main}", wrong)]
        for name in (str(main).lower(), *names):
            if name in owner:
                wrong.append(f"same_person: {name} stands under {owner[name]} and under {main}")
            owner[name] = str(main)
        found[str(main).lower()] = tuple(names)
    return found


def _logins(value: Any, wrong: list[str]) -> dict[str, str]:
    found = _text_map(value, "logins", wrong)
    wrong.extend(
        f"logins: {login!r} is not a login: 1 to 32 of a-z, 0-9, _ and -, beginning with a letter"
        for login in found.values()
        if not NAME.fullmatch(login)
    )
    return found
