# SPDX-License-Identifier: GPL-3.0-or-later
"""From nothing to a release, from one to another, and back."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import LyceumError, RefusedError
from ansible.module_utils.lyceum.gitea_host import bot, program
from ansible.module_utils.lyceum.gitea_host.backup import Backups

from .conftest import Machine
from .test_bot import a_bot

LIKE = "1.26.2"


def wanted(machine: Machine, release: Path, version: str = LIKE, **values: Any) -> program.Wanted:
    return program.Wanted.from_params(
        {
            **machine.params,
            "release": str(release),
            "version": version,
            "restart": False,
            "read_at_start": [],
            "database": "",
            "data": str(machine.folder / "home"),
            "backups": str(machine.folder / "backups"),
            "backup_data": True,
            "keep_backups": 1,
            "bot": "lyceum",
            "token_file": str(machine.folder / "token"),
            "healthy_seconds": 20,
            **values,
        }
    )


def apply(one: program.Wanted) -> list[str]:
    actions: list[str] = program.run(one, check=False)["actions"]
    return actions


@pytest.fixture
def running(machine: Machine) -> Machine:
    """With a release that runs, and a bot."""
    apply(wanted(machine, machine.release()))
    bot.run(a_bot(machine), check=False)
    return machine


def knows_the_bot(machine: Machine) -> bool:
    return machine.host.problem((machine.folder / "token").read_text().strip(), "lyceum") == ""


def test_the_first_release_is_started_and_then_left_alone(machine: Machine) -> None:
    one = wanted(machine, machine.release())
    assert program.run(one, check=True)["changed"]
    assert machine.verbs == []
    result = program.run(one, check=False)
    assert result == {
        "changed": True,
        "actions": [f"make the tables of Gitea {LIKE} and start it"],
        "version": f"{LIKE}+stand-in",
        "stand_in": True,
    }
    assert machine.host.problem("", "") == ""
    assert not program.run(one, check=False)["changed"]


def test_it_is_restarted_for_new_settings_and_started_when_it_is_down(running: Machine) -> None:
    release = running.folder / "release"
    assert apply(wanted(running, release, restart=True)) == ["restart gitea.service"]
    running.systemctl("stop")
    assert apply(wanted(running, release)) == ["start gitea.service"]
    assert knows_the_bot(running)


def test_settings_that_are_newer_than_the_server_mean_a_restart(
    running: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program.Host, "started", lambda _self: 1)
    assert apply(wanted(running, running.folder / "release")) == ["restart gitea.service"]


def test_an_upgrade_keeps_what_there_was_and_is_recognised_by_the_bot(running: Machine) -> None:
    newer = running.release("newer", says="1.27.0")
    words = [f"keep database and data, and upgrade from Gitea {LIKE}+stand-in to 1.27.0"]
    assert apply(wanted(running, newer, "1.27.0")) == words
    assert (running.folder / "gitea").resolve() == newer
    assert knows_the_bot(running)
    assert [path.name for path in (running.folder / "backups").glob("*/complete")] == ["complete"]
    assert apply(wanted(running, newer, "1.27.0")) == []


def test_an_upgrade_that_fails_is_taken_back_with_the_data(running: Machine) -> None:
    bad = running.release(
        "bad", says="1.27.0", breaks=f"echo broke >&2; echo lost > {running.folder}/home/data/gitea.db"
    )
    with pytest.raises(
        LyceumError, match=r"Gitea 1\.27\.0 did not come up .*broke.* runs again with everything it had"
    ):
        apply(wanted(running, bad, "1.27.0"))
    assert (running.folder / "gitea").resolve() == running.folder / "release"
    assert knows_the_bot(running)
    assert not (running.folder / "backups/upgrade.json").exists()


def test_an_upgrade_that_fails_in_every_run_does_not_fill_the_disk(running: Machine) -> None:
    bad = running.release("bad", says="1.27.0", breaks="exit 1")
    kept: list[str] = []
    for number in range(3):
        (running.folder / f"backups/2026010{number}T000000Z-1.26.2").mkdir(parents=True)  # of a run that was killed
        with pytest.raises(LyceumError, match="which is also in") as failed:
            apply(wanted(running, bad, "1.27.0"))
        kept = [str(path) for path in (running.folder / "backups").iterdir()]
        time.sleep(1.1)  # their names have seconds
    assert len(kept) == 1
    assert kept[0] in str(failed.value)


def test_a_release_that_does_not_know_the_bot_is_taken_back(running: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is healthy as far as it says itself."""
    forgets = f'rm {running.folder}/home/data/gitea.db; exec {running.folder}/release "$@"'
    bad = running.release("bad", says="1.27.0", breaks=forgets)
    with pytest.raises(LyceumError, match="does not know who that is"):
        apply(wanted(running, bad, "1.27.0", healthy_seconds=1))
    assert knows_the_bot(running)


class Killed(BaseException):
    """kill -9, as far as a test can."""


@pytest.mark.parametrize("step", ["_link", "wait", "make", "put_back"])
def test_a_run_that_was_killed_is_completed_by_the_next(
    running: Machine, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    owner = {"_link": program, "wait": program.Host, "make": Backups, "put_back": Backups}[step]
    kind = {"breaks": "echo broke >&2"} if step == "put_back" else {}
    newer = running.release("newer", says="1.27.0", **kind)

    def killed(*_words: Any, **_options: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(owner, step, killed)
        with pytest.raises(Killed):
            apply(wanted(running, newer, "1.27.0"))
    if step == "put_back":
        assert apply(wanted(running, running.folder / "release"))[0].startswith("take back the upgrade")
    else:
        apply(wanted(running, newer, "1.27.0"))
        assert (running.folder / "gitea").resolve() == newer
    assert knows_the_bot(running)
    assert not (running.folder / "backups/upgrade.json").exists()


def test_old_backups_go(running: Machine) -> None:
    for number in (7, 8, 9):
        release = running.release(f"r{number}", says=f"1.27.{number}")
        apply(wanted(running, release, f"1.27.{number}"))
    assert len(list((running.folder / "backups").glob("*/complete"))) == 1


def test_an_older_release_is_refused(running: Machine) -> None:
    with pytest.raises(RefusedError, match=r"1\.25\.0 is older: it could not read the database"):
        apply(wanted(running, running.release("old", says="1.25.0"), "1.25.0"))
    assert knows_the_bot(running)


def test_a_file_that_is_another_version_is_refused(machine: Machine) -> None:
    with pytest.raises(LyceumError, match=r"says that it is Gitea 1\.25\.0, and not 1\.26\.2"):
        apply(wanted(machine, machine.release(says="1.25.0")))
    assert machine.verbs == []


def test_a_program_of_somebody_else_is_left_alone(machine: Machine) -> None:
    (machine.folder / "gitea").write_text("#!/bin/sh\n")
    with pytest.raises(RefusedError, match="is a file of somebody else's"):
        apply(wanted(machine, machine.release()))


def test_what_is_under_way_is_written_down_without_secrets(running: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_words: Any) -> None:
        raise Killed

    newer = wanted(running, running.release("newer", says="1.27.0"), "1.27.0")
    with monkeypatch.context() as patch:
        patch.setattr(program, "_link", killed)
        with pytest.raises(Killed):
            apply(newer)
    text = (running.folder / "backups/upgrade.json").read_text()
    assert set(json.loads(text)) == {"from", "from_version", "backup", "proves"}
    assert (running.folder / "token").read_text().strip() not in text
