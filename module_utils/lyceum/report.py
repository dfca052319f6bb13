# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts say: last logins, untouched homes, what nobody wrote down, what has drifted, and what each role adds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from .results import table


def compose(
    hosts: Mapping[str, Mapping[str, Any]],
    sections: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    *,
    now: datetime,
) -> dict[str, Any]:
    """The report as data.

    hosts: per host `accounts` (posix_accounts_info), `people` (of the registry: name, uid, state), `unmanaged` and
    `drift` (sentences), `ownerless` (`{path, uid}`), `blocked` (why drift is unknown, or ""), `untouched_days` (homes
    are reported from that age on). sections: per host what its further roles say, `{title, header, rows, notes}` each.
    now: in UTC.
    """
    return {
        "time": now.isoformat(timespec="seconds"),
        "hosts": {name: _host(entry, now) for name, entry in sorted(hosts.items())},
        "sections": _sections(sections or {}),
    }


def text(report: Mapping[str, Any]) -> list[str]:
    """The report for the eye, line by line. Sizes in GiB."""
    lines = [f"Report of {report['time'][:16].replace('T', ' ')} UTC"]
    rows = [
        [a["name"], host, a["registry"], a["last_login"] or "never", _gib(a["home_bytes"]), _days(a["untouched_days"])]
        for host, entry in report["hosts"].items()
        for a in entry["accounts"]
    ]
    if rows:
        header = ["account", "host", "registry", "last login", "home GiB", "home untouched"]
        lines += ["", "Accounts", *table(header, sorted(rows))]
    for title, key in (
        ("Homes untouched for long", "untouched"),
        ("Accounts nobody wrote down", "unmanaged"),
        ("Files and folders whose owner has no account", "ownerless"),
        ("Drift: what a run would change now", "drift"),
        ("Drift unknown", "blocked"),
    ):
        found = [f"  {host}: {item}" for host, entry in report["hosts"].items() for item in entry[key]]
        lines += ["", title, *(found or ["  none"])] if found or key != "blocked" else []
    for section in report["sections"]:
        lines += ["", section["title"], *(table(section["header"], section["rows"]) if section["rows"] else [])]
        lines += [f"  {note}" for note in section["notes"]]
        lines += ["  none"] if not section["rows"] and not section["notes"] else []
    return lines


def _sections(by_host: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Sections of the same title on several hosts become one, with the host as second column."""
    found: dict[str, dict[str, Any]] = {}
    for host, sections in sorted(by_host.items()):
        for section in sections:
            first, *others = section["header"]
            merged = found.setdefault(
                section["title"],
                {"title": section["title"], "header": [first, "host", *others], "rows": [], "notes": []},
            )
            merged["rows"] += [[str(row[0]), host, *map(str, row[1:])] for row in section["rows"]]
            merged["notes"] += [f"{host}: {note}" for note in section.get("notes") or []]
    for section in found.values():
        section["rows"].sort()
    return list(found.values())


def _host(entry: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    registry = {person["name"]: person["state"] for person in entry["people"]}
    names = {person["uid"]: person["name"] for person in entry["people"]}
    accounts = [
        {
            "name": account["name"],
            "uid": account["uid"],
            "registry": registry.get(account["name"], "unmanaged"),
            "locked": account["locked"],
            "last_login": (account["last_login"] or "")[:10] or None,
            "home": account["home"],
            "home_bytes": account.get("home_bytes"),
            "untouched_days": _age(account.get("home_changed"), now),
        }
        for account in entry["accounts"]
    ]
    return {
        "accounts": accounts,
        "untouched": [
            f"{a['home']} of {a['name']}, {_gib(a['home_bytes'])} GiB, for {a['untouched_days']} days"
            for a in accounts
            if a["untouched_days"] is not None and a["untouched_days"] >= entry["untouched_days"]
        ],
        "unmanaged": list(entry["unmanaged"]),
        "ownerless": [
            f"{one['path']} of {names.get(one['uid'], 'nobody known')} (uid {one['uid']})" for one in entry["ownerless"]
        ],
        "drift": list(entry["drift"]),
        "blocked": [entry["blocked"]] if entry["blocked"] else [],
    }


def _age(moment: str | None, now: datetime) -> int | None:
    """Whole days from an ISO time (UTC, with Z) or date until now."""
    if not moment:
        return None
    return max((now.date() - date.fromisoformat(moment[:10])).days, 0)


def _gib(size: int | None) -> str:
    if size is None:
        return "-"
    return "<0.1" if size < 0.05 * 2**30 else f"{size / 2**30:.1f}"


def _days(days: int | None) -> str:
    return "-" if days is None else f"{days} days"
