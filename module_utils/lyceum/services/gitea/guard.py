# SPDX-License-Identifier: GPL-3.0-or-later
"""How much may be taken away in one run: the same rule as for the accounts of hosts."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ...errors import RefusedError

# Below this many removals a percentage says nothing: one of five people is 20 %.
SMALL_REMOVAL = 3


@dataclass(frozen=True)
class Guard:
    """allow: names that do not count."""

    max_removals: int = 10
    max_removals_percent: int = 10
    allow: frozenset[str] = frozenset()

    def check(self, shrinking: Collection[str], existing: int, what: str) -> None:
        """RefusedError when more of `existing` would be removed or suspended than the policy allows."""
        counted = sorted(set(shrinking) - self.allow)
        allowed = min(self.max_removals, max(SMALL_REMOVAL, existing * self.max_removals_percent // 100))
        if len(counted) > allowed:
            names = ", ".join(counted[:10]) + (", ..." if len(counted) > 10 else "")
            raise RefusedError(
                f"the plan takes away {len(counted)} of {existing} {what} ({names}), more than the {allowed} allowed;"
                " nothing was changed. If it is meant, name them in allow_removals or raise max_removals and"
                " max_removals_percent"
            )
