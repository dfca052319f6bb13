# SPDX-License-Identifier: GPL-3.0-or-later
"""Last logins from every source, from files as the system writes them."""

from __future__ import annotations

import datetime
import json
import os
import sqlite3
import struct
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.accounts import activity
from ansible.module_utils.lyceum.accounts.activity import last_logins, survey_accounts
from ansible.module_utils.lyceum.errors import CommandError, LyceumError
from hypothesis import given, settings
from hypothesis import strategies as st

from .conftest import Host

MOMENT = 1_795_000_000


def lastlog(path: Path, logins: dict[int, int]) -> None:
    """Sparse, as login(1) leaves it: 292 bytes per uid (bits/utmp.h on x86)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as handle:
        for uid, moment in logins.items():
            handle.seek(uid * 292)
            handle.write(struct.pack("<i32s256s", moment, b"pts/0", b"laptop.example.org"))


def utmp_record(kind: int, user: bytes, moment: int) -> bytes:
    """384 bytes: type, pid, line, id, user, host, exit status, session, time, address."""
    head = struct.pack("<hhi32s4s32s256s", kind, 0, 4711, b"pts/0", b"ts/0", user, b"laptop.example.org")
    return head + struct.pack("<hhiii16s20s", 0, 0, 1, moment, 5, b"", b"")


def write(host: Host, name: str, content: bytes) -> None:
    path = host.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@pytest.mark.parametrize(
    "logins",
    [
        {},
        {0: MOMENT},
        {2001: MOMENT},
        {0: 1, 1: 2, 13: 3, 14: 4, 2001: MOMENT, 2002: MOMENT + 1},
        {2001: MOMENT, 59999: MOMENT - 1, 1_000_000: MOMENT - 2},
        {2001: 0, 2002: MOMENT},
        {number: MOMENT + number for number in range(300)},
    ],
)
def test_lastlog_with_holes(host: Host, logins: dict[int, int]) -> None:
    lastlog(host.root / "var/log/lastlog", logins)
    found, sources = last_logins(host.root)
    assert found == {uid: moment for uid, moment in logins.items() if moment}
    assert sources == ["/var/log/lastlog"]


@settings(max_examples=25, deadline=None)
@given(logins=st.dictionaries(st.integers(0, 3000), st.integers(1, 2**31 - 1), max_size=8))
def test_lastlog_of_any_uids(tmp_path_factory: pytest.TempPathFactory, logins: dict[int, int]) -> None:
    path = tmp_path_factory.mktemp("log") / "lastlog"
    lastlog(path, logins)
    assert dict(activity._lastlog(path)) == logins


def test_wtmp_takes_the_newest_login_and_ignores_the_rest(host: Host) -> None:
    write(
        host,
        "var/log/wtmp",
        utmp_record(2, b"reboot", MOMENT + 9)
        + utmp_record(7, b"amartin", MOMENT)
        + utmp_record(8, b"", MOMENT + 5)
        + utmp_record(7, b"amartin", MOMENT + 3)
        + utmp_record(7, b"amartin", MOMENT + 1)
        + utmp_record(7, b"x" * 32, MOMENT)
        + utmp_record(7, b"half", MOMENT)[:100],
    )
    assert last_logins(host.root) == ({"amartin": MOMENT + 3, "x" * 32: MOMENT}, ["/var/log/wtmp"])


def lastlog2(path: Path, rows: list[tuple[str, int]]) -> None:
    path.parent.mkdir(parents=True)
    connection = sqlite3.connect(path)
    connection.execute(
        "CREATE TABLE Lastlog2(Name TEXT PRIMARY KEY, Time INTEGER, TTY TEXT, RemoteHost TEXT, Service TEXT)"
    )
    connection.executemany("INSERT INTO Lastlog2 VALUES(?, ?, 'pts/0', 'laptop', 'sshd')", rows)
    connection.commit()
    connection.close()


def test_lastlog2(host: Host) -> None:
    lastlog2(host.root / "var/lib/lastlog/lastlog2.db", [("amartin", MOMENT), ("bchen", 5)])
    assert last_logins(host.root) == ({"amartin": MOMENT, "bchen": 5}, ["/var/lib/lastlog/lastlog2.db"])


@pytest.mark.parametrize("content", [b"no database at all", b""])
def test_a_damaged_lastlog2_is_named(host: Host, content: bytes) -> None:
    write(host, "var/lib/lastlog/lastlog2.db", content)
    with pytest.raises(LyceumError, match=r"cannot read .*lastlog2\.db: "):
        last_logins(host.root)


def test_a_lastlog2_that_cannot_be_opened_is_named(host: Host) -> None:
    (host.root / "var/lib/lastlog/lastlog2.db").mkdir(parents=True)
    with pytest.raises(LyceumError, match=r"cannot read .*lastlog2\.db: (unable to open database file|disk I/O error)"):
        last_logins(host.root)


def fake_journalctl(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "journalctl").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "journalctl").chmod(0o700)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_the_journal_knows_sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [
        {"USER_ID": "amartin", "__REALTIME_TIMESTAMP": f"{MOMENT}999999", "__CURSOR": "s=1"},
        {"USER_ID": "bchen", "__REALTIME_TIMESTAMP": f"{MOMENT + 1}000000", "__CURSOR": "s=2"},
    ]
    (tmp_path / "out").write_text("".join(f"{json.dumps(entry)}\n" for entry in entries))
    fake_journalctl(tmp_path, f'echo "$@" > {tmp_path}/args; cat {tmp_path}/out', monkeypatch)
    assert list(activity._journal()) == [("amartin", MOMENT), ("bchen", MOMENT + 1)]
    arguments = (tmp_path / "args").read_text().split()
    assert f"MESSAGE_ID={activity.LOGIND_NEW_SESSION}" in arguments
    assert {"--quiet", "--no-pager", "--output=json"} <= set(arguments)


def test_a_failing_journal_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_journalctl(tmp_path, "echo 'No journal files were opened' >&2; exit 1", monkeypatch)
    with pytest.raises(CommandError, match="journalctl exited with 1: No journal files were opened"):
        list(activity._journal())


def test_no_source_at_all(host: Host) -> None:
    assert last_logins(host.root) == ({}, [])


def account(host: Host, **keys: Any) -> dict[str, Any]:
    (found,), _sources = survey_accounts(host.root, [], [(2001, 2999)], usage=keys.get("usage", True))
    return found


def test_an_account_in_full(host: Host) -> None:
    host.append("passwd", "amartin:x:2001:2001:\u00c5. Martin:/home/amartin/:/bin/bash")
    host.append("shadow", "amartin:!$y$x:20778:0:99999:7::21793:")
    host.append("group", "vision:x:10001:zoe,amartin", "nlp:x:10002:amartin")
    lastlog(host.root / "var/log/lastlog", {2001: MOMENT})
    write(host, "var/log/wtmp", utmp_record(7, b"amartin", MOMENT + 60))
    home = host.root / "home/amartin"
    (home / "deep").mkdir(parents=True)
    for name, age in {"old": 1000, "deep/new": 10}.items():
        (home / name).write_bytes(b"x" * 5000)
        os.utime(home / name, (MOMENT, MOMENT - age))
    (home / "link").symlink_to("/")
    found = account(host)
    assert found.pop("home_bytes") == sum(
        path.lstat().st_blocks * 512 for path in [home, *(home / name for name in ("old", "deep", "deep/new", "link"))]
    )
    assert found == {
        "name": "amartin",
        "uid": 2001,
        "gid": 2001,
        "gecos": "Å. Martin",
        "home": "/home/amartin",
        "shell": "/bin/bash",
        "groups": ["nlp", "vision"],
        "locked": True,
        "expires": "2029-08-31",
        "last_login": stamp(MOMENT + 60),
        "home_changed": stamp(MOMENT - 10),
        "home_error": None,
    }


def stamp(moment: int) -> str:
    return datetime.datetime.fromtimestamp(moment, tz=datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(
    ("home", "shadow", "expected"),
    [
        ("/home/none", "amartin:*:::::::", {"home_bytes": None, "locked": False, "expires": None, "last_login": None}),
        ("/", "amartin:$y$:::::::", {"home_bytes": None, "home_changed": None, "locked": False}),
        ("", None, {"home_bytes": None, "locked": True, "expires": None}),
        ("relative", "amartin:!:::::::99999999:", {"home_bytes": None, "expires": None}),
        ("/home", "amartin:*::::::99999999:", {"expires": None, "home_changed": None, "home_error": None}),
    ],
)
def test_accounts_with_something_missing(host: Host, home: str, shadow: str | None, expected: dict[str, Any]) -> None:
    host.append("passwd", f"amartin:x:2001:2001::{home}:/bin/bash")
    if shadow:
        host.append("shadow", shadow)
    found = account(host)
    assert {key: found[key] for key in expected} == expected


def test_a_home_that_cannot_be_measured_is_no_reason_to_tell_nothing(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.append("passwd", "amartin:x:2001:2001::/home/amartin:/bin/bash")

    def fail(_top: Path) -> Any:
        raise LyceumError("cannot read x: File name too long")

    monkeypatch.setattr(activity, "walk", fail)
    found = account(host)
    assert (found["home_bytes"], found["home_error"]) == (None, "cannot read x: File name too long")
    assert account(host, usage=False)["home_error"] is None


def test_names_and_ranges_select(host: Host) -> None:
    host.append("passwd", "b:x:2002:1:::", "a:x:2001:1:::", "c:x:3000:1:::")
    accounts, _sources = survey_accounts(host.root, ["www-data", "nobody"], [(2001, 2002)], usage=False)
    assert [one["name"] for one in accounts] == ["a", "b", "www-data"]
