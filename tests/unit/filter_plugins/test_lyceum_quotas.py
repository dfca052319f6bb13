# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter hands the registry to the core."""

from __future__ import annotations

from ansible.module_utils.lyceum.quota import wanted
from lyceum_quotas import FilterModule

from ..module_utils.quota.test_wanted import PLACES, person, project


def test_the_filter_is_the_core() -> None:
    registry = {"people": [person(home_gib=1, scratch_gib=1)], "projects": [project(storage_gib=1)]}
    found = FilterModule().filters()["storage_quotas"](registry, PLACES)
    assert len(found) == 6
    assert found == wanted.quotas(registry, PLACES)
