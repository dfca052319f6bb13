# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter of the role `gitea`."""

from __future__ import annotations

import lyceum_gitea


def test_the_filter_hands_over_to_the_core() -> None:
    filters = lyceum_gitea.FilterModule().filters()
    assert [section["title"] for section in filters["gitea_report"]([], False)] == ["Gitea"]
