# SPDX-License-Identifier: GPL-3.0-or-later
"""A run over quotas as the result of a module."""

from __future__ import annotations

from typing import Any

from .apply import Outcome
from .observe import rows
from .plan import shortfall


def module_result(outcome: Outcome, *, with_diff: bool, with_usage: bool) -> dict[str, Any]:
    """The keys are the same in check mode. `failed` and `msg` are there if anything failed."""
    todo = outcome.plan
    failures = {
        str(target): outcome.failures[target.key] for target in outcome.targets if target.key in outcome.failures
    }
    result: dict[str, Any] = {
        "changed": todo.changed,
        "actions": [
            *todo.graces.values(),
            *([f"{outcome.spec.projid}: names of projects"] if todo.projid is not None else []),
            *(f"{change.target}: {action}" for change in todo.changes.values() for action in change.actions),
        ],
        "lyceum": {
            "kind": "quotas",
            "results": _people(outcome),
            "unchanged": sorted(
                {target.person for target in outcome.targets if target.person} - _people(outcome).keys()
            ),
            "unmanaged": todo.unmanaged,
            "conflicts": [],
            "not_enforced": [shortfall(short) for short in todo.not_enforced],
        },
        "not_enforced": todo.not_enforced,
        "quotas": rows(outcome.targets, outcome.after) if with_usage else [],
        "left_out": [*todo.waiting, *outcome.uncounted],
    }
    if failures or outcome.general:
        result["failed"] = True
        result["msg"] = "; ".join([*outcome.general, *(f"{name}: {why}" for name, why in sorted(failures.items()))])
    if with_diff:
        result["diff"] = [
            {
                "before_header": str(change.target),
                "after_header": str(change.target),
                "before": "".join(f"{line}\n" for line in change.before),
                "after": "".join(f"{line}\n" for line in change.after),
            }
            for change in todo.changes.values()
        ]
        if todo.projid is not None:
            projid = outcome.spec.projid
            result["diff"].append(
                {
                    "before_header": projid,
                    "after_header": projid,
                    "before": outcome.before.projid,
                    "after": todo.projid,
                }
            )
    return result


def _people(outcome: Outcome) -> dict[str, dict[str, Any]]:
    """Results by person, over all their quotas."""
    found: dict[str, dict[str, Any]] = {}
    for target in outcome.targets:
        change, failure = outcome.plan.changes.get(target.key), outcome.failures.get(target.key)
        if target.person is None or (change is None and failure is None):
            continue
        person = found.setdefault(target.person, {"result": "changed", "actions": [], "error": None})
        person["actions"] += [
            f"{target.name} on {target.mount}: {action}" for action in (change.actions if change else [])
        ]
        if failure:
            person["result"] = "failed"
            person["error"] = f"{person['error']}; {failure}" if person["error"] else failure
    return found
