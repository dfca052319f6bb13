# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings, rules and the report of the role `postgres`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ansible.module_utils

_CORE = str(Path(__file__).resolve().parent.parent / "module_utils")
if _CORE not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(_CORE)

from ansible.errors import AnsibleFilterError  # noqa: E402
from ansible.module_utils.lyceum.errors import LyceumError  # noqa: E402
from ansible.module_utils.lyceum.postgres import hba, sections, tuning  # noqa: E402


def postgres_tuning(memory_mib: int, cpus: int, max_connections: int) -> dict[str, str]:
    """Settings for a server that may count on so much memory. AnsibleFilterError for too little."""
    try:
        return tuning.tune(int(memory_mib), int(cpus), int(max_connections))
    except LyceumError as exc:
        raise AnsibleFilterError(str(exc)) from exc


def postgres_hba(networks: Iterable[str], rules: Iterable[Mapping[str, Any]]) -> str:
    """pg_hba.conf. AnsibleFilterError for a rule that would open what is to stay closed."""
    try:
        return hba.hba(networks, rules)
    except LyceumError as exc:
        raise AnsibleFilterError(str(exc)) from exc


def postgres_ident(superuser: str) -> str:
    """pg_ident.conf."""
    return hba.ident(superuser)


def postgres_report(info: Mapping[str, Any], drift: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Sections of the report. info: of postgres_objects_info. drift: of the modules in check mode."""
    return sections.compose(info, drift)


class FilterModule:
    """Jinja filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "postgres_hba": postgres_hba,
            "postgres_ident": postgres_ident,
            "postgres_report": postgres_report,
            "postgres_tuning": postgres_tuning,
        }
