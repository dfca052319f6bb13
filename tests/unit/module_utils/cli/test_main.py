# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line as a whole: help, wrong usage, errors, signals."""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Iterator

import pytest
from ansible.module_utils.lyceum.cli import lab_commands, main
from ansible.module_utils.lyceum.errors import LyceumError


def leaves(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Every command that can be run."""
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        yield parser
    for group in groups:
        for child in group.choices.values():
            yield from leaves(child)


LEAVES = list(leaves(main.parser()))


@pytest.mark.parametrize("command", LEAVES, ids=lambda parser: parser.prog)
def test_every_command_takes_an_inventory_and_explains_itself(command: argparse.ArgumentParser) -> None:
    text = command.format_help()
    assert "-i DIR, --inventory DIR" in text
    assert command.description
    assert "./lyceum " in (command.epilog or ""), "no example"
    assert callable(command.get_default("run"))


def test_the_commands_of_the_design_exist() -> None:
    names = {parser.prog.split()[1] for parser in LEAVES}
    assert {"demo", "test", "site", "onboard", "offboard", "prove", "report", "audit", "bench", "ssh", "lab",
            "validate", "explain", "person", "group", "list", "import"} <= names  # fmt: skip


@pytest.mark.parametrize("words", [[], ["no-such-command"], ["demo", "--keep", "--destroy"], ["onboard"]])
def test_wrong_usage_is_status_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main.main(words)
    assert caught.value.code == 2
    assert "usage: ./lyceum" in capsys.readouterr().err


def test_a_command_that_passes_nothing_on_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main.main(["demo", "--", "--check"])
    assert "remove what follows `--`" in capsys.readouterr().err


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[argparse.Namespace]]:
    """What `lab up` is called with; signals as they were afterwards."""
    seen: list[argparse.Namespace] = []
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(lab_commands, "lab_up", lambda arguments: seen.append(arguments) or 7)
    yield seen
    signal.signal(signal.SIGTERM, before)


def test_the_status_and_further_words_are_passed(command: list[argparse.Namespace]) -> None:
    assert main.main(["lab", "up", "-i", "x", "--", "--check", "--", "y"]) == 7
    assert command[0].more == ["--check", "--", "y"]
    assert command[0].inventory == "x"


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [(LyceumError("no hosts"), 1, "lyceum: no hosts\n"), (KeyboardInterrupt(), 130, "lyceum: interrupted\n")],
)
def test_errors_of_the_user_are_one_line(
    error: BaseException, status: int, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(arguments: argparse.Namespace) -> int:
        raise error

    monkeypatch.setattr(lab_commands, "lab_up", fail)
    assert main.main(["lab", "up"]) == status
    assert capsys.readouterr().err == words


def test_a_polite_kill_ends_like_ctrl_c(monkeypatch: pytest.MonkeyPatch, command: list[argparse.Namespace]) -> None:
    monkeypatch.setattr(lab_commands, "lab_up", lambda arguments: os.kill(os.getpid(), signal.SIGTERM))
    assert main.main(["lab", "up"]) == main.INTERRUPTED
