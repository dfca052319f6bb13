# SPDX-License-Identifier: GPL-3.0-or-later
"""The demonstration and the checks as lists of steps."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.cli import lab_commands, project
from ansible.module_utils.lyceum.cli.main import main
from ansible.module_utils.lyceum.cli.steps import Result, Runner, Step
from ansible.module_utils.lyceum.lab import kernel


class Script:
    """Replaces the runner's work: remembers the steps and answers as told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, state: Path) -> None:
        self.ran: list[Step] = []
        self.fail = ""
        self.interrupt = ""
        self.changed = 0
        self.not_enforced: list[str] = []
        monkeypatch.setenv("LYCEUM_STATE_DIR", str(state))
        lab = state / "lab"
        (lab / "keys").mkdir(parents=True)
        (lab / "ssh_config").write_text("Host lab-debian12\n    Port 20001\nHost lab-debian13\n")
        for name in ("amartin", "amartin.pub"):
            (lab / "keys" / name).touch()

        def run(runner: Runner, step: Step) -> Result:
            self.ran.append(step)
            if self.interrupt and self.interrupt in step.title:
                raise KeyboardInterrupt
            failed = int(bool(self.fail) and self.fail in step.title)
            runner.results.append(Result(step, 1.0, self.changed, 1 - failed, failed, not_enforced=self.not_enforced))
            return runner.results[-1]

        monkeypatch.setattr(Runner, "run", run)

    def lines(self) -> list[str]:
        return [str(command) for step in self.ran for command in step.commands]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Script:
    return Script(monkeypatch, tmp_path / "state")


def test_the_demo_is_four_playbooks(script: Script, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo"]) == 0
    assert script.lines() == [
        "$ ansible-playbook -i inventories/lab playbooks/lab_up.yml",
        "$ ansible-playbook -i inventories/lab playbooks/onboard.yml -e person=amartin",
        "$ ansible-playbook -i inventories/lab playbooks/site.yml",
        "$ ansible-playbook -i inventories/lab playbooks/prove.yml",
    ]
    text = capsys.readouterr().out
    for words in ("./lyceum ssh lab-debian12", "./lyceum ssh lab-debian13", "./lyceum ssh amartin@lab-debian12",
                  "./lyceum explain amartin", "./lyceum report", "demo --destroy", "held; changed=0 over"):  # fmt: skip
        assert words in text


def test_the_demo_counts_changes(script: Script, capsys: pytest.CaptureFixture[str]) -> None:
    script.changed = 2
    main(["demo", "--keep"])
    assert "changed=8 over all playbooks" in capsys.readouterr().out


def test_the_demo_says_what_it_does_without(script: Script, capsys: pytest.CaptureFixture[str]) -> None:
    main(["demo"])
    assert "does without" not in capsys.readouterr().out
    script.not_enforced = ["lab-debian12: gitea 1.26.2 is not there"]
    main(["demo"])
    assert "does without, and why:\n  lab-debian12: gitea 1.26.2 is not there\n\n" in capsys.readouterr().out


def test_a_failing_step_ends_the_demo(script: Script, capsys: pytest.CaptureFixture[str]) -> None:
    script.fail = "Onboard"
    assert main(["demo"]) == 1
    assert len(script.ran) == 2
    assert "every control held" not in capsys.readouterr().out


def test_destroy_does_only_that(script: Script) -> None:
    assert main(["demo", "--destroy"]) == 0
    assert script.lines() == ["$ ansible-playbook -i inventories/lab playbooks/lab_down.yml"]


@pytest.mark.parametrize("action", ["up", "down"])
def test_lab_passes_options_on(action: str, script: Script) -> None:
    assert main(["lab", action, "--", "--check"]) == 0
    assert script.lines() == [f"$ ansible-playbook -i inventories/lab playbooks/lab_{action}.yml --check"]
    script.fail = "lab hosts"
    assert main(["lab", action]) == 1


@pytest.fixture
def replaced(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What this process would have become."""
    seen: list[Any] = []
    monkeypatch.setattr(os, "chdir", seen.append)
    monkeypatch.setattr(os, "execvpe", lambda program, argv, environment: seen.append(argv))
    return seen


def test_ssh_goes_to_the_host_as_root_or_as_a_person(script: Script, replaced: list[Any]) -> None:
    lab = project.state_dir() / "lab"
    with pytest.raises(TypeError):  # execvpe never returns
        main(["ssh", "lab-debian12", "--", "uptime"])
    with pytest.raises(TypeError):
        main(["ssh", "amartin@lab-debian12"])
    base = ["ssh", "-F", str(lab / "ssh_config")]
    assert replaced[1] == [*base, "lab-debian12", "uptime"]
    assert replaced[3] == [*base, "-i", str(lab / "keys" / "amartin"), "-l", "amartin", "lab-debian12"]


def test_ssh_explains_what_is_missing(script: Script, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ssh", "nobody@lab-debian12"]) == 1
    assert "The lab has no key of 'nobody'. It has: amartin." in capsys.readouterr().err
    (project.state_dir() / "lab" / "ssh_config").unlink()
    assert main(["ssh", "lab-debian12"]) == 1
    assert "run `./lyceum lab up` first" in capsys.readouterr().err


def test_the_checks_cover_everything_there_is() -> None:
    listed = lab_commands.check_steps()
    lines = " ".join(str(command) for step in listed for command in step.commands)
    for path in (*project.ROOT.glob("library/*.py"), *project.ROOT.glob("roles/*/")):
        assert f" {path.stem}" in lines
    for path in project.ROOT.glob("molecule/*/molecule.yml"):
        assert f"molecule test -s {path.parent.name}" in lines
    for name in project.inventories():
        assert f"./lyceum validate -i {name}" in lines
    for words in ("ruff check", "ruff format --check", "mypy library", "mypy -p", "yamllint", "ansible-lint", "pytest"):
        assert words in lines
    assert listed[-1].expect == "every control held; changed=0 "
    assert [str(command).endswith("./lyceum demo") for command in (*listed[-2].commands, *listed[-1].commands)] == [
        True
    ] * 2


def test_the_summary_is_what_the_second_demo_is_checked_for(script: Script, capsys: pytest.CaptureFixture[str]) -> None:
    main(["demo"])
    assert lab_commands.check_steps()[-1].expect in capsys.readouterr().out
    script.changed = 1
    main(["demo"])
    assert lab_commands.check_steps()[-1].expect not in capsys.readouterr().out


def test_all_checks_run_and_the_last_line_counts_them(script: Script, capsys: pytest.CaptureFixture[str]) -> None:
    script.fail = "Types"
    assert main(["test"]) == 1
    number = len(lab_commands.check_steps())
    assert len(script.ran) == number + 1
    assert script.ran[-1].title == "Remove the test hosts"
    assert capsys.readouterr().out.splitlines()[-1] == f"{number} passed, 1 failed"


def test_a_machine_without_its_own_kernels_is_recognised_in_what_ansible_prints() -> None:
    text = f"  msg: {kernel.unable('/dev/net/tun cannot be opened: Permission denied')}\n".replace(
        "boot a host", "boot\n  a host"
    )
    found = re.search(lab_commands.UNABLE, text, re.DOTALL)
    assert found is not None
    assert found[1] == "/dev/net/tun cannot be opened: Permission denied"


def test_what_was_skipped_is_counted_apart() -> None:
    step = Step("x", ())
    results = [Result(step, passed=3), Result(step, skipped="not root"), Result(step, failed=1)]
    assert lab_commands.total(results) == "3 passed, 1 failed, 1 skipped"


def test_an_interrupted_test_cleans_up(script: Script) -> None:
    script.interrupt = "Types"
    assert main(["test"]) == 130
    assert [step.title for step in script.ran[-2:]] == ["Types", "Remove the test hosts"]


def test_clean_up_covers_every_host_a_test_makes() -> None:
    lines = [str(command) for command in lab_commands.clean_up_step().commands]
    made = [str(command) for step in lab_commands.check_steps() for command in step.commands]
    scenarios = [line.split()[-1] for line in made if " molecule test " in line]
    assert lines[:-1] == [f"$ molecule destroy -s {name}" for name in scenarios]
    assert lines[-1] == next(line for line in made if line.endswith("demo")) + " --destroy"


def test_the_test_labs_are_apart_from_everybody_elses() -> None:
    assert lab_commands.TEST_STATE != project.ROOT / ".lyceum"
