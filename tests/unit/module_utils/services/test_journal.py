# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal: private, locked, whole after any death, and without secrets."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.services.journal import KEPT_DAYS, Journal, JournalError, journal_path
from ansible.module_utils.lyceum.services.secret import Secret
from ansible.module_utils.lyceum.services.steps import Step

PLACE = ("amartin", "account")


def step(person: str = "amartin", key: str = "account", sentence: str = "create it", **more: Any) -> Step:
    return Step(person, key, sentence, lambda: None, lambda: True, **more)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "services" / "gitea.sqlite3"


def test_files_are_private_whatever_the_umask(path: Path) -> None:
    old = os.umask(0)
    try:
        with Journal(path) as journal:
            journal.begin([step()])
            files = {item.name: stat.S_IMODE(item.stat().st_mode) for item in path.parent.iterdir()}
    finally:
        os.umask(old)
    assert files == {f"gitea.sqlite3{end}": 0o600 for end in ("", "-wal", ".lock")}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_steps_are_recorded_with_everything_that_happened(path: Path) -> None:
    with Journal(path) as journal:
        run, rows = journal.begin([step(before={"email": "old"}), step(key="key"), step("bchen")])
        journal.sent(rows[PLACE])
        journal.verified(rows[PLACE], "created", "7")
        journal.sent(rows["amartin", "key"])
        assert [(e.key, e.status, e.origin, e.external_id, e.before) for e in journal.open_entries().values()] == [
            ("account", "verified", "created", "7", {"email": "old"}),
            ("key", "sent", "", "", None),
            ("account", "planned", "", "", None),
        ]
        journal.ended(rows["bchen", "account"], "failed", "400 bad")
        assert [(row["person"], row["status"], row["error"]) for row in journal.history(run)] == [
            ("amartin", "verified", ""),
            ("amartin", "sent", ""),
            ("bchen", "failed", "400 bad"),
        ]


def test_what_a_process_that_was_killed_had_recorded_is_there(path: Path) -> None:
    child = os.fork()
    if child == 0:
        journal = Journal(path)
        _, rows = journal.begin([step()])
        journal.sent(rows[PLACE])
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    with Journal(path) as journal:
        assert [entry.status for entry in journal.open_entries().values()] == ["sent"]


def test_the_end_of_a_run_settles_everything_but_what_nobody_knows(path: Path) -> None:
    with Journal(path) as journal:
        _, old = journal.begin([step(), step("bchen"), step("dlopez")])
        journal.verified(old[PLACE], "created")
        journal.sent(old["bchen", "account"])
        journal.sent(old["dlopez", "account"])
        run, rows = journal.begin([step(key="key"), step("bchen", "key")])
        journal.sent(rows["amartin", "key"])
        journal.verified(rows["bchen", "key"], "changed")
        journal.finish(run, ["amartin", "bchen"], ["bchen"])
        assert {place: entry.status for place, entry in journal.open_entries().items()} == {
            ("dlopez", "account"): "sent",  # the run was not about dlopez
            ("amartin", "key"): "sent",
        }


def test_two_runs_at_once_are_refused_and_the_next_one_is_let_in(path: Path) -> None:
    with Journal(path):
        words = f"another run (process {os.getpid()}) is at work on gitea; wait until it ends, then run this again"
        with pytest.raises(LyceumError, match=re.escape(words)):
            Journal(path)
    with Journal(path) as journal:
        assert journal.open_entries() == {}


def test_what_is_remembered_is_kept_by_object_until_it_is_forgotten(path: Path) -> None:
    key = {"title": "laptop", "key": "ssh-ed25519 AAAA"}
    with Journal(path) as journal:
        journal.remember({("amartin", "key 1"): key, ("amartin", "key 2"): "b", ("bchen", "key 1"): None})
    with Journal(path) as journal:
        journal.remember({("amartin", "key 2"): "c"})
        assert journal.remembered() == {"amartin": {"key 1": key, "key 2": "c"}, "bchen": {"key 1": None}}
        journal.forget("amartin", ["key 1"])
        assert journal.remembered() == {"amartin": {"key 2": "c"}, "bchen": {"key 1": None}}
        journal.forget("bchen")
        assert journal.remembered() == {"amartin": {"key 2": "c"}}


def test_a_secret_is_never_written(path: Path) -> None:
    mine, theirs = Secret("token-0123456789"), Secret("pass word")
    with Journal(path, secrets=[mine]) as journal:
        leaky = step(key="k token-0123456789", sentence="set pass%20word", before={"a": "pass word"}, secrets=[theirs])
        _, [row] = (lambda run, rows: (run, rows.values()))(*journal.begin([leaky]))
        journal.ended(row, "failed", "401 for token-0123456789")
        journal.verified(row, "created", "token-0123456789")
        with pytest.raises(LyceumError, match="a secret was to be remembered for amartin; nothing was"):
            journal.remember({PLACE: "fine", ("amartin", "token"): {"value": "token-0123456789"}})
        assert journal.remembered() == {}
        written = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert b"set <secret>" in written
    assert b"0123456789" not in written
    assert b"pass word" not in written


def test_a_journal_of_another_version_is_not_touched(path: Path) -> None:
    Journal(path).close()
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 9")
    database.close()
    with pytest.raises(LyceumError) as caught:
        Journal(path)
    assert str(caught.value) == (
        f"journal {path} has version 9, this Lyceum reads 1: use the Lyceum that wrote it, or move the file away (what"
        " suspended people get back on their return is then no longer known)"
    )
    path.unlink()
    Journal(path).close()  # a refusal leaves no lock behind


def test_a_database_of_something_else_is_refused(path: Path) -> None:
    path.parent.mkdir()
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE recipes (name)")
    database.close()
    with pytest.raises(LyceumError, match="is not a journal of Lyceum; move it away"):
        Journal(path)


@pytest.mark.parametrize("place", ["head", "middle"])
def test_a_damaged_journal_is_said_with_the_remedy(path: Path, place: str) -> None:
    with Journal(path) as journal:
        journal.begin([step(f"p{number}", sentence="x" * 200) for number in range(200)])
    data = bytearray(path.read_bytes())
    start = 0 if place == "head" else len(data) // 2 // 4096 * 4096
    data[start : start + 64] = b"\x5a" * 64
    path.write_bytes(data)
    with pytest.raises(JournalError, match=r"cannot be used: .*\. Put back a copy, or move it away and run again"):
        Journal(path)


def test_a_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LyceumError, match="lyceum_state_dir must be yours to write"):
        Journal(tmp_path / "file" / "gitea.sqlite3")


def test_old_runs_go_unless_something_in_them_is_open(path: Path) -> None:
    now = 0.0
    with Journal(path, now=lambda: now) as journal:
        run, rows = journal.begin([step()])
        journal.sent(rows[PLACE])
        journal.finish(run, [], [])
        done, _ = journal.begin([step("bchen")])
        journal.finish(done, ["bchen"], ["bchen"])
    now = (KEPT_DAYS + 1) * 86400.0
    with Journal(path, now=lambda: now) as journal:
        assert len(journal.history(run)) == 1
        assert journal.history(done) == []
        assert list(journal.open_entries()) == [PLACE]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://git.example.org", "gitea-git.example.org.sqlite3"),
        ("https://git.example.org:8443/", "gitea-git.example.org-8443.sqlite3"),
        ("https://example.org/git ea/", "gitea-example.org-git_ea.sqlite3"),
        ("http://[::1]:3000", "gitea-__1-3000.sqlite3"),
        ("https://u:secret@example.org/../x", "gitea-example.org-..-x.sqlite3"),
    ],
)
def test_each_instance_of_a_service_has_its_own_journal(url: str, name: str, tmp_path: Path) -> None:
    assert journal_path(tmp_path, "gitea", url) == tmp_path / "services" / name
