# SPDX-License-Identifier: GPL-3.0-or-later
"""The account that runs act as, and its token: proved by a call, and only then made anew when it is not good.

The bot has a random password that nobody is told. The token stands in one file that only root reads.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..errors import LyceumError
from ..files import write_atomically
from .host import Host

PREFIX = "lyceum-"  # of the names of its tokens; others are none of ours
PAGE = 50


@dataclass(frozen=True)
class Bot:
    """token: the file."""

    host: Host
    name: str
    email: str
    token: Path
    scopes: tuple[str, ...]

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Bot:
        host = Host.from_params(params)
        return cls(host, params["name"], params["email"], Path(params["token_file"]), tuple(params["scopes"]))


def run(bot: Bot, *, check: bool, seconds: float = 60) -> dict[str, Any]:
    """What the module returns. Nothing in it is a secret."""
    if not (check and not bot.host.socket.exists()):
        bot.host.wait("", bot.name, seconds)
        fault = fault_of(bot)
    else:
        fault = "there is no server yet"
    actions = [f"make a token for {bot.name}: {fault}"] if fault else []
    exists = not fault or (bot.host.socket.exists() and is_account(bot))
    if fault and not exists:
        actions.insert(0, f"make the account {bot.name}, an administrator")
    if fault and not check:
        if not exists:
            create(bot)
        renew(bot)
        left = fault_of(bot)
        if left:
            raise LyceumError(
                f"the new token of {bot.name} is no good either: {left}. Look whether {bot.name} is an administrator"
                " who may sign in"
            )
        forget_others(bot)
    return {"changed": bool(actions), "actions": actions}


def fault_of(bot: Bot) -> str:
    """Why the token is not good; empty when it is. LyceumError when the server cannot say."""
    if not bot.token.exists():
        return "there is none"
    token = bot.token.read_text().strip()
    me = _asked(bot, "/api/v1/user", token=token)
    if me.status in (401, 403):
        return "the server does not take the one there is"
    if me.status != 200 or not isinstance(me.body, dict):
        raise LyceumError(
            f"Gitea answers {me.status} when asked who a token belongs to, which says nothing about the token"
        )
    if me.body.get("login") != bot.name:
        return f"the one there is belongs to {me.body.get('login')}"
    if _asked(bot, "/api/v1/admin/users?limit=1", token=token).status != 200:
        return "the one there is does not administer"
    mine = [entry for entry in tokens(bot, token) if token.endswith(entry.get("token_last_eight") or "-")]
    if mine and set(mine[0].get("scopes") or []) != set(bot.scopes):
        return f"the one there is has other rights than {', '.join(bot.scopes)}"
    return ""


def _asked(bot: Bot, path: str, **options: Any) -> Any:
    try:
        return bot.host.ask("GET", path, **options)
    except OSError as exc:
        raise LyceumError(f"Gitea does not answer at {bot.host.socket}: {exc.strerror or exc}") from exc


def tokens(bot: Bot, token: str) -> list[dict[str, Any]]:
    """Tokens of the bot, without what is secret in them. Their list wants a password, for which a token passes, too."""
    found: list[dict[str, Any]] = []
    page = 1
    while True:
        path = f"/api/v1/users/{quote(bot.name)}/tokens?limit={PAGE}&page={page}"
        answer = _asked(bot, path, basic=(bot.name, token))
        if answer.status != 200 or not isinstance(answer.body, list):
            return found
        found += answer.body
        if len(answer.body) < PAGE:
            return found
        page += 1


def is_account(bot: Bot) -> bool:
    """The columns of the list are ID, name, address and so on."""
    lines = [line.split() for line in bot.host.gitea("admin", "user", "list").splitlines()]
    return any(len(words) > 2 and words[0].isdigit() and words[1].lower() == bot.name.lower() for words in lines)


def create(bot: Bot) -> None:
    """Its password is printed once, into nothing."""
    words = [
        "--username",
        bot.name,
        "--email",
        bot.email,
        "--admin",
        "--random-password",
        "--random-password-length=64",
    ]
    bot.host.gitea("admin", "user", "create", *words, "--must-change-password=false")


def renew(bot: Bot) -> None:
    name = f"{PREFIX}{secrets.token_hex(6)}"
    words: Sequence[str] = ["--username", bot.name, "--token-name", name, "--scopes", ",".join(bot.scopes), "--raw"]
    said = bot.host.gitea("admin", "user", "generate-access-token", *words).split()
    if not said:
        raise LyceumError("gitea admin user generate-access-token printed no token")
    bot.token.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(bot.token, f"{said[-1]}\n".encode(), 0o600)


def forget_others(bot: Bot) -> None:
    """Tokens of ours that went before. They may still be good, when only their rights or their file were lost."""
    token = bot.token.read_text().strip()
    for entry in tokens(bot, token):
        ours = str(entry.get("name", "")).startswith(PREFIX)
        if ours and not token.endswith(entry.get("token_last_eight") or "-"):
            path = f"/api/v1/users/{quote(bot.name)}/tokens/{entry['id']}"
            answer = bot.host.ask("DELETE", path, basic=(bot.name, token))
            if answer.status not in (204, 404):
                raise LyceumError(f"an old token of {bot.name} could not be deleted: Gitea answers {answer.status}")
