# SPDX-License-Identifier: GPL-3.0-or-later
"""The outcome of a run as the module's return value: plain data, the same keys in check mode."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from .apply import Outcome
from .model import Spec


def module_result(spec: Spec, outcome: Outcome, *, with_diff: bool) -> dict[str, Any]:
    """changed, actions, inside (counts by path), lyceum (results by person); diff: one entry per path, if wanted."""
    plan = outcome.plan
    result: dict[str, Any] = {
        "changed": plan.changed,
        "actions": plan.actions(),
        "changed_paths": [*plan.changes, *plan.stale],
        "inside": {path: asdict(counts) for path, counts in sorted(outcome.inside.items())},
        "lyceum": _by_person(spec, outcome),
    }
    if outcome.failures:
        some = list(outcome.failures.values())[:5]
        more = f"; and {len(outcome.failures) - 5} more" if len(outcome.failures) > 5 else ""
        result["msg"] = f"{len(outcome.failures)} of {_total(spec)} paths failed: {'; '.join(some)}{more}"
        result["failed"] = True
    if with_diff:
        result["diff"] = [_diff(path, change.before, change.after) for path, change in plan.changes.items()]
        result["diff"] += [_diff(path, [f"-> {target}"], []) for path, target in plan.stale.items()]
    return result


def _total(spec: Spec) -> int:
    return len(spec.wanted) + len(spec.nameless)


def _diff(path: str, before: list[str], after: list[str]) -> dict[str, str]:
    return {
        "before_header": path,
        "after_header": path,
        "before": "".join(f"{line}\n" for line in before),
        "after": "".join(f"{line}\n" for line in after),
    }


def _by_person(spec: Spec, outcome: Outcome) -> dict[str, Any]:
    results: dict[str, dict[str, Any]] = {}
    unchanged: dict[str, None] = {}
    todo = outcome.plan.actions_by_path()
    for path, person in spec.people.items():
        actions, error = todo.get(path, []), outcome.failures.get(path)
        if not actions and error is None:
            unchanged[person] = None
            continue
        one = results.setdefault(person, {"result": "changed", "actions": [], "error": None})
        one["actions"] += [f"{path}: {action}" for action in actions]
        if error is not None:
            one["result"] = "failed"
            one["error"] = f"{one['error']}; {error}" if one["error"] else error
        elif path in outcome.plan.changes and one["result"] == "changed":
            one["result"] = outcome.plan.changes[path].result
    return {
        "kind": "directories",
        "results": results,
        "unchanged": [person for person in unchanged if person not in results],
        "unmanaged": outcome.plan.unmanaged,
        # What belongs to nobody in particular has no row in the table of people.
        "conflicts": [error for path, error in outcome.failures.items() if path not in spec.people],
    }
