# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run says about itself."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.lyceum.slices.report import module_result

from .conftest import Host

BCHEN: dict[str, Any] = {"name": "bchen", "uid": 2002, "limits": {"memory_gib": 0.5, "tasks": 256}}


def result(host: Host, *people: dict[str, Any], with_diff: bool = False, **keys: Any) -> dict[str, Any]:
    return module_result(host.run(people, **keys), with_diff=with_diff)


def test_people_have_results_and_nobody_else(host: Host) -> None:
    found = result(host, BCHEN)
    assert found["lyceum"] == {
        "kind": "slices",
        "results": {
            "bchen": {
                "result": "created",
                "actions": ["MemoryHigh 486M", "MemoryMax 512M", "MemorySwapMax 51M", "TasksMax 256"],
                "error": None,
            }
        },
        "unchanged": [],
        "unmanaged": [],
        "conflicts": [],
    }
    assert (found["changed"], found["layout"], found["pending"]) == (True, "unified", [])
    assert "diff" not in found
    again = result(host, BCHEN)
    assert again["lyceum"]["unchanged"] == ["bchen"]
    assert (again["changed"], again["actions"], again["lyceum"]["results"]) == (False, [], {})


def test_diffs_are_whole_files(host: Host) -> None:
    found = result(host, BCHEN, with_diff=True, exempt_below=0)
    assert [diff["after_header"] for diff in found["diff"]] == [
        "/etc/systemd/system/user-0.slice.d/50-lyceum.conf",
        "/etc/systemd/system/user-2002.slice.d/50-lyceum.conf",
    ]
    assert found["diff"][1]["before"] == ""
    assert found["diff"][1]["after"] == host.dropin(2002)


def test_drift_is_a_change_of_the_person(host: Host) -> None:
    result(host, BCHEN)
    host.log_in(2002)
    host.write(2002, "pids.max", 5)
    found = result(host, BCHEN)
    assert found["lyceum"]["results"] == {
        "bchen": {
            "result": "changed",
            "actions": ["apply again: TasksMax of the kernel is 5, not 256"],
            "error": None,
        }
    }
    assert found["lyceum"]["unchanged"] == []


def test_failures_are_told_with_everything_else(host: Host) -> None:
    (host.root / "etc/systemd/system/user-2002.slice.d").write_text("in the way")
    found = result(host, BCHEN, {"name": "amartin", "uid": 2001, "limits": {"tasks": 256}})
    assert found["failed"] is True
    assert found["msg"].startswith("bchen: cannot change ")
    assert {name: one["result"] for name, one in found["lyceum"]["results"].items()} == {
        "bchen": "failed",
        "amartin": "created",
    }


def test_what_has_no_effect_is_told_if_it_is_asked_for(hybrid: Host) -> None:
    found = result(hybrid, BCHEN)
    assert found["layout"] == "hybrid"
    assert found["not_effective"] == [
        "MemoryHigh: cgroup v1 (hybrid): systemd sets nothing for it there",
        "MemorySwapMax: cgroup v1 (hybrid): systemd sets nothing for it there",
    ]
    assert result(hybrid, {**BCHEN, "limits": {"tasks": 256}})["not_effective"] == []
    weights = result(hybrid, {**BCHEN, "limits": {"io_weight": 50}})
    assert weights["not_effective"] == ["IOWeight: no disk uses the scheduler bfq, and io.cost is off"]


def test_affiliations_need_cpusets(hybrid: Host) -> None:
    found = result(hybrid, {**BCHEN, "limits": {}, "affiliation": "student", "affiliation_cpu_cores": 1.0})
    assert found["not_effective"] == ["AllowedCPUs: cgroup v1 (hybrid): systemd sets nothing for it there"]


def test_a_host_without_control_groups(host: Host) -> None:
    (host.root / "proc/mounts").write_text("")
    found = result(host, BCHEN)
    assert (found["layout"], found["not_effective"]) == ("none", ["nothing: systemd has no control groups here"])


def test_what_waits_is_told(host: Host) -> None:
    host.log_in(2002, memory__current=2**30)
    assert result(host, BCHEN)["pending"] == [
        "bchen: MemoryMax stays unlimited until less than 512M is in use (now 1G); MemoryHigh 486M presses it down"
    ]
