# SPDX-License-Identifier: GPL-3.0-or-later
"""Repositories to import from elsewhere, and what to do about each. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ...errors import LyceumError
from ..secret import Secret
from .state import Repository

SERVICES = ("git", "github", "gitlab", "gitea", "gogs", "onedev", "gitbucket", "codebase")
ITEMS = ("wiki", "lfs", "issues", "labels", "milestones", "pull_requests", "releases")
# A mirror is kept up by git alone, which knows nothing of these; Gitea leaves them out without a word.
NOT_MIRRORED = frozenset({"issues", "labels", "milestones", "pull_requests", "releases"})
SLOT = "import "  # under what the journal remembers an import
STARTED, FINISHED = "started", "finished"
_DURATION = re.compile(r"(\d+)(h|m|s)")
_SECONDS = {"h": 3600, "m": 60, "s": 1}


@dataclass(frozen=True)
class Import:
    """One repository. items: what comes with the code. person: whose row in the run's table it belongs to."""

    owner: str
    name: str
    url: str
    service: str = "git"
    username: str = ""
    password: Secret | None = field(default=None, compare=False)
    token: Secret | None = field(default=None, compare=False)
    mirror: bool = False
    mirror_interval: str = "8h0m0s"
    private: bool = True
    description: str = ""
    items: tuple[str, ...] = ()
    person: str = ""

    @property
    def place(self) -> str:
        return f"{self.owner}/{self.name}"

    @property
    def secrets(self) -> tuple[Secret, ...]:
        return tuple(secret for secret in (self.password, self.token) if secret is not None)

    def body(self) -> dict[str, Any]:
        """What Gitea is sent; the secrets are in it, so it is made only for the one call."""
        return {
            "clone_addr": self.url,
            "repo_owner": self.owner,
            "repo_name": self.name,
            "service": self.service,
            "description": self.description,
            "private": self.private,
            "mirror": self.mirror,
            "mirror_interval": self.mirror_interval if self.mirror else "",
            "auth_username": self.username,
            "auth_password": self.password.reveal() if self.password else "",
            "auth_token": self.token.reveal() if self.token else "",
            **{item: item in self.items for item in ITEMS},
        }


def imports_from_params(entries: Sequence[Mapping[str, Any]]) -> list[Import]:
    """LyceumError with everything that makes no sense. Never shows a URL that may have a password in it."""
    found, problems = [], []
    for entry in entries:
        place = f"{entry['owner']}/{entry['name']}"
        problems += [f"{place}: {text}" for text in _problems(entry)]
        found.append(
            Import(
                owner=entry["owner"],
                name=entry["name"],
                url=entry["url"],
                service=entry.get("service") or "git",
                username=entry.get("username") or "",
                password=Secret(entry["password"]) if entry.get("password") else None,
                token=Secret(entry["token"]) if entry.get("token") else None,
                mirror=bool(entry.get("mirror")),
                mirror_interval=entry.get("mirror_interval") or "8h0m0s",
                private=bool(entry.get("private", True)),
                description=entry.get("description") or "",
                items=tuple(entry.get("items") or ()),
                person=entry.get("person") or "",
            )
        )
    counts = Counter(one.place.lower() for one in found)
    problems += [f"{place} is there {count} times" for place, count in counts.items() if count > 1]
    if problems:
        raise LyceumError(f"{len(problems)} problem(s) in the list of imports: {'; '.join(problems)}")
    return found


def _problems(entry: Mapping[str, Any]) -> list[str]:
    problems = []
    try:
        parts = urlsplit(entry["url"])
        hidden = bool(parts.username or parts.password)
    except ValueError:
        return ["the URL cannot be read"]
    if hidden:
        problems.append("the URL has a user name or password in it, which everybody could read; give them apart")
    if parts.scheme not in ("http", "https", "git", "ssh") or not parts.hostname:
        problems.append("the URL must be like https://host/path")
    lost = sorted(NOT_MIRRORED & set(entry.get("items") or ()))
    if entry.get("mirror") and lost:
        problems.append(f"a mirror brings the code only, not {', '.join(lost)}")
    interval = entry.get("mirror_interval")
    if interval and seconds(interval) is None:
        problems.append(f"the mirror interval {interval!r} must be like 8h or 10m")
    return problems


def seconds(interval: str) -> int | None:
    """Of a duration as Gitea writes it, such as 8h0m0s; None for what it would not take."""
    parts = _DURATION.findall(interval)
    if "".join(number + unit for number, unit in parts) != interval or not parts:
        return None
    return sum(int(number) * _SECONDS[unit] for number, unit in parts)


@dataclass(frozen=True)
class Verdict:
    """What is to be done about one import.

    status: missing | running | stalled | done | foreign (something else is there). edit: what differs in what is there.
    """

    status: str
    why: str = ""
    edit: Mapping[str, Any] = field(default_factory=dict)


def judge(wanted: Import, there: Repository | None, memory: Mapping[str, Any], now: float, stalled_s: float) -> Verdict:
    """Compare. memory: what the journal knows of this import: started (seconds), finished.

    Gitea does not say whether an import is under way: until its end the repository is there, and empty.
    """
    if there is None:
        return Verdict("missing")
    if not same_address(there.original_url, wanted.url):
        return Verdict("foreign", f"{wanted.place} is there already and does not come from that address")
    if there.mirror != wanted.mirror:
        word = "a mirror" if there.mirror else "no mirror"
        return Verdict("foreign", f"{wanted.place} is {word}, which Gitea cannot change; delete it to import it anew")
    edit: dict[str, Any] = {}
    if there.private != wanted.private:
        edit["private"] = wanted.private
    if wanted.mirror and there.mirror_interval and seconds(there.mirror_interval) != seconds(wanted.mirror_interval):
        edit["mirror_interval"] = wanted.mirror_interval
    if not there.empty or memory.get(FINISHED):
        return Verdict("done", edit=edit)
    if now - float(memory.get(STARTED) or 0) < stalled_s:
        return Verdict("running")
    return Verdict("stalled", f"{wanted.place} is still empty; the import was interrupted or hangs")


def same_address(one: str, other: str) -> bool:
    """Whether two addresses are of one repository."""
    return _bare(one) == _bare(other)


def _bare(url: str) -> str:
    return url.rstrip("/").removesuffix(".git").lower()
