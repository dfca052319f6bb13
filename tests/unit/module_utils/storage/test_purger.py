# SPDX-License-Identifier: GPL-3.0-or-later
"""A purge over days, in a directory whose owner may do what they like meanwhile, killed whenever it hurts most."""

from __future__ import annotations

import json
import os
import random
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.quota.trees import DIRECTORY
from ansible.module_utils.lyceum.storage import purger
from ansible.module_utils.lyceum.storage.purger import forget, purge_all, summary

from .conftest import Site, notice_of

DAY = 86400.0
CORE = Path(purger.__file__).resolve().parents[2]


@pytest.fixture
def own(site: Site) -> Path:
    """The scratch of amartin. Only the time of change counts, which a test can set."""
    site.settings["purge"] = {**site.settings["purge"], "age_by": ["changed"]}
    path = site.scratch / "amartin"
    path.mkdir()
    os.chown(path, 2001, 2001)
    return path


def put(path: Path, days: float, now: float, content: str = "data") -> Path:
    """A file that was last changed so many days before `now`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    os.utime(path, (now - days * DAY, now - days * DAY))
    return path


def run(site: Site, now: float, *, dry_run: bool = False) -> list[str]:
    problems: list[str] = []
    purge_all(site.write(), now, problems.append, dry_run=dry_run)
    return problems


def log() -> list[dict[str, Any]]:
    return [json.loads(line) for line in purger.LOG.read_text().splitlines()] if purger.LOG.exists() else []


def test_a_file_is_announced_and_goes_after_the_notice(
    site: Site, own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 1_800_000_000.0
    file = put(own / "data/old", 100, now)
    new = put(own / "data/new", 1, now)
    assert run(site, now) == []
    assert file.exists()
    text = notice_of(site, 2001, "purge")
    assert text is not None
    assert text.startswith(f"1 files (4 KiB) of {own} have not been used for long.")
    listed = site.base / "people/2001.purge"
    assert listed.read_text() == "2027-01-22 08:00       4 KiB  data/old\n"
    assert (stat.S_IMODE(listed.stat().st_mode), listed.stat().st_gid) == (0o640, 2001)
    for day in range(1, 7):
        assert run(site, now + day * DAY) == []
        assert file.exists()
    capsys.readouterr()
    assert run(site, now + 7 * DAY) == []
    assert (file.exists(), new.exists()) == (False, True)
    assert capsys.readouterr().out == "amartin: delete 'data/old', 4096 bytes, unused for 107 days\n"
    assert log() == [
        {
            "time": "2027-01-22T08:00:00Z",
            "person": "amartin",
            "uid": 2001,
            "path": "data/old",
            "bytes": 4096,
            "unused_days": 107.0,
            "announced": "2027-01-15T08:00:00Z",
            "result": "delete",
        }
    ]
    assert stat.S_IMODE(purger.LOG.stat().st_mode) == 0o600
    assert notice_of(site, 2001, "purge") == f"1 files (4 KiB) of {own}, announced before, were deleted.\n"
    run(site, now + 8 * DAY)
    assert (notice_of(site, 2001, "purge"), listed.exists()) == (None, False)
    assert summary(site.write().people.values(), now + 8 * DAY) == [
        {"person": "amartin", "files": 1, "bytes": 4096, "failed": 0, "announced": 0}
    ]
    assert summary([], now + 60 * DAY) == []


def test_dry_run_says_what_would_go_and_changes_nothing(
    site: Site, own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 1_800_000_000.0
    file = put(own / "old", 100, now)
    run(site, now)
    state = (purger.STATE / "2001.json").read_text()
    for day in range(1, 8):
        run(site, now + day * DAY, dry_run=True)
    assert (purger.STATE / "2001.json").read_text() == state
    # For want of runs that tell the person, nothing is due yet: notice is a matter of days seen, not of the calendar.
    assert capsys.readouterr().out == ""
    for day in range(1, 7):
        run(site, now + day * DAY)
    assert run(site, now + 7 * DAY, dry_run=True) == []
    assert capsys.readouterr().out == "amartin: would delete 'old', 4096 bytes, unused for 107 days\n"
    assert file.exists()
    assert log() == []


def days_of_runs(site: Site, now: float, days: int) -> list[str]:
    problems = []
    for day in range(days + 1):
        problems += run(site, now + day * DAY)
    return problems


def test_links_pipes_and_empty_directories_go_and_nothing_behind_a_link(site: Site, own: Path) -> None:
    now = time.time() + 200 * DAY  # everything made now is old by then
    target = put(site.folder / "target/file", 0, now)
    (own / "link").symlink_to(target.parent)
    (own / "empty/inner").mkdir(parents=True)
    os.mkfifo(own / "pipe")
    put(own / "full/old", 100, now)
    assert days_of_runs(site, now, 7) == []
    assert target.exists()
    # `full` and `empty` have changed by losing what was in them; the next round takes them.
    assert sorted(path.name for path in own.iterdir()) == ["empty", "full"]
    assert days_of_runs(site, now + 200 * DAY, 7) == []
    assert list(own.iterdir()) == []


def test_what_is_used_or_replaced_before_its_day_stays(site: Site, own: Path) -> None:
    now = 1_800_000_000.0
    touched, replaced, moved = (put(own / name, 100, now) for name in ("touched", "replaced", "moved"))
    days_of_runs(site, now, 6)
    os.utime(touched, (now, now + 6 * DAY))
    replaced.rename(own / "other")
    put(own / "replaced", 300, now)
    moved.rename(site.folder / "elsewhere")
    (site.folder / "elsewhere").rename(own / "moved")
    assert run(site, now + 7 * DAY) == []
    assert touched.exists()
    # Announced was another file of this name, so this one is announced now.
    assert (own / "replaced").read_text() == "data"
    assert (own / "other").exists()
    assert not moved.exists()  # the very same file, back again


def test_excluded_and_exempt_and_absent_people(site: Site, own: Path) -> None:
    now = 1_800_000_000.0
    put(own / "keep/old", 100, now)
    site.settings["purge"] = {**site.settings["purge"], "exclude": ["keep/*"]}
    days_of_runs(site, now, 8)
    assert (own / "keep/old").exists()
    put(own / "old", 100, now)
    days_of_runs(site, now, 6)
    for change in ("suspended", "absent"):
        site.people[0]["state"] = change
        run(site, now + 7 * DAY)
        assert (own / "old").exists()
        assert notice_of(site, 2001, "purge") is None
        assert not (purger.STATE / "2001.json").exists()
        assert not (site.base / "people/2001.purge").exists()
    site.people[0]["state"] = "present"
    site.settings["purge"] = {**site.settings["purge"], "exempt": ["amartin"]}
    days_of_runs(site, now, 8)
    assert (own / "old").exists()
    # Back again, and announced from the start.
    site.settings["purge"] = {**site.settings["purge"], "exempt": []}
    days_of_runs(site, now, 6)
    assert (own / "old").exists()
    site.settings["purge"] = {**site.settings["purge"], "after_days": 0}
    run(site, now + 7 * DAY)
    assert (own / "old").exists()
    assert notice_of(site, 2001, "purge") is None


@pytest.mark.parametrize("gap", [10, 3000])
def test_a_host_that_was_off_gives_the_notice_again(site: Site, own: Path, gap: int) -> None:
    now = 1_800_000_000.0
    file = put(own / "old", 100, now)
    run(site, now)
    run(site, now + gap * DAY)
    assert file.exists()
    days_of_runs(site, now + (gap + 1) * DAY, 5)
    assert not file.exists()


def test_who_could_not_be_told_loses_nothing(site: Site, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_800_000_000.0
    file = put(own / "old", 100, now)
    real = purger.post

    def refuse(*_words: Any, **_options: Any) -> bool:
        raise LyceumError("cannot keep the notice purge for amartin: disk full")

    monkeypatch.setattr(purger, "post", refuse)
    problems = days_of_runs(site, now, 20)
    assert problems.count("amartin: cannot keep the notice purge for amartin: disk full") == 21
    assert file.exists()
    monkeypatch.setattr(purger, "post", real)
    run(site, now + 21 * DAY)
    assert file.exists()


def test_announcements_that_cannot_be_read_were_never_made(site: Site, own: Path) -> None:
    now = 1_800_000_000.0
    file = put(own / "old", 100, now)
    run(site, now)
    for broken in ("{half", '{"announced": {"old": [1]}, "last": 0}', "[]"):
        (purger.STATE / "2001.json").write_text(broken)
        (problem,) = run(site, now + 30 * DAY)
        assert problem.startswith(f"{purger.STATE}/2001.json is not understood (")
        assert problem.endswith("; everything of amartin is announced anew")
        assert file.exists()


def test_a_scratch_that_others_could_replace_is_not_touched(site: Site, own: Path) -> None:
    now = 1_800_000_000.0
    put(own / "old", 100, now)
    site.scratch.chmod(0o777)
    assert run(site, now) == [
        f"amartin: {site.scratch} can be changed by others than root; nothing is deleted below it",
        f"bchen: {site.scratch} can be changed by others than root; nothing is deleted below it",
    ]
    site.scratch.chmod(0o755)
    os.chown(own, 2002, 2002)
    assert run(site, now) == [f"amartin: {own} is not the person's; nothing is deleted in it"]
    own.rename(site.folder / "aside")
    own.symlink_to(site.folder / "aside")
    assert run(site, now) == [f"amartin: [Errno 20] Not a directory: 'amartin'"]  # noqa: F541


def test_what_cannot_be_deleted_is_logged_and_stays_announced(
    site: Site, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_800_000_000.0
    put(own / "stuck", 100, now)
    put(own / "old", 100, now)
    days_of_runs(site, now, 6)
    real = os.unlink

    def refuse(name: Any, *, dir_fd: int | None = None) -> None:
        if name == "stuck":
            raise PermissionError(1, "Operation not permitted")
        real(name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", refuse)
    assert run(site, now + 7 * DAY) == []
    assert not (own / "old").exists()
    failed = [line for line in log() if line["result"] == "failed"]
    assert [(line["path"], line["error"]) for line in failed] == [("stuck", "Operation not permitted")]
    assert summary(site.write().people.values(), now + 7 * DAY) == [
        {"person": "amartin", "files": 1, "bytes": 4096, "failed": 1, "announced": 1}
    ]


def test_a_file_that_is_used_at_the_last_moment_stays(site: Site, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_800_000_000.0
    file = put(own / "old", 100, now)
    days_of_runs(site, now, 6)
    say = purger._Log._say

    def use(self: Any, result: str, *words: Any) -> None:
        say(self, result, *words)
        os.utime(file, (now, now + 7 * DAY))

    monkeypatch.setattr(purger._Log, "_say", use)
    assert run(site, now + 7 * DAY) == []
    assert file.exists()
    assert [line["result"] for line in log()] == ["delete", "failed"]


def test_forgetting_twice_is_no_failure(site: Site) -> None:
    person = site.write().people["amartin"]
    forget(person)
    forget(person)


PROGRAM = """
import sys
sys.path.insert(0, {core!r})
from pathlib import Path
from lyceum import notices
from lyceum.quota import filesystem
from lyceum.storage import purger
from lyceum.storage.settings import load
base = Path({base!r})
notices.NOTICES, notices.TERMINALS = base / "notices", ()
purger.STATE, purger.LISTS, purger.LOG = base / "purge", base / "people", base / "purge.log"
purger.purge_all(load(Path({etc!r})), float(sys.argv[1]), lambda why: sys.exit(why), dry_run=False)
"""


def test_killed_at_any_moment_nothing_goes_that_was_not_announced(site: Site, own: Path) -> None:
    """kill -9 over and over, with an owner who adds files all the time."""
    now = 1_800_000_000.0
    base = site.folder / "killed"
    (base / "people").mkdir(parents=True)
    site.write()
    program = PROGRAM.format(core=str(CORE), base=str(base), etc=str(site.etc))
    chance = random.Random(1)
    announced: dict[str, float] = {}
    number = killed = 0
    for day in range(40):
        for _ in range(60):
            put(own / f"d{number % 7}/f{number}", 100, now + day * DAY)
            number += 1
        for attempt in range(2):
            before = {path.name for path in own.rglob("f*")}
            child = subprocess.Popen(
                [sys.executable, "-c", program, str(now + day * DAY)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
            if attempt == 0:
                time.sleep(chance.uniform(0.05, 0.16))
                child.send_signal(signal.SIGKILL)
            _, words = child.communicate()
            killed += child.returncode == -signal.SIGKILL
            assert child.returncode in (0, -signal.SIGKILL), words.decode()
            gone = before - {path.name for path in own.rglob("f*")}
            for name in gone:
                assert name in announced, f"{name} went unannounced"
                assert day - announced[name] >= 7
            # Told is what stands in the list that the person reads, or in the state that the next run works with.
            state = base / "purge/2001.json"
            for path in json.loads(state.read_text())["announced"] if state.exists() else ():
                announced.setdefault(Path(path).name, day)
            logged = {Path(json.loads(line)["path"]).name for line in _whole_lines(base / "purge.log")}
            assert gone <= logged
    assert killed >= 5
    assert len(announced) > 1000
    assert len(list(own.rglob("f*"))) == 60 * 7


def _whole_lines(path: Path) -> list[str]:
    return path.read_text().split("\n")[:-1] if path.exists() else []


def test_an_owner_who_swaps_directories_for_links_loses_only_what_is_theirs(site: Site, own: Path) -> None:
    """The attack on a purge as root: while it deletes, a directory of old files becomes a link to somebody else's."""
    now = 1_800_000_000.0
    victim = site.scratch / "bchen"
    for number in range(200):
        put(own / f"d{number}/file", 100, now)
        put(victim / f"d{number}/file", 100, now)
    os.chown(victim, 2002, 2002)
    site.people[1]["state"] = "suspended"  # whose files may not be deleted by rights, either
    days_of_runs(site, now, 6)
    attacker = os.fork()
    if attacker == 0:
        while True:
            for number in range(200):
                try:
                    (own / f"d{number}").rename(own / f"x{number}")
                    (own / f"d{number}").symlink_to(victim / f"d{number}")
                    (own / f"d{number}").unlink()
                    (own / f"x{number}").rename(own / f"d{number}")
                except OSError:
                    pass  # the purge was quicker
    try:
        for _ in range(5):
            run(site, now + 7 * DAY)
    finally:
        os.kill(attacker, signal.SIGKILL)
        os.waitpid(attacker, 0)
    assert len(list(victim.rglob("file"))) == 200
    assert len(list(own.rglob("file"))) < 200  # the control: it did delete meanwhile


def test_the_directory_is_opened_as_it_is(site: Site, own: Path) -> None:
    policy = site.write()
    found = purger._open(policy.settings.scratch, policy.people["amartin"])
    assert found is not None
    assert os.fstat(found).st_ino == own.stat().st_ino
    os.close(found)
    assert purger._open(policy.settings.scratch, policy.people["bchen"]) is None
    assert DIRECTORY & os.O_NOFOLLOW
