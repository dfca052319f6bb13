# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever becomes confined loses what runs from before, once."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.sshd import confined
from ansible.module_utils.lyceum.sshd.confined import Change, Confined

JWEBER = Confined("jweber", 2009, "jail")
KSATO = Confined("ksato", 2010, "sftp")


def people(*some: Confined) -> dict[str, Confined]:
    return {one.name: one for one in some}


@pytest.mark.parametrize(
    ("noted", "free", "running", "complete", "expected"),
    [
        ({"jweber": "jail"}, [], {"jweber": 5}, True, {}),
        ({}, [], {"jweber": 5}, True, {"jweber": Change(2009, "jail", 5)}),
        ({"jweber": "rsync"}, [], {}, True, {"jweber": Change(2009, "jail", 0)}),
        ({"jweber": "jail", "gone": "sftp"}, [], {}, True, {"gone": Change(0, None)}),
        ({"jweber": "jail", "other": "sftp"}, [], {}, False, {}),
        ({"jweber": "jail", "other": "sftp", "gone": "jail"}, ["gone"], {}, False, {"gone": Change(0, None)}),
        ({"jweber": "jail"}, ["amartin"], {}, True, {}),
    ],
)
def test_plan(
    noted: dict[str, str], free: list[str], running: dict[str, int], complete: bool, expected: dict[str, Change]
) -> None:
    assert confined.plan(people(JWEBER), free, noted, running, complete=complete) == expected


def test_actions_are_sentences() -> None:
    assert Change(2009, "jail", 3).actions == ["end 3 process(es) from before", "confine as jail"]
    assert Change(2009, "jail", 0).actions == ["confine as jail"]
    assert Change(0, None).actions == ["no longer confined"]


def test_what_is_ended_and_noted(tmp_path: Path) -> None:
    ended: list[object] = []

    def end(some: dict[str, tuple[int, list[tuple[int, int]]]]) -> dict[str, str]:
        ended.append(some)
        return {"ksato": "process(es) 7 survive SIGKILL"}

    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "gone").write_text("jail\n")
    changes = {"jweber": Change(2009, "jail", 2), "ksato": Change(2010, "sftp"), "gone": Change(0, None)}
    failures = confined.apply(folder, changes, {"jweber": [(100000, 65536)]}, end)
    assert ended == [{"jweber": (2009, [(100000, 65536)]), "ksato": (2010, [])}]
    assert failures == {"ksato": "process(es) 7 survive SIGKILL"}
    # Not noted, so that the next run tries again.
    assert confined.notes(folder) == {"jweber": "jail"}
    result = confined.result(people(JWEBER, KSATO), changes, failures)
    assert result["lyceum"]["results"]["ksato"] == {
        "result": "failed",
        "actions": ["confine as sftp"],
        "error": "process(es) 7 survive SIGKILL",
    }
    assert result["lyceum"]["results"]["gone"]["result"] == "changed"
    assert result["actions"][0] == "jweber: end 2 process(es) from before"


def test_a_run_that_is_killed_does_it_again(tmp_path: Path) -> None:
    def end(_some: object) -> dict[str, str]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        confined.apply(tmp_path / "notes", {"jweber": Change(2009, "jail", 1)}, {}, end)
    assert confined.notes(tmp_path / "notes") == {}


def test_real_processes_are_counted() -> None:
    me = Confined("me", os.getuid(), "jail")
    before = confined.running(people(me), {})["me"]
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        assert confined.running(people(me), {})["me"] > 0
        assert before > 0
        # Also under ids of containers.
        other = Confined("other", 4711, "jail")
        counted = confined.running(people(other), {"other": [(os.getuid(), 1)]})["other"]
        sleeper.kill()
    assert counted > 0
    assert confined.running(people(Confined("nobody there", 4711, "jail")), {}) == {"nobody there": 0}


def test_subordinate_ids(tmp_path: Path) -> None:
    path = tmp_path / "subuid"
    assert confined.subordinate_ids(path) == {}
    path.write_text("a:100000:65536\nb:200000:65536\na:300000:10\n# torn\nc:x:1\n\n")
    assert confined.subordinate_ids(path) == {"a": [(100000, 65536), (300000, 10)], "b": [(200000, 65536)]}
    path.unlink()
    path.mkdir()
    with pytest.raises(LyceumError, match=r"^cannot read .*subuid: Is a directory$"):
        confined.subordinate_ids(path)


def test_notes_that_cannot_be_read(tmp_path: Path) -> None:
    assert confined.notes(tmp_path / "none") == {}
    (tmp_path / "folder").mkdir()
    with pytest.raises(LyceumError, match="cannot read the notes in "):
        confined.notes(tmp_path)


def test_notes_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LyceumError, match="cannot write the notes in "):
        confined.apply(tmp_path / "file", {"a": Change(1, "jail")}, {}, lambda some: {})


def test_what_a_killed_run_left_half_written_is_no_person(tmp_path: Path) -> None:
    (tmp_path / ".jweber.lyceum").write_text("ja")
    assert confined.notes(tmp_path) == {}
    assert confined.apply(tmp_path, {"jweber": Change(2009, "jail")}, {}, lambda some: {}) == {}
    assert [path.name for path in tmp_path.iterdir()] == ["jweber"]
