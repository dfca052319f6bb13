# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role `gitea` says in the report: what a run would change in it, and what nobody wrote down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def compose(results: Sequence[Mapping[str, Any]], there: bool) -> list[dict[str, Any]]:
    """results: of gitea_people and gitea_organizations in check mode. there: whether there is a Gitea to ask."""
    if not there:
        return [section("Gitea", [], ["there is no Gitea on this host"])]
    changes = [action for result in results for action in result.get("actions", [])]
    unmanaged = [name for result in results for name in result.get("lyceum", {}).get("unmanaged", [])]
    notes = [
        text
        for result in results
        for key in ("conflicts", "not_enforced")
        for text in result.get("lyceum", {}).get(key, [])
    ]
    faults = [result["msg"] for result in results if result.get("failed") and "msg" in result]
    return [
        section("What a run would change in Gitea now", [[action] for action in changes], [*notes, *faults]),
        section("Accounts and organizations of Gitea that are not in the registry", [[name] for name in unmanaged], []),
    ]


def section(title: str, rows: list[list[str]], notes: list[str]) -> dict[str, Any]:
    return {"title": title, "header": ["what"], "rows": rows, "notes": notes}
