# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs about organizations against the fake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.services.gitea.organizations import Wanted
from ansible.module_utils.lyceum.services.gitea.organizations_run import run

from .fake import FakeGitea, session_with
from .test_organizations import PARAMS

RETINA: dict[str, Any] = {
    "name": "retina",
    "owner": "amartin",
    "write": ["bchen"],
    "read": ["dlopez"],
    "repositories": [{"name": "analysis"}],
}
ENDED = {"name": "retina", "state": "archived"}


class Site:
    def __init__(self, folder: Path) -> None:
        self.fake = FakeGitea()
        self.folder = folder
        for name in ("amartin", "bchen", "dlopez"):
            self.fake.user(name)

    def run(self, *organizations: dict[str, Any], check: bool = False, **params: Any) -> dict[str, Any]:
        self.fake.calls.clear()
        wanted = Wanted.from_params({**PARAMS, **params, "organizations": list(organizations)})
        with session_with(self.fake, self.folder) as session:
            return run(wanted, session, check=check, with_diff=True)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_check_apply_check_apply(site: Site) -> None:
    before = site.fake.snapshot()
    checked = site.run(RETINA, check=True)
    assert site.fake.snapshot() == before
    applied = site.run(RETINA)
    assert checked == applied
    assert applied["lyceum"]["results"]["bchen"]["actions"] == ["bchen: into team write of retina"]
    assert "lyceum-bot" not in applied["lyceum"]["results"]
    assert "lyceum-bot: out of team Owners of retina\n" in applied["diff"][0]["before"]
    assert site.fake.members("retina", "Owners") == ["amartin"]
    for again in (site.run(RETINA, check=True), site.run(RETINA)):
        assert (again["changed"], again["actions"], again["lyceum"]["unchanged"]) == (
            False,
            [],
            ["amartin", "bchen", "dlopez"],
        )
    assert not [call for call in site.fake.calls if not call.startswith("GET ")]


def test_only_the_one_that_is_asked_about(site: Site) -> None:
    site.run(RETINA)
    site.fake.org("stray", "amartin")
    assert site.run(RETINA, only="bchen")["lyceum"]["unmanaged"] == []
    assert "GET /admin/orgs" not in site.fake.calls
    assert site.run(RETINA)["lyceum"]["unmanaged"] == ["stray"]


def test_the_end_and_the_return(site: Site) -> None:
    site.run(RETINA)
    site.fake.repo("retina", "notes")
    site.fake.repo("retina", "old", archived=True)
    site.run(ENDED)
    assert all(repo["archived"] for repo in site.fake.repos)
    assert [site.fake.members("retina", team) for team in ("Owners", "write", "read")] == [["lyceum-bot"], [], []]
    assert site.run(ENDED)["changed"] is False
    site.run(RETINA)
    assert {repo["name"]: repo["archived"] for repo in site.fake.repos} == {
        "analysis": False,
        "notes": False,
        "old": True,
    }
    assert site.run(RETINA)["changed"] is False
    site.fake.repos[1]["archived"] = True  # by hand, after the return: that stays
    assert site.run(RETINA)["changed"] is False


def test_a_member_without_account_fails_alone(site: Site) -> None:
    result = site.run({**RETINA, "write": ["nobody", "bchen"]})
    assert result["lyceum"]["results"]["nobody"]["error"].endswith("nobody has no account in this Gitea")
    assert site.fake.members("retina", "write") == ["bchen"]


class Killed(BaseException):
    pass


STORY: list[tuple[dict[str, Any], ...]] = [
    (RETINA,),
    (
        {
            **RETINA,
            "owner": "bchen",
            "write": [],
            "description": "Eyes",
            "repositories": [{"name": "analysis"}, {"name": "b", "archived": True}],
        },
    ),
    (ENDED,),
    (RETINA,),
]


def test_killed_after_or_before_any_call_the_next_run_ends_the_same(tmp_path: Path) -> None:
    straight, calls = Site(tmp_path / "straight"), 0
    for wanted in STORY:
        assert "msg" not in straight.run(*wanted)
        calls += len([call for call in straight.fake.calls if not call.startswith("GET ")])
    for late in (True, False):
        for victim in range(calls):
            site, seen = Site(tmp_path / f"{late}-{victim}"), iter(range(calls))

            def strike(method: str, path: str, seen: Any = seen, victim: int = victim) -> None:
                if method != "GET" and next(seen, None) == victim:
                    raise Killed

            if late:
                site.fake.after = strike
            else:
                site.fake.fault = strike
            for wanted in STORY:
                try:
                    site.run(*wanted)
                except Killed:
                    assert "msg" not in site.run(*wanted), (late, victim)
                assert site.run(*wanted)["actions"] == [], (late, victim)
            assert picture(site) == picture(straight), (late, victim)


def picture(site: Site) -> tuple[Any, ...]:
    fake = site.fake
    teams = sorted((team["of"], team["name"], sorted(team["members"])) for team in fake.teams.values())
    repos = sorted((repo["of"], repo["name"], repo["archived"], sorted(repo["rules"])) for repo in fake.repos)
    return [(org["name"], org["description"]) for org in fake.orgs.values()], teams, repos
