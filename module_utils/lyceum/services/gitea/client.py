# SPDX-License-Identifier: GPL-3.0-or-later
"""The calls to Gitea's API, and nothing else: no decision is taken here.

Reading in bulk is patient (it waits for a server that restarts); what changes something is sent exactly once, because
the engine decides whether to repeat it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote

from ..backoff import Backoff, Clock, SystemClock
from ..errors import NotFound, NotReady, Transient
from ..http import Basic, Reply, Transport
from .errors import classify
from .state import Account, Key, Organization, Repository, Team, Token

API = "/api/v1"
# More than any server gives at once (50 unless MAX_RESPONSE_ITEMS says more): each page is as large as it can be.
PAGE = 1000
READERS = 8

T = TypeVar("T")
R = TypeVar("R")
Query = Mapping[str, "str | int | bool"]


@dataclass(frozen=True)
class Patience:
    """How long a reading call is repeated while the server cannot answer."""

    deadline_s: float = 120.0
    backoff: Backoff = field(default_factory=Backoff)
    clock: Clock = field(default_factory=SystemClock)


class Gitea:
    """basic: of the bot account, for the calls that Gitea answers to no token that comes as one."""

    def __init__(self, transport: Transport, *, basic: Basic | None = None, patience: Patience | None = None) -> None:
        self._transport = transport
        self._basic = basic
        self._patience = patience or Patience()

    # People

    def me(self) -> Account:
        """The account behind the token."""
        return Account.from_api(self._read("/user"))

    def version(self) -> str:
        return str(self._read("/version")["version"])

    def healthy(self) -> None:
        """Raises NotReady or Transient while the server cannot work. Nothing about the token."""
        reply = self._transport.request("GET", "/api/healthz")
        if reply.status != 200:
            raise NotReady(f"GET /api/healthz: {reply.status}", reply.retry_after)

    def accounts(self) -> list[Account]:
        """All people's accounts; neither organizations nor bots are among them."""
        return [Account.from_api(item) for item in self._pages("/admin/users", {"sort": "id"})]

    def account(self, name: str) -> Account | None:
        """The account of that very name. By searching: asked by name, Gitea also answers with organizations, and with
        whoever was called that before."""
        found = self._pages("/admin/users", {"q": name, "sort": "id"})
        return next((Account.from_api(item) for item in found if item["login"].lower() == name.lower()), None)

    def create_account(self, body: Mapping[str, Any]) -> Account:
        return Account.from_api(self._send("POST", "/admin/users", body))

    def edit_account(self, name: str, body: Mapping[str, Any]) -> Account:
        return Account.from_api(self._send("PATCH", f"/admin/users/{_part(name)}", body))

    def rename_account(self, name: str, new: str) -> None:
        self._send("POST", f"/admin/users/{_part(name)}/rename", {"new_username": new})

    def delete_account(self, name: str, *, purge: bool) -> None:
        self._send("DELETE", f"/admin/users/{_part(name)}", query={"purge": True} if purge else None)

    def holder_of_address(self, email: str) -> str:
        """Whose address it is, primary or not; empty when it is free."""
        for item in self._pages("/admin/emails/search", {"q": email}):
            if str(item.get("email", "")).lower() == email.lower():
                return str(item.get("username") or f"account {item.get('user_id')}")
        return ""

    # Keys and tokens

    def keys(self, name: str) -> list[Key]:
        return [Key.from_api(item) for item in self._pages(f"/users/{_part(name)}/keys")]

    def key_of(self, fingerprint: str) -> Key | None:
        """The key of that fingerprint, whoever has it: there is only one on a server."""
        found = self._pages("/user/keys", {"fingerprint": fingerprint})
        return Key.from_api(found[0]) if found else None

    def add_key(self, name: str, title: str, line: str) -> Key:
        body = {"title": title, "key": line, "read_only": False}
        return Key.from_api(self._send("POST", f"/admin/users/{_part(name)}/keys", body))

    def delete_key(self, name: str, key_id: int) -> None:
        self._send("DELETE", f"/admin/users/{_part(name)}/keys/{key_id}")

    def tokens(self, name: str) -> list[Token]:
        """With Basic only."""
        return [Token.from_api(item) for item in self._pages(f"/users/{_part(name)}/tokens", basic=True)]

    def delete_token(self, name: str, token_id: int) -> None:
        """With Basic only."""
        self._send("DELETE", f"/users/{_part(name)}/tokens/{token_id}", basic=True)

    # Repositories

    def repositories(self, owner: str) -> list[Repository]:
        """Those a person or an organization owns, also private ones."""
        return [Repository.from_api(item) for item in self._pages(f"/users/{_part(owner)}/repos")]

    def repository(self, owner: str, name: str) -> Repository | None:
        """The repository that is there now. From the list: asked for by name, Gitea also answers with one that was
        there before."""
        return next((one for one in self.repositories(owner) if one.name.lower() == name.lower()), None)

    def repository_with(self, number: int) -> Repository | None:
        """By id, wherever it is now."""
        try:
            return Repository.from_api(self._read(f"/repositories/{number}"))
        except NotFound:
            return None

    def create_repository(self, organization: str, body: Mapping[str, Any]) -> Repository:
        return Repository.from_api(self._send("POST", f"/orgs/{_part(organization)}/repos", body))

    def edit_repository(self, owner: str, name: str, body: Mapping[str, Any]) -> Repository:
        return Repository.from_api(self._send("PATCH", f"/repos/{_part(owner)}/{_part(name)}", body))

    def delete_repository(self, owner: str, name: str) -> None:
        self._send("DELETE", f"/repos/{_part(owner)}/{_part(name)}")

    def transfer(self, owner: str, name: str, heir: str) -> None:
        """As an administrator this is done at once, without anybody accepting it."""
        self._send("POST", f"/repos/{_part(owner)}/{_part(name)}/transfer", {"new_owner": heir})

    def branches(self, owner: str, name: str) -> list[str]:
        return [str(item["name"]) for item in self._pages(f"/repos/{_part(owner)}/{_part(name)}/branches")]

    def protections(self, owner: str, name: str) -> list[dict[str, Any]]:
        """The rules for branches; there are no pages of them."""
        return list(self._read(f"/repos/{_part(owner)}/{_part(name)}/branch_protections"))

    def protect(self, owner: str, name: str, body: Mapping[str, Any]) -> None:
        self._send("POST", f"/repos/{_part(owner)}/{_part(name)}/branch_protections", body)

    def edit_protection(self, owner: str, name: str, rule: str, body: Mapping[str, Any]) -> None:
        path = f"/repos/{_part(owner)}/{_part(name)}/branch_protections/{_part(rule)}"
        self._send("PATCH", path, body)

    def unprotect(self, owner: str, name: str, rule: str) -> None:
        self._send("DELETE", f"/repos/{_part(owner)}/{_part(name)}/branch_protections/{_part(rule)}")

    def migrate(self, body: Mapping[str, Any], *, read_s: float) -> Repository:
        """Import a repository. Answers when all of it is there; the server goes on when nobody waits for that."""
        return Repository.from_api(self._send("POST", "/repos/migrate", body, read_s=read_s))

    def sync_mirror(self, owner: str, name: str) -> None:
        self._send("POST", f"/repos/{_part(owner)}/{_part(name)}/mirror-sync")

    # Organizations

    def organizations(self) -> list[Organization]:
        return [Organization.from_api(item) for item in self._pages("/admin/orgs")]

    def organization(self, name: str) -> Organization | None:
        try:
            return Organization.from_api(self._read(f"/orgs/{_part(name)}"))
        except NotFound:
            return None

    def organizations_of(self, person: str) -> list[str]:
        return [str(item["name"]) for item in self._pages(f"/admin/users/{_part(person)}/orgs")]

    def create_organization(self, body: Mapping[str, Any]) -> Organization:
        return Organization.from_api(self._send("POST", "/orgs", body))

    def edit_organization(self, name: str, body: Mapping[str, Any]) -> None:
        self._send("PATCH", f"/orgs/{_part(name)}", body)

    def delete_organization(self, name: str) -> None:
        self._send("DELETE", f"/orgs/{_part(name)}")

    def leave(self, organization: str, person: str) -> None:
        """Out of all its teams."""
        self._send("DELETE", f"/orgs/{_part(organization)}/members/{_part(person)}")

    def teams(self, organization: str) -> list[Team]:
        return [Team.from_api(item) for item in self._pages(f"/orgs/{_part(organization)}/teams")]

    def create_team(self, organization: str, body: Mapping[str, Any]) -> Team:
        return Team.from_api(self._send("POST", f"/orgs/{_part(organization)}/teams", body))

    def edit_team(self, team_id: int, body: Mapping[str, Any]) -> None:
        self._send("PATCH", f"/teams/{team_id}", body)

    def members(self, team_id: int) -> list[str]:
        return [str(item["login"]) for item in self._pages(f"/teams/{team_id}/members")]

    def add_member(self, team_id: int, person: str) -> None:
        self._send("PUT", f"/teams/{team_id}/members/{_part(person)}")

    def remove_member(self, team_id: int, person: str) -> None:
        self._send("DELETE", f"/teams/{team_id}/members/{_part(person)}")

    # How

    def _send(
        self,
        method: str,
        path: str,
        payload: Any = None,
        *,
        query: Query | None = None,
        basic: bool = False,
        read_s: float | None = None,
    ) -> Any:
        """One call, one try. The value of the answer, None if it has none."""
        reply = self._request(method, path, payload=payload, query=query, basic=basic, read_s=read_s)
        return reply.json() if reply.body else None

    def _request(
        self,
        method: str,
        path: str,
        *,
        payload: Any = None,
        query: Query | None = None,
        basic: bool = False,
        read_s: float | None = None,
    ) -> Reply:
        credentials = self._basic if basic else None
        reply = self._transport.request(
            method, API + path, payload=payload, query=query, credentials=credentials, read_s=read_s
        )
        error = classify(method, path, reply)
        if error:
            raise error
        return reply

    def _read(self, path: str, query: Query | None = None) -> Any:
        return self._patiently(path, query, basic=False).json()

    def _patiently(self, path: str, query: Query | None, *, basic: bool) -> Reply:
        patience, failures = self._patience, 0
        started = patience.clock.now()
        while True:
            try:
                return self._request("GET", path, query=query, basic=basic)
            except (NotReady, Transient) as exc:
                failures += 1
                delay = patience.backoff.delay(failures, exc.retry_after)
                if patience.clock.now() + delay - started > patience.deadline_s:
                    raise
                patience.clock.wait(delay, threading.Event())

    def _pages(self, path: str, query: Query | None = None, *, basic: bool = False) -> list[dict[str, Any]]:
        """All of a list. The server decides how much it gives at once, and says in a header how much there is.

        A page may be shorter than the others without being the last: Gitea takes out what we may not see after it has
        counted.
        """
        asked = {**(query or {}), "limit": PAGE}
        first = self._patiently(path, {**asked, "page": 1}, basic=basic)
        found: list[dict[str, Any]] = list(first.json() or [])
        total = first.headers.get("x-total-count", "")
        if not total.isdigit():
            return found + self._until_empty(path, asked, basic=basic) if found else found
        pages = -(-int(total) // len(found)) if found else 1
        rest = gather_by(
            range(2, pages + 1), lambda page: self._patiently(path, {**asked, "page": page}, basic=basic).json() or []
        )
        return _once([*found, *(item for page in rest.values() for item in page)])

    def _until_empty(self, path: str, asked: Query, *, basic: bool) -> list[dict[str, Any]]:
        """What comes after the first page where the server does not say how much there is."""
        found: list[dict[str, Any]] = []
        page = 2
        while more := self._patiently(path, {**asked, "page": page}, basic=basic).json():
            found += more
            page += 1
        return found


def gather_by(names: Iterable[R], call: Callable[[R], T], readers: int = READERS) -> dict[R, T]:
    """{name: call(name)}, several at a time. The first error is raised when all have ended."""
    wanted = list(dict.fromkeys(names))
    if len(wanted) < 2:
        return {name: call(name) for name in wanted}
    with ThreadPoolExecutor(min(readers, len(wanted))) as pool:
        return dict(zip(wanted, pool.map(call, wanted)))


def _once(items: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without repetitions: something made while the pages were read moves the rest by one."""
    return list({item.get("id", id(item)): item for item in items}.values())


def _part(text: str) -> str:
    """A name as one part of a path."""
    return quote(text, safe="")
