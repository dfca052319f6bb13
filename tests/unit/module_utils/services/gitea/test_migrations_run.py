# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs about imports against the fake: begun once, however long they take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.services.gitea.migrations import imports_from_params
from ansible.module_utils.lyceum.services.gitea.migrations_run import Times, run

from .fake import FakeGitea, session_with

HOUR = 3600.0


class Site:
    """A Gitea, a journal and a clock."""

    def __init__(self, folder: Path) -> None:
        self.fake = FakeGitea()
        self.folder = folder
        self.time = 1_000_000.0

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def run(self, kind: str, check: bool = False, wait: float = 10, **values: Any) -> dict[str, Any]:
        self.fake.calls.clear()
        entry = {"owner": "lyceum-bot", "name": "code", "url": f"https://git.example.com/{kind}", **values}
        times = Times(wait, 24 * HOUR, lambda: self.time, self.sleep)
        with session_with(self.fake, self.folder) as session:
            return run(imports_from_params([entry]), session, times, check=check, with_diff=True)

    def begun(self) -> int:
        return self.fake.calls.count("POST /repos/migrate")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_check_apply_check_apply(site: Site) -> None:
    checked = site.run("code", check=True)
    assert site.fake.repos == []
    applied = site.run("code", person="amartin")
    assert checked["actions"] == applied["actions"] == ["import https://git.example.com/code as lyceum-bot/code"]
    assert checked["diff"] == applied["diff"]
    assert applied["migrations"] == [{"name": "lyceum-bot/code", "status": "done"}]
    assert applied["lyceum"]["results"]["amartin"]["result"] == "changed"
    for again in (site.run("code", check=True), site.run("code")):
        assert (again["changed"], again["actions"], again["running"]) == (False, [], [])
    assert site.begun() == 0


def test_migrate_is_synchronous_the_server_goes_on_when_nobody_waits(site: Site) -> None:
    first = site.run("slow")
    assert (first["changed"], first["running"], "msg" in first) == (True, ["lyceum-bot/code"], False)
    second = site.run("slow")
    assert (second["changed"], second["running"], site.begun()) == (False, ["lyceum-bot/code"], 0)
    assert site.time >= 1_000_000.0 + 20  # as long as it was told to wait
    site.fake.repos[0]["empty"] = False
    assert site.run("slow")["running"] == []


def test_an_import_that_was_interrupted_is_begun_again(site: Site) -> None:
    site.run("slow")
    site.time += 25 * HOUR
    result = site.run("slow")
    assert result["actions"] == [
        "remove the empty rest of an interrupted import of lyceum-bot/code",
        "import https://git.example.com/slow as lyceum-bot/code",
    ]
    assert len(site.fake.repos) == 1


def test_what_is_empty_elsewhere_is_done(site: Site) -> None:
    site.run("empty")
    site.time += 100 * HOUR
    assert site.run("empty")["changed"] is False


def test_422_leaves_an_empty_repository_that_is_removed_and_shows_no_token(site: Site) -> None:
    result = site.run("broken", service="github", token="gh-t0ken-1")  # noqa: S106 - of a fake
    assert "422 Authentication failed: <secret>" in result["msg"]
    assert "gh-t0ken-1" not in str(result)
    assert site.fake.repos == []
    journal = b"".join(path.read_bytes() for path in site.folder.rglob("*") if path.is_file())
    assert b"gh-t0ken-1" not in journal
    assert "msg" not in site.run("code")  # the address was corrected


def test_something_else_is_left_alone(site: Site) -> None:
    site.fake.repo("lyceum-bot", "code", original_url="")
    result = site.run("code")
    assert result["msg"] == "lyceum-bot/code is there already and does not come from that address"
    assert result["lyceum"]["conflicts"] == [result["msg"]]
    assert site.begun() == 0


def test_a_failure_never_removes_what_was_there(site: Site) -> None:
    site.fake.repo("lyceum-bot", "code", original_url="https://git.example.com/broken")
    assert site.run("broken")["changed"] is False
    assert len(site.fake.repos) == 1


def test_an_answer_that_never_came_and_nothing_is_there(site: Site) -> None:
    site.fake.fault = lambda method, path: (504, "") if path == "/repos/migrate" else None
    assert site.run("code")["msg"] == ("the import of lyceum-bot/code ended without a repository; look at Gitea's log")


def test_mirrors_are_corrected(site: Site) -> None:
    site.run("code", mirror=True)
    edited = site.run("code", mirror=True, mirror_interval="10m", private=False)
    assert edited["actions"] == ["lyceum-bot/code: public, mirror interval 10m"]
    assert site.run("code", mirror=True, mirror_interval="10m", private=False)["changed"] is False


class Killed(BaseException):
    pass


@pytest.mark.parametrize("late", [True, False])
def test_killed_at_the_call_the_next_run_imports_once(site: Site, late: bool) -> None:
    strikes = iter([True])

    def strike(method: str, path: str) -> None:
        if path == "/repos/migrate" and next(strikes, False):
            raise Killed

    if late:
        site.fake.after = strike
    else:
        site.fake.fault = strike
    with pytest.raises(Killed):
        site.run("code")
    assert "msg" not in site.run("code")
    assert len(site.fake.repos) == 1
    assert site.run("code")["actions"] == []
