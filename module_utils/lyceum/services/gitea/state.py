# SPDX-License-Identifier: GPL-3.0-or-later
"""What Gitea says, as values that can be compared. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NO_LIMIT = -1  # Gitea's own word for "as many as the server allows"


@dataclass(frozen=True)
class Account:
    """An account of a person. login_name and source_id are of no interest, but an edit without them wipes them."""

    id: int
    name: str
    full_name: str = ""
    email: str = ""
    active: bool = True
    prohibit_login: bool = False
    admin: bool = False
    restricted: bool = False
    visibility: str = "public"
    login_name: str = ""
    source_id: int = 0

    @classmethod
    def from_api(cls, data: Mapping[str, Any]) -> Account:
        """From an answer to an administrator; others are not told half of it."""
        return cls(
            id=int(data["id"]),
            name=str(data["login"]),
            full_name=str(data.get("full_name") or ""),
            email=str(data.get("email") or ""),
            active=bool(data.get("active")),
            prohibit_login=bool(data.get("prohibit_login")),
            admin=bool(data.get("is_admin")),
            restricted=bool(data.get("restricted")),
            visibility=str(data.get("visibility") or "public"),
            login_name=str(data.get("login_name") or ""),
            source_id=int(data.get("source_id") or 0),
        )

    @property
    def shut(self) -> bool:
        """Whether nobody gets in any more: inactive keeps SSH out, prohibit_login the web and the API."""
        return not self.active and self.prohibit_login

    def differs(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """The entries of `wanted` (our names) that the account does not have."""
        return {key: value for key, value in wanted.items() if not _same(key, getattr(self, key), value)}


def _same(key: str, mine: Any, wanted: Any) -> bool:
    return mine.casefold() == wanted.casefold() if key == "email" else bool(mine == wanted)


@dataclass(frozen=True)
class Key:
    """An SSH key. fingerprint: "SHA256:...". owner: login, where Gitea says so; empty for a deploy key."""

    id: int
    title: str
    fingerprint: str
    line: str
    owner: str = ""

    @classmethod
    def from_api(cls, data: Mapping[str, Any]) -> Key:
        return cls(
            id=int(data["id"]),
            title=str(data.get("title") or ""),
            fingerprint=str(data.get("fingerprint") or ""),
            line=str(data.get("key") or ""),
            owner=str((data.get("user") or {}).get("login") or ""),
        )


@dataclass(frozen=True)
class Token:
    """An access token of a person; its text is known to nobody."""

    id: int
    name: str

    @classmethod
    def from_api(cls, data: Mapping[str, Any]) -> Token:
        return cls(int(data["id"]), str(data.get("name") or ""))


@dataclass(frozen=True)
class Repository:
    """size_kib: on the server's disk. original_url: where it was imported from, without credentials."""

    id: int
    owner: str
    name: str
    description: str = ""
    private: bool = True
    default_branch: str = ""
    archived: bool = False
    empty: bool = False
    mirror: bool = False
    fork: bool = False
    size_kib: int = 0
    original_url: str = ""
    mirror_interval: str = ""

    @classmethod
    def from_api(cls, data: Mapping[str, Any]) -> Repository:
        return cls(
            id=int(data["id"]),
            owner=str((data.get("owner") or {}).get("login") or ""),
            name=str(data["name"]),
            description=str(data.get("description") or ""),
            private=bool(data.get("private")),
            default_branch=str(data.get("default_branch") or ""),
            archived=bool(data.get("archived")),
            empty=bool(data.get("empty")),
            mirror=bool(data.get("mirror")),
            fork=bool(data.get("fork")),
            size_kib=int(data.get("size") or 0),
            original_url=str(data.get("original_url") or ""),
            mirror_interval=str(data.get("mirror_interval") or ""),
        )


@dataclass(frozen=True)
class Organization:
    id: int
    name: str
    full_name: str = ""
    description: str = ""
    visibility: str = "public"

    @classmethod
    def from_api(cls, data: Mapping[str, Any]) -> Organization:
        return cls(
            id=int(data["id"]),
            name=str(data.get("name") or data.get("username")),
            full_name=str(data.get("full_name") or ""),
            description=str(data.get("description") or ""),
            visibility=str(data.get("visibility") or "public"),
        )


@dataclass(frozen=True)
class Team:
    """units: (unit, permission) in the order of their names."""

    id: int
    name: str
    permission: str = "none"
    all_repositories: bool = False
    creates_repositories: bool = False
    units: tuple[tuple[str, str], ...] = ()

    @classmethod
    def from_api(cls, data: Mapping[str, Any]) -> Team:
        return cls(
            id=int(data["id"]),
            name=str(data["name"]),
            permission=str(data.get("permission") or "none"),
            all_repositories=bool(data.get("includes_all_repositories")),
            creates_repositories=bool(data.get("can_create_org_repo")),
            units=tuple(sorted((data.get("units_map") or {}).items())),
        )
