# SPDX-License-Identifier: GPL-3.0-or-later
"""The outcome of a run as the module's return value: plain data, the same keys in check mode."""

from __future__ import annotations

from typing import Any

from .apply import Outcome


def module_result(outcome: Outcome, *, with_diff: bool) -> dict[str, Any]:
    """changed, actions, lyceum (results by person), archives, reports; diff: one entry per person, if wanted."""
    plan = outcome.plan
    results = {
        name: {
            "result": "failed" if name in outcome.failures else one.result,
            "actions": one.actions,
            "error": outcome.failures.get(name),
        }
        for name, one in plan.people.items()
    }
    for name in outcome.failures.keys() - plan.people.keys():
        results[name] = {"result": "failed", "actions": [], "error": outcome.failures[name]}
    result: dict[str, Any] = {
        "changed": plan.changed,
        "actions": plan.actions(),
        "reports": outcome.reports,
        "lyceum": {
            "kind": "accounts",
            "results": results,
            "unchanged": plan.unchanged,
            "unmanaged": plan.unmanaged,
            "conflicts": [],
        },
    }
    if outcome.archives:
        result["archives"] = outcome.archives
    if outcome.failures:
        why = "; ".join(f"{name}: {error}" for name, error in sorted(outcome.failures.items())[:5])
        more = "; ..." if len(outcome.failures) > 5 else ""
        result["msg"] = f"{len(outcome.failures)} of {len(results)} people failed: {why}{more}"
    if with_diff:
        result["diff"] = [
            {
                "before_header": name,
                "after_header": name,
                "before": "".join(f"{line}\n" for line in one.before),
                "after": "".join(f"{line}\n" for line in one.after),
            }
            for name, one in plan.people.items()
        ]
        if plan.groups:
            # What goes away reads as removed, the rest as added.
            gone = [line for line in plan.groups if line.startswith("remove ") or ": remove " in line]
            come = [line for line in plan.groups if line not in gone]
            result["diff"].append(
                {
                    "before_header": "groups",
                    "after_header": "groups",
                    "before": "".join(f"{line}\n" for line in gone),
                    "after": "".join(f"{line}\n" for line in come),
                }
            )
    return result
