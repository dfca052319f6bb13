# SPDX-License-Identifier: GPL-3.0-or-later
"""The calls: pages, names that are somebody else's, and what is asked with which credentials."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any

import pytest
from ansible.module_utils.lyceum.services.backoff import Backoff
from ansible.module_utils.lyceum.services.errors import AuthRefused, NotReady, Permanent, Transient
from ansible.module_utils.lyceum.services.gitea.client import Gitea, Patience, gather_by
from ansible.module_utils.lyceum.services.http import Basic, Reply
from ansible.module_utils.lyceum.services.secret import Secret

from .fake import CAP, FakeGitea, public_key


@pytest.fixture
def fake() -> FakeGitea:
    return FakeGitea()


@pytest.fixture
def client(fake: FakeGitea) -> Gitea:
    return Gitea(fake)


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def wait(self, seconds: float, stop: threading.Event) -> None:
        self.time += seconds


def test_page_cap_all_pages_are_read_and_no_more(fake: FakeGitea, client: Gitea) -> None:
    """The server gives CAP at once, whatever is asked for; the header says how much there is."""
    for number in range(2 * CAP):
        fake.user(f"p{number}")
    assert len(client.accounts()) == 2 * CAP + 1  # and the bot
    assert fake.calls == ["GET /admin/users"] * 3


def test_page_cap_a_short_page_is_not_the_last() -> None:
    """Gitea takes out what we may not see after it has counted."""
    pages = {1: [1, 2, 3], 2: [4], 3: [5, 6, 7]}

    class Server:
        def request(self, method: str, path: str, *, query: Mapping[str, Any], **_: Any) -> Reply:
            body = [{"id": number, "name": "r"} for number in pages.get(query["page"], [])]
            return Reply(200, {"x-total-count": "9"}, json.dumps(body).encode())

    assert [one.id for one in Gitea(Server()).repositories("amartin")] == [1, 2, 3, 4, 5, 6, 7]  # type: ignore[arg-type]


def test_page_cap_without_a_count_pages_are_read_until_one_is_empty() -> None:
    class Server:
        def request(self, method: str, path: str, *, query: Mapping[str, Any], **_: Any) -> Reply:
            return Reply(200, {}, b'[{"id":%d,"name":"r"}]' % query["page"] if query["page"] < 4 else b"[]")

    assert [one.id for one in Gitea(Server()).repositories("amartin")] == [1, 2, 3]  # type: ignore[arg-type]


def test_what_moves_between_pages_is_there_once() -> None:
    class Server:
        def request(self, method: str, path: str, *, query: Mapping[str, Any], **_: Any) -> Reply:
            first = query["page"]  # the last of each page comes again
            return Reply(
                200, {"x-total-count": "4"}, b'[{"id":%d,"name":"r"},{"id":%d,"name":"r"}]' % (first, first + 1)
            )

    assert [one.id for one in Gitea(Server()).repositories("amartin")] == [1, 2, 3]  # type: ignore[arg-type]


def test_an_organization_is_no_account(fake: FakeGitea, client: Gitea) -> None:
    """GET /users/NAME answers with organizations, too, and does not say that they are."""
    fake.org("retina", "lyceum-bot")
    fake.user("retina-fan")
    assert client.account("retina") is None


def test_a_name_of_before_is_no_account(fake: FakeGitea, client: Gitea) -> None:
    """GET /users/OLD is redirected to whoever was called that."""
    fake.user("amartin")
    client.rename_account("amartin", "a-martin")
    assert client.account("amartin") is None
    found = client.account("A-Martin")
    assert found is not None
    assert found.name == "a-martin"
    with pytest.raises(Permanent, match="redirected"):
        client.keys("amartin")


def test_a_key_has_one_owner_on_the_whole_server(fake: FakeGitea, client: Gitea) -> None:
    key = fake.key("bchen", public_key(1))
    found = client.key_of(key["fingerprint"])
    assert found is not None
    assert found.owner == "bchen"
    assert client.key_of("SHA256:other") is None


def test_tokens_are_shown_with_basic_only(fake: FakeGitea) -> None:
    """401 for every token, also that of an administrator."""
    fake.user("amartin")
    fake.tokens[7] = {"id": 7, "name": "laptop", "of": "amartin"}
    with pytest.raises(AuthRefused):
        Gitea(fake).tokens("amartin")
    client = Gitea(fake, basic=Basic("lyceum-bot", Secret("x")))
    assert [token.name for token in client.tokens("amartin")] == ["laptop"]
    client.delete_token("amartin", 7)
    assert fake.tokens == {}


def test_reading_waits_for_a_server_that_restarts(fake: FakeGitea) -> None:
    clock, answers = Clock(), [NotReady("down", 3), Transient("locked"), None]

    def fault(method: str, path: str) -> None:
        answer = answers.pop(0)
        if answer is not None:
            raise answer

    fake.fault = fault
    patience = Patience(10, Backoff(draw=lambda: 1.0), clock)
    assert Gitea(fake, patience=patience).me().name == "lyceum-bot"
    assert clock.time == 4.0  # as long as it asked for, then the second delay
    answers += [NotReady("down", 60)]
    with pytest.raises(NotReady):
        Gitea(fake, patience=patience).me()


def test_what_changes_something_is_sent_once(fake: FakeGitea, client: Gitea) -> None:
    def locked(method: str, path: str) -> tuple[int, str]:
        return 500, "database is locked"

    fake.fault = locked
    with pytest.raises(Transient, match="database is locked"):
        client.rename_account("amartin", "x")
    assert len(fake.calls) == 1


def test_names_are_quoted_in_paths(fake: FakeGitea, client: Gitea) -> None:
    fake.fault = lambda method, path: (200, [])
    client.keys("../admin")
    assert fake.calls == ["GET /users/..%2Fadmin/keys"]


def test_health_is_asked_without_the_api(fake: FakeGitea, client: Gitea) -> None:
    client.healthy()
    fake.fault = lambda method, path: (503, "starting")
    with pytest.raises(NotReady):
        client.healthy()


def test_gathering_keeps_names_and_order() -> None:
    assert list(gather_by(["b", "a", "b"], str.upper).items()) == [("b", "B"), ("a", "A")]
