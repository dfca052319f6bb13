# SPDX-License-Identifier: GPL-3.0-or-later
"""From the registry to the quotas of a host and what its tools have to know, for the role groups_and_acls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ansible.module_utils

_CORE = str(Path(__file__).resolve().parent.parent / "module_utils")
if _CORE not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(_CORE)

from ansible.module_utils.lyceum.quota import wanted  # noqa: E402


def storage_quotas(registry: Mapping[str, Any], places: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The parameter `quotas` of disk_quotas, see module_utils/lyceum/quota/wanted.py."""
    return wanted.quotas(registry, places)


class FilterModule:
    """Jinja filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"storage_quotas": storage_quotas}
