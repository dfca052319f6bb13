# SPDX-License-Identifier: GPL-3.0-or-later
"""How much a run may take away."""

from __future__ import annotations

import pytest
from ansible.module_utils.lyceum.errors import RefusedError
from ansible.module_utils.lyceum.services.gitea.guard import Guard

NAMES = [f"p{number}" for number in range(20)]


@pytest.mark.parametrize(
    ("taken", "existing", "fine"),
    [
        (3, 5, True),
        (4, 5, False),
        (10, 100, True),
        (11, 100, False),
        (11, 1000, False),
        (10, 1000, True),
        (5, 50, True),
    ],
)
def test_up_to_three_always_then_a_share_then_a_number(taken: int, existing: int, fine: bool) -> None:
    if fine:
        Guard().check(NAMES[:taken], existing, "accounts")
    else:
        with pytest.raises(RefusedError, match=f"takes away {taken} of {existing} accounts .*nothing was changed"):
            Guard().check(NAMES[:taken], existing, "accounts")


def test_those_named_do_not_count() -> None:
    Guard(allow=frozenset(NAMES[:17])).check(NAMES, 20, "accounts")
