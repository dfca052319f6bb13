# SPDX-License-Identifier: GPL-3.0-or-later
"""A session: who we are, two clients, the journal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.services.gitea import connection

from .fake import FakeGitea


class Pooled:
    """In place of HttpTransport."""

    def __init__(self, fake: FakeGitea) -> None:
        self.fake = fake

    def __call__(self, endpoint: Any) -> Pooled:
        self.endpoint = endpoint
        return self

    def __enter__(self) -> FakeGitea:
        return self.fake

    def __exit__(self, *_: object) -> None:
        pass


def params(folder: Path, **values: Any) -> dict[str, Any]:
    return {
        "url": "https://git.example.org",
        "token": "t0ken-of-bot",
        "state_dir": str(folder),
        "writers": 2,
        "deadline_seconds": 10,
        "on_failure": "keep",
        **values,
    }


def test_everything_a_run_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pooled = Pooled(FakeGitea())
    monkeypatch.setattr(connection, "HttpTransport", pooled)
    with connection.session(params(tmp_path)) as one:
        assert (one.bot.name, one.server, one.policy.writers) == ("lyceum-bot", "1.26.2+fake", 2)
        assert one.journal.path == tmp_path / "services/gitea-git.example.org.sqlite3"
        with pytest.raises(LyceumError, match="another run"), connection.session(params(tmp_path)):
            pass
    assert "t0ken" not in repr(pooled.endpoint)


def test_an_ordinary_account_cannot_do_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeGitea()
    fake.users["lyceum-bot"]["is_admin"] = False
    monkeypatch.setattr(connection, "HttpTransport", Pooled(fake))
    words = "that of lyceum-bot, who is no administrator of https://"
    with pytest.raises(LyceumError, match=words), connection.session(params(tmp_path)):
        pass
