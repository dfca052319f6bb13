# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run did to roles and databases, as the module returns it."""

from __future__ import annotations

from typing import Any

from .apply import Outcome


def module_result(outcome: Outcome, *, with_diff: bool) -> dict[str, Any]:
    """The module's result; it has `failed` and `msg` when something did not come true."""
    todo = outcome.plan
    result: dict[str, Any] = {
        "changed": todo.changed,
        "actions": todo.actions(),
        "lyceum": {
            "kind": "databases",
            "results": _results(outcome),
            "unchanged": [name for name in todo.people if name not in todo.changes and name not in outcome.failures],
            "unmanaged": todo.unmanaged,
            "conflicts": todo.conflicts + _of_nobody(outcome),
        },
    }
    if outcome.failures:
        some = [f"{name}: {why}" for name, why in list(outcome.failures.items())[:5]]
        more = f"; and {len(outcome.failures) - 5} more" if len(outcome.failures) > 5 else ""
        result["failed"] = True
        result["msg"] = f"{'; '.join(some)}{more}"
    if with_diff:
        result["diff"] = [
            {
                "before_header": change.name,
                "after_header": change.name,
                "before": "".join(f"{line}\n" for line in change.before),
                "after": "".join(f"{line}\n" for line in change.after),
            }
            for change in todo.changes.values()
        ]
    return result


def _results(outcome: Outcome) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {
        change.name: {"result": change.result, "actions": change.actions, "error": None}
        for change in outcome.plan.changes.values()
        if change.person
    }
    for name, why in outcome.failures.items():
        if name in outcome.plan.people:
            found.setdefault(name, {"actions": []}).update(result="failed", error=why)
    return found


def _of_nobody(outcome: Outcome) -> list[str]:
    """What failed for a project or a service has no row in the table of people."""
    people = set(outcome.plan.people)
    return [f"{name}: {why}" for name, why in outcome.failures.items() if name not in people]
