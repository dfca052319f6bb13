# SPDX-License-Identifier: GPL-3.0-or-later
"""On a real file system: made, changed, sealed, repeated, killed half-way, attacked."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.acl import apply, posix
from ansible.module_utils.lyceum.acl.apply import Outcome, run
from ansible.module_utils.lyceum.acl.plan import NO_ACLS
from ansible.module_utils.lyceum.acl.posix import USER, Entry

from .conftest import FakeNames, as_user, needs_root, spec

pytestmark = needs_root

PROJECT = {"group": "retina", "mode": "2770", "acl": ["user:dlopez:r-x"], "default_acl": ["user:dlopez:r-x"]}
ACL = posix.complete(0o770, [Entry(USER, 5, 2003)])


def do(*entries: dict[str, Any], folders: tuple[dict[str, Any], ...] = (), check: bool = False) -> Outcome:
    return run(spec(*entries, folders=folders), FakeNames(), check=check)


def shown(path: Path) -> tuple[int, int, int, posix.Acl, posix.Acl]:
    info = path.lstat()
    access, default = (posix.read(str(path), attribute) for attribute in posix.ATTRIBUTES)
    return info.st_uid, info.st_gid, info.st_mode & 0o7777, access, default


def test_from_nothing_and_again(tmp_path: Path) -> None:
    entries = [
        {"path": tmp_path / "projects", "mode": "0711"},
        {"path": tmp_path / "projects/.gid", "mode": "0711"},
        {"path": tmp_path / "projects/.gid/11001", **PROJECT},
        {"path": tmp_path / "projects/retina", "target": ".gid/11001"},
        {"path": tmp_path / "scratch", "mode": "1711", "owner": "amartin"},
    ]
    checked = do(*entries, check=True)
    assert list(tmp_path.iterdir()) == []
    done = do(*entries)
    assert done.plan.actions() == checked.plan.actions()
    assert (done.failures, checked.failures) == ({}, {})
    assert shown(tmp_path / "projects/.gid/11001") == (0, 11001, 0o2770, ACL, ACL)
    assert shown(tmp_path / "projects") == (0, 0, 0o711, (), ())
    assert shown(tmp_path / "scratch") == (2001, 0, 0o1711, (), ())
    again = do(*entries)
    assert (again.plan.changed, again.plan.unchanged) == (False, [str(path["path"]) for path in entries])


def test_the_whole_acl_is_owned(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.mkdir()
    for attribute in posix.ATTRIBUTES:
        os.setxattr(path, attribute, posix.pack(posix.complete(0o777, [Entry(USER, 7, 4242), Entry(posix.MASK, 1)])))
    assert do({"path": path, **PROJECT}).failures == {}
    assert shown(path) == (0, 11001, 0o2770, ACL, ACL)
    assert do({"path": path, "mode": "0700"}).failures == {}
    assert shown(path) == (0, 0, 0o700, (), ())


def test_sealing_takes_everything_and_touches_nothing_inside(srv: Path) -> None:
    path = srv / "x"
    do({"path": path, **PROJECT})
    (path / "file").write_text("x")
    os.chown(path / "file", 2002, 2002)
    before = shown(path / "file")
    done = do({"path": path, "state": "sealed"}, {"path": srv / "missing", "state": "sealed", "create": False})
    assert (done.failures, shown(path), shown(path / "file")) == ({}, (0, 0, 0o700, (), ()), before)
    assert not (srv / "missing").exists()
    assert not as_user(2002, [11001], lambda: (path / "file").read_text())
    assert not do({"path": path, "state": "sealed"}).plan.changed


def test_something_new_is_made_sealed(srv: Path) -> None:
    assert do({"path": srv / "x", "state": "sealed"}).failures == {}
    assert shown(srv / "x") == (0, 0, 0o700, (), ())


def test_a_directory_of_before_is_taken_over_as_the_message_says(tmp_path: Path) -> None:
    entries = [
        {"path": tmp_path / ".gid", "mode": "0711"},
        {"path": tmp_path / ".gid/1", **PROJECT},
        {"path": tmp_path / "retina", "target": ".gid/1"},
    ]
    (tmp_path / "retina").mkdir()
    (tmp_path / "retina/results").write_text("precious")
    failures = do(*entries).failures
    remedy = (
        failures[str(tmp_path / "retina")].split("To take over what is in it: ")[1].removesuffix(", then run again")
    )
    subprocess.run(remedy.split(), check=True)
    assert do(*entries).failures == {}
    assert (tmp_path / "retina/results").read_text() == "precious"
    assert shown(tmp_path / ".gid/1")[:3] == (0, 11001, 0o2770)


def test_renames_change_only_links(tmp_path: Path) -> None:
    folders = ({"path": tmp_path, "links": ".gid"},)
    gid = [{"path": tmp_path / ".gid", "mode": "0711"}, {"path": tmp_path / ".gid/1", "mode": "2770"}]
    do(*gid, {"path": tmp_path / "old", "target": ".gid/1"}, folders=folders)
    inode = (tmp_path / ".gid/1").stat().st_ino
    (tmp_path / ".old.lyceum").symlink_to(".gid/1")  # of a run that was killed
    (tmp_path / "foreign").symlink_to("/etc")
    renamed = do(*gid, {"path": tmp_path / "new", "target": ".gid/1"}, folders=folders)
    assert renamed.failures == {}
    assert sorted(path.name for path in tmp_path.iterdir()) == [".gid", "foreign", "new"]
    assert (tmp_path / "new").stat().st_ino == inode
    assert renamed.plan.unmanaged == [str(tmp_path / "foreign")]
    swapped = do(*gid, {"path": tmp_path / "new", "target": ".gid/2"}, folders=folders)
    assert swapped.failures == {}
    assert str((tmp_path / "new").readlink()) == ".gid/2"


def test_one_failure_does_not_stop_the_others(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("precious")
    (tmp_path / "b").symlink_to("/etc")
    (tmp_path / "d").mkdir()
    os.chown(tmp_path / "d", 2002, 2002)
    done = do(
        {"path": tmp_path / "a", **PROJECT},
        {"path": tmp_path / "b", **PROJECT},
        {"path": tmp_path / "c", **PROJECT},
        {"path": tmp_path / "d", "mode": "0700", "owner": "amartin", "person": "amartin"},
        {"path": tmp_path / "e", "mode": "0700", "owner": "newcomer"},
    )
    assert sorted(done.failures) == [str(tmp_path / name) for name in "abde"]
    assert done.failures[str(tmp_path / "e")] == f"{tmp_path}/e: left alone until there is an account newcomer"
    assert (tmp_path / "a").read_text() == "precious"
    assert shown(tmp_path / "c") == (0, 11001, 0o2770, ACL, ACL)
    assert (tmp_path / "d").stat().st_uid == 2002
    assert not (tmp_path / "e").exists()


def test_a_preview_before_there_are_accounts_does_not_fail(tmp_path: Path) -> None:
    done = do({"path": tmp_path / "e", "mode": "0700", "owner": "newcomer"}, check=True)
    assert (done.failures, done.plan.changed) == ({}, True)


def test_what_is_inside_is_mended_on_demand(tmp_path: Path) -> None:
    path = tmp_path / "x"
    do({"path": path, **PROJECT})
    (path / "file").write_text("x")
    os.removexattr(path / "file", posix.ACCESS)
    (path / "file").chmod(0o600)
    entry = {"path": path, **PROJECT, "recurse": True}
    checked = do(entry, check=True)
    assert checked.plan.actions() == [f"{path}: in it: 1 of 1 do not have what it hands down"]
    assert (path / "file").stat().st_mode & 0o777 == 0o600
    done = do(entry)
    assert (done.inside[str(path)].mended, done.failures) == (1, {})
    assert (path / "file").stat().st_mode & 0o777 == 0o660
    assert not do(entry).plan.changed


def test_what_cannot_be_mended_fails_its_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    path = tmp_path / "x"
    do({"path": path, **PROJECT})
    (path / "file").write_text("x")
    (path / "file").chmod(0o600)
    monkeypatch.setattr(apply.contents, "_put_right", fail)
    assert do({"path": path, **PROJECT, "recurse": True}).failures == {
        str(path): f"{path}: 1 of 1 in it could not be changed: {path}/file: Operation not permitted"
    }


def test_a_directory_replaced_meanwhile_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    path.mkdir()
    real = apply.plan

    def then_swap(*args: Any) -> Any:
        result = real(*args)
        path.rename(tmp_path / "old")
        path.mkdir(mode=0o755)
        return result

    monkeypatch.setattr(apply, "plan", then_swap)
    monkeypatch.setattr(apply, "_verify", lambda *_args: None)
    done = do({"path": path, **PROJECT})
    assert done.failures == {str(path): f"{path} was replaced while it was being changed; run again"}
    assert shown(path)[:3] == (0, 0, 0o755)


def test_writing_without_effect_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply, "own", lambda *_args: None)
    path = tmp_path / "x"
    assert do({"path": path, **PROJECT}).failures == {str(path): f"{path}: written, yet still different"}


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.EOPNOTSUPP, f"{{path}}: {NO_ACLS}"),
        (
            errno.ENOSPC,
            (
                "cannot change {path}: No space left on device; an ACL of this size may not fit the file system: name a"
                " group instead of many people"
            ),
        ),
        (errno.EROFS, "cannot change {path}: Read-only file system"),
    ],
)  # fmt: skip
def test_refusals_of_the_file_system_are_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, message: str
) -> None:
    def refuse(*_args: object) -> None:
        raise OSError(number, os.strerror(number))

    path = tmp_path / "x"
    path.mkdir()
    monkeypatch.setattr(os, "setxattr", refuse)
    assert do({"path": path, **PROJECT}).failures == {str(path): message.format(path=path)}


def test_while_it_changes_hands_nobody_gets_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new group must not get what the ACL granted the old one, not even for a moment."""
    path = tmp_path / "x"
    do({"path": path, **PROJECT})
    seen = []
    real = os.fchown

    def look(descriptor: int, uid: int, gid: int) -> None:
        real(descriptor, uid, gid)
        seen.append(os.fstat(descriptor).st_mode & 0o777)

    monkeypatch.setattr(os, "fchown", look)
    assert do({"path": path, "group": "vision", "mode": "2750"}).failures == {}
    assert seen == [0o700]


def test_killed_at_any_moment_the_next_run_completes_it(srv: Path) -> None:
    entries = [{"path": srv / f"{number:03}", **PROJECT} for number in range(150)]
    chance = random.Random(7)
    killed = 0
    for _ in range(12):
        child = os.fork()
        if child == 0:
            do(*entries)
            os._exit(0)
        time.sleep(chance.uniform(0, 0.02))
        os.kill(child, signal.SIGKILL)
        killed += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0
        for path in srv.iterdir():
            assert not as_user(4242, [], lambda path=path: list(path.iterdir())), f"{path} was left open"
        if killed >= 3 and chance.random() < 0.5:
            break
        for path in srv.iterdir():
            path.rmdir()
    assert killed, "the module was never killed while it worked"
    done = do(*entries)
    assert done.failures == {}
    assert {shown(path)[:3] for path in srv.iterdir()} == {(0, 11001, 0o2770)}
    assert len(list(srv.iterdir())) == len(entries)


def test_a_thousand_people_take_a_moment(tmp_path: Path) -> None:
    entries = [{"path": tmp_path / "s", "mode": "0711"}]
    entries += [
        {"path": tmp_path / f"s/{n}", "mode": "0700", "owner": str(n), "person": str(n)} for n in range(5000, 6000)
    ]
    entries += [{"path": tmp_path / f"p{n}", **PROJECT} for n in range(200)]
    start = time.monotonic()
    assert do(*entries).failures == {}
    made = time.monotonic()
    assert not do(*entries).plan.changed
    again = time.monotonic()
    assert made - start < 2
    assert again - made < 0.5
