# SPDX-License-Identifier: GPL-3.0-or-later
"""One run about imports: begin those that are missing, look how far the others are. Can be called again and again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..engine import preview
from ..engine import run as carry_out
from ..errors import Ambiguous, NotFound, Permanent, Transient
from ..steps import Step
from .client import Gitea, gather_by
from .connection import Session
from .migrations import FINISHED, SLOT, STARTED, Import, Verdict, judge, same_address
from .state import Repository

KIND = "gitea_migrations"
POLL_S = 2.0
Verdicts = dict[str, Verdict]


@dataclass(frozen=True)
class Times:
    """wait_s: how long one call waits for imports to end. stalled_s: after how long an empty repository is given up.

    now, sleep: replaced in tests.
    """

    wait_s: float = 60.0
    stalled_s: float = 24 * 3600.0
    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


def run(wanted: Sequence[Import], session: Session, times: Times, *, check: bool, with_diff: bool) -> dict[str, Any]:
    """The module's result. What still runs is in `running`; that is no failure."""
    verdicts = _look(wanted, session, times)
    foreign = {one.place: verdicts[one.place].why for one in wanted if verdicts[one.place].status == "foreign"}
    steps = [step for one in wanted for step in _steps(one, verdicts[one.place], session, times)]
    if check:
        outcome = preview(steps)
    else:
        outcome = carry_out(
            steps,
            session.policy,
            session.journal,
            scope={one.person for one in wanted},
            ready=session.writer.healthy,
            secrets=(*session.secrets, *(secret for one in wanted for secret in one.secrets)),
        )
        verdicts = _wait(wanted, session, times, verdicts)
    # A step that failed says why better than what is (not) there.
    told = {item.step.track for item in outcome.having("failed", "deferred")}
    lost = {
        one.place: f"the import of {one.place} ended without a repository; look at Gitea's log"
        for one in wanted
        if not check and verdicts[one.place].status == "missing" and _lane(one) not in told
    }
    result = outcome.result(KIND, {one.person for one in wanted if one.person})
    problems = [*foreign.values(), *lost.values()]
    if problems:
        result["msg"] = "; ".join(filter(None, [result.get("msg"), *problems]))
    result["lyceum"]["conflicts"] = list(foreign.values())
    result["running"] = [one.place for one in wanted if verdicts[one.place].status == "running"]
    result["migrations"] = [{"name": one.place, "status": verdicts[one.place].status} for one in wanted]
    result["server"] = session.server
    if with_diff:
        result["diff"] = [
            {"before_header": KIND, "after_header": KIND, "before": "", "after": f"{step.sentence}\n"} for step in steps
        ]
    return result


def _look(wanted: Sequence[Import], session: Session, times: Times) -> Verdicts:
    owned = gather_by((one.owner for one in wanted), lambda owner: _owned(session.reader, owner))
    stored = session.journal.remembered()
    verdicts = {}
    for one in wanted:
        there = next((each for each in owned[one.owner] if each.name.lower() == one.name.lower()), None)
        memory: Mapping[str, Any] = stored.get(SLOT + one.place, {})
        verdicts[one.place] = judge(one, there, memory, times.now(), times.stalled_s)
    return verdicts


def _owned(client: Gitea, owner: str) -> list[Repository]:
    try:
        return client.repositories(owner)
    except NotFound:
        return []  # the step that imports says it better


def _wait(wanted: Sequence[Import], session: Session, times: Times, before: Verdicts) -> Verdicts:
    """Look until everything has ended or it has been long enough, and remember what has ended."""
    deadline = times.now() + times.wait_s
    verdicts = _look(wanted, session, times)
    while any(one.status == "running" for one in verdicts.values()) and times.now() < deadline:
        times.sleep(POLL_S)
        verdicts = _look(wanted, session, times)
    return verdicts


def _lane(one: Import) -> str:
    return SLOT + one.place


def _steps(one: Import, verdict: Verdict, session: Session, times: Times) -> list[Step]:
    steps = []
    if verdict.status == "stalled":
        steps.append(_remove(one, session.writer))
    if verdict.status in ("missing", "stalled"):
        steps.append(_begin(one, session, times, after=tuple(step.key for step in steps)))
    if verdict.edit:
        steps.append(_edit(one, session.writer, verdict.edit))
    return steps


def _begin(one: Import, session: Session, times: Times, after: tuple[str, ...]) -> Step:
    client, journal, slot = session.writer, session.journal, SLOT + one.place

    def send() -> str | None:
        journal.remember({(slot, STARTED): times.now()})
        journal.forget(slot, [FINISHED])
        try:
            made = client.migrate(one.body(), read_s=times.wait_s)
        except Ambiguous:
            # Nobody answers before everything is there. The server goes on; whether it does is looked at afterwards.
            return None
        except (Permanent, Transient):
            # Gitea leaves an empty repository behind, which would be taken for an import that is under way.
            _tidy(one, client)
            journal.forget(slot)
            raise
        journal.remember({(slot, FINISHED): True})  # also of a repository that is empty elsewhere, too
        return str(made.id)

    word = "mirror" if one.mirror else "import"
    return Step(
        person=one.person,
        key=f"import {one.place}",
        sentence=f"{word} {one.url} as {one.place}",
        send=send,
        confirm=lambda: client.repository(one.owner, one.name) is not None,
        after=after,
        creates=True,
        lane=_lane(one),
        secrets=one.secrets,
    )


def _tidy(one: Import, client: Gitea) -> None:
    """Remove what an import that failed has left. It had not been there before, and is empty."""
    for rest in _owned(client, one.owner):
        if rest.name.lower() == one.name.lower() and rest.empty and same_address(rest.original_url, one.url):
            client.delete_repository(one.owner, one.name)


def _remove(one: Import, client: Gitea) -> Step:
    """Only what is empty is judged stalled, so nothing is lost."""
    return Step(
        person=one.person,
        key=f"remove rest of {one.place}",
        sentence=f"remove the empty rest of an interrupted import of {one.place}",
        send=lambda: client.delete_repository(one.owner, one.name),
        confirm=lambda: client.repository(one.owner, one.name) is None,
        lane=_lane(one),
    )


def _edit(one: Import, client: Gitea, values: Mapping[str, Any]) -> Step:
    def send() -> None:
        client.edit_repository(one.owner, one.name, values)

    words = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in values.items()).replace(
        "private False", "public"
    )
    return Step(
        person=one.person,
        key=f"edit {one.place}",
        sentence=f"{one.place}: {words}",
        send=send,
        confirm=lambda: None,
        repeatable=True,
        lane=_lane(one),
    )
