# SPDX-License-Identifier: GPL-3.0-or-later
"""plan(wanted, observed, ...) -> Plan, for organizations. Pure: no call is made here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from .organizations import OWNERS, READ, WRITE, Project, Wanted, WantedRepository, units_of
from .state import Organization, Repository, Team


@dataclass
class Place:
    """One organization as it is. members: by team name. rules: protected branches by repository name, each with
    whether it may be rewritten. branches: of repositories whose default branch is to change."""

    organization: Organization
    teams: dict[str, Team] = field(default_factory=dict)
    members: dict[str, list[str]] = field(default_factory=dict)
    repositories: list[Repository] = field(default_factory=list)
    rules: dict[str, dict[str, bool]] = field(default_factory=dict)
    branches: dict[str, list[str]] = field(default_factory=dict)

    def repository(self, name: str) -> Repository | None:
        return next((each for each in self.repositories if each.name.lower() == name.lower()), None)


@dataclass(frozen=True)
class Op:
    """One call. person: whose row in the run's table it belongs to; empty for the organization itself."""

    kind: str
    key: str
    sentence: str
    data: Mapping[str, Any] = field(default_factory=dict)
    person: str = ""
    after: tuple[str, ...] = ()


@dataclass
class Plan:
    """ops: by organization. archives: repositories that are archived with their project, to be remembered."""

    ops: dict[str, list[Op]] = field(default_factory=dict)
    archives: dict[str, list[str]] = field(default_factory=dict)
    unmanaged: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def plan(
    wanted: Wanted, places: Mapping[str, Place], others: Collection[str], bot: str, archived: Mapping[str, set[str]]
) -> Plan:
    """Compare. places: organizations that exist, by name in lower case. others: names of all that exist.

    archived: repositories that were archived with their project, by organization. RefusedError from the guard.
    """
    result = Plan()
    shrinking = []
    for project in wanted.projects:
        place = places.get(project.name.lower())
        if project.state == "present":
            ops = _present(project, place, bot, wanted.only, archived.get(project.name, set()), result)
        elif place is not None:
            ops = _ended(project, place, bot, result, purge=project.name in wanted.purge)
            if any(op.kind in ("archive", "delete_organization", "delete_repository") for op in ops):
                shrinking.append(project.name)
        else:
            ops = []
        if ops:
            result.ops[project.name] = ops
    wanted.guard.check(shrinking, len(places), "organizations")
    if wanted.complete:
        listed = {project.name.lower() for project in wanted.projects} | {name.lower() for name in wanted.protected}
        result.unmanaged += sorted(name for name in others if name.lower() not in listed)
    return result


def _present(project: Project, place: Place | None, bot: str, only: str, archived: set[str], result: Plan) -> list[Op]:
    ops = []
    key = f"organization {project.name}"
    body: dict[str, Any] = {"description": project.description, "visibility": project.visibility}
    if project.full_name is not None:
        body["full_name"] = project.full_name
    if place is None:
        ops.append(Op("create_organization", key, f"create organization {project.name} ({project.visibility})", body))
        after: tuple[str, ...] = (key,)
    else:
        ops += _edit_organization(project.name, place.organization, body)
        after = ()
    ops += _teams(project, place, bot, only, after)
    for repository in project.repositories:
        ops += _repository(project.name, repository, place, after, result)
    if place is not None:
        listed = {repository.name.lower() for repository in project.repositories}
        extra = [each for each in place.repositories if each.name.lower() not in listed]
        ops += [
            _archive(project.name, each, archive=False) for each in extra if each.archived and each.name in archived
        ]
        result.unmanaged += [f"{project.name}/{each.name}" for each in extra]
        result.unmanaged += [f"team {project.name}/{name}" for name in place.teams if name not in (OWNERS, WRITE, READ)]
    return ops


def _edit_organization(name: str, now: Organization, body: Mapping[str, Any]) -> list[Op]:
    differing = {field: value for field, value in body.items() if getattr(now, field) != value}
    if not differing:
        return []
    words = "; ".join(
        f"{field.replace('_', ' ')}: {getattr(now, field) or 'none'} -> {value or 'none'}"
        for field, value in differing.items()
    )
    return [Op("edit_organization", f"organization {name}", f"{name}: {words}", differing)]


def _teams(project: Project, place: Place | None, bot: str, only: str, after: tuple[str, ...]) -> list[Op]:
    ops: list[Op] = []
    for team, names in project.teams(bot).items():
        key = f"team {project.name}/{team}"
        there = place.teams.get(team) if place else None
        made = after
        if team != OWNERS and there is None:
            ops.append(Op("create_team", key, f"{project.name}: create team {team}", {"team": team}, after=after))
            made = (key,)
        elif team != OWNERS and there is not None and place is not None and not _team_is_right(there, place):
            ops.append(Op("edit_team", key, f"{project.name}: set the rights of team {team}", {"team": team}))
        # A new organization belongs to the bot that made it.
        now = place.members.get(team, []) if place else [bot] if team == OWNERS else []
        members = _members(project.name, team, names, now, made, bot)
        ops += _of(only, bot, members) if only else members
    return ops


def _team_is_right(team: Team, place: Place) -> bool:
    """By its units: what Gitea calls the permission of the team is "none" for teams with units."""
    # What the server has switched off is missing with the owners, too.
    available = dict(place.teams[OWNERS].units) if OWNERS in place.teams else units_of(team.name)
    wanted = {unit: right for unit, right in units_of(team.name).items() if unit in available}
    has = {unit: right for unit, right in team.units if unit in wanted and right != "none"}
    return has == wanted and team.all_repositories and team.creates_repositories == (team.name == WRITE)


def _members(
    project: str, team: str, wanted: Collection[str], now: Collection[str], after: tuple[str, ...], bot: str
) -> list[Op]:
    """First those who come: the last owner cannot leave."""
    there = {name.lower(): name for name in now}
    listed = {name.lower() for name in wanted}
    come = [
        Op(
            "add_member",
            f"member {project}/{team}",
            f"{name}: into team {team} of {project}",
            {"team": team, "person": name},
            name if name != bot else "",
            after,
        )
        for name in wanted
        if name.lower() not in there
    ]
    needed = tuple(op.key for op in come) if team == OWNERS else after
    go = [
        Op(
            "remove_member",
            f"no member {project}/{team}",
            f"{name}: out of team {team} of {project}",
            {"team": team, "person": name},
            name if name != bot else "",
            needed,
        )
        for low, name in there.items()
        if low not in listed
    ]
    return [*come, *go]


def _of(only: str, bot: str, members: list[Op]) -> list[Op]:
    """Those about one person. The bot goes when the owner has come, and stays while that is up to another run."""
    kept = [op for op in members if op.data["person"] == only]
    waiting = any(op.kind == "add_member" and op not in kept for op in members)
    return kept + [op for op in members if op.data["person"] == bot and not (waiting and op.kind == "remove_member")]


def _repository(
    project: str, wanted: WantedRepository, place: Place | None, after: tuple[str, ...], result: Plan
) -> list[Op]:
    key = f"repository {project}/{wanted.name}"
    now = place.repository(wanted.name) if place else None
    if place is None or now is None:
        kind = "private" if wanted.private else "public"
        ops = [
            Op(
                "create_repository",
                key,
                f"create repository {project}/{wanted.name} ({kind})",
                _body(wanted),
                after=after,
            )
        ]
        if wanted.protected and not wanted.archived:
            ops.append(_protect(project, wanted, (key,), there=False))
        if wanted.archived:
            archive = {"name": wanted.name, "archived": True}
            ops.append(
                Op(
                    "archive",
                    f"archive {project}/{wanted.name}",
                    f"archive repository {project}/{wanted.name}",
                    archive,
                )
            )
        return ops
    ops = []
    body = {field: value for field, value in _body(wanted).items() if field != "name" and getattr(now, field) != value}
    where = f"{project}/{wanted.name}"
    if "private" in body and now.fork:
        body.pop("private")
        result.notes.append(f"{where} is a fork and as private as what it was forked from")
    if "default_branch" in body and not now.empty and wanted.default_branch not in place.branches.get(now.name, []):
        body.pop("default_branch")
        result.notes.append(f"{where} has no branch {wanted.default_branch} that could be its default")
    if now.archived and not wanted.archived:
        ops.append(_archive(project, now, archive=False))
    if body:
        words = "; ".join(
            f"{field.replace('_', ' ')}: {_show(getattr(now, field))} -> {_show(value)}"
            for field, value in body.items()
        )
        ops.append(Op("edit_repository", key, f"{where}: {words}", {"name": now.name, **body}))
    branch = body.get("default_branch", now.default_branch)
    rules = place.rules.get(now.name, {})
    # Nobody can push to a mirror or to an archived repository, and Gitea takes no rules for the latter.
    if wanted.protected and not now.mirror and not wanted.archived and rules.get(branch) is not False:
        ops.append(_protect(project, WantedRepository(now.name, default_branch=branch), (), there=branch in rules))
    if wanted.archived and not now.archived:
        if now.mirror:
            result.notes.append(f"{where} is a mirror and cannot be archived")
        else:
            ops.append(_archive(project, now, archive=True))
    return ops


def _body(wanted: WantedRepository) -> dict[str, Any]:
    return {
        "name": wanted.name,
        "description": wanted.description,
        "private": wanted.private,
        "default_branch": wanted.default_branch,
    }


def _protect(project: str, wanted: WantedRepository, after: tuple[str, ...], *, there: bool) -> Op:
    return Op(
        "edit_protection" if there else "protect",
        f"protect {project}/{wanted.name}",
        f"protect branch {wanted.default_branch} of {project}/{wanted.name} from being rewritten or deleted",
        {"name": wanted.name, "branch": wanted.default_branch},
        after=after,
    )


def _archive(project: str, now: Repository, *, archive: bool) -> Op:
    word = "archive" if archive else "unarchive"
    return Op(
        "archive",
        f"{word} {project}/{now.name}",
        f"{word} repository {project}/{now.name}",
        {"name": now.name, "archived": archive},
    )


def _ended(project: Project, place: Place, bot: str, result: Plan, *, purge: bool) -> list[Op]:
    """Nobody gets in, nothing can be changed, nothing is lost; an absent one without repositories goes."""
    ops: list[Op] = []
    for team, names in project.teams(bot).items():
        if team in place.teams:
            ops += _members(project.name, team, names, place.members.get(team, []), (), bot)
    result.unmanaged += [f"team {project.name}/{name}" for name in place.teams if name not in (OWNERS, WRITE, READ)]
    if project.state == "absent" and (purge or not place.repositories):
        removals = [
            Op("delete_repository", f"delete {where}", f"delete repository {where}", {"name": where.partition("/")[2]})
            for where in (f"{project.name}/{each.name}" for each in place.repositories)
        ]
        after = tuple(op.key for op in removals)
        return [
            *ops,
            *removals,
            Op("delete_organization", "delete", f"delete organization {project.name}", after=after),
        ]
    ops += _edit_organization(project.name, place.organization, {"visibility": "private"})
    closing = [each for each in place.repositories if not each.archived and not each.mirror]
    ops += [_archive(project.name, each, archive=True) for each in closing]
    result.notes += [
        f"{project.name}/{each.name} is a mirror and cannot be archived; it goes on being updated"
        for each in place.repositories
        if each.mirror
    ]
    result.archives[project.name] = [each.name for each in closing]
    return ops


def _show(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) or "none"
