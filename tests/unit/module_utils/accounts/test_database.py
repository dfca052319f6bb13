# SPDX-License-Identifier: GPL-3.0-or-later
"""The account files as bytes, their lock, and the renames that outlive the process that asked for them."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible.module_utils.lyceum.accounts import database as module
from ansible.module_utils.lyceum.accounts.database import FIELDS, Database, Table, home_of, is_number, locked
from ansible.module_utils.lyceum.errors import LyceumError
from hypothesis import given, settings
from hypothesis import strategies as st

from .conftest import Host, needs_root

NAMES = st.text(alphabet="abz019_-+#. \xe9\x85\xb2", max_size=4)
FIELD = st.one_of(
    NAMES, st.integers(0, 70000).map(str), st.text(alphabet="x!*$,\x0b\x0c\x1c\x85\xa0\r\xff", max_size=6)
)
LINE = st.one_of(
    st.lists(FIELD, min_size=1, max_size=10).map(":".join),
    st.tuples(NAMES, st.lists(FIELD, min_size=6, max_size=6)).map(lambda parts: ":".join([parts[0], *parts[1]])),
)
KIND = st.sampled_from(sorted(FIELDS))


@settings(max_examples=80, deadline=None)
@given(KIND, st.lists(LINE, max_size=12), st.booleans())
def test_a_table_round_trips_every_byte(kind: str, lines: list[str], last_break: bool) -> None:
    content = "\n".join(lines) + ("\n" if last_break else "")
    table = Table(kind, content)
    assert not table.changed
    assert table.render() in (content, f"{content}\n")
    assert len(table.render()) - len(content) == (1 if content and not content.endswith("\n") else 0)


@settings(max_examples=60, deadline=None)
@given(KIND, st.lists(LINE, max_size=12))
def test_removing_drops_every_entry_of_a_name_and_nothing_else(kind: str, lines: list[str]) -> None:
    table = Table(kind, "".join(f"{line}\n" for line in lines))
    names = set(list(table.entries)[:2])
    expected = [line for line in table.lines if isinstance(line, str) or line[0] not in names]
    table.remove(names)
    assert table.lines == expected
    assert not names & set(table.entries)
    assert table.changed == bool(names)


@pytest.mark.parametrize(
    ("kind", "line", "is_entry", "is_damaged"),
    [
        ("passwd", "amartin:x:2001:2001::/home/amartin:/bin/bash", True, False),
        ("passwd", "amartin:x:2001:2001::/home/amartin", False, True),
        ("passwd", "amartin:x:20\xb2:2001::/home/amartin:/bin/bash", False, True),
        ("passwd", "amartin:x:-1:2001::/home/amartin:/bin/bash", False, True),
        ("passwd", "amartin:x:99999999999:2001::/home/amartin:/bin/bash", False, True),
        ("passwd", "+@nis:x:1:1:::", False, False),
        ("passwd", "-amartin:x:1:1:::", False, False),
        ("passwd", "#amartin:x:2001:2001::/home/amartin:/bin/bash", False, False),
        ("passwd", ":x:2001:2001::/home/amartin:/bin/bash", False, False),
        ("passwd", "", False, False),
        ("shadow", "amartin:*:::::::", True, False),
        ("shadow", "amartin:*::::::", False, True),
        ("group", "vision:x:10001:amartin,bchen", True, False),
        ("group", "vision:x::amartin", False, True),
        ("gshadow", "vision:!::", True, False),
        ("subuid", "amartin:524288:65536", True, False),
        ("subuid", "amartin:x:65536", False, True),
        ("subgid", "2001:524288:", False, True),
    ],
)
def test_entries_damaged_lines_and_the_rest(kind: str, line: str, is_entry: bool, is_damaged: bool) -> None:
    table = Table(kind, f"{line}\n")
    assert bool(table.entries) == is_entry
    assert bool(table.damaged) == is_damaged
    assert table.render() == f"{line}\n"


@pytest.mark.parametrize(
    ("field", "expected"),
    [("0", True), ("4294967295", True), ("", False), ("1 ", False), ("\u00b2", False), ("-1", False)],
)
def test_only_ascii_digits_are_numbers(field: str, expected: bool) -> None:
    assert is_number(field) is expected


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("/home/amartin/", "/home/amartin"),
        ("/", "/"),
        ("", "/"),
        ("/home/\xc3\xa9va", "/home/éva"),
        ("relative", "relative"),
    ],
)
def test_a_home_is_decoded_and_has_no_slash_at_the_end(field: str, expected: str) -> None:
    assert home_of(["name", "x", "1", "1", "", field, "/bin/sh"]) == expected


def test_missing_optional_files_are_empty_and_missing_required_ones_an_error(host: Host) -> None:
    for name in ("gshadow", "subuid", "subgid"):
        (host.root / "etc" / name).unlink()
    assert Database.load(host.root).missing == {"gshadow", "subuid", "subgid"}
    (host.root / "etc/shadow").unlink()
    with pytest.raises(LyceumError, match="etc/shadow does not exist: this host has no local account database"):
        Database.load(host.root)


def test_an_unreadable_file_is_one_sentence(host: Host) -> None:
    path = host.root / "etc/group"
    path.unlink()
    path.mkdir()
    with pytest.raises(LyceumError, match=r"cannot read .*/etc/group: Is a directory"):
        Database.load(host.root)


def changed_database(host: Host) -> Database:
    database = Database.load(host.root)
    database.passwd.add(["amartin", "x", "2001", "2001", "", "/home/amartin", "/bin/bash"])
    database.shadow.add(["amartin", "*", "20778", "0", "99999", "7", "", "", ""])
    return database


def etc(host: Host) -> dict[str, tuple[bytes, int, int]]:
    return {
        path.name: (path.read_bytes(), path.stat().st_mode, path.stat().st_gid)
        for path in (host.root / "etc").iterdir()
        if path.is_file()
    }


def test_commit_writes_changed_files_only_and_keeps_the_old_ones(host: Host) -> None:
    (host.root / "etc/shadow").chmod(0o640)
    before = etc(host)
    inode = (host.root / "etc/group").stat().st_ino
    assert changed_database(host).commit(host.root) == ["shadow", "passwd"]
    after = etc(host)
    assert stat.S_IMODE(after["shadow"][1]) == 0o640
    assert (after["passwd-"], after["shadow-"]) == (before["passwd"], before["shadow"])
    assert (host.root / "etc/group").stat().st_ino == inode
    assert sorted(after.keys() - before.keys()) == ["passwd-", "shadow-"]
    assert Database.load(host.root).commit(host.root) == []


@needs_root
def test_commit_keeps_the_owner(host: Host) -> None:
    os.chown(host.root / "etc/shadow", 0, 42)
    changed_database(host).commit(host.root)
    assert (host.root / "etc/shadow").stat().st_gid == 42


def test_commit_creates_subordinate_files_but_no_gshadow(host: Host) -> None:
    for name in ("gshadow", "subuid"):
        (host.root / "etc" / name).unlink()
    database = Database.load(host.root)
    database.gshadow.add(["vision", "!", "", ""])
    database.subuid.add(["amartin", "524288", "65536"])
    assert database.commit(host.root) == ["subuid"]
    assert stat.S_IMODE((host.root / "etc/subuid").stat().st_mode) == 0o644
    assert not (host.root / "etc/gshadow").exists()


@pytest.mark.parametrize("call", ["fsync", "fchmod"])
def test_a_failing_write_leaves_all_files_and_no_temporary_one(
    host: Host, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    before = etc(host)
    real = getattr(os, call)
    calls: list[int] = []

    def fail_at_the_second(*args: int) -> None:
        calls.append(args[0])
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        real(*args)

    monkeypatch.setattr(os, call, fail_at_the_second)
    with pytest.raises(LyceumError, match=r"cannot write .*/etc/passwd: No space left on device; nothing was changed"):
        changed_database(host).commit(host.root)
    assert etc(host) == before


def test_a_failing_rename_is_reported_by_the_child(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    database = changed_database(host)
    monkeypatch.setattr(module, "_keep_backup", lambda target: Path(target).rmdir())
    with pytest.raises(LyceumError, match=r"could not be replaced: .*/etc/shadow: Not a directory"):
        database.commit(host.root)


def test_a_child_that_ends_for_any_other_reason_is_no_success(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    database = changed_database(host)

    def end(_target: str) -> None:
        raise MemoryError

    monkeypatch.setattr(module, "_keep_backup", end)
    with pytest.raises(LyceumError, match="could not be replaced: unexpected end"):
        database.commit(host.root)


def test_renames_survive_the_killing_of_the_whole_process_group(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parent dies by SIGKILL between the first and the second rename: the second one happens all the same."""
    database = changed_database(host)
    real = os.rename

    def slow(source: str, target: str) -> None:
        real(source, target)
        if target.endswith("/shadow"):
            (host.root / "between").write_text("shadow is new, passwd is old")
            time.sleep(0.3)

    monkeypatch.setattr(os, "rename", slow)
    parent = os.fork()
    if parent == 0:
        try:
            os.setpgid(0, 0)
            with locked(host.root):
                database.commit(host.root)
        finally:
            os._exit(0)
    deadline = time.monotonic() + 5
    while not (host.root / "between").exists():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.killpg(parent, signal.SIGKILL)
    assert os.WIFSIGNALED(os.waitpid(parent, 0)[1])
    assert host.line("passwd", "amartin") is None
    # The child has inherited the lock: nobody else gets in before the last rename.
    with locked(host.root):
        assert host.line("passwd", "amartin") is not None
        assert host.line("shadow", "amartin") is not None


HOLD = """
import fcntl, sys, time
with open(sys.argv[1], "w") as handle:
    fcntl.lockf(handle, fcntl.LOCK_EX)
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def hold(host: Host) -> Iterator[Callable[[float], None]]:
    """Another program that takes the record lock of lckpwdf(3) for some seconds."""
    running = []

    def start(seconds: float) -> None:
        command = [sys.executable, "-c", HOLD, str(host.root / "etc/.pwd.lock"), str(seconds)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"

    yield start
    for process in running:
        process.kill()
        process.communicate()


def test_a_lock_held_elsewhere_is_a_clear_error(
    host: Host, hold: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOCK_SECONDS", 0.1)
    hold(30)
    with (
        pytest.raises(LyceumError, match=r"\.pwd\.lock is locked by another program for 0 s \(useradd, vipw"),
        locked(host.root),
    ):
        pytest.fail("entered")


def test_a_lock_is_waited_for(host: Host, hold: Callable[[float], None]) -> None:
    hold(0.3)
    started = time.monotonic()
    with locked(host.root):
        assert time.monotonic() - started > 0.1


def test_our_lock_keeps_record_locks_out_and_ends_with_the_block(host: Host) -> None:
    attempt = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'w'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    command = [sys.executable, "-c", attempt, str(host.root / "etc/.pwd.lock")]
    with locked(host.root):
        inside = subprocess.run(command, capture_output=True, text=True, check=False)
    outside = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "BlockingIOError" in inside.stderr
    assert outside.returncode == 0


def test_the_lock_is_not_inherited_by_programs(host: Host) -> None:
    with locked(host.root):
        child = subprocess.Popen(["sleep", "30"], close_fds=False)
    try:
        with (host.root / "etc/.pwd.lock").open("w") as handle:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        child.kill()
        child.wait()


def test_without_an_etc_the_lock_says_so(tmp_path: Path) -> None:
    with (
        pytest.raises(LyceumError, match=r"cannot open .*: No such file or directory; the module must run as root"),
        locked(tmp_path),
    ):
        pytest.fail("entered")
