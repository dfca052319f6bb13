# SPDX-License-Identifier: GPL-3.0-or-later
"""What is found on a host."""

from __future__ import annotations

import pytest
from ansible.module_utils.lyceum.slices.observe import Foreign, below, dropins, observe

from .conftest import CPUS, Host


def put(host: Host, path: str, text: str) -> None:
    file = host.root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_a_fresh_host(host: Host) -> None:
    found = observe()
    assert found.files == {}
    assert found.live == {}
    assert found.reload_waits is False
    assert found.cpus == (0, 1, 2, 3), CPUS
    assert set(found.obstacles) == {"IOWeight"}
    # What the vendor says of tasks is read before ours.
    (vendor,) = found.foreign["user-.slice"]
    assert (vendor.properties, vendor.wins, vendor.by_set_property) == (("TasksMax",), False, False)


def test_accounts_that_can_log_in(host: Host) -> None:
    assert observe().accounts == {0: "root", 105: "postgres", 2001: "amartin", 2002: "bchen", 2900: "backup-admin"}


def test_dropins_of_ours_and_of_others(host: Host) -> None:
    put(host, "etc/systemd/system/user-2001.slice.d/50-lyceum.conf", "[Slice]\nTasksMax=5\n")
    put(host, "etc/systemd/system/user-.slice.d/50-lyceum.conf", "[Slice]\nTasksMax=6\n")
    put(host, "etc/systemd/system/user-2001.slice.d/90-site.conf", "[Slice]\nMemoryMax=1G\nTasksMax=9\nMemoryMax=2G\n")
    put(host, "etc/systemd/system/user-2001.slice.d/readme", "TasksMax=1\n")
    put(host, "etc/systemd/system/user-2001.slice.d/10-what.conf", "[Unit]\nDescription=x\n")
    put(host, "etc/systemd/system.control/user-2002.slice.d/50-MemoryMax.conf", "[Slice]\nMemoryMax=3G\n")
    put(host, "etc/systemd/system/cron.service.d/50-lyceum.conf", "[Service]\nTasksMax=5\n")
    put(host, "etc/systemd/system/user-x.slice.d/50-lyceum.conf", "[Slice]\nTasksMax=5\n")
    (host.root / "usr/lib/systemd/system/user-.slice.d/10-defaults.conf").unlink()
    ours, foreign = dropins()
    assert ours == {"user-2001.slice": "[Slice]\nTasksMax=5\n", "user-.slice": "[Slice]\nTasksMax=6\n"}
    etc = host.root / "etc/systemd"
    assert foreign == {
        "user-2001.slice": (
            Foreign(etc / "system/user-2001.slice.d/90-site.conf", ("MemoryMax", "TasksMax"), by_set_property=False),
        ),
        "user-2002.slice": (
            Foreign(etc / "system.control/user-2002.slice.d/50-MemoryMax.conf", ("MemoryMax",), by_set_property=True),
        ),
    }
    assert {name: one.wins for name, (one,) in foreign.items()} == {"user-2001.slice": True, "user-2002.slice": False}


def test_live_slices(host: Host) -> None:
    put(host, "etc/systemd/system/user-2001.slice.d/50-lyceum.conf", "[Slice]\nMemoryMax=512M\nTasksMax=256\n")
    host.log_in(2001, memory__current=1000, memory__stat="inactive_file 400")
    host.log_in(0)
    found = observe().live
    assert set(found) == {0, 2001}
    assert found[2001].shown["MemoryMax"] == found[2001].kernel["MemoryMax"] == 2**29
    assert found[2001].unreclaimable == 600
    assert sum(call[0] == "show" for call in host.calls) == 1


def test_one_person_is_looked_at_alone(host: Host) -> None:
    for uid in (0, 2001, 2002):
        host.log_in(uid)
    assert set(observe([2001, 2003]).live) == {2001}


def test_a_run_that_was_killed_before_the_reload(host: Host) -> None:
    put(host, "run/lyceum/slices.reload", "")
    assert observe().reload_waits is True


def test_a_host_without_control_groups(host: Host) -> None:
    (host.root / "proc/mounts").write_text("")
    found = observe()
    assert (found.hierarchy, found.live, found.obstacles) == (None, {}, {})


def test_paths_are_below_the_root(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    from pathlib import Path

    assert below(Path("/run/x")) == host.root / "run/x"
