# SPDX-License-Identifier: GPL-3.0-or-later
"""Records of people from files, slices, totals and processes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.slices import survey, totals
from ansible.module_utils.lyceum.slices.hierarchy import Hierarchy
from ansible.module_utils.lyceum.slices.usage import CPU

from .conftest import BOOT, Host
from .test_strays import process

BCHEN = {"name": "bchen", "uid": 2002, "limits": {"memory_gib": 0.5, "tasks": 256, "io_weight": 50}}


def look(host: Host, state: totals.State | None = None, only: int | None = None) -> totals.State:
    return survey.look(Hierarchy.read(host.root), state or totals.empty(BOOT), 2001, only)


def records(host: Host, state: totals.State) -> dict[str, dict[str, Any]]:
    found = survey.people(Hierarchy.read(host.root), state, 2001)
    assert [record["name"] for record in found] == sorted(record["name"] for record in found)
    return {record["name"]: record for record in found}


def test_only_people_are_looked_at(host: Host) -> None:
    for uid in (0, 2001, 2002):
        host.log_in(uid, cpu__stat=f"usage_usec {uid}")
    state = look(host)
    assert {uid: person["name"] for uid, person in state["people"].items()} == {"2001": "amartin", "2002": "bchen"}
    assert set(look(host, only=2002)["people"]) == {"2002"}


def test_somebody_who_is_logged_in(host: Host) -> None:
    host.run([BCHEN])
    host.log_in(
        2002, memory__current=77, memory__peak=99, memory__swap__current=5, cpu__stat="usage_usec 42", pids__current=3
    )
    record = records(host, look(host))["bchen"]
    assert (record["uid"], record["live"], record["memory"], record["swap"], record["tasks"]) == (2002, True, 77, 5, 3)
    assert (record["peak"], record["totals"][CPU]) == (99, 42)
    assert record["limits"]["MemoryMax"] == 2**29
    assert record["limits"]["TasksMax"] == 256
    # What the kernel holds is said, not what the file wants; only weights of disks are taken from there.
    assert record["limits"]["IOWeight"] == 50
    host.write(2002, "pids.max", 5)
    assert records(host, look(host))["bchen"]["limits"]["TasksMax"] == 5


def test_somebody_who_is_not(host: Host) -> None:
    host.run([BCHEN])
    host.log_in(2002, memory__peak=99, cpu__stat="usage_usec 42")
    state = look(host)
    host.log_out(2002)
    record = records(host, look(host, state))["bchen"]
    assert (record["live"], record["memory"], record["tasks"]) == (False, None, None)
    assert (record["peak"], record["totals"][CPU], record["limits"]["MemoryMax"]) == (99, 42, 2**29)


def test_somebody_who_has_the_defaults(host: Host) -> None:
    host.run([BCHEN], defaults={"tasks": 64}, exempt=["backup-admin"])
    host.log_in(2001)
    found = records(host, look(host))
    assert found["amartin"]["limits"]["TasksMax"] == 64
    assert found["backup-admin"]["limits"]["TasksMax"] is None
    assert "root" not in found


def test_limits_that_wait_are_told(host: Host) -> None:
    host.log_in(2002, memory__current=2**30)
    host.run([BCHEN])
    record = records(host, look(host))["bchen"]
    assert record["pending"]["MemoryMax"] == 2**29
    assert record["limits"]["MemoryMax"] is None


def test_processes_outside_are_counted_by_where_they_are(host: Host) -> None:
    host.run([BCHEN])
    (host.root / "etc/subuid").write_text("")
    for pid in (11, 12):
        process(host.root, pid, "2002 2002 2002 2002", "/system.slice/cron.service")
    process(host.root, 13, "2002 2002 2002 2002", "/user.slice/user-2002.slice/x.scope")
    assert records(host, look(host))["bchen"]["outside"] == [{"group": "/system.slice/cron.service", "processes": 2}]


def test_a_host_without_control_groups(host: Host) -> None:
    host.run([BCHEN])
    (host.root / "proc/mounts").write_text("")
    assert records(host, look(host))["bchen"]["live"] is False


def test_state_is_kept_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    assert survey.load_state(path, BOOT) == totals.empty(BOOT)
    state = {**totals.empty(BOOT), "people": {"2001": {"name": "amartin"}}}
    survey.save_state(path, state)
    assert survey.load_state(path, BOOT) == state
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "move it away to begin anew"),
        ("[]", "is not of version 1; move it away to begin anew"),
        (json.dumps({"version": 7}), "is not of version 1; move it away to begin anew"),
    ],
)
def test_a_state_that_is_none(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(text)
    with pytest.raises(LyceumError) as raised:
        survey.load_state(path, BOOT)
    assert str(raised.value).endswith(words)
    assert str(path) in str(raised.value)


def test_boots_have_names(host: Host) -> None:
    assert survey.boot_id() == BOOT


def test_accounts_have_names(host: Host) -> None:
    assert survey.names_of([2001, 5555]) == {2001: "amartin"}


def test_everything_at_once(hybrid: Host, tmp_path: Path) -> None:
    hybrid.run([BCHEN])
    found = survey.survey(2001, tmp_path / "state.json")
    assert [record["name"] for record in found["people"]] == ["bchen"]
    assert found["layout"] == "hybrid"
    assert [line.partition(":")[0] for line in found["not_effective"]] == ["MemoryHigh", "MemorySwapMax", "IOWeight"]
