# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths, command lines, and the lock of a lab."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pytest
from ansible.module_utils.lyceum.cli import project
from ansible.module_utils.lyceum.errors import LyceumError


def chosen(name: str) -> Path:
    return project.inventory(argparse.Namespace(inventory=name))


def test_the_default_inventory_is_the_labs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert chosen(project.LAB_INVENTORY) == project.ROOT / "inventories/lab"


def test_an_inventory_of_the_current_folder_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "inventories/lab").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert chosen("inventories/lab") == tmp_path / "inventories/lab"


def test_an_inventory_that_is_not_there_is_said_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(LyceumError, match=r"No inventory folder 'nowhere'. There are: .*inventories/lab"):
        chosen("nowhere")


def test_the_state_directory_can_be_moved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LYCEUM_STATE_DIR", raising=False)
    assert project.state_dir() == project.ROOT / ".lyceum"
    monkeypatch.setenv("LYCEUM_STATE_DIR", str(tmp_path))
    assert project.state_dir() == tmp_path


def test_paths_are_shown_as_one_would_type_them() -> None:
    assert project.shown(project.ROOT / "inventories/lab") == "inventories/lab"
    assert project.shown(Path("/elsewhere")) == "/elsewhere"


def test_a_command_line_can_be_pasted() -> None:
    line = project.announce(["ansible-playbook", "-i", "my site", "-e", "person=x"])
    assert line == "$ ansible-playbook -i 'my site' -e person=x"


def test_started_programs_see_the_tools_and_not_our_python_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "module_utils")
    values = project.environment(EXTRA="1")
    assert values["PATH"].split(":")[0] == str(Path(sys.executable).parent)
    assert "PYTHONPATH" not in values
    assert values["EXTRA"] == "1"


def test_run_here_shows_the_command_and_returns_its_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert project.run_here([sys.executable, "-c", "raise SystemExit(5)"]) == 5
    assert capsys.readouterr().out.startswith("$ ")


WAITER = """
import sys
import ansible.module_utils as package
package.__path__.append(sys.argv[1])
from ansible.module_utils.lyceum.cli import project
with project.lab_lock():
    print("in", flush=True)
"""


def waiter() -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", WAITER, str(project.ROOT / "module_utils")]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_second_command_on_the_lab_waits_and_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LYCEUM_STATE_DIR", str(tmp_path))
    with project.lab_lock():
        other = waiter()
        assert other.stderr is not None
        assert "waiting for another command on this lab (process " in other.stderr.readline()
        assert other.poll() is None
    assert other.communicate(timeout=20)[0] == "in\n"


def test_the_lock_outlives_its_holder_while_a_program_it_started_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LYCEUM_STATE_DIR", str(tmp_path))
    with project.lab_lock() as lock:
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(lock,))
    other = waiter()
    assert other.stderr is not None
    assert "waiting" in other.stderr.readline()
    child.communicate(b"\n")
    assert other.communicate(timeout=20)[0] == "in\n"
