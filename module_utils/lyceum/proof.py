# SPDX-License-Identifier: GPL-3.0-or-later
"""What an attack on a control showed, and the table of many of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .results import table

HELD = "held"
BROKEN = "BROKEN"
NOT_TESTED = "not tested"
RESULTS = (BROKEN, NOT_TESTED, HELD)
HOSTS_SHOWN = 3
DETAIL_WIDTH = 48


@dataclass(frozen=True)
class Verdict:
    """One attack on one control of one host. detail: on whom, or why it is broken or was not tested."""

    control: str
    attack: str
    host: str
    result: str
    detail: str = ""

    def __post_init__(self) -> None:
        if self.result not in RESULTS:
            raise ValueError(f"a verdict is one of {', '.join(RESULTS)}, not {self.result!r}")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Verdict:
        return cls(**{key: str(value) for key, value in data.items()})

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def lines(verdicts: Iterable[Verdict]) -> list[str]:
    """The table (control, attack, result, hosts, detail), in full what did not hold, and the sum.

    Hosts with the same result share a row. What was not tested is never counted as held.
    """
    found = list(verdicts)
    # Controls and attacks in the order of the proofs; for each, the worst first.
    controls, attacks = list(dict.fromkeys(v.control for v in found)), list(dict.fromkeys(v.attack for v in found))
    groups: dict[tuple[str, str, str, str], list[str]] = {}
    for v in sorted(
        found, key=lambda v: (controls.index(v.control), attacks.index(v.attack), RESULTS.index(v.result), v.host)
    ):
        groups.setdefault((v.control, v.attack, v.result, v.detail), []).append(v.host)
    rows = [
        [control, attack, result, _some(hosts), _cut(detail)]
        for (control, attack, result, detail), hosts in groups.items()
    ]
    counts = Counter(v.result for v in found)
    return [
        "Proof",
        *(table(["control", "attack", "result", "hosts", "detail"], rows) if rows else []),
        *_in_full(groups),
        ", ".join(f"{counts[result]} {result}" for result in reversed(RESULTS)),
    ]


def _in_full(groups: Mapping[tuple[str, str, str, str], list[str]]) -> list[str]:
    """What did not hold, uncut; attacks with the same fate share a line."""
    reasons: dict[tuple[str, str, str], list[str]] = {}
    for (_control, attack, result, detail), hosts in groups.items():
        if result != HELD:
            reasons.setdefault((result, ", ".join(hosts), detail), []).append(attack)
    return [
        f"{result} on {hosts}: {attacks[0] if len(attacks) == 1 else f'{len(attacks)} attacks'}: {detail}"
        for (result, hosts, detail), attacks in reasons.items()
    ]


def _some(hosts: list[str]) -> str:
    return ", ".join(hosts) if len(hosts) <= HOSTS_SHOWN else f"{len(hosts)} hosts"


def _cut(text: str) -> str:
    return text if len(text) <= DETAIL_WIDTH else f"{text[: DETAIL_WIDTH - 3]}..."
