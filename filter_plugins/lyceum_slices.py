# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role `cgroups` says in the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ansible.module_utils

_CORE = str(Path(__file__).resolve().parent.parent / "module_utils")
if _CORE not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(_CORE)

from ansible.module_utils.lyceum.slices import sections  # noqa: E402


def slices_report(info: Mapping[str, Any], drift: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Sections of the report. info: of user_slices_info. drift: of user_slices in check mode."""
    return sections.compose(info, drift)


class FilterModule:
    """Jinja filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"slices_report": slices_report}
