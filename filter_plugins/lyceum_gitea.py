# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role `gitea` says in the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ansible.module_utils

_CORE = str(Path(__file__).resolve().parent.parent / "module_utils")
if _CORE not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(_CORE)

from ansible.module_utils.lyceum.gitea_host import report  # noqa: E402


def gitea_report(results: Sequence[Mapping[str, Any]], there: bool) -> list[dict[str, Any]]:
    """Sections of the report. results: of gitea_people and gitea_organizations in check mode."""
    return report.compose(results, there)


class FilterModule:
    """Jinja filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"gitea_report": gitea_report}
