# SPDX-License-Identifier: GPL-3.0-or-later
"""Senseless policies are refused."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.services.policy import Policy


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"on_failure": "rollback"}, "on_failure is 'rollback'; it can be keep or rollback_person"),
        ({"writers": 0}, "writers, tries and breaker_after must be at least 1"),
        ({"tries": 0}, "writers, tries and breaker_after must be at least 1"),
        ({"breaker_after": -1}, "writers, tries and breaker_after must be at least 1"),
    ],
)
def test_a_senseless_policy_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(LyceumError) as caught:
        Policy(**values)
    assert str(caught.value) == message
    assert Policy().on_failure == "keep"
