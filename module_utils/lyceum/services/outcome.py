# SPDX-License-Identifier: GPL-3.0-or-later
"""What came of each step, and the same as a module returns it and the run's table and audit log show it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..results import RESULTS
from .steps import Step

SHOWN_FAILURES = 3


@dataclass
class StepOutcome:
    """status: planned | done | adopted (it was there already) | failed | deferred (not tried, or given up: next run) |
    skipped (a step before it failed) | undone. origin: created | adopted | changed. error: why, without secrets.
    undone: sentences of steps of an interrupted run that were undone because this one failed.
    """

    step: Step
    status: str = "planned"
    origin: str = ""
    error: str = ""
    undone: list[str] = field(default_factory=list)


@dataclass
class Outcome:
    """steps: in the order of the plan. stopped: why the service was left alone, if it was. run: number in the journal.

    check: this is what would happen.
    """

    steps: list[StepOutcome] = field(default_factory=list)
    stopped: str = ""
    run: int = 0
    check: bool = False

    def having(self, *statuses: str) -> list[StepOutcome]:
        return [item for item in self.steps if item.status in statuses]

    @property
    def changed(self) -> bool:
        """Whether anything is (would be) different; what was made and undone again counts, because it was done."""
        return bool(self.actions)

    @property
    def failures(self) -> list[str]:
        """One sentence for each step that failed, was deferred, or could not be undone."""
        return [f"{item.step.sentence}: {item.error}" for item in self.steps if _is_problem(item)]

    @property
    def actions(self) -> list[str]:
        return [text for item in self.steps for text in _actions(item, check=self.check)]

    def result(
        self,
        kind: str,
        people: Iterable[str] = (),
        *,
        unmanaged: Sequence[str] = (),
        conflicts: Sequence[str] = (),
        refused: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        """The keys `changed, actions, deferred, lyceum` of a module's result, and `msg` when something failed.

        people: everybody the plan is about: those without a result are unchanged. refused: person -> why the adapter
        planned nothing for them.
        """
        results: dict[str, dict[str, Any]] = {}
        for item in self.steps:
            if item.step.person:
                _add(results, item, check=self.check)
        for person, why in (refused or {}).items():
            entry = results.setdefault(person, {"result": "failed", "actions": [], "error": None})
            entry.update(result="failed", error="; ".join(filter(None, [entry["error"], why])))
        results = {name: entry for name, entry in results.items() if entry["result"] != "unchanged"}
        value: dict[str, Any] = {
            "changed": self.changed,
            "actions": self.actions,
            "deferred": sorted({item.step.person or item.step.track for item in self.having("deferred")}),
            "lyceum": {
                "kind": kind,
                "results": results,
                "unchanged": sorted({name for name in people if name not in results}),
                "unmanaged": list(unmanaged),
                "conflicts": list(conflicts),
            },
        }
        problems = [*self.failures, *(f"{person}: {why}" for person, why in (refused or {}).items())]
        if problems or self.stopped:
            value["msg"] = self._message(problems)
        return value

    def _message(self, problems: Sequence[str]) -> str:
        words = "; ".join(problems[:SHOWN_FAILURES])
        more = f"; and {len(problems) - SHOWN_FAILURES} more" if len(problems) > SHOWN_FAILURES else ""
        stopped = f"{self.stopped}; run it again to go on" if self.stopped else ""
        return ". ".join(filter(None, [stopped, words + more]))


def _is_problem(item: StepOutcome) -> bool:
    """What is skipped needs no words of its own: the step that it waits for has them."""
    return bool(item.error) and item.status != "skipped"


def _actions(item: StepOutcome, *, check: bool) -> list[str]:
    done = item.status in ("done", "undone") or (check and item.status == "planned")
    undone = [*([item.step.sentence] if item.status == "undone" else []), *item.undone]
    return [*([item.step.sentence] if done else []), *(f"undo: {sentence}" for sentence in undone)]


def _add(results: dict[str, dict[str, Any]], item: StepOutcome, *, check: bool) -> None:
    """Add one step to its person's result; the weightiest counts."""
    entry = results.setdefault(item.step.person, {"result": "unchanged", "actions": [], "error": None})
    actions = _actions(item, check=check)
    entry["actions"] += actions
    result = "unchanged"
    if item.status in ("failed", "deferred", "skipped"):
        result = "failed"
    elif actions:
        result = item.step.result
    entry["result"] = max(entry["result"], result, key=RESULTS.index)
    if _is_problem(item):
        prefix = "deferred: " if item.status == "deferred" else ""
        entry["error"] = "; ".join(filter(None, [entry["error"], f"{prefix}{item.step.sentence}: {item.error}"]))
