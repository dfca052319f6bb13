# SPDX-License-Identifier: GPL-3.0-or-later
"""The classes of answers."""

from __future__ import annotations

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.services import errors


@pytest.mark.parametrize("name", ["NotReady", "Transient"])
def test_what_passes_may_say_how_long_to_wait(name: str) -> None:
    error = getattr(errors, name)("503 at work", retry_after=7.5)
    assert (str(error), error.retry_after, error.details) == ("503 at work", 7.5, {})
    assert getattr(errors, name)("503").retry_after is None


def test_all_are_for_people_and_a_stranger_is_treated_like_a_refusal_of_our_credentials() -> None:
    answers = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.ServiceError)
    ]
    assert len(answers) == 9
    assert all(issubclass(kind, LyceumError) for kind in answers)
    assert issubclass(errors.Untrusted, errors.AuthRefused)
    assert not issubclass(errors.Ambiguous, errors.Transient)
