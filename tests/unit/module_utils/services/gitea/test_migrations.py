# SPDX-License-Identifier: GPL-3.0-or-later
"""Imports as they are wanted, and what is judged from what is there."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.services.gitea.migrations import (
    Import,
    imports_from_params,
    judge,
    same_address,
    seconds,
)
from ansible.module_utils.lyceum.services.gitea.state import Repository

URL = "https://git.example.com/lab/code"
WANTED = Import("retina", "code", URL)
DAY = 86400.0


def there(**values: Any) -> Repository:
    return Repository(5, "retina", "code", **{"original_url": f"{URL}.git", **values})


def test_secrets_are_in_the_body_only() -> None:
    (one,) = imports_from_params(
        [
            {
                "owner": "retina",
                "name": "code",
                "url": URL,
                "service": "github",
                "token": "t0ken",
                "password": "passw0rd",
                "items": ["issues"],
            }
        ]
    )
    assert "t0ken" not in repr(one)
    assert "passw0rd" not in repr(one)
    body = one.body()
    assert (body["auth_token"], body["auth_password"], body["issues"], body["wiki"]) == (
        "t0ken",
        "passw0rd",
        True,
        False,
    )
    assert body["private"] is True


def test_every_problem_is_told_at_once_and_no_password() -> None:
    entries: list[dict[str, Any]] = [
        {"owner": "retina", "name": "a", "url": "https://me:pa55word@git.example.com/a"},
        {"owner": "retina", "name": "A", "url": "file:///etc"},
        {"owner": "x", "name": "m", "url": URL, "mirror": True, "items": ["wiki", "issues"], "mirror_interval": "soon"},
        {"owner": "x", "name": "b", "url": "https://[broken/"},
    ]
    with pytest.raises(LyceumError) as caught:
        imports_from_params(entries)
    text = str(caught.value)
    assert "pa55word" not in text
    assert text.startswith("6 problem(s)")
    assert "retina/a: the URL has a user name or password in it, which everybody could read" in text
    assert "retina/A: the URL must be like https://host/path" in text
    assert "x/m: a mirror brings the code only, not issues" in text
    assert "x/m: the mirror interval 'soon' must be like 8h or 10m" in text
    assert "x/b: the URL cannot be read" in text
    assert "retina/a is there 2 times" in text


@pytest.mark.parametrize(
    ("text", "value"), [("8h0m0s", 28800), ("10m", 600), ("1h30m", 5400), ("", None), ("8", None), ("8hours", None)]
)
def test_durations_as_gitea_writes_them(text: str, value: int | None) -> None:
    assert seconds(text) == value


def test_addresses_are_the_same_with_and_without_git() -> None:
    assert same_address("https://Example.com/A.git", "https://example.com/a/")
    assert not same_address("https://example.com/a", "https://example.com/b")


@pytest.mark.parametrize(
    ("repository", "memory", "status"),
    [
        (None, {}, "missing"),
        (there(), {}, "done"),
        # Gitea does not say whether an import is under way: the repository is there, and empty.
        (there(empty=True), {"started": 10 * DAY - 60}, "running"),
        (there(empty=True), {"started": 8 * DAY}, "stalled"),
        (there(empty=True), {}, "stalled"),  # begun by nobody we know
        (there(empty=True), {"started": 8 * DAY, "finished": True}, "done"),  # it is empty elsewhere, too
        (there(original_url="https://example.com/other"), {}, "foreign"),
        (there(original_url=""), {}, "foreign"),
        (there(mirror=True), {}, "foreign"),
    ],
)
def test_what_is_there(repository: Repository | None, memory: dict[str, Any], status: str) -> None:
    assert judge(WANTED, repository, memory, 10 * DAY, DAY).status == status


def test_what_differs_in_what_is_there() -> None:
    mirror = Import("retina", "code", URL, mirror=True, mirror_interval="8h")
    assert judge(mirror, there(mirror=True, mirror_interval="8h0m0s"), {}, 0, DAY).edit == {}
    differing = judge(mirror, there(mirror=True, mirror_interval="10m0s", private=False), {}, 0, DAY)
    assert differing.edit == {"private": True, "mirror_interval": "8h"}
