# SPDX-License-Identifier: GPL-3.0-or-later
"""Sites and certificates as sections of the report: tables and notes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def sites(wanted: Iterable[Mapping[str, Any]], result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """result: of the module nginx_sites in check mode."""
    failures = result.get("failures", {})
    served = result.get("sites", [])
    rows = [
        [
            str(site["name"]),
            ", ".join(site.get("server_names", [])),
            str(site.get("upstream", "")),
            str(site.get("certificate") or site["name"]),
            failures.get(site["name"], "served" if site["name"] in served else "waits"),
        ]
        for site in wanted
        if site.get("state", "present") == "present"
    ]
    notes = [f"a run would {action}" for action in result.get("actions", [])]
    notes += [f"served without being in the list: {name}" for name in result.get("unmanaged", [])]
    return [
        {
            "title": "Sites served by nginx",
            "header": ["site", "names", "goes to", "certificate", "state"],
            "rows": rows,
            "notes": notes + list(result.get("notes", [])),
        }
    ]


def certificates(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """result: of the module tls_certificates in check mode."""
    rows = [
        [one["name"], one["source"], ", ".join(one["names"]), one["issuer"], one["not_after"], str(one["days_left"])]
        for one in result.get("certificates", [])
    ]
    notes = [f"a run would {action}" for action in result.get("actions", [])]
    notes += [f"a run would fetch {one['name']}, because {one['why']}" for one in result.get("acme", [])]
    notes += [f"in no list: {name}" for name in result.get("unmanaged", [])]
    notes += [result["msg"]] if result.get("msg") else []
    return [
        {
            "title": "Certificates of this host",
            "header": ["name", "source", "names", "issuer", "ends", "days"],
            "rows": rows,
            "notes": notes + list(result.get("notes", [])),
        }
    ]
