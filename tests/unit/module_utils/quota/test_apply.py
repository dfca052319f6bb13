# SPDX-License-Identifier: GPL-3.0-or-later
"""A run against programs that keep quotas as the real ones do."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.quota import apply, kernel, tools
from ansible.module_utils.lyceum.quota.apply import Outcome, recurse
from ansible.module_utils.lyceum.quota.kernel import State, Tag
from ansible.module_utils.lyceum.quota.observe import rows

from .conftest import FakeHost
from .test_model import entry
from .test_plan import spec


def run(host: FakeHost, *entries: dict[str, Any], check: bool = False, **params: Any) -> Outcome:
    return apply.run(spec(*entries, projid=str(host.projid), **params), check=check)


def home(host: FakeHost, number: int = 2001, **values: Any) -> dict[str, Any]:
    return entry(**{"path": str(host.folder / "home"), "id": number, "person": f"p{number}", "hard_gib": 1, **values})


def scratch(host: FakeHost, number: int = 2001, **values: Any) -> dict[str, Any]:
    path = host.folder / f"srv/p{number}"
    return entry(
        **{
            "path": str(path),
            "kind": "project",
            "id": 1_000_000 + number,
            "name": f"scratch-p{number}",
            "person": f"p{number}",
            "hard_gib": 2,
            **values,
        }
    )


def test_one_process_reads_and_one_writes_however_many_people(host: FakeHost) -> None:
    entries = [home(host, number) for number in range(2001, 2101)]
    outcome = run(host, *entries)
    assert outcome.failures == {}
    assert host.limits("home", "user") == {number: [943720, 1048576, 0, 0] for number in range(2001, 2101)}
    assert len(host.calls("repquota")) == 2  # before and after
    assert len(host.calls("setquota")) == 1
    again = run(host, *entries)
    assert not again.plan.changed
    assert len(host.calls("repquota")) == 3
    assert len(host.calls("setquota")) == 1


def test_check_mode_plans_the_same_and_writes_nothing(host: FakeHost) -> None:
    (host.folder / "srv/p2001").mkdir()
    entries = home(host, grace_days=None), scratch(host)
    before = host.read()
    checked = run(host, *entries, check=True, grace_days=3)
    assert host.read() == before
    assert (host.tags, host.projid.exists()) == ({}, False)
    done = run(host, *entries, grace_days=3)
    assert [change.actions for change in checked.plan.changes.values()] == [
        change.actions for change in done.plan.changes.values()
    ]
    assert checked.plan.graces == done.plan.graces
    assert host.read()["graces"] == {
        f"{host.folder}/home user": [259200, 259200],
        f"{host.folder}/srv project": [259200, 259200],
    }
    assert host.tags == {str(host.folder / "srv/p2001"): Tag(1002001, inherit=True)}
    assert host.projid.read_text() == "scratch-p2001:1002001\n"
    assert stat.S_IMODE(host.projid.stat().st_mode) == 0o644
    assert not run(host, *entries, grace_days=3).plan.changed


def test_a_directory_that_is_not_there_waits(host: FakeHost) -> None:
    for check in (True, False):
        outcome = run(host, scratch(host), home(host), check=check)
        assert outcome.failures == {}
        assert outcome.plan.waiting == [
            f"{host.folder}/srv/p2001 does not exist; once it does, the next run makes it count for scratch-p2001"
        ]
    assert list(host.limits("srv", "project")) == [1002001]
    assert not run(host, scratch(host), home(host)).plan.changed
    (host.folder / "srv/p2001").mkdir()
    assert run(host, scratch(host), home(host)).plan.changed
    assert host.tags == {str(host.folder / "srv/p2001"): Tag(1002001, inherit=True)}


def test_one_that_fails_leaves_the_others(host: FakeHost) -> None:
    host.write({**host.read(), "deaf": [2002]})
    outcome = run(host, *[home(host, number) for number in (2001, 2002, 2003)])
    assert {key[2]: why for key, why in outcome.failures.items()} == {
        2002: ("set, yet still different: setquota: Cannot write quota for 2002 on /dev/sdb1: No space left on device")
    }
    assert sorted(host.limits("home", "user")) == [2001, 2003]


def test_a_file_system_that_fails_leaves_the_others(host: FakeHost) -> None:
    content = host.read()
    del content["mounts"][str(host.folder / "srv")]["user"]
    host.write(content)
    outcome = run(host, home(host), home(host, path=str(host.folder / "srv")))
    assert len(outcome.general) == 1
    assert outcome.general[0].startswith(
        f"repquota -u -vnp -O csv {host.folder}/srv exited with 1: repquota: Mountpoint"
    )
    assert list(host.limits("home", "user")) == [2001]


def test_where_quotas_do_not_work_the_rest_is_done(host: FakeHost) -> None:
    entries = home(host), home(host, path=str(host.folder / "plain")), home(host, path=str(host.folder / "net"))
    outcome = run(host, *entries)
    assert [text.split(". Remedy")[0] for text in outcome.general] == [
        f"1 user quota(s) not enforced: {host.folder}/plain (ext4 on /dev/plain): they are off",
        (
            f"1 user quota(s) not enforced: {host.folder}/net (nfs4 on /dev/net): Lyceum sets quotas on ext4 and XFS"
            " only. Set them on the file server."
        ),
    ]
    assert list(host.limits("home", "user")) == [2001]
    lenient = run(host, *entries, when_unsupported="report")
    assert lenient.general == []
    assert [short["filesystem"] for short in lenient.plan.not_enforced] == [
        f"{host.folder}/plain",
        f"{host.folder}/net",
    ]


def test_what_is_only_counted_is_set_and_told(host: FakeHost) -> None:
    host.states[str(host.folder / "home"), "user"] = State(counted=True, enforced=False)
    outcome = run(host, home(host), when_unsupported="report")
    assert list(host.limits("home", "user")) == [2001]
    assert [short["people"] for short in outcome.plan.not_enforced] == [["p2001"]]
    assert [row["enforced"] for row in rows(outcome.targets, outcome.after)] == [False]


def test_without_the_programs(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "PATH", "/nowhere")
    # A new host: the package comes in the same run, and nothing can have been set before.
    assert len(run(host, home(host), check=True).plan.changes) == 1
    outcome = run(host, home(host))
    assert outcome.general == [
        f"quotas on {host.folder}/home: repquota and setquota not installed. Remedy: install the package quota."
    ]


def test_a_grace_time_that_is_not_taken_is_a_failure(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "write_grace", lambda _mount, _kind, _seconds: None)
    outcome = run(host, home(host), grace_days=1)
    assert outcome.general == [
        f"user quotas on {host.folder}/home: grace time 7 days -> 1 days: set, yet still different"
    ]


def test_a_directory_that_cannot_be_given_its_project(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    (host.folder / "srv/p2001").mkdir()

    def refuse(path: str, _project: int) -> None:
        raise PermissionError(1, "Operation not permitted", path)

    monkeypatch.setattr(kernel, "write_tag", refuse)
    outcome = run(host, scratch(host), home(host))
    assert list(outcome.failures.values()) == [
        f"cannot give {host.folder}/srv/p2001 to project 1002001: Operation not permitted"
    ]
    assert list(host.limits("home", "user")) == [2001]


@pytest.fixture
def projects(monkeypatch: pytest.MonkeyPatch) -> dict[int, Tag]:
    """Projects by inode."""
    kept: dict[int, Tag] = {}

    def set_tag(descriptor: int, project: int) -> None:
        info = os.fstat(descriptor)
        kept[info.st_ino] = Tag(project, stat.S_ISDIR(info.st_mode))

    monkeypatch.setattr(kernel, "tag_of", lambda descriptor: kept.get(os.fstat(descriptor).st_ino, Tag(0, False)))
    monkeypatch.setattr(kernel, "set_tag", set_tag)
    return kept


def tree(folder: Path) -> Path:
    (folder / "tree/sub").mkdir(parents=True)
    (folder / "tree/sub/file").touch()
    (folder / "tree/link").symlink_to("/etc/passwd")
    os.mkfifo(folder / "tree/pipe")
    return folder / "tree"


def test_recursion_counts_and_changes_files_and_directories_only(tmp_path: Path, projects: dict[int, Tag]) -> None:
    top = tree(tmp_path)
    assert recurse(str(top), 11001, pytest.fail, write=False) == 2
    assert projects == {}
    assert recurse(str(top), 11001, pytest.fail, write=True) == 2
    assert projects == {
        (top / "sub").stat().st_ino: Tag(11001, True),
        (top / "sub/file").stat().st_ino: Tag(11001, False),
    }
    assert recurse(str(top), 11001, pytest.fail, write=True) == 0


def test_what_cannot_be_counted_is_told_and_the_rest_done(
    tmp_path: Path, projects: dict[int, Tag], monkeypatch: pytest.MonkeyPatch
) -> None:
    top = tree(tmp_path)
    real = kernel.tag_of
    inode = (top / "sub").stat().st_ino

    def refuse(descriptor: int) -> Tag:
        if os.fstat(descriptor).st_ino == inode:
            raise OSError(5, "Input/output error")
        return real(descriptor)

    monkeypatch.setattr(kernel, "tag_of", refuse)
    complaints: list[str] = []
    assert recurse(str(top), 11001, complaints.append, write=True) == 1
    assert complaints == [f"{top}/sub: Input/output error"]


def test_recursion_is_part_of_a_run_only_if_asked(host: FakeHost, projects: dict[int, Tag]) -> None:
    (host.folder / "srv/p2001/sub").mkdir(parents=True)
    run(host, scratch(host))
    assert projects == {}
    checked = run(host, scratch(host), recurse=True, check=True)
    assert projects == {}
    done = run(host, scratch(host), recurse=True)
    for outcome in (checked, done):
        assert [change.actions for change in outcome.plan.changes.values()] == [
            [f"{host.folder}/srv/p2001: count 1 files and folders below it"]
        ]
    assert len(projects) == 1
    assert not run(host, scratch(host), recurse=True).plan.changed
