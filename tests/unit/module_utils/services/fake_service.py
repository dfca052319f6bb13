# SPDX-License-Identifier: GPL-3.0-or-later
"""A service that fails on demand and an adapter for it, for the tests of the engine.

The service keeps accounts, their e-mail, keys (unique in the whole service, as SSH keys are) and welcome notes (of
which a second call makes a second one). Each change is one line appended to a file, so that it outlives the process
that made it, even a killed one.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible.module_utils.lyceum.services.errors import (
    Ambiguous,
    Exists,
    NotFound,
    NotReady,
    Permanent,
    Transient,
)
from ansible.module_utils.lyceum.services.journal import Entry
from ansible.module_utils.lyceum.services.secret import Secret
from ansible.module_utils.lyceum.services.steps import Found, Step

OURS, FOREIGN = "lyceum", "somebody else"
PASSWORD = "correct-horse-battery"  # noqa: S105  (the secret that must not be found anywhere)


class Killed(BaseException):
    """The process ends here, as far as a test that stays alive can play that."""


class FakeClock:
    """Time passes only by waiting."""

    def __init__(self) -> None:
        self.time = 0.0
        self.waits: list[float] = []

    def now(self) -> float:
        return self.time

    def wait(self, seconds: float, stop: threading.Event) -> None:
        self.waits.append(seconds)
        self.time += seconds


@dataclass
class FakeService:
    """faults: what happens to the calls to come, in order; then all is well. at: told of every point where a crash
    makes a difference. late: what the service is still busy with; it is done when the next changing call comes.
    writes: calls that were to change something, for the proof that a second run makes none.
    """

    path: Path
    faults: list[str] = field(default_factory=list)
    at: Callable[[str], None] = lambda point: None
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    keys: dict[str, dict[str, str]] = field(default_factory=dict)
    welcomes: list[str] = field(default_factory=list)
    writes: int = 0
    late: list[Callable[[], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._mutex = threading.Lock()
        if self.path.exists():
            for line in self.path.read_text().splitlines():
                self._apply(*json.loads(line))

    def _apply(self, kind: str, name: str, value: Any) -> None:
        if kind == "welcome":
            self.welcomes.append(name)
            return
        table = self.accounts if kind == "account" else self.keys
        if value is None:
            table.pop(name, None)
        else:
            table[name] = value

    def store(self, kind: str, name: str, value: Any = None) -> None:
        """Change one thing for good."""
        self._apply(kind, name, value)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(descriptor, json.dumps([kind, name, value]).encode() + b"\n")
        os.close(descriptor)

    def state(self) -> dict[str, Any]:
        return {"accounts": self.accounts, "keys": self.keys, "welcomes": sorted(self.welcomes)}

    def read(self, look: Callable[[], Any]) -> Any:
        """A reading call."""
        with self._mutex:
            if self.faults and self.faults[0] == "confirm locked":
                self.faults.pop(0)
                raise Transient("500 database is locked")
            return look()

    def _land(self) -> None:
        for commit in self.late:
            commit()
        self.late.clear()

    def write(self, check: Callable[[], None], commit: Callable[[], None], rival: Callable[[], None]) -> None:
        """A changing call. check: raises what forbids it. commit: does it. rival: somebody else does it first."""
        with self._mutex:
            self.writes += 1
            fault = self.faults.pop(0) if self.faults else ""
            if fault == "late" and not self.late:

                def if_still_possible() -> None:
                    try:
                        check()
                    except (Exists, NotFound, Permanent):
                        return
                    commit()

                self.late.append(if_still_possible)
                raise Ambiguous(f"no answer in time, the request had {PASSWORD} in it")
            self._land()
            before = {
                "refused": NotReady("connection refused"),
                "locked": Transient(f"500 database is locked: {PASSWORD}"),
                "lost": Ambiguous("connection lost"),
            }
            if fault in before:
                raise before[fault]
            if fault == "rival":
                rival()
                raise Ambiguous("no answer in time")
            check()
            self.at("before the service does it")
            commit()
            self.at("before the service answers")
            if fault == "locked, but done":
                raise Transient("500 database is locked")
            if fault == "lost, but done":
                raise Ambiguous("connection lost")


@dataclass(frozen=True)
class Wanted:
    """What a person is to have."""

    email: str
    keys: tuple[str, ...]


class Adapter:
    """Plans from what the service has, as a real one does. refused_keys: never accepted by the service.

    marked: objects show who made them, so that `confirm` and `undo_earlier` can be certain.
    """

    def __init__(self, service: FakeService, refused_keys: Iterable[str] = (), marked: bool = True) -> None:
        self.service = service
        self.refused_keys = frozenset(refused_keys)
        self.marked = marked

    def plan(self, people: dict[str, Wanted]) -> list[Step]:
        steps = []
        for name, wanted in people.items():
            account = self.service.accounts.get(name)
            if account is None:
                steps.append(self.create(name, wanted))
            elif account["email"] != wanted.email:
                steps.append(self.change(name, wanted, account["email"]))
            after = ("account",) if account is None else ()
            steps += [self.add_key(name, key, after) for key in wanted.keys if key not in self._keys_of(name)]
            steps += [self.drop_key(name, key, after) for key in self._keys_of(name) if key not in wanted.keys]
            if name not in self.service.welcomes:
                steps.append(self.welcome(name, after))
        return steps

    def _keys_of(self, name: str) -> list[str]:
        return [key for key, value in self.service.keys.items() if value["owner"] == name]

    def _found(self, thing: dict[str, Any] | None, right: bool) -> bool | Found:
        if thing is None or not right:
            return False
        return Found("found", ours=thing["by"] == OURS) if self.marked else True

    def create(self, name: str, wanted: Wanted) -> Step:
        service = self.service

        def check() -> None:
            if name in service.accounts:
                raise Exists("422 user already exists")

        def send() -> str:
            service.write(
                check,
                lambda: service.store("account", name, {"email": wanted.email, "by": OURS}),
                lambda: service.store("account", name, {"email": wanted.email, "by": FOREIGN}),
            )
            return f"id-{name}"

        def confirm() -> bool | Found:
            account = service.read(lambda: service.accounts.get(name))
            return self._found(account, account is not None and account["email"] == wanted.email)

        return Step(
            name,
            "account",
            f"create account {name}",
            send,
            confirm,
            undo=lambda: self.drop("account", name),
            result="created",
            creates=True,
            secrets=(Secret(PASSWORD),),
        )

    def set_email(self, name: str, email: str) -> None:
        service = self.service
        service.write(
            lambda: None,
            lambda: service.store("account", name, {**service.accounts[name], "email": email}),
            lambda: None,
        )

    def change(self, name: str, wanted: Wanted, old: str) -> Step:
        service = self.service
        return Step(
            name,
            "email",
            f"change e-mail of {name}",
            lambda: self.set_email(name, wanted.email),
            lambda: bool(service.read(lambda: service.accounts[name]["email"] == wanted.email)),
            undo=lambda: self.set_email(name, old),
            repeatable=True,
            secrets=(Secret(PASSWORD),),
            before=old,
        )

    def add_key(self, name: str, key: str, after: tuple[str, ...]) -> Step:
        service = self.service

        def check() -> None:
            if key in self.refused_keys:
                raise Permanent(f"422 unable to verify key content ({PASSWORD})")
            if name not in service.accounts:
                raise NotFound("404 no such user")
            if key in service.keys:
                raise Exists("422 key is used already")

        def confirm() -> bool | Found:
            found = service.read(lambda: service.keys.get(key))
            return self._found(found, found is not None and found["owner"] == name)

        return Step(
            name,
            f"key {key}",
            f"add key {key} to {name}",
            lambda: service.write(
                check,
                lambda: service.store("key", key, {"owner": name, "by": OURS}),
                lambda: service.store("key", key, {"owner": name, "by": FOREIGN}),
            ),
            confirm,
            undo=lambda: self.drop("key", key),
            after=after,
            creates=True,
            secrets=(Secret(PASSWORD),),
        )

    def drop_key(self, name: str, key: str, after: tuple[str, ...]) -> Step:
        service = self.service
        value = dict(service.keys[key])
        return Step(
            name,
            f"no key {key}",
            f"remove key {key} from {name}",
            lambda: self.drop("key", key),
            lambda: bool(service.read(lambda: key not in service.keys)),
            undo=lambda: self.put_key_back(key, value),
            after=after,
            repeatable=True,
            secrets=(Secret(PASSWORD),),
            before=value,
        )

    def welcome(self, name: str, after: tuple[str, ...]) -> Step:
        service = self.service
        return Step(
            name,
            "welcome",
            f"welcome {name}",
            lambda: service.write(lambda: None, lambda: service.store("welcome", name), lambda: None),
            lambda: bool(service.read(lambda: name in service.welcomes)),
            after=after,
            secrets=(Secret(PASSWORD),),
        )

    def drop(self, kind: str, name: str) -> None:
        table = self.service.accounts if kind == "account" else self.service.keys

        def check() -> None:
            if name not in table:
                raise NotFound("404 not found")

        self.service.write(check, lambda: self.service.store(kind, name), lambda: None)

    def put_key_back(self, key: str, value: dict[str, str]) -> None:
        self.service.write(lambda: None, lambda: self.service.store("key", key, value), lambda: None)

    def undo_earlier(self, entry: Entry) -> Callable[[], None] | None:
        """Of an interrupted run: what is certainly ours."""
        kind, _, key = entry.key.partition(" ")
        if kind == "email":
            return lambda: self.set_email(entry.person, entry.before)
        if kind == "no":
            return lambda: self.put_key_back(key.removeprefix("key "), entry.before)
        name = key if kind == "key" else entry.person
        table = {"account": self.service.accounts, "key": self.service.keys}.get(kind, {})
        ours = entry.status == "verified" or (self.marked and table.get(name, {}).get("by") == OURS)
        return (lambda: self.drop(kind, name)) if ours and name in table else None
