# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything a run needs to work on one Gitea: who we are there, a patient client, an exact one, and the journal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import LyceumError
from ..http import Basic, Endpoint, HttpTransport
from ..http import Token as TokenCredentials
from ..journal import Journal, journal_path
from ..policy import Policy
from ..secret import Secret
from .client import Gitea, Patience
from .state import Account

SERVICE = "gitea"

ARGUMENTS: dict[str, Any] = {
    "url": {"type": "str", "required": True},
    "token": {"type": "str", "required": True, "no_log": True},
    "ca_file": {"type": "path"},
    "connect_to": {"type": "str", "default": ""},
    "state_dir": {"type": "path", "required": True},
    "writers": {"type": "int", "default": 8},
    "deadline_seconds": {"type": "int", "default": 3600},
    "on_failure": {"type": "str", "choices": ["keep", "rollback_person"], "default": "keep"},
}


@dataclass(frozen=True)
class Session:
    """reader waits for a server that restarts; writer asks once, for the engine decides. server: version."""

    reader: Gitea
    writer: Gitea
    journal: Journal
    policy: Policy
    bot: Account
    server: str
    secrets: tuple[Secret, ...]


@contextmanager
def session(params: Mapping[str, Any]) -> Iterator[Session]:
    """From the parameters of a module. LyceumError when it cannot be: locked, refused, not an administrator."""
    token = Secret(params["token"])
    endpoint = Endpoint(
        base_url=params["url"],
        credentials=TokenCredentials(token),
        ca_file=Path(params["ca_file"]) if params.get("ca_file") else None,
        connect_to=params.get("connect_to") or "",
        writers=max(8, params["writers"]),
    )
    with ExitStack() as stack:
        path = journal_path(Path(params["state_dir"]), SERVICE, params["url"])
        # Locked before anything is read, so that two runs never work on the same picture.
        journal = stack.enter_context(Journal(path, (token,)))
        transport = stack.enter_context(HttpTransport(endpoint))
        bot = Gitea(transport).me()
        if not bot.admin:
            raise LyceumError(f"the token is that of {bot.name}, who is no administrator of {params['url']}")
        # Gitea takes the token as a password, too, also where it takes no token.
        basic = Basic(bot.name, token)
        reader = Gitea(transport, basic=basic)
        yield Session(
            reader=reader,
            writer=Gitea(transport, basic=basic, patience=Patience(deadline_s=0)),
            journal=journal,
            policy=Policy(
                writers=params["writers"], on_failure=params["on_failure"], deadline_s=params["deadline_seconds"]
            ),
            bot=bot,
            server=reader.version(),
            secrets=(token,),
        )
