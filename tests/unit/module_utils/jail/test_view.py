# SPDX-License-Identifier: GPL-3.0-or-later
"""The view of an sftp login: what is mounted where, and that the login is refused when it cannot be made."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
import syslog
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.jail import places, policy, view

READ_ONLY = view.MS_REMOUNT | view.MS_BIND | view.HARMLESS | view.MS_RDONLY


@pytest.fixture
def mounts(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str | None, str, int]]:
    """What would have been mounted, in order."""
    done: list[tuple[str | None, str, int]] = []
    monkeypatch.setattr(view, "_mount", lambda *words: done.append(words))
    return done


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty file system of the login's own, as pam_namespace makes it."""
    (tmp_path / "root").mkdir()
    monkeypatch.setattr(places, "_others_write", lambda folder: False)
    monkeypatch.setattr(os.path, "ismount", lambda path: path == str(tmp_path / "root"))
    return str(tmp_path / "root")


def person(tmp_path: Path) -> policy.Person:
    for name in ("home/ksato", "srv/.gid/11001"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "srv/retina").symlink_to(".gid/11001")
    return policy.Person(2010, "sftp", f"{tmp_path}/home/ksato", [], [f"{tmp_path}/srv/retina"])


def test_home_and_projects_are_bound_and_the_rest_is_read_only(
    tmp_path: Path, root: str, mounts: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "SYSTEM", frozenset({"etc"}))
    monkeypatch.setattr(view, "JOURNAL", str(tmp_path / "none"))
    view.build(root, person(tmp_path))
    home, project = f"{tmp_path}/home/ksato", f"{tmp_path}/srv/.gid/11001"
    assert mounts == [
        (home, root + home, view.MS_BIND),
        (None, root + home, view.MS_REMOUNT | view.MS_BIND | view.HARMLESS),
        (project, root + project, view.MS_BIND),
        (None, root + project, READ_ONLY),
        (None, root, READ_ONLY),
    ]
    assert Path(f"{root}{tmp_path}/srv/retina").readlink() == Path(project)
    assert Path(f"{root}{tmp_path}/home").stat().st_mode & 0o777 == 0o755


def test_the_journal_is_reached_from_inside(
    tmp_path: Path, root: str, mounts: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "SYSTEM", frozenset({"etc"}))
    (tmp_path / "journal").touch()
    monkeypatch.setattr(view, "JOURNAL", str(tmp_path / "journal"))
    view.build(root, person(tmp_path))
    assert (str(tmp_path / "journal"), f"{root}/dev/log", view.MS_BIND) in mounts
    assert Path(root, "dev/log").is_file()


def test_the_host_s_own_directory_is_never_filled(tmp_path: Path, mounts: list[Any]) -> None:
    with pytest.raises(LyceumError, match="is not an empty file system of this login's own"):
        view.build(str(tmp_path), policy.Person(2010, "sftp", str(tmp_path), [], []))
    assert mounts == []


def test_a_used_file_system_is_not_filled(root: str, mounts: list[Any]) -> None:
    Path(root, "rest").touch()
    with pytest.raises(LyceumError, match="is not an empty file system of this login's own"):
        view.build(root, policy.Person(2010, "sftp", root, [], []))
    assert mounts == []


class KilledError(Exception):
    """Stands for the signal that pam_namespace takes notice of."""


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was written to the journal before the process ended itself."""
    words: list[str] = []

    def kill(pid: int, number: int) -> None:
        assert (pid, number) == (os.getpid(), signal.SIGTERM)
        raise KilledError

    monkeypatch.setattr(os, "kill", kill)
    monkeypatch.setattr(signal, "signal", lambda number, action: None)
    monkeypatch.setattr(syslog, "syslog", lambda level, text: words.append(text))
    return words


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["view"], "not started by pam_namespace for /run/lyceum/sftp"),
        (["view", "/tmp", "tmpfs", "1", "root"], "not started by pam_namespace for /run/lyceum/sftp"),  # noqa: S108
        (["view", view.ROOT, "tmpfs", "1", "no such person"], "no such person"),
        (["view", view.ROOT, "tmpfs", "1", "root"], "cannot read /etc/lyceum/sshd_jail.d/root.json"),
    ],
)
def test_whoever_has_no_view_is_refused_by_a_signal(logged: list[str], arguments: list[str], message: str) -> None:
    with pytest.raises(KilledError):
        view.main(arguments)
    assert len(logged) == 1
    assert logged[0].startswith("sftp login refused, there is nothing to show: ")
    assert message in logged[0]


def test_another_profile_has_no_view(logged: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "load_person", lambda name, uid: policy.Person(0, "jail", "/home/root", [], []))
    with pytest.raises(KilledError):
        view.main(["view", view.ROOT, "tmpfs", "1", "root"])
    assert logged[0].endswith("the profile of root is jail")


def test_a_view_ends_well(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Any] = []
    monkeypatch.setattr(policy, "load_person", lambda name, uid: policy.Person(uid, "sftp", "/home/root", [], []))
    monkeypatch.setattr(view, "build", lambda root, one: built.append((root, one.uid)))
    assert view.main(["view", view.ROOT, "tmpfs", "1", pwd.getpwuid(0).pw_name, "1", "1"]) == 0
    assert built == [("/run/lyceum/sftp", 0)]


def test_the_signal_is_a_real_one() -> None:
    """What pam_namespace sees of a failure: a process that ended by a signal."""
    code = "from ansible.module_utils.lyceum.jail.view import main; main(['view'])"
    path = f"import sys, ansible.module_utils as m; m.__path__.append({str(Path(view.__file__).parents[2])!r}); "
    done = subprocess.run([sys.executable, "-c", path + code], check=False, stderr=subprocess.DEVNULL)
    assert done.returncode == -signal.SIGTERM


def test_mount_speaks_with_the_kernel(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"mounting .*/none: No such file or directory|Operation not permitted"):
        view._mount(str(tmp_path), str(tmp_path / "none"), view.MS_BIND)
