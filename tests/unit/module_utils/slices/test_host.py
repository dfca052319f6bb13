# SPDX-License-Identifier: GPL-3.0-or-later
"""The tool on the host, as its timer and people call it."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.slices import host as tool
from ansible.module_utils.lyceum.slices.usage import CPU

from .conftest import Host

BCHEN = {"name": "bchen", "uid": 2002, "limits": {"memory_gib": 0.5, "tasks": 256}}


@pytest.fixture
def config(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The tool is set up, and bchen is logged in."""
    values = {
        "first_uid": 2001,
        "textfile": str(tmp_path / "lyceum_slices.prom"),
        "state": str(tmp_path / "s/state.json"),
    }
    (tmp_path / "cgroups.json").write_text(json.dumps(values))
    monkeypatch.setattr(tool, "CONFIG", tmp_path / "cgroups.json")
    host.run([BCHEN])
    host.log_in(2002, cpu__stat="usage_usec 2000000", memory__current=1000, memory__peak=5000)
    return values


def test_a_look(host: Host, config: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert tool.main([]) == 0
    content = Path(config["textfile"]).read_text()
    assert 'lyceum_slices_cpu_seconds_total{person="bchen",uid="2002"} 2\n' in content
    assert Path(config["textfile"]).stat().st_mode & 0o777 == 0o644
    assert capsys.readouterr() == ("", "")
    host.write(2002, "cpu.stat", "usage_usec 3000000")
    tool.main([])
    assert 'lyceum_slices_cpu_seconds_total{person="bchen",uid="2002"} 3\n' in Path(config["textfile"]).read_text()
    host.log_out(2002)
    tool.main([])
    assert 'lyceum_slices_cpu_seconds_total{person="bchen",uid="2002"} 3\n' in Path(config["textfile"]).read_text()


def test_records_are_of_this_moment_and_nothing_is_written(
    host: Host, config: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    tool.main([])
    state = Path(config["state"]).read_text()
    host.write(2002, "cpu.stat", "usage_usec 7000000")
    capsys.readouterr()
    assert tool.main(["--json"]) == 0
    found = {record["name"]: record for record in json.loads(capsys.readouterr().out)}
    assert found["bchen"]["totals"][CPU] == 7_000_000
    assert found["bchen"]["limits"]["MemoryMax"] == 2**29
    assert Path(config["state"]).read_text() == state


def test_the_last_moment_of_a_login_is_remembered(host: Host, config: dict[str, Any]) -> None:
    assert tool.main(["--uid", "2002"]) == 0
    host.log_out(2002)
    assert not Path(config["textfile"]).exists()
    assert json.loads(Path(config["state"]).read_text())["people"]["2002"]["totals"][CPU] == 2_000_000


def test_the_end_of_roots_manager_is_nothing(host: Host, config: dict[str, Any]) -> None:
    host.log_in(0)
    assert tool.main(["--uid", "0"]) == 0
    assert not Path(config["state"]).exists()


def test_what_waited_is_completed(host: Host, config: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    host.write(2002, "memory.current", 2**29)
    host.run([{**BCHEN, "limits": {"memory_gib": 0.25}}])
    assert host.kernel(2002, "MemoryMax") == str(2**29)
    host.write(2002, "memory.current", 1000)
    capsys.readouterr()
    assert tool.main([]) == 0
    assert capsys.readouterr().out == "bchen: MemoryMax 256M\n"
    assert host.kernel(2002, "MemoryMax") == str(2**28)


def test_a_limit_that_cannot_be_completed_holds_up_nothing_else(
    config: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> list[str]:
        raise LyceumError("disk full")

    monkeypatch.setattr(tool, "settle", fail)
    Path(config["state"]).parent.write_text("in the way")
    assert tool.main([]) == 1
    words = capsys.readouterr().err
    assert words.startswith(f"lyceum-slices: disk full; cannot lock {config['state'][:-5]}.lock: ")
    Path(config["state"]).parent.unlink()
    assert tool.main([]) == 1
    assert capsys.readouterr().err == "lyceum-slices: disk full\n"
    assert "lyceum_slices_cpu_seconds_total" in Path(config["textfile"]).read_text()


@pytest.mark.parametrize("text", [None, "{"])
def test_a_host_that_is_not_set_up(
    config: dict[str, Any], capsys: pytest.CaptureFixture[str], text: str | None
) -> None:
    tool.CONFIG.unlink()
    if text is not None:
        tool.CONFIG.write_text(text)
    assert tool.main([]) == 1
    out, err = capsys.readouterr()
    assert (out, err.startswith(f"lyceum-slices: cannot read {tool.CONFIG}: "), err.count("\n")) == ("", True, 1)


def test_a_folder_that_is_missing(config: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    tool.CONFIG.write_text(json.dumps({**config, "textfile": "/nowhere/x.prom"}))
    assert tool.main([]) == 1
    assert capsys.readouterr().err == "lyceum-slices: cannot write /nowhere/x.prom: No such file or directory\n"


def test_looks_wait_for_one_another(config: dict[str, Any]) -> None:
    path = Path(config["state"])
    with tool.locked(path.with_suffix(".lock"), 0o700):
        # A descriptor of its own, as in another process.
        other = threading.Thread(target=tool.main, args=(["--uid", "2002"],))
        other.start()
        other.join(0.1)
        assert other.is_alive()
        assert not path.exists()
    other.join(5)
    assert path.exists()


def test_files_for_prometheus_are_written_one_after_the_other(config: dict[str, Any]) -> None:
    with tool.locked(Path(config["state"]).with_suffix(".lock"), 0o700):
        other = threading.Thread(target=tool.publish, args=(config,))
        other.start()
        other.join(0.1)
        assert other.is_alive()
        assert not Path(config["textfile"]).exists()
    other.join(5)
    assert Path(config["textfile"]).exists()


def test_a_look_killed_anywhere_counts_nothing_twice(host: Host, config: dict[str, Any]) -> None:
    """SIGKILL at 30 moments while the CPU time grows: the total is what the kernel counted."""
    for number in range(1, 31):
        host.write(2002, "cpu.stat", f"usage_usec {2_000_000 + number * 1000}")
        child = os.fork()
        if child == 0:
            for _ in range(100):
                tool.main([])
            os._exit(0)
        time.sleep(0.001 * number)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert tool.main([]) == 0
    assert json.loads(Path(config["state"]).read_text())["people"]["2002"]["totals"][CPU] == 2_030_000
