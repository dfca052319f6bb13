# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole runs on a pretended host: files, reloads, live slices, failures, and runs that are killed."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import CommandError, LyceumError
from ansible.module_utils.lyceum.slices import apply, systemd
from ansible.module_utils.lyceum.slices.plan import Desired

from .conftest import PARAMS, Host, take_over

AMARTIN = {"name": "amartin", "uid": 2001, "limits": {"cpu_weight": 200, "cpu_cores": 1.5, "memory_gib": 2}}
BCHEN = {"name": "bchen", "uid": 2002, "limits": {"memory_gib": 0.5, "memory_swap_gib": 0, "tasks": 256}}
PEOPLE = (AMARTIN, BCHEN)


@pytest.fixture(params=["applies", "lazy"])
def either(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """systemd as it was, and as it is in 256 and 257."""
    one = Host(tmp_path, 2, lazy=request.param == "lazy")
    take_over(one, monkeypatch)
    return one


def test_from_nothing(host: Host) -> None:
    outcome = host.run(PEOPLE, defaults={"tasks": 64})
    assert outcome.failures == {}
    assert "MemoryMax=512M" in (host.dropin(2002) or "")
    assert "TasksMax=64" in (host.dropin("") or "")
    assert "MemoryMax=infinity" in (host.dropin(0) or "")
    assert "MemoryMax=infinity" in (host.dropin(105) or "")
    assert host.reloads() == 1
    mode = (host.root / "etc/systemd/system/user-2002.slice.d/50-lyceum.conf").stat().st_mode
    assert mode & 0o777 == 0o644


def test_check_changes_nothing_and_says_the_same(host: Host) -> None:
    before = host.snapshot()
    checked = host.run(PEOPLE, check=True)
    assert (host.snapshot(), host.reloads()) == (before, 0)
    assert host.run(PEOPLE).plan.actions() == checked.plan.actions()
    assert host.run(PEOPLE, check=True).plan.changed is False


def test_no_change_is_no_reload(host: Host) -> None:
    host.run(PEOPLE)
    before, calls = host.snapshot(), host.reloads()
    assert host.run(PEOPLE).plan.changed is False
    assert (host.snapshot(), host.reloads()) == (before, calls)


def test_live_slices_get_their_limits(either: Host) -> None:
    either.log_in(2002)
    outcome = either.run(PEOPLE)
    assert outcome.failures == {}
    assert either.kernel(2002, "MemoryMax") == str(2**29)
    assert either.kernel(2002, "TasksMax") == "256"
    # Once, and once more only where systemd does not apply by itself.
    assert either.reloads() == (2 if either.lazy else 1)
    assert not list((either.root / "run/systemd").glob("system.control/*"))
    assert either.run(PEOPLE).plan.changed is False


def test_limits_are_taken_back_from_live_slices(either: Host) -> None:
    either.run(PEOPLE, defaults={"tasks": 64})
    either.log_in(2002)
    either.run([AMARTIN, {**BCHEN, "state": "suspended"}], defaults={"tasks": 64})
    assert either.dropin(2002) is None
    assert not (either.root / "etc/systemd/system/user-2002.slice.d").exists()
    assert either.kernel(2002, "MemoryMax") == "max"
    assert either.kernel(2002, "TasksMax") == "64"


def test_what_was_set_by_hand_is_set_back(either: Host) -> None:
    either.run(PEOPLE)
    either.log_in(2002)
    either.write(2002, "memory.max", 2**33)
    outcome = either.run(PEOPLE)
    assert outcome.plan.actions() == ["bchen: apply again: MemoryMax of the kernel is 8G, not 512M"]
    assert outcome.failures == {}
    assert either.kernel(2002, "MemoryMax") == str(2**29)
    assert either.run(PEOPLE).plan.changed is False


def test_set_property_lasts_until_the_next_run(either: Host) -> None:
    either.run(PEOPLE)
    either.log_in(2002)
    either.systemctl(["set-property", "user-2002.slice", "MemoryMax=8G"])
    outcome = either.run(PEOPLE)
    assert outcome.failures == {}
    assert [text.split(" ", 1)[0] for text in outcome.plan.conflicts] == [
        str(either.root / "etc/systemd/system.control/user-2002.slice.d/50-MemoryMax.conf")
    ]
    assert either.kernel(2002, "MemoryMax") == str(2**29)
    assert either.run(PEOPLE).plan.changed is False


def test_a_dropin_that_wins_is_told_and_not_fought(either: Host) -> None:
    folder = either.root / "etc/systemd/system/user-2002.slice.d"
    folder.mkdir()
    (folder / "90-site.conf").write_text("[Slice]\nTasksMax=9\n")
    either.log_in(2002)
    outcome = either.run(PEOPLE)
    assert outcome.failures == {}
    assert outcome.plan.conflicts == [f"{folder}/90-site.conf overrides TasksMax of bchen: remove the file"]
    assert either.kernel(2002, "TasksMax") == "9"
    assert either.run(PEOPLE).plan.changed is False
    # The directory stays for it when the person leaves.
    either.run([AMARTIN, {**BCHEN, "state": "absent"}])
    assert [path.name for path in folder.iterdir()] == ["90-site.conf"]


def test_a_kernel_that_does_not_obey_is_a_failure(either: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    either.log_in(2002)
    either.log_in(2001)
    realize = either._realize

    def stubborn(uid: int) -> None:
        realize(uid)
        if uid == 2002:
            either.write(2002, "memory.max", 2**33)

    monkeypatch.setattr(either, "_realize", stubborn)
    outcome = either.run(PEOPLE)
    assert outcome.failures == {"bchen": "MemoryMax of the kernel is 8G, not 512M"}
    assert either.kernel(2001, "MemoryMax") == str(2**31)


def test_one_file_that_cannot_be_written_does_not_stop_the_others(host: Host) -> None:
    (host.root / "etc/systemd/system/user-2002.slice.d").write_text("a file in the way")
    outcome = host.run(PEOPLE)
    assert list(outcome.failures) == ["bchen"]
    assert outcome.failures["bchen"].startswith("cannot change ")
    assert host.dropin(2001)


def test_a_systemd_that_cannot_be_reloaded_is_asked_again(host: Host) -> None:
    host.fail.add("daemon-reload")
    with pytest.raises(CommandError):
        host.run(PEOPLE)
    assert host.dropin(2001)
    host.fail.clear()
    outcome = host.run(PEOPLE)
    assert outcome.plan.actions() == ["reload systemd: an earlier run was interrupted before that"]
    assert host.run(PEOPLE).plan.changed is False


def test_a_host_without_control_groups_has_the_files(host: Host) -> None:
    (host.root / "proc/mounts").write_text("")
    assert host.run(PEOPLE).failures == {}
    assert host.dropin(2001)


def test_one_person_is_touched_alone(host: Host) -> None:
    host.run(PEOPLE)
    before = host.snapshot()
    host.run([AMARTIN, {**BCHEN, "limits": {"tasks": 99}}], only="bchen")
    changed = {name for name, text in host.snapshot().items() if before.get(name) != text}
    assert changed == {"etc/systemd/system/user-2002.slice.d/50-lyceum.conf"}


# --- stepping down ---------------------------------------------------------------------------------------------------


def test_a_step_down_is_completed_by_the_host(either: Host) -> None:
    either.log_in(2002, memory__current=2**30)
    outcome = either.run(PEOPLE)
    assert list(outcome.plan.pending) == ["bchen"]
    assert either.kernel(2002, "MemoryMax") == "max"
    assert either.kernel(2002, "MemoryHigh") == "509607936"
    assert apply.settle() == []
    either.write(2002, "memory.current", 2**28)
    assert apply.settle() == ["bchen: MemoryMax 512M"]
    assert either.kernel(2002, "MemoryMax") == str(2**29)
    assert apply.settle() == []
    assert either.run(PEOPLE).plan.changed is False


def test_a_step_down_is_completed_when_the_person_has_gone(host: Host) -> None:
    host.log_in(2002, memory__current=2**30)
    host.run(PEOPLE)
    host.log_out(2002)
    assert apply.settle() == ["bchen: MemoryMax 512M"]
    assert "MemoryMax=512M" in (host.dropin(2002) or "")


def test_a_step_down_that_fails_is_told(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.log_in(2002, memory__current=2**30)
    host.run(PEOPLE)
    host.write(2002, "memory.current", 0)
    monkeypatch.setattr(apply, "write_all_atomically", lambda contents, mode: dict.fromkeys(contents, "disk full"))
    with pytest.raises(LyceumError, match="disk full"):
        apply.settle()


def test_the_host_completes_nothing_while_a_run_changes_it(host: Host) -> None:
    """What it had read meanwhile would be written over what the run wrote."""
    host.log_in(2002, memory__current=2**30)
    host.run(PEOPLE)
    host.write(2002, "memory.current", 0)
    said: list[str] = []
    with apply.locked(host.root / "run/lyceum/slices.lock", 0o755):
        # A descriptor of its own, as in another process.
        timer = threading.Thread(target=lambda: said.extend(apply.settle()))
        timer.start()
        timer.join(0.1)
        assert timer.is_alive()
        assert "MemoryMax=infinity" in (host.dropin(2002) or "")
    timer.join(5)
    assert said == ["bchen: MemoryMax 512M"]


# --- kills -----------------------------------------------------------------------------------------------------------


def run_and_die_at(host: Host, step: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Run in a child that kills itself (SIGKILL) at the `step`-th system call that changes something.

    Returns whether it got to the end first.
    """
    child = os.fork()
    if child:
        _pid, status = os.waitpid(child, 0)
        return os.WIFEXITED(status)
    left = [step]

    def counted(function: Any) -> Any:
        def call(*args: Any, **keys: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **keys)

        return call

    for owner, name in ((Path, "mkdir"), (Path, "rename"), (Path, "unlink"), (Path, "rmdir"), (os, "open")):
        monkeypatch.setattr(owner, name, counted(getattr(owner, name)))
    monkeypatch.setattr(systemd, "_systemctl", counted(host.systemctl))
    try:
        host.run(PEOPLE)
    finally:
        os._exit(0)


def test_a_run_killed_anywhere_is_made_good_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Host(tmp_path / "whole", 2)
    before = [AMARTIN, {"name": "old", "uid": 2950, "limits": {"tasks": 50}}]
    take_over(whole, monkeypatch)
    whole.run(before)
    whole.run(PEOPLE)
    kills = 0
    for step in range(200):
        host = Host(tmp_path / str(step), 2)
        with monkeypatch.context() as patches:
            take_over(host, patches)
            host.run(before)
            finished = run_and_die_at(host, step, patches)
        with monkeypatch.context() as patches:
            take_over(host, patches)
            mark = host.root / "run/lyceum/slices.reload"
            reloaded = host.reloads()
            todo = host.run(PEOPLE)
            if not finished:
                kills += 1
                # Whatever was written is read by systemd: either nothing was, or this run reloads it.
                assert todo.plan.changed
                assert host.reloads() == reloaded + 1
            assert not mark.exists()
            assert host.snapshot() == whole.snapshot()
        if finished:
            break
    assert finished
    assert kills > 10


def test_parameters_are_those_of_the_module() -> None:
    import user_slices

    assert {*PARAMS, "people"} == set(user_slices.ARGUMENT_SPEC)
    assert Desired.from_params({**PARAMS, "people": [{"name": "a", "uid": 5}]}).people[0].state == "present"
