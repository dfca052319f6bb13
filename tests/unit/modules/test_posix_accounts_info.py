# SPDX-License-Identifier: GPL-3.0-or-later
"""The module from its parameters to its result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import posix_accounts_info
import pytest
from ansible.module_utils.lyceum.accounts.activity import survey_accounts

from ..module_utils.accounts.conftest import Host
from .runner import run_module


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    one = Host(tmp_path)
    one.append("passwd", "amartin:x:2001:2001:A. Martin:/home/amartin:/bin/bash")
    one.append("shadow", "amartin:!*:20778:0:99999:7::1:")

    def below(_root: Path, *args: Any, **keys: Any) -> Any:
        return survey_accounts(one.root, *args, **keys)

    monkeypatch.setattr(posix_accounts_info, "survey_accounts", below)
    return one


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    ("params", "names"),
    [
        ({}, []),
        ({"names": ["www-data", "nobody-here"]}, ["www-data"]),
        ({"uid_ranges": [{"first": 2001, "last": 2001}]}, ["amartin"]),
        (
            {"names": ["www-data"], "uid_ranges": [{"first": 2001, "last": 2001}], "usage": True},
            ["amartin", "www-data"],
        ),
    ],
)
def test_accounts(
    host: Host, capsys: pytest.CaptureFixture[str], params: dict[str, Any], names: list[str], check: bool
) -> None:
    before = host.snapshot()
    result = run_module(posix_accounts_info, capsys, params, check=check)
    assert (result["failed"], result["changed"], result["sources"]) == (False, False, [])
    assert [account["name"] for account in result["accounts"]] == names
    assert host.snapshot() == before


def test_an_account_in_full(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    (account,) = run_module(posix_accounts_info, capsys, {"names": ["amartin"]})["accounts"]
    assert account == {
        "name": "amartin",
        "uid": 2001,
        "gid": 2001,
        "gecos": "A. Martin",
        "home": "/home/amartin",
        "shell": "/bin/bash",
        "groups": [],
        "locked": True,
        "expires": "1970-01-01",
        "last_login": None,
        "home_bytes": None,
        "home_changed": None,
        "home_error": None,
    }


def test_a_host_without_accounts_is_one_message(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    (host.root / "etc/passwd").unlink()
    result = run_module(posix_accounts_info, capsys, {})
    assert result["failed"]
    assert result["msg"] == f"{host.root}/etc/passwd does not exist: this host has no local account database"
