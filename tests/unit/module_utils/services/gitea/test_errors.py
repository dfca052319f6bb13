# SPDX-License-Identifier: GPL-3.0-or-later
"""Every answer of Gitea that has to be told apart, in the words of the real one."""

from __future__ import annotations

import json

import pytest
from ansible.module_utils.lyceum.services import errors
from ansible.module_utils.lyceum.services.gitea.errors import classify, message_of
from ansible.module_utils.lyceum.services.http import Reply

TABLE = [
    # 422 means five things, one of which is "it is there already".
    ("POST", 422, "user already exists [name: amartin]", errors.Exists),
    ("POST", 422, "e-mail already in use [email: amartin@example.org]", errors.Permanent),
    ("POST", 422, "name is reserved [name: explore]", errors.Permanent),
    ("POST", 422, "name is invalid [a b]: must be valid alpha or numeric", errors.Permanent),
    ("POST", 422, "[Username]: invalid username", errors.Permanent),
    ("DELETE", 422, "user still has ownership of repositories [uid: 2]", errors.Permanent),
    ("POST", 422, "Key content has been used as non-deploy key", errors.Exists),
    ("POST", 422, "Key title has been used", errors.Permanent),
    ("POST", 422, "repository already exists [uname: bchen, name: thesis]", errors.Exists),
    ("POST", 409, "The repository with the same name already exists.", errors.Exists),
    # 403 is a rule that is there, a missing right, or a token that is worth nothing.
    ("POST", 403, "Branch protection already exist", errors.Exists),
    ("DELETE", 403, "You do not have access to this key", errors.Permanent),
    ("GET", 403, "token does not have at least one of required scope(s): [write:admin]", errors.AuthRefused),
    ("GET", 403, "This account is prohibited from signing in, please contact", errors.AuthRefused),
    ("GET", 401, "auth required", errors.AuthRefused),
    ("PATCH", 400, "e-mail already in use [email: amartin@example.org]", errors.Permanent),
    ("GET", 404, "user redirect does not exist [name: amartin]", errors.NotFound),
    ("POST", 423, "repo is archived", errors.Permanent),
    ("GET", 429, "slow down", errors.Transient),
    # 500 is a lock that goes away, or a mistake that does not.
    ("POST", 500, "database is locked", errors.Transient),
    ("DELETE", 500, "user is the last member of owner team [uid: 2]", errors.Permanent),
    ("POST", 500, "units permission should not be empty", errors.Permanent),
    ("GET", 502, "", errors.Transient),
    ("POST", 502, "", errors.Ambiguous),
    ("PATCH", 504, "", errors.Ambiguous),
    ("PUT", 504, "", errors.Transient),
    ("POST", 503, "", errors.NotReady),
]  # fmt: skip


def reply(status: int, message: str) -> Reply:
    return Reply(status, {}, json.dumps({"message": message, "url": "https://git.example.org"}).encode())


@pytest.mark.parametrize(("method", "status", "message", "expected"), TABLE, ids=[f"{t[1]} {t[2]}" for t in TABLE])
def test_the_words_decide_what_a_status_means(
    method: str, status: int, message: str, expected: type[errors.ServiceError]
) -> None:
    found = classify(method, "/admin/users", reply(status, message))
    assert type(found) is expected
    assert str(found).startswith(f"{method} /admin/users: {status} {message}".rstrip())


def test_success_is_no_error() -> None:
    assert [classify("POST", "/x", Reply(status)) for status in (200, 201, 202, 204)] == [None] * 4


def test_the_server_says_how_long_to_wait() -> None:
    found = classify("GET", "/x", Reply(429, {"retry-after": "7"}))
    assert isinstance(found, errors.Transient)
    assert found.retry_after == 7


def test_what_is_no_json_is_quoted() -> None:
    assert message_of(Reply(502, {}, b"<html>Bad\nGateway</html>")) == "<html>Bad Gateway</html>"
    assert message_of(Reply(502, {}, b'["x"]')) == '["x"]'
