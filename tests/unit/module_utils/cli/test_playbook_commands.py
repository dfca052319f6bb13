# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that are one playbook or one program each."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.module_utils.lyceum import audit
from ansible.module_utils.lyceum.cli import playbook_commands, project
from ansible.module_utils.lyceum.cli.main import main


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Command lines that would have been run."""
    seen: list[list[str]] = []
    monkeypatch.setattr(playbook_commands, "run_here", lambda argv: seen.append(argv) or 0)
    return seen


@pytest.mark.parametrize("name", playbook_commands.PLAYBOOKS)
def test_every_playbook_exists(name: str) -> None:
    assert (project.ROOT / f"playbooks/{name}.yml").exists()


def test_a_playbook_runs_on_the_chosen_inventory(started: list[list[str]]) -> None:
    assert main(["site", "-i", "inventories/team", "--", "--check", "--limit", "web 1"]) == 0
    assert started == [
        ["ansible-playbook", "-i", "inventories/team", "playbooks/site.yml", "--check", "--limit", "web 1"]
    ]


@pytest.mark.parametrize("name", playbook_commands.ABOUT_ONE_PERSON)
def test_one_person_is_handed_over(name: str, started: list[list[str]]) -> None:
    main([name, "amartin"])
    assert started[0][-2:] == ["-e", "person=amartin"]


def test_reason_and_kept_data_reach_the_playbook_as_data(started: list[list[str]]) -> None:
    main(["offboard", "amartin", "--keep-data", "--reason", "it's over: left"])
    assert started[0][-4:] == ["-e", '{"reason": "it\'s over: left"}', "-e", '{"accounts_keep_data": true}']


@pytest.mark.parametrize("person", ["A.Martin", "a b=c", "", "x;reboot", "x" * 33, "{{ x }}"])
def test_what_is_no_login_name_never_reaches_ansible(person: str, started: list[list[str]]) -> None:
    assert main(["onboard", person]) == 1
    assert started == []


def test_the_status_of_the_playbook_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playbook_commands, "run_here", lambda argv: 4)
    assert main(["prove"]) == 4


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An audit log of two runs."""
    monkeypatch.setenv("LYCEUM_STATE_DIR", str(tmp_path))
    path = tmp_path / "audit" / "lab.jsonl"
    for person in ("amartin", "bchen"):
        audit.append(path, {"person": person})
    return path


def test_the_audit_log_is_shown_and_verified(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit"]) == 0
    assert capsys.readouterr().out.count("\n") == 2
    assert main(["audit", "--verify"]) == 0
    assert "the chain is whole" in capsys.readouterr().out


def test_a_changed_record_is_found(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log.write_text(log.read_text().replace("amartin", "mallory"))
    assert main(["audit", "--verify"]) == 1
    output = capsys.readouterr()
    assert "BROKEN" in output.out
    assert "lab.jsonl:1" in output.err


def test_a_removed_log_is_no_whole_chain(log: Path) -> None:
    log.unlink()
    assert main(["audit", "--verify"]) == 1


def test_no_log_yet_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LYCEUM_STATE_DIR", str(tmp_path))
    assert main(["audit"]) == 1
    assert "There is no audit log" in capsys.readouterr().err


def test_benchmarks_are_the_programs_in_their_folder(tmp_path: Path) -> None:
    for name in ("accounts.py", "_helper.py", "conftest.py", "test_x.py", "notes.md"):
        (tmp_path / name).touch()
    assert playbook_commands.benchmarks(tmp_path) == ["accounts"]


def test_a_benchmark_gets_the_inventory_and_further_words(
    started: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(playbook_commands, "benchmarks", lambda: ["accounts"])
    assert main(["bench", "accounts", "--", "-n", "5"]) == 0
    assert started == [["python", "tests/bench/accounts.py", "-i", "inventories/lab", "-n", "5"]]
    assert main(["bench", "nothing"]) == 1
