# SPDX-License-Identifier: GPL-3.0-or-later
"""One tree of errors, each of which carries its sentence and what a module adds to its result."""

from __future__ import annotations

import pytest
from ansible.module_utils.lyceum.errors import CommandError, ConflictError, LyceumError, RefusedError


@pytest.mark.parametrize("kind", [LyceumError, ConflictError, RefusedError, CommandError])
def test_every_error_is_caught_as_the_one_and_keeps_its_details(kind: type[LyceumError]) -> None:
    with pytest.raises(LyceumError, match=r"^what, which, why$") as caught:
        raise kind("what, which, why", conflicts=["a"], path="/x")
    assert caught.value.details == {"conflicts": ["a"], "path": "/x"}
    assert kind("plain").details == {}
