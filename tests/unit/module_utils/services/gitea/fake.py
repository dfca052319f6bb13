# SPDX-License-Identifier: GPL-3.0-or-later
"""Gitea in memory, behind `Transport`: the traps of the real one as far as a client can fall into them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ansible.module_utils.lyceum.services.backoff import Backoff
from ansible.module_utils.lyceum.services.errors import Ambiguous, NotReady, Permanent
from ansible.module_utils.lyceum.services.gitea.client import Gitea, Patience
from ansible.module_utils.lyceum.services.gitea.connection import Session
from ansible.module_utils.lyceum.services.http import Basic, Reply
from ansible.module_utils.lyceum.services.journal import Journal
from ansible.module_utils.lyceum.services.policy import Policy
from ansible.module_utils.lyceum.services.secret import Secret

CAP = 5  # of a page; the real one gives 50
Answer = tuple[int, Any]
UNITS = ("actions", "code", "ext_issues", "issues", "packages", "projects", "pulls", "releases", "wiki")


def public_key(number: int, comment: str = "") -> str:
    """A valid line of an ed25519 key."""
    blob = struct.pack(">I", 11) + b"ssh-ed25519" + struct.pack(">I", 32) + number.to_bytes(32, "big")
    return f"ssh-ed25519 {base64.b64encode(blob).decode()} {comment}".strip()


def fingerprint(line: str) -> str:
    digest = hashlib.sha256(base64.b64decode(line.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


class FakeGitea:
    """calls: method and path of everything asked. fault: called before each call, may raise or answer itself."""

    def __init__(self) -> None:
        self.mutex = threading.Lock()
        self.ids = count(1)
        self.users: dict[str, dict[str, Any]] = {}
        self.renamed: dict[str, str] = {}
        self.keys: dict[int, dict[str, Any]] = {}
        self.tokens: dict[int, dict[str, Any]] = {}
        self.orgs: dict[str, dict[str, Any]] = {}
        self.teams: dict[int, dict[str, Any]] = {}
        self.repos: list[dict[str, Any]] = []
        self.passwords: dict[str, str] = {}
        self.bodies: list[Any] = []
        self.calls: list[str] = []
        self.fault: Callable[[str, str], Answer | None] = lambda method, path: None
        self.after: Callable[[str, str], None] = lambda method, path: None
        self.user("lyceum-bot", is_admin=True)

    # Contents

    def user(self, name: str, **values: Any) -> dict[str, Any]:
        made = {
            "id": next(self.ids),
            "login": name,
            "email": f"{name}@example.org",
            "full_name": "",
            "is_admin": False,
            "active": True,
            "prohibit_login": False,
            "restricted": False,
            "visibility": "limited",
            "login_name": "",
            "source_id": 0,
            **values,
        }
        self.users[name.lower()] = made
        return made

    def key(self, owner: str, line: str, title: str = "key") -> dict[str, Any]:
        made = {
            "id": next(self.ids),
            "title": title,
            "key": " ".join(line.split()[:2]),
            "fingerprint": fingerprint(line),
        }
        self.keys[int(str(made["id"]))] = {**made, "owner": owner.lower()}
        return made

    def repo(self, owner: str, name: str, **values: Any) -> dict[str, Any]:
        made = {
            "id": next(self.ids),
            "of": owner,
            "name": name,
            "private": True,
            "description": "",
            "empty": False,
            "default_branch": "main",
            "archived": False,
            "mirror": False,
            "fork": False,
            "branches": ["main"],
            "rules": {},
            "original_url": "",
            "mirror_interval": "",
            **values,
        }
        self.repos.append(made)
        return made

    def org(self, name: str, owner: str, **values: Any) -> dict[str, Any]:
        self.orgs[name.lower()] = {
            "id": next(self.ids),
            "name": name,
            "full_name": "",
            "description": "",
            "visibility": "private",
            **values,
        }
        self.team(name, "Owners", [owner], {f"repo.{unit}": "owner" for unit in UNITS})
        return self.orgs[name.lower()]

    def team(self, org: str, name: str, members: list[str], units: dict[str, str], **values: Any) -> dict[str, Any]:
        # "permission" is none for every team with units, whatever was asked for.
        made = {
            "id": next(self.ids),
            "of": org.lower(),
            "name": name,
            "permission": "none",
            "members": members,
            "units_map": units,
            "includes_all_repositories": True,
            "can_create_org_repo": name != "read",
            **values,
        }
        self.teams[made["id"]] = made
        return made

    def members(self, org: str, team: str) -> list[str]:
        return next(one["members"] for one in self.teams.values() if (one["of"], one["name"]) == (org, team))

    def keys_of(self, name: str) -> set[str]:
        return {key["fingerprint"] for key in self.keys.values() if key["owner"] == name}

    def snapshot(self) -> str:
        parts = (self.users, self.keys, self.tokens, self.orgs, self.teams, self.repos)
        return json.dumps(parts, sort_keys=True)

    # Transport

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        payload: Any = None,
        headers: Mapping[str, str] | None = None,
        credentials: Any = None,
        read_s: float | None = None,
    ) -> Reply:
        with self.mutex:
            return self._answer(method, path.removeprefix("/api/v1"), query, payload, credentials)

    def _answer(self, method: str, path: str, query: Mapping[str, Any] | None, payload: Any, credentials: Any) -> Reply:
        self.calls.append(f"{method} {path}")
        self.bodies.append(payload)
        answer = self.fault(method, path) or self._route(method, unquote(path), dict(query or {}), payload, credentials)
        self.after(method, path)
        status, body = answer
        if 300 <= status < 400:
            raise Permanent(f"{method} {path}: redirected to {body}")  # as the real transport does
        headers = {}
        if isinstance(body, list) and query is not None and "page" in query:
            headers["x-total-count"] = str(len(body))
            size = min(CAP, query["limit"])
            body = body[(query["page"] - 1) * size : query["page"] * size]
        if status >= 400:
            body = {"message": body, "url": "https://git.example.org/api/swagger"}
        return Reply(status, headers, b"" if body is None else json.dumps(body).encode())

    def _route(self, method: str, path: str, query: dict[str, Any], body: Any, credentials: Any) -> Answer:
        for pattern, handler in ROUTES:
            found = re.fullmatch(pattern, f"{method} {path}")
            if found:
                if "/tokens" in path and not isinstance(credentials, Basic):
                    return 401, "auth required"
                return handler(self, *found.groups(), **({"query": query} if method == "GET" else {"body": body}))
        raise AssertionError(f"the fake does not know {method} {path}")

    def _named(self, name: str) -> dict[str, Any] | Answer:
        """Also an organization, and a redirect for a name of before: as asked by name."""
        low = name.lower()
        if low in self.users:
            return self.users[low]
        if low in self.orgs:
            return {"login": self.orgs[low]["name"], "id": self.orgs[low]["id"]}
        if low in self.renamed:
            return 307, f"/api/v1/users/{self.renamed[low]}"
        return 404, f"user redirect does not exist [name: {name}]"

    def _create_user(self, body: dict[str, Any]) -> Answer:
        name = body["username"]
        if len(body["password"]) < 8:
            return 400, "PasswordIsRequired"
        if name.lower() in self.users or name.lower() in self.orgs:
            return 422, f"user already exists [name: {name}]"
        if self._holder(body["email"]):
            return 422, f"e-mail already in use [email: {body['email']}]"
        if name in ("explore", "api"):
            return 422, f"name is reserved [name: {name}]"
        values = {field: body[field] for field in ("email", "full_name", "restricted", "visibility", "login_name")}
        self.passwords[name] = body["password"]
        return 201, self.user(name, **values, must_change_password=body["must_change_password"])

    def _holder(self, email: str) -> str:
        return next((one["login"] for one in self.users.values() if one["email"].lower() == email.lower()), "")

    def _edit_user(self, name: str, body: dict[str, Any]) -> Answer:
        if not body.get("login_name"):
            return 422, "[LoginName]: Required"
        user = self.users[name.lower()]
        # What is not sent is wiped; and this much is saved before anything else is looked at.
        user.update(login_name=body["login_name"], source_id=body.get("source_id") or user["source_id"])
        user["prohibit_login"] = body.get("prohibit_login", user["prohibit_login"])
        holder = self._holder(body.get("email", ""))
        if holder and holder != user["login"]:
            return 400, f"e-mail already in use [email: {body['email']}]"
        for field in ("email", "full_name", "active", "restricted", "visibility", "max_repo_creation"):
            if field in body:
                user[field] = body[field]
        user["is_admin"] = body.get("admin", user["is_admin"])
        return 200, user

    def _rename_user(self, name: str, body: dict[str, Any]) -> Answer:
        new = body["new_username"]
        if new.lower() in self.users:
            return 422, f"user already exists [name: {new}]"
        self.users[new.lower()] = {**self.users.pop(name.lower()), "login": new}
        self.renamed[name.lower()] = new
        for key in self.keys.values():
            key["owner"] = new if key["owner"] == name.lower() else key["owner"]
        return 204, None

    def _delete_user(self, name: str, body: Any) -> Answer:
        user = self.users[name.lower()]
        if any(repo["of"].lower() == name.lower() for repo in self.repos):
            return 422, f"user still has ownership of repositories [uid: {user['id']}]"
        if any(name in team["members"] for team in self.teams.values()):
            return 422, f"user still has membership of organizations [uid: {user['id']}]"
        del self.users[name.lower()]
        self.keys = {number: key for number, key in self.keys.items() if key["owner"] != name.lower()}
        return 204, None

    def _keys(self, name: str, query: dict[str, Any]) -> Answer:
        named = self._named(name)
        if isinstance(named, tuple):
            return named
        return 200, [key for key in self.keys.values() if key["owner"] == name.lower()]

    def _key_of(self, query: dict[str, Any]) -> Answer:
        found = [key for key in self.keys.values() if key["fingerprint"] == query["fingerprint"]]
        return 200, [{**key, "user": {"login": key["owner"]} if key["owner"] else None} for key in found]

    def _add_key(self, name: str, body: dict[str, Any]) -> Answer:
        if any(key["fingerprint"] == fingerprint(body["key"]) for key in self.keys.values()):
            return 422, "Key content has been used as non-deploy key"
        if any(key["owner"] == name.lower() and key["title"] == body["title"] for key in self.keys.values()):
            return 422, "Key title has been used"
        return 201, self.key(name, body["key"], body["title"])

    def _drop(self, table: str) -> Callable[..., Answer]:
        def drop(name: str, number: str, body: Any) -> Answer:
            return (204, None) if getattr(self, table).pop(int(number), None) else (404, "not found")

        return drop

    def _orgs_of(self, name: str, query: dict[str, Any]) -> Answer:
        names = {team["of"] for team in self.teams.values() if name in team["members"]}
        return 200, [self.orgs[org] for org in sorted(names)]

    def _leave(self, org: str, name: str, body: Any) -> Answer:
        teams = [team for team in self.teams.values() if team["of"] == org and name in team["members"]]
        if any(team["name"] == "Owners" and team["members"] == [name] for team in teams):
            return 500, "user is the last member of owner team [uid: 7]"
        for team in teams:
            team["members"].remove(name)
        return 204, None

    def _create_org(self, body: dict[str, Any]) -> Answer:
        name = body["username"]
        if name.lower() in self.users or name.lower() in self.orgs:
            return 422, f"user already exists [name: {name}]"
        values = {field: value for field, value in body.items() if field != "username"}
        return 201, self.org(name, "lyceum-bot", **values)

    def _create_team(self, org: str, body: dict[str, Any]) -> Answer:
        if not body.get("units_map"):
            return 500, "units permission should not be empty"
        if any((team["of"], team["name"]) == (org, body["name"]) for team in self.teams.values()):
            return 422, "team already exists"
        return 201, self.team(org, body["name"], [], body["units_map"], can_create_org_repo=body["can_create_org_repo"])

    def _member(self, team: str, name: str, body: Any) -> Answer:
        if name.lower() not in self.users:
            return 404, "GetUserByName"
        members = self.teams[int(team)]["members"]
        members += [name] if name not in members else []
        return 204, None

    def _no_member(self, team: str, name: str, body: Any) -> Answer:
        found = self.teams[int(team)]
        if found["name"] == "Owners" and found["members"] == [name]:
            return 500, "user is the last member of owner team [uid: 7]"
        found["members"] = [one for one in found["members"] if one != name]
        return 204, None

    def _edit_team(self, number: str, body: dict[str, Any]) -> Answer:
        if not body.get("name"):
            return 422, "[Name]: Required"
        self.teams[int(number)].update(body, permission="none")
        return 200, self.teams[int(number)]

    def _repo(self, owner: str, name: str) -> dict[str, Any]:
        return next(
            one for one in self.repos if (one["of"].lower(), one["name"].lower()) == (owner.lower(), name.lower())
        )

    def _repos_of(self, name: str, query: dict[str, Any]) -> Answer:
        named = self._named(name)
        if isinstance(named, tuple):
            return named
        return 200, [self._shown(one) for one in self.repos if one["of"].lower() == name.lower()]

    @staticmethod
    def _shown(repo: dict[str, Any]) -> dict[str, Any]:
        hidden = ("of", "branches", "rules")
        return {**{key: value for key, value in repo.items() if key not in hidden}, "owner": {"login": repo["of"]}}

    def _create_repo(self, org: str, body: dict[str, Any]) -> Answer:
        if any((one["of"].lower(), one["name"].lower()) == (org, body["name"].lower()) for one in self.repos):
            return 409, "The repository with the same name already exists."
        return 201, self._shown(self.repo(org, **{**body, "empty": True, "branches": []}))

    def _edit_repo(self, owner: str, name: str, body: dict[str, Any]) -> Answer:
        repo = self._repo(owner, name)
        if "archived" in body and repo["mirror"]:
            return 422, "repo is a mirror, cannot archive/un-archive"
        # A branch that is not there is left out without a word.
        if "default_branch" in body and not repo["empty"] and body["default_branch"] not in repo["branches"]:
            body = {key: value for key, value in body.items() if key != "default_branch"}
        repo.update(body)
        return 200, self._shown(repo)

    def _transfer(self, owner: str, name: str, body: dict[str, Any]) -> Answer:
        if any((one["of"], one["name"]) == (body["new_owner"], name) for one in self.repos):
            return 422, "repository already exists"
        self._repo(owner, name)["of"] = body["new_owner"]
        return 202, None

    def _protect(self, owner: str, name: str, body: dict[str, Any]) -> Answer:
        repo = self._repo(owner, name)
        if repo["archived"]:
            return 423, "repo is archived"
        if body["rule_name"] in repo["rules"]:
            return 403, "Branch protection already exist"
        repo["rules"][body["rule_name"]] = body["enable_force_push"]
        return 201, None

    def _edit_rule(self, owner: str, name: str, rule: str, body: dict[str, Any]) -> Answer:
        self._repo(owner, name)["rules"][rule] = body["enable_force_push"]
        return 200, None

    def _remove_repo(self, owner: str, name: str, body: Any) -> Answer:
        self.repos.remove(self._repo(owner, name))
        return 204, None

    def _remove_org(self, org: str, body: Any) -> Answer:
        if any(repo["of"].lower() == org for repo in self.repos):
            return 422, "organization still owns repositories"
        del self.orgs[org]
        self.teams = {number: team for number, team in self.teams.items() if team["of"] != org}
        return 204, None

    def _migrate(self, body: dict[str, Any]) -> Answer:
        """The address says what comes of it: .../slow, .../broken, or done at once."""
        kind = body["clone_addr"].rpartition("/")[2]
        made = self.repo(
            body["repo_owner"],
            body["repo_name"],
            original_url=body["clone_addr"],
            mirror=body["mirror"],
            private=body["private"],
            mirror_interval=body["mirror_interval"],
            empty=True,
        )
        if kind == "slow":
            raise Ambiguous("no answer in time")
        if kind == "broken":
            return 422, f"Authentication failed: {body['auth_token']}"  # and the empty repository stays
        made["empty"] = kind == "empty"
        return 201, self._shown(made)


F = FakeGitea
ROUTES: list[tuple[str, Callable[..., Answer]]] = [
    (r"GET /user", lambda fake, query: (200, fake.users["lyceum-bot"])),
    (r"GET /version", lambda fake, query: (200, {"version": "1.26.2+fake"})),
    (r"GET /api/healthz", lambda fake, query: (200, {"status": "pass"})),
    (
        r"GET /admin/users",
        lambda fake, query: (200, [u for u in fake.users.values() if query.get("q", "").lower() in u["login"].lower()]),
    ),
    (r"POST /admin/users", F._create_user),
    (r"PATCH /admin/users/([^/]+)", F._edit_user),
    (r"DELETE /admin/users/([^/]+)", F._delete_user),
    (r"POST /admin/users/([^/]+)/rename", F._rename_user),
    (r"GET /admin/users/([^/]+)/orgs", F._orgs_of),
    (
        r"GET /admin/emails/search",
        lambda fake, query: (200, [{"email": u["email"], "username": u["login"]} for u in fake.users.values()]),
    ),
    (r"GET /users/([^/]+)/keys", F._keys),
    (r"GET /user/keys", F._key_of),
    (r"POST /admin/users/([^/]+)/keys", F._add_key),
    (
        r"DELETE /admin/users/([^/]+)/keys/(\d+)",
        lambda fake, name, number, body: fake._drop("keys")(name, number, body),
    ),
    (
        r"GET /users/([^/]+)/tokens",
        lambda fake, name, query: (200, [t for t in fake.tokens.values() if t["of"] == name]),
    ),
    (r"DELETE /users/([^/]+)/tokens/(\d+)", lambda fake, name, number, body: fake._drop("tokens")(name, number, body)),
    (r"GET /users/([^/]+)/repos", F._repos_of),
    (r"GET /admin/orgs", lambda fake, query: (200, list(fake.orgs.values()))),
    (r"GET /orgs/([^/]+)", lambda fake, org, query: (200, fake.orgs[org]) if org in fake.orgs else (404, "not found")),
    (r"POST /orgs", F._create_org),
    (r"PATCH /orgs/([^/]+)", lambda fake, org, body: (200, fake.orgs[org].update(body))),
    (r"DELETE /orgs/([^/]+)", F._remove_org),
    (r"DELETE /orgs/([^/]+)/members/([^/]+)", F._leave),
    (r"GET /orgs/([^/]+)/teams", lambda fake, org, query: (200, [t for t in fake.teams.values() if t["of"] == org])),
    (r"POST /orgs/([^/]+)/teams", F._create_team),
    (r"PATCH /teams/(\d+)", F._edit_team),
    (
        r"GET /teams/(\d+)/members",
        lambda fake, team, query: (200, [{"login": m} for m in fake.teams[int(team)]["members"]]),
    ),
    (r"PUT /teams/(\d+)/members/([^/]+)", F._member),
    (r"DELETE /teams/(\d+)/members/([^/]+)", F._no_member),
    (r"POST /orgs/([^/]+)/repos", F._create_repo),
    (
        r"GET /repositories/(\d+)",
        lambda fake, number, query: next(
            ((200, fake._shown(r)) for r in fake.repos if r["id"] == int(number)), (404, "")
        ),
    ),
    (r"POST /repos/migrate", F._migrate),
    (r"PATCH /repos/([^/]+)/([^/]+)", F._edit_repo),
    (r"DELETE /repos/([^/]+)/([^/]+)", F._remove_repo),
    (r"POST /repos/([^/]+)/([^/]+)/transfer", F._transfer),
    (
        r"GET /repos/([^/]+)/([^/]+)/branches",
        lambda fake, o, n, query: (200, [{"name": b} for b in fake._repo(o, n)["branches"]]),
    ),
    (
        r"GET /repos/([^/]+)/([^/]+)/branch_protections",
        lambda fake, o, n, query: (
            200,
            [{"rule_name": r, "enable_force_push": f} for r, f in fake._repo(o, n)["rules"].items()],
        ),
    ),
    (r"POST /repos/([^/]+)/([^/]+)/branch_protections", F._protect),
    (r"PATCH /repos/([^/]+)/([^/]+)/branch_protections/(.+)", F._edit_rule),
]


@contextmanager
def session_with(fake: FakeGitea, folder: Path, **policy: Any) -> Iterator[Session]:
    """What `connection.session` yields, over the fake."""
    secrets = (Secret("token-of-the-bot"),)
    exact = Gitea(fake, basic=Basic("lyceum-bot", secrets[0]), patience=Patience(deadline_s=0))
    with Journal(folder / "services/gitea.sqlite3", secrets) as journal:
        yield Session(
            exact,
            exact,
            journal,
            Policy(writers=2, ready_s=0, tries=3, backoff=Backoff(draw=lambda: 0.0), **policy),
            exact.me(),
            "1.26.2+fake",
            secrets,
        )


def refuse(*calls: str) -> Callable[[str, str], Answer | None]:
    """A fault: these calls find nobody."""

    def fault(method: str, path: str) -> Answer | None:
        if f"{method} {path}" in calls:
            raise NotReady("nobody there")
        return None

    return fault
