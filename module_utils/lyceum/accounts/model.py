# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wanted: people, groups and the policy, as the module `posix_accounts` receives them."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import LyceumError
from .database import is_number

NOLOGIN = "/usr/sbin/nologin"
# chage(1): day 1 is the value for "expired"; 0 is read as "never" by some programs.
EXPIRED_DAY = "1"
EPOCH = datetime.date(1970, 1, 1)
# useradd(8) on Debian: 32 characters, no colon; stricter here because names become paths and unit names.
NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}\Z")
# A colon or a line break in any field would start another field or account; lone surrogates cannot be written.
UNSAFE = re.compile(r"[:\x00-\x1f\x7f\ud800-\udfff]")
# chown(2) takes 2**32 - 1 for "leave it as it is".
HIGHEST_ID = 2**32 - 2
# Homes are given away, archived and deleted: none of that may happen to the system itself.
SYSTEM_TREES = frozenset(
    {"bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "root", "run", "sbin", "sys", "usr"}
)


@dataclass(frozen=True)
class PersonSpec:
    """One person on this host. `expires` is the last day of access; `groups` are managed supplementary groups."""

    name: str
    uid: int
    gid: int
    gecos: str
    shell: str
    home: str
    groups: tuple[str, ...]
    state: str
    expires: datetime.date | None
    create: bool
    migrate_uid: bool

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> PersonSpec:
        """Build from one element of `people`. Raises LyceumError naming person, key and value."""
        name = params["name"]
        if not NAME.match(name):
            raise LyceumError(
                f"people: name {name!r} is not a portable login name (lower case, digits, _ and -, at most 32)"
            )
        for key in ("gecos", "shell", "home"):
            value = params.get(key) or ""
            if UNSAFE.search(value):
                raise LyceumError(f"people: {name}: {key} {value!r} contains a colon or a control character")
        home = (params.get("home") or f"/home/{name}").rstrip("/")
        # Two levels below / at least, spelled in the one shortest way, and of ASCII: passwd(5) knows no encoding.
        steps = home.split("/")[1:]
        if not home.startswith("/") or len(steps) < 2 or {"", ".", ".."} & set(steps) or not home.isascii():
            raise LyceumError(
                f"people: {name}: home {home!r} must be an absolute path in ASCII, below a directory such as /home"
            )
        if steps[0] in SYSTEM_TREES:
            raise LyceumError(f"people: {name}: home {home!r} is inside /{steps[0]}, which belongs to the system")
        shell = params.get("shell") or "/bin/bash"
        if not shell.startswith("/") or not shell.isascii():
            raise LyceumError(f"people: {name}: shell {shell!r} must be an absolute path in ASCII")
        uid = params["uid"]
        gid = uid if params.get("gid") is None else params["gid"]
        for key, number in (("uid", uid), ("gid", gid)):
            if not 0 < number <= HIGHEST_ID:
                raise LyceumError(f"people: {name}: {key} {number} is not allowed; it must be 1-{HIGHEST_ID}")
        try:
            expires = datetime.date.fromisoformat(params["expires"]) if params.get("expires") else None
        except ValueError:
            raise LyceumError(f"people: {name}: expires {params['expires']!r} is not a date like 2029-08-31") from None
        return cls(
            name=name,
            uid=uid,
            gid=gid,
            gecos=params.get("gecos") or "",
            shell=shell,
            home=home,
            groups=tuple(sorted(set(params.get("groups") or ()))),
            state=params.get("state") or "present",
            expires=expires,
            create=params.get("create") is not False,
            migrate_uid=bool(params.get("migrate_uid")),
        )

    @property
    def login_shell(self) -> str:
        return self.shell if self.state == "present" else NOLOGIN

    @property
    def shadow_expire(self) -> str:
        """The 8th field of shadow(5): days since 1970-01-01, empty for never.

        PAM refuses *on* that day already, so it is the day after the last one. See `last_day` for the way back.
        """
        if self.state != "present":
            return EXPIRED_DAY
        if self.expires is None:
            return ""
        # Negative numbers and 0 are read as "never": a date that long ago is simply expired.
        return str(max(int(EXPIRED_DAY), (self.expires - EPOCH).days + 1))


def last_day(field: str) -> datetime.date | None:
    """The last day of access from the 8th field of shadow(5); None for never, which is also what a year 10000 means."""
    if not is_number(field):
        return None
    try:
        return EPOCH + datetime.timedelta(days=int(field) - 1)
    except OverflowError:
        return None


@dataclass(frozen=True)
class GroupSpec:
    """A managed group. `extra_members` are accounts outside the registry (such as www-data) that belong to it."""

    name: str
    gid: int
    state: str
    extra_members: frozenset[str]

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> GroupSpec:
        """Build from one element of `groups`. Raises LyceumError naming the group and the value."""
        name = params["name"]
        if not NAME.match(name):
            raise LyceumError(
                f"groups: name {name!r} is not a portable group name (lower case, digits, _ and -, at most 32)"
            )
        if not 0 < params["gid"] <= HIGHEST_ID:
            raise LyceumError(f"groups: {name}: gid {params['gid']} is not allowed; it must be 1-{HIGHEST_ID}")
        return cls(name, params["gid"], params.get("state") or "present", frozenset(params.get("extra_members") or ()))


@dataclass(frozen=True)
class Policy:
    """How far the module may go. `complete`: the lists are the whole registry, so memberships are exact."""

    complete: bool
    home_mode: int
    skel: str
    archive_dir: str
    keep_data: bool
    subid_base: int
    subid_count: int
    uid_ranges: tuple[tuple[int, int], ...]
    max_removals: int
    max_removals_percent: int
    allow_removals: frozenset[str]
    protected: frozenset[str]
    search_paths: tuple[str, ...]

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Policy:
        """Build from the module's parameters. Raises LyceumError naming the key and the value."""
        if not re.match(r"[0-7]{3,4}\Z", params["home_mode"]):
            raise LyceumError(f"home_mode {params['home_mode']!r} is not an octal mode like 0700")
        for key in ("skel", "archive_dir"):
            _refuse_relative(key, params[key])
        for tree in params["search_paths"]:
            _refuse_relative("search_paths", tree)
        if params["subid_count"] < 0 or (params["subid_count"] and params["subid_base"] <= 0):
            raise LyceumError("subid_base must be above 0 and subid_count 0 or more")
        ranges = tuple((entry["first"], entry["last"]) for entry in params["uid_ranges"])
        for first, last in ranges:
            if first > last:
                raise LyceumError(f"uid_ranges: {first}-{last} is empty; write the lower number first")
        return cls(
            complete=params["complete"],
            home_mode=int(params["home_mode"], 8),
            skel=params["skel"],
            archive_dir=params["archive_dir"],
            keep_data=params["keep_data"],
            subid_base=params["subid_base"],
            subid_count=params["subid_count"],
            uid_ranges=ranges,
            max_removals=params["max_removals"],
            max_removals_percent=params["max_removals_percent"],
            allow_removals=frozenset(params["allow_removals"]),
            protected=frozenset(params["protected"]),
            search_paths=tuple(params["search_paths"]),
        )


@dataclass(frozen=True)
class Desired:
    """The whole wish for one host."""

    people: tuple[PersonSpec, ...]
    groups: tuple[GroupSpec, ...]
    policy: Policy

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Desired:
        """Build from the module's parameters. Raises LyceumError on duplicates, unknown groups and bad values."""
        people = tuple(PersonSpec.from_params(entry) for entry in params["people"])
        groups = tuple(GroupSpec.from_params(entry) for entry in params["groups"])
        _refuse_duplicates("people", "name", [person.name for person in people])
        _refuse_duplicates("people", "uid", [person.uid for person in people])
        _refuse_duplicates("people", "home", [person.home for person in people])
        _refuse_nested_homes(people)
        _refuse_duplicates("groups", "name", [group.name for group in groups])
        _refuse_duplicates("groups", "gid", [group.gid for group in groups])
        policy = Policy.from_params(params)
        known = {group.name for group in groups}
        for person in people:
            if person.name in policy.protected:
                raise LyceumError(f"people: {person.name} is a protected account and cannot be managed here")
            if person.name in known:
                raise LyceumError(
                    f"{person.name} is both a person and a group; a person's own group has the person's name"
                )
            unknown = set(person.groups) - known
            if unknown:
                raise LyceumError(
                    f"people: {person.name}: groups {sorted(unknown)} are not in the list of managed groups"
                )
        if policy.complete and not people:
            raise LyceumError("people is empty although it is said to be the whole registry; refusing to go on")
        return cls(people, groups, policy)


def _refuse_relative(key: str, path: str) -> None:
    if not path.startswith("/"):
        raise LyceumError(f"{key} {path!r} must be an absolute path")


def _refuse_nested_homes(people: tuple[PersonSpec, ...]) -> None:
    """A home inside another one would be archived and deleted with it."""
    owners = {person.home: person.name for person in people}
    for person in people:
        above = person.home.rpartition("/")[0]
        while above:
            if above in owners:
                raise LyceumError(
                    f"people: home {person.home} of {person.name} lies inside {above}, the home of {owners[above]}"
                )
            above = above.rpartition("/")[0]


def _refuse_duplicates(section: str, key: str, values: list[Any]) -> None:
    if len(set(values)) == len(values):
        return
    seen: set[Any] = set()
    twice = sorted({value for value in values if value in seen or seen.add(value)})  # type: ignore[func-returns-value]
    raise LyceumError(f"{section}: {key} given twice: {', '.join(map(str, twice))}")
