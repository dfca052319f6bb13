# SPDX-License-Identifier: GPL-3.0-or-later
"""What is planned for an organization, from what was read."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import RefusedError
from ansible.module_utils.lyceum.services.gitea.organizations import Project, Wanted, WantedRepository, units_of
from ansible.module_utils.lyceum.services.gitea.organizations_plan import Place, Plan, plan
from ansible.module_utils.lyceum.services.gitea.state import Organization, Repository, Team

ANALYSIS = WantedRepository("analysis")
PROJECT = Project("retina", owner="amartin", write=("bchen",), read=("dlopez",), repositories=(ANALYSIS,))


def team(name: str, number: int, **values: Any) -> Team:
    # "none" is what Gitea calls the permission of every team with units.
    units = tuple(sorted(units_of(name).items()))
    return Team(
        number,
        name,
        **{
            "permission": "none",
            "all_repositories": True,
            "creates_repositories": name == "write",
            "units": units,
            **values,
        },
    )


def repository(name: str = "analysis", **values: Any) -> Repository:
    return Repository(50, "retina", name, default_branch="main", **values)


def place(**values: Any) -> Place:
    owners = Team(1, "Owners", "owner", True, True, tuple((unit, "owner") for unit in sorted(units_of("write"))))
    made: dict[str, Any] = {
        "organization": Organization(5, "retina", visibility="private"),
        "teams": {"Owners": owners, "write": team("write", 2), "read": team("read", 3)},
        "members": {"Owners": ["amartin"], "write": ["bchen"], "read": ["dlopez"]},
        "repositories": [repository()],
        "rules": {"analysis": {"main": False}},
    }
    return Place(**{**made, **values})


def look(project: Project, now: Place | None, **values: Any) -> Plan:
    archived = values.pop("archived", {})
    others = [*values.pop("others", []), *(["retina"] if now else [])]
    return plan(Wanted([project], **values), {"retina": now} if now else {}, others, "bot", archived)


def sentences(made: Plan) -> list[str]:
    return [op.sentence for ops in made.ops.values() for op in ops]


def test_a_new_project() -> None:
    made = look(PROJECT, None)
    assert sentences(made) == [
        "create organization retina (private)",
        "amartin: into team Owners of retina",
        "bot: out of team Owners of retina",
        "retina: create team write",
        "bchen: into team write of retina",
        "retina: create team read",
        "dlopez: into team read of retina",
        "create repository retina/analysis (private)",
        "protect branch main of retina/analysis from being rewritten or deleted",
    ]
    # The bot is nobody of the registry, and leaves only when somebody else owns it.
    leaving = made.ops["retina"][2]
    assert (leaving.person, leaving.after) == ("", ("member retina/Owners",))


def test_nothing_to_do() -> None:
    made = look(PROJECT, place())
    assert (made.ops, made.unmanaged, made.notes) == ({}, [], [])


def test_members_are_exactly_those() -> None:
    now = place(members={"Owners": ["gnovak"], "write": ["BChen", "stranger"], "read": []})
    assert sentences(look(PROJECT, now)) == [
        "amartin: into team Owners of retina",
        "gnovak: out of team Owners of retina",
        "stranger: out of team write of retina",
        "dlopez: into team read of retina",
    ]


def test_the_permission_of_a_team_says_nothing_its_units_do() -> None:
    weak = team("write", 2, permission="write", units=(("repo.code", "read"),))
    assert sentences(look(PROJECT, place(teams={**place().teams, "write": weak}))) == [
        "retina: set the rights of team write"
    ]


def test_a_unit_that_the_server_has_not_is_not_missed() -> None:
    def without(one: Team) -> Team:
        return Team(**{**one.__dict__, "units": tuple(unit for unit in one.units if unit[0] != "repo.packages")})

    teams = {name: without(one) for name, one in place().teams.items()}
    assert sentences(look(PROJECT, place(teams=teams))) == []


def test_a_repository_is_corrected() -> None:
    now = place(repositories=[repository(private=False, description="old", archived=True)], rules={})
    assert sentences(look(PROJECT, now)) == [
        "unarchive repository retina/analysis",
        "retina/analysis: description: old -> none; private: no -> yes",
        "protect branch main of retina/analysis from being rewritten or deleted",
    ]


def test_a_default_branch_that_is_not_there_is_told_not_set() -> None:
    """Gitea answers 200 and leaves it as it was."""
    wanted = Project(
        "retina",
        repositories=(WantedRepository("analysis", default_branch="trunk"),),
        owner="amartin",
        write=("bchen",),
        read=("dlopez",),
    )
    made = look(wanted, place())
    assert (sentences(made), made.notes) == ([], ["retina/analysis has no branch trunk that could be its default"])
    there = look(wanted, place(branches={"analysis": ["main", "trunk"]}))
    assert sentences(there)[0] == "retina/analysis: default branch: main -> trunk"
    assert "protect branch trunk" in sentences(there)[1]
    empty = look(wanted, place(repositories=[repository(empty=True)]))
    assert sentences(empty)[0] == "retina/analysis: default branch: main -> trunk"


def test_a_rule_that_allows_rewriting_is_corrected_a_stricter_one_stays() -> None:
    assert sentences(look(PROJECT, place(rules={"analysis": {"main": True}}))) == [
        "protect branch main of retina/analysis from being rewritten or deleted"
    ]


def test_mirrors_forks_and_archives_cannot_be_everything() -> None:
    archived = Project(
        "retina",
        owner="amartin",
        write=("bchen",),
        read=("dlopez",),
        repositories=(WantedRepository("analysis", archived=True),),
    )
    mirror = look(archived, place(repositories=[repository(mirror=True)]))
    assert (sentences(mirror), mirror.notes) == ([], ["retina/analysis is a mirror and cannot be archived"])
    fork = look(PROJECT, place(repositories=[repository(fork=True, private=False)]))
    assert (sentences(fork), fork.notes) == (
        [],
        ["retina/analysis is a fork and as private as what it was forked from"],
    )
    plain = look(archived, place(rules={}))
    assert sentences(plain) == ["archive repository retina/analysis"]  # Gitea takes no rules for an archived one


def test_the_end_of_a_project_shuts_it_and_keeps_it() -> None:
    now = place(repositories=[repository(), repository("notes"), repository("upstream", mirror=True)])
    made = look(Project("retina", state="archived"), now)
    assert sentences(made) == [
        "bot: into team Owners of retina",
        "amartin: out of team Owners of retina",
        "bchen: out of team write of retina",
        "dlopez: out of team read of retina",
        "archive repository retina/analysis",
        "archive repository retina/notes",
    ]
    assert made.archives == {"retina": ["analysis", "notes"]}
    assert made.notes == ["retina/upstream is a mirror and cannot be archived; it goes on being updated"]


def test_what_was_archived_with_the_project_is_opened_again() -> None:
    now = place(repositories=[repository(), repository("notes", archived=True), repository("old", archived=True)])
    made = look(PROJECT, now, archived={"retina": {"notes"}})
    assert sentences(made) == ["unarchive repository retina/notes"]
    assert made.unmanaged == ["retina/notes", "retina/old"]


def test_absent_is_deleted_when_it_is_empty_or_purged() -> None:
    gone = Project("retina", state="absent")
    empty = place(repositories=[], members={"Owners": ["bot"], "write": [], "read": []})
    assert sentences(look(gone, empty)) == ["delete organization retina"]
    full = place(members=empty.members)
    assert sentences(look(gone, full)) == ["archive repository retina/analysis"]
    assert sentences(look(gone, full, purge=frozenset({"retina"}))) == [
        "delete repository retina/analysis",
        "delete organization retina",
    ]
    assert look(gone, None).ops == {}


def test_the_organization_itself_is_edited() -> None:
    now = place(organization=Organization(5, "retina", visibility="public", description="x"))
    assert sentences(look(PROJECT, now)) == ["retina: description: x -> none; visibility: public -> private"]


def test_what_nobody_manages_is_told() -> None:
    teams = {**place().teams, "friends": Team(9, "friends")}
    made = look(PROJECT, place(teams=teams), others=["stray", "kept"], protected=frozenset({"kept"}))
    assert made.unmanaged == ["team retina/friends", "stray"]
    assert look(PROJECT, place(), others=["stray"], complete=False).unmanaged == []


def test_in_a_run_for_one_person_nobody_else_comes_or_goes() -> None:
    made = look(PROJECT, None, only="bchen")
    assert [op.sentence for op in made.ops["retina"] if "member" in op.kind] == ["bchen: into team write of retina"]
    # The bot stays until there is an owner.
    made = look(PROJECT, None, only="amartin")
    assert [op.sentence for op in made.ops["retina"] if "member" in op.kind] == [
        "amartin: into team Owners of retina",
        "bot: out of team Owners of retina",
    ]
    members = {"Owners": ["amartin"], "write": ["bchen", "dlopez"], "read": ["dlopez", "gnovak"]}
    assert sentences(look(PROJECT, place(members=members), only="dlopez")) == ["dlopez: out of team write of retina"]


def test_the_guard_counts_projects_that_end() -> None:
    projects = [Project(f"p{number}", state="archived") for number in range(5)]
    with pytest.raises(RefusedError, match="takes away 5 of 5 organizations"):
        plan(Wanted(projects), {one.name: place() for one in projects}, [], "bot", {})
