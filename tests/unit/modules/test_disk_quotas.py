# SPDX-License-Identifier: GPL-3.0-or-later
"""The module from its parameters to its result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import disk_quotas
import pytest

from ..module_utils.quota.conftest import FakeHost, host
from .runner import run_module

__all__ = ["host"]  # the fixture

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(host: FakeHost, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*quotas: dict[str, Any], check: bool = False, diff: bool = False, **params: Any) -> dict[str, Any]:
        wanted = {"quotas": list(quotas), "projid": str(host.projid), **params}
        return run_module(disk_quotas, capsys, wanted, check=check, diff=diff)

    return call


def test_check_apply_check_apply_and_absent(host: FakeHost, run: Run) -> None:
    (host.folder / "srv/amartin").mkdir()
    quotas = [
        {"path": f"{host.folder}/home", "kind": "user", "id": 2001, "name": "home", "person": "amartin", "hard_gib": 1},
        {
            "path": f"{host.folder}/srv/amartin",
            "kind": "project",
            "id": 1002001,
            "name": "scratch-amartin",
            "person": "amartin",
            "hard_gib": "2",
            "hard_files": 100,
        },
    ]
    checked = run(*quotas, check=True, diff=True, grace_days=3)
    assert host.limits("home", "user") == {}
    applied = run(*quotas, diff=True, grace_days=3)
    for key in ("changed", "actions", "diff", "lyceum", "not_enforced"):
        assert checked[key] == applied[key], key
    assert checked.keys() == applied.keys()
    assert applied["changed"]
    assert host.limits("home", "user") == {2001: [943720, 1048576, 0, 0]}
    assert host.limits("srv", "project") == {1002001: [1887440, 2097152, 90, 100]}
    for check in (True, False):
        again = run(*quotas, check=check, diff=True, grace_days=3)
        assert (again["changed"], again["actions"], again["diff"]) == (False, [], [])
        assert again["lyceum"] == {
            "kind": "quotas",
            "results": {},
            "unchanged": ["amartin"],
            "unmanaged": [],
            "conflicts": [],
            "not_enforced": [],
        }
    gone = run(*({**quota, "state": "absent"} for quota in quotas))
    assert gone["lyceum"]["results"]["amartin"]["actions"] == [
        f"home on {host.folder}/home: space 1 GiB (soft 921.6 MiB) -> unlimited",
        f"scratch-amartin on {host.folder}/srv: space 2 GiB (soft 1.8 GiB) -> unlimited",
        f"scratch-amartin on {host.folder}/srv: files 100 (soft 90) -> unlimited",
    ]
    assert (host.limits("home", "user"), host.limits("srv", "project")) == ({}, {})
    assert host.projid.read_text() == ""


def test_one_person_alone_leaves_the_others(host: FakeHost, run: Run) -> None:
    base = {"path": f"{host.folder}/home", "kind": "user", "name": "home", "hard_gib": 1}
    run({**base, "id": 2001, "person": "amartin"}, {**base, "id": 2002, "person": "bchen"})
    ranges = [{"kind": "user", "first": 2001, "last": 9999}]
    result = run({**base, "id": 2001, "person": "amartin", "hard_gib": 2}, complete=False, id_ranges=ranges)
    assert list(result["lyceum"]["results"]) == ["amartin"]
    assert result["lyceum"]["unmanaged"] == []
    assert host.limits("home", "user")[2002] == [943720, 1048576, 0, 0]
    whole = run({**base, "id": 2001, "person": "amartin", "hard_gib": 2}, id_ranges=ranges)
    assert whole["lyceum"]["unmanaged"] == [f"user quota of id 2002 on {host.folder}/home (1 GiB (soft 921.6 MiB))"]
    assert not whole["changed"]


@pytest.mark.parametrize("check", [True, False])
def test_without_quotas_it_fails_or_reports(host: FakeHost, run: Run, check: bool) -> None:
    quota = {"path": f"{host.folder}/plain", "kind": "user", "id": 2001, "name": "home", "hard_gib": 1}
    reason = (
        f"{host.folder}/plain (ext4 on /dev/plain): they are off. Remedy: unmount it, run `tune2fs -O quota,project"
        " -Q usrquota,grpquota,prjquota /dev/plain`, put usrquota,grpquota,prjquota into its options in /etc/fstab,"
        " mount it."
    )
    failed = run(quota, check=check)
    assert (failed["failed"], failed["msg"]) == (True, f"1 user quota(s) not enforced: {reason}")
    reported = run(quota, check=check, when_unsupported="report")
    assert not reported["failed"]
    assert [short["reason"] for short in reported["not_enforced"]] == [reason]


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    ("quota", "params", "message"),
    [
        (
            {"hard_gib": "lots"},
            {},
            "quotas: user 2001 (home) at /home: hard_gib is 'lots'; it must be a number from 0 on, or unlimited",
        ),
        ({"hard_gib": 1}, {"soft_percent": 200}, "soft_percent is 200; it must be between 1 and 100"),
    ],
)
def test_bad_input_is_one_message_and_touches_nothing(
    host: FakeHost,
    run: Run,
    quota: dict[str, Any],
    params: dict[str, Any],
    message: str,
    check: bool,
) -> None:
    before = host.read()
    result = run({"path": "/home", "kind": "user", "id": 2001, "name": "home", **quota}, check=check, **params)
    assert (result["failed"], result["msg"]) == (True, message)
    assert host.read() == before
