# SPDX-License-Identifier: GPL-3.0-or-later
"""The bot's token: proved, and made anew only when the server refuses it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.gitea_host import bot
from ansible.module_utils.lyceum.gitea_host.host import Answer, Host

from .conftest import Machine

SCOPES = ["write:admin", "write:organization", "write:repository", "write:user"]


def a_bot(machine: Machine, **values: Any) -> bot.Bot:
    base = {
        "name": "lyceum",
        "email": "lyceum@example.org",
        "token_file": str(machine.folder / "token"),
        "scopes": SCOPES,
    }
    return bot.Bot.from_params({**machine.params, **base, **values})


@pytest.fixture
def running(machine: Machine) -> Iterator[Machine]:
    (machine.folder / "gitea").symlink_to(machine.release())
    machine.systemctl("start")
    machine.host.wait("", "", 20)
    return machine


def token(machine: Machine) -> str:
    return (machine.folder / "token").read_text().strip()


def actions(machine: Machine, **values: Any) -> list[str]:
    found: list[str] = bot.run(a_bot(machine, **values), check=False)["actions"]
    return found


def test_the_account_and_the_token_are_made_once(running: Machine) -> None:
    made = ["make the account lyceum, an administrator", "make a token for lyceum: there is none"]
    assert bot.run(a_bot(running), check=True)["actions"] == made
    assert not (running.folder / "token").exists()
    assert actions(running) == made
    first = token(running)
    assert (running.folder / "token").stat().st_mode & 0o777 == 0o600
    assert bot.run(a_bot(running), check=True)["actions"] == []
    assert actions(running) == []
    assert token(running) == first


@pytest.mark.parametrize("spoil", ["refused", "lost"])
def test_a_token_that_is_no_good_is_made_anew_and_the_old_one_goes(running: Machine, spoil: str) -> None:
    actions(running)
    first = token(running)
    if spoil == "refused":
        (running.folder / "token").write_text("0" * 40)
    else:
        (running.folder / "token").unlink()
    why = "the server does not take the one there is" if spoil == "refused" else "there is none"
    assert actions(running) == [f"make a token for lyceum: {why}"]
    assert token(running) != first
    assert running.host.ask("GET", "/api/v1/user", token=first).status == 401
    assert len(bot.tokens(a_bot(running), token(running))) == 1


def test_other_rights_mean_another_token(running: Machine) -> None:
    actions(running, scopes=["all"])
    assert actions(running)[0].startswith("make a token for lyceum: the one there is has other rights")
    assert actions(running) == []


def test_somebody_elses_token_is_not_used(running: Machine) -> None:
    actions(running)
    actions(running, name="other", email="other@example.org", token_file=str(running.folder / "other"))
    (running.folder / "token").write_text((running.folder / "other").read_text())
    assert actions(running) == ["make a token for lyceum: the one there is belongs to other"]


def test_a_server_in_trouble_does_not_cost_the_token(running: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    actions(running)
    first = token(running)
    with monkeypatch.context() as patch:
        patch.setattr(Host, "wait", lambda *_words: None)
        patch.setattr(Host, "ask", lambda *_words, **_options: Answer(502, None))
        with pytest.raises(LyceumError, match="answers 502 when asked who a token belongs to"):
            actions(running)
    assert token(running) == first


def test_a_page_for_people_proves_nothing(running: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    actions(running)
    with monkeypatch.context() as patch:
        patch.setattr(Host, "wait", lambda *_words: None)
        patch.setattr(Host, "ask", lambda *_words, **_options: Answer(200, None))
        with pytest.raises(LyceumError, match="says nothing about the token"):
            actions(running)


def test_no_secret_is_in_what_is_returned(running: Machine) -> None:
    result = bot.run(a_bot(running), check=False)
    assert result["changed"]
    assert token(running) not in str(result)
