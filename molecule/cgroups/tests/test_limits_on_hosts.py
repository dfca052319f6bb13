# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd, PAM and the tool of the host say after the role has run, with the people of inventories/lab."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from target import Target

pytestmark = pytest.mark.role("cgroups")

UNITS = "/etc/systemd/system"
FILE = "50-lyceum.conf"
STATE = "/var/lib/lyceum/slices/state.json"
METRICS = "/var/lib/prometheus/node-exporter/lyceum_slices.prom"
BCHEN = "2002"
# Enough for the user manager, and not what the registry says.
WAITING = "192M"


def people(target: Target, *states: str) -> list[dict[str, Any]]:
    found = [person for person in target.plan["cgroups"]["people"] if person["state"] in states]
    assert found, f"inventories/lab has nobody who is {' or '.join(states)}, so that nothing is tested"
    return found


def records(target: Target) -> dict[str, dict[str, Any]]:
    told = json.loads(target.host.check_output("lyceum-slices --json"))
    return {record["name"]: record for record in told}


def show(target: Target, unit: str, *properties: str) -> dict[str, str]:
    text = target.host.check_output("systemctl show %s %s", unit, "-p" + ",".join(properties))
    return dict(line.split("=", 1) for line in text.splitlines())


def test_everybody_present_has_a_dropin_and_nobody_else(target: Target) -> None:
    wanted = {f"user-{person['uid']}.slice.d" for person in people(target, "present")}
    wanted |= {"user-0.slice.d", "user-.slice.d"}
    found = target.host.check_output("ls %s", UNITS).split()
    assert {name for name in found if name.startswith("user-") and name.endswith(".slice.d")} == wanted
    for name in wanted:
        file = target.host.file(f"{UNITS}/{name}/{FILE}")
        assert (file.user, file.group, file.mode) == ("root", "root", 0o644)


def test_systemd_has_the_limits_of_the_registry(target: Target) -> None:
    for person in people(target, "present"):
        limits = person["limits"]
        shown = show(target, f"user-{person['uid']}.slice", "MemoryMax", "TasksMax", "CPUWeight", "NeedDaemonReload")
        assert shown == {
            "MemoryMax": str(int(limits["memory_gib"] * 2**30)),
            "TasksMax": str(limits["tasks"]),
            "CPUWeight": str(limits["cpu_weight"]),
            "NeedDaemonReload": "no",
        }


def test_who_is_in_no_list_has_the_defaults(target: Target) -> None:
    shown = show(target, "user-2900.slice", "MemoryMax", "TasksMax", "CPUWeight", "CPUQuotaPerSecUSec")
    assert shown == {"MemoryMax": str(2 * 2**30), "TasksMax": "1024", "CPUWeight": "100", "CPUQuotaPerSecUSec": "2s"}


def test_root_has_none(target: Target) -> None:
    shown = show(target, "user-0.slice", "MemoryMax", "MemoryHigh", "TasksMax", "CPUQuotaPerSecUSec")
    assert set(shown.values()) == {"infinity"}


@pytest.mark.parametrize("service", ["cron", "atd"])
def test_pam_has_the_lines_once(target: Target, service: str) -> None:
    lines = target.host.file(f"/etc/pam.d/{service}").content_string.splitlines()
    assert lines.count("session optional pam_systemd.so") == 1
    assert len([line for line in lines if "Lyceum" in line]) == 2


def test_jobs_of_the_system_stay_where_they_are(target: Target) -> None:
    """A job of root: its uid is not a person's."""
    marker = "/run/lyceum-molecule-job"
    target.host.check_output("echo %s | at -M now", f"cat /proc/self/cgroup > {marker}")
    for _ in range(40):
        if target.host.file(marker).exists and target.host.file(marker).content_string:
            break
        time.sleep(0.5)
    text = target.host.file(marker).content_string
    target.host.check_output("rm -f %s", marker)
    assert "/system.slice/atd.service" in text
    assert "user-0.slice" not in text


def test_the_timer_works(target: Target) -> None:
    shown = show(target, "lyceum-slices.timer", "ActiveState", "UnitFileState")
    assert shown == {"ActiveState": "active", "UnitFileState": "enabled"}
    target.host.check_output("systemctl start lyceum-slices.service")
    assert show(target, "lyceum-slices.service", "Result")["Result"] == "success"
    state = target.host.file(STATE)
    assert (state.user, state.mode) == ("root", 0o600)


def test_metrics_are_there(target: Target) -> None:
    file = target.host.file(METRICS)
    assert file.mode == 0o644
    limits = [line for line in file.content_string.splitlines() if line.startswith("lyceum_slices_memory_limit_bytes{")]
    assert len(limits) == len(people(target, "present"))
    stamp = next(line for line in file.content_string.splitlines() if line.startswith("lyceum_slices_last_run_"))
    assert abs(float(stamp.split()[1]) - time.time()) < 300


def test_a_short_login_is_remembered(target: Target) -> None:
    """The slice is gone some seconds after the logout; what it counted is not."""
    before = records(target).get("amartin", {"totals": {"cpu_microseconds": 0}})["totals"]["cpu_microseconds"]
    work = "python3 -c 'import time; end = time.process_time() + 0.4\nwhile time.process_time() < end: pass'"
    assert target.run_as("amartin", work).returncode == 0
    for _ in range(60):
        if not records(target)["amartin"]["live"]:
            break
        time.sleep(1)
    after = records(target)["amartin"]
    assert not after["live"]
    assert after["totals"]["cpu_microseconds"] - before >= 400_000


@pytest.fixture
def kept(target: Target) -> Iterator[str]:
    """The drop-in of bchen as it was, put back afterwards, while bchen's user manager runs."""
    path = f"{UNITS}/user-{BCHEN}.slice.d/{FILE}"
    target.host.check_output("loginctl enable-linger bchen")
    target.host.check_output("cp %s /root/kept.conf", path)
    yield path
    target.host.check_output("cp /root/kept.conf %s", path)
    target.host.check_output("systemctl daemon-reload")
    target.host.check_output("loginctl disable-linger bchen")


def test_a_limit_that_waited_is_completed(target: Target, kept: str) -> None:
    text = target.host.file(kept).content_string
    assert f"MemoryMax={WAITING}\n" not in text
    lines = [
        f"# Pending until less memory is in use: MemoryMax={WAITING}" if line.startswith("# For:") else line
        for line in text.splitlines()
    ]
    target.host.check_output("printf %%s %s > %s", "\n".join(lines) + "\n", kept)
    told = target.host.check_output("lyceum-slices")
    assert told.endswith(f"MemoryMax {WAITING}")
    assert f"MemoryMax={WAITING}\n" in target.host.file(kept).content_string
    groups = target.host.check_output(
        "find /sys/fs/cgroup -path %s -o -path %s",
        f"*user-{BCHEN}.slice/memory.limit_in_bytes",
        f"*user-{BCHEN}.slice/memory.max",
    ).split()
    assert [target.host.check_output("cat %s", group) for group in groups] == [str(192 << 20)]


def test_nothing_of_the_tool_can_be_changed_by_others(target: Target) -> None:
    for path in ("/usr/local/sbin/lyceum-slices", "/usr/local/lib/lyceum/cgroups/lyceum/slices/host.py"):
        for one in [Path(path), *Path(path).parents]:
            file = target.host.file(str(one))
            assert file.user == "root"
            assert file.mode & 0o022 == 0
