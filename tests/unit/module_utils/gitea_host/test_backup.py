# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept, and put back."""

from __future__ import annotations

import pytest
from ansible.module_utils.lyceum.errors import CommandError, LyceumError
from ansible.module_utils.lyceum.gitea_host.backup import Backups

from .conftest import Machine


def backups(machine: Machine, database: str = "") -> Backups:
    return Backups(machine.host, machine.folder / "backups", machine.folder / "home", database)


def test_data_comes_back_as_it_was(machine: Machine) -> None:
    database = machine.folder / "home/data/gitea.db"
    database.write_text("before")
    place = backups(machine).make("one")
    assert place.stat().st_mode & 0o777 == 0o700
    database.write_text("after")
    database.with_name("gitea.db-wal").write_text("of after")
    backups(machine).put_back(place)
    assert database.read_text() == "before"
    assert not database.with_name("gitea.db-wal").exists()


def test_a_backup_that_failed_is_not_there(machine: Machine) -> None:
    with pytest.raises(CommandError):
        backups(machine, "host=/nonexistent dbname=x").make("one")
    assert list((machine.folder / "backups").iterdir()) == []


def test_half_a_backup_is_not_put_back(machine: Machine) -> None:
    place = backups(machine).make("one")
    (place / "complete").unlink()
    with pytest.raises(LyceumError, match="is not complete"):
        backups(machine).put_back(place)


def test_only_the_newest_stay(machine: Machine) -> None:
    for name in ("1", "2", "3"):
        backups(machine).make(name)
    (machine.folder / "backups/25-half-made").mkdir()
    assert backups(machine).prune(2) == ["1", "25-half-made"]
    assert sorted(path.name for path in (machine.folder / "backups").iterdir()) == ["2", "3"]
