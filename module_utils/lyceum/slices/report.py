# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run did, as the module returns it."""

from __future__ import annotations

from typing import Any

from .apply import Outcome
from .dropin import UNITS, path_of
from .hierarchy import Hierarchy


def module_result(outcome: Outcome, *, with_diff: bool) -> dict[str, Any]:
    """The module's result; it has `failed` and `msg` when something did not come true."""
    todo = outcome.plan
    result: dict[str, Any] = {
        "changed": todo.changed,
        "actions": todo.actions(),
        "lyceum": {
            "kind": "slices",
            "results": _results(outcome),
            "unchanged": [name for name in todo.unchanged if name not in _drifted(outcome)],
            "unmanaged": [],
            "conflicts": todo.conflicts,
        },
        "pending": [f"{name}: {why}" for name, why in sorted(todo.pending.items())],
        "layout": layout(outcome.observed.hierarchy),
        "not_effective": not_effective(outcome),
    }
    if outcome.failures:
        result["failed"] = True
        result["msg"] = "; ".join(f"{name}: {why}" for name, why in sorted(outcome.failures.items()))
    if with_diff:
        result["diff"] = [
            {
                "before_header": str(path_of(change.slice_name, UNITS)),
                "after_header": str(path_of(change.slice_name, UNITS)),
                "before": change.before,
                "after": change.content or "",
            }
            for change in todo.changes.values()
        ]
    return result


def layout(hierarchy: Hierarchy | None) -> str:
    return "none" if hierarchy is None else hierarchy.layout


def not_effective(outcome: Outcome) -> list[str]:
    """Limits that are asked for and that this host cannot enforce, one sentence each."""
    if outcome.observed.hierarchy is None:
        return ["nothing: systemd has no control groups here"]
    asked = {name for values in outcome.plan.asked for name, value in values.items() if value is not None}
    return [f"{name}: {why}" for name, why in outcome.observed.obstacles.items() if name in asked]


def _drifted(outcome: Outcome) -> set[str]:
    return {outcome.plan.names.get(uid, "") for uid in outcome.plan.drift}


def _results(outcome: Outcome) -> dict[str, dict[str, Any]]:
    """By person. What belongs to nobody in particular (defaults, root) is in `actions` only, unless it failed."""
    found: dict[str, dict[str, Any]] = {}
    todo = outcome.plan
    for change in todo.changes.values():
        if change.person:
            found[change.person] = {"result": change.result, "actions": change.actions, "error": None}
    for uid, sentences in todo.drift.items():
        found[todo.names.get(uid, f"uid {uid}")] = {"result": "changed", "actions": sentences, "error": None}
    for name, why in outcome.failures.items():
        found.setdefault(name, {"actions": []}).update(result="failed", error=why)
    return found
