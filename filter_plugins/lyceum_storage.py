# SPDX-License-Identifier: GPL-3.0-or-later
"""From the registry to the directories of a host, for the role groups_and_acls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ansible.module_utils

_CORE = str(Path(__file__).resolve().parent.parent / "module_utils")
if _CORE not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(_CORE)

from ansible.module_utils.lyceum.acl import layout, sections  # noqa: E402


def storage_layout(registry: Mapping[str, Any], places: Mapping[str, Any], complete: bool = True) -> dict[str, Any]:
    """Parameters of acl_tree, see module_utils/lyceum/acl/layout.py."""
    return layout.layout(registry, places, complete=complete)


def storage_sections(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Sections of the report, see module_utils/lyceum/acl/sections.py."""
    return sections.sections(found)


class FilterModule:
    """Jinja filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"storage_layout": storage_layout, "storage_sections": storage_sections}
