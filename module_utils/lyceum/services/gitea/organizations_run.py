# SPDX-License-Identifier: GPL-3.0-or-later
"""One run about organizations: read, plan, carry out, read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..engine import preview
from ..engine import run as carry_out
from .client import Gitea, gather_by
from .connection import Session
from .guard import Guard
from .organizations import ARCHIVED, OWNERS, READ, SLOT, WRITE, Project, Wanted
from .organizations_plan import Place, Plan, plan
from .organizations_steps import steps
from .state import Organization

KIND = "gitea_organizations"
NO_GUARD = Guard(10**9, 100)


def run(wanted: Wanted, session: Session, *, check: bool, with_diff: bool) -> dict[str, Any]:
    """The module's result. LyceumError when nothing could be planned."""
    archived = _archived(session.journal.remembered())
    todo = _look(wanted, session, archived)
    todo_steps = steps(todo, session.writer)
    members = {name for project in wanted.projects for name in (project.owner, *project.write, *project.read) if name}
    members = members & {wanted.only} if wanted.only else members
    if check:
        outcome = preview(todo_steps)
    else:
        session.journal.remember(
            {(SLOT + project, ARCHIVED + name): True for project, names in todo.archives.items() for name in names}
        )

        def read_back() -> set[tuple[str, str]]:
            changed = [project for project in wanted.projects if project.name in todo.ops]
            again = replace(wanted, projects=changed, complete=False, guard=NO_GUARD)
            ops = _look(again, session, archived).ops
            return {(op.person, op.key) for each in ops.values() for op in each}

        outcome = carry_out(
            todo_steps,
            session.policy,
            session.journal,
            scope=members | {""},
            ready=session.writer.healthy,
            read_back=read_back,
            secrets=session.secrets,
        )
        unfinished = {item.step.track for item in outcome.having("failed", "deferred", "skipped", "undone")}
        for project in wanted.projects:
            if (
                project.state == "present"
                and archived.get(project.name)
                and f"organization {project.name}" not in unfinished
            ):
                session.journal.forget(SLOT + project.name)
    result = outcome.result(KIND, members, unmanaged=todo.unmanaged)
    result["lyceum"]["not_enforced"] = todo.notes
    result["server"] = session.server
    if with_diff:
        result["diff"] = [_diff(name, [op.sentence for op in ops]) for name, ops in todo.ops.items()]
    return result


def _diff(name: str, sentences: list[str]) -> dict[str, str]:
    """What goes away reads as removed, the rest as added."""
    gone = [text for text in sentences if text.startswith("delete ") or ": out of team " in text]
    come = [text for text in sentences if text not in gone]
    return {
        "before_header": name,
        "after_header": name,
        "before": "".join(f"{text}\n" for text in gone),
        "after": "".join(f"{text}\n" for text in come),
    }


def _archived(stored: Mapping[str, Mapping[str, Any]]) -> dict[str, set[str]]:
    return {
        slot[len(SLOT) :]: {key[len(ARCHIVED) :] for key in entries if key.startswith(ARCHIVED)}
        for slot, entries in stored.items()
        if slot.startswith(SLOT)
    }


def _look(wanted: Wanted, session: Session, archived: Mapping[str, set[str]]) -> Plan:
    client = session.reader
    if wanted.complete:
        found = {each.name.lower(): each for each in client.organizations()}
    else:
        some = gather_by((project.name for project in wanted.projects), client.organization)
        found = {each.name.lower(): each for each in some.values() if each is not None}
    there = {project.name.lower(): project for project in wanted.projects if project.name.lower() in found}
    places = gather_by(there, lambda name: observe(client, there[name], found[name]))
    return plan(wanted, places, [each.name for each in found.values()], session.bot.name, archived)


def observe(client: Gitea, project: Project, organization: Organization) -> Place:
    """All that the plan needs of one organization: its teams, who is in ours, its repositories and their rules."""
    name = organization.name
    place = Place(organization)
    place.teams = {team.name: team for team in client.teams(name)}
    ours = {team: place.teams[team].id for team in (OWNERS, WRITE, READ) if team in place.teams}
    place.members = {team: client.members(number) for team, number in ours.items()}
    place.repositories = client.repositories(name)
    for wanted in project.repositories if project.state == "present" else ():
        repository = place.repository(wanted.name)
        if repository is None:
            continue
        if wanted.protected and not repository.mirror and not wanted.archived:
            rules = client.protections(name, repository.name)
            place.rules[repository.name] = {rule["rule_name"]: bool(rule.get("enable_force_push")) for rule in rules}
        if repository.default_branch != wanted.default_branch and not repository.empty:
            place.branches[repository.name] = client.branches(name, repository.name)
    return place
