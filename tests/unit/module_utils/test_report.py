# SPDX-License-Identifier: GPL-3.0-or-later
"""The report on accounts."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from ansible.module_utils.lyceum.report import compose, text

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=timezone.utc)


def account(name: str, uid: int, **changes: Any) -> dict[str, Any]:
    return {
        "name": name, "uid": uid, "locked": False, "last_login": None, "home": f"/home/{name}", "home_bytes": None,
        "home_changed": None, **changes,
    }  # fmt: skip


def host(**changes: Any) -> dict[str, Any]:
    return {
        "people": [
            {"name": "bchen", "uid": 2002, "state": "present"},
            {"name": "fmoreau", "uid": 2006, "state": "absent"},
        ],
        "accounts": [], "unmanaged": [], "ownerless": [], "drift": [], "blocked": "", "untouched_days": 90, **changes,
    }  # fmt: skip


def test_an_account_is_told_with_its_state_login_and_home() -> None:
    bchen = account(
        "bchen", 2002, last_login="2026-11-20T23:59:00Z", home_bytes=3 * 2**30, home_changed="2026-11-01T00:00:00Z"
    )
    lines = text(compose({"h1": host(accounts=[bchen, account("old", 2900)])}, now=NOW))
    assert "  bchen    h1    present    2026-11-20  3.0       20 days" in lines
    assert "  old      h1    unmanaged  never       -         -" in lines


@pytest.mark.parametrize(("changed", "listed"), [("2026-08-23", True), ("2026-08-24", False), (None, False)])
def test_homes_count_as_untouched_from_the_day_asked_for(changed: str | None, listed: bool) -> None:
    report = compose({"h1": host(accounts=[account("bchen", 2002, home_changed=changed, home_bytes=10)])}, now=NOW)
    assert report["hosts"]["h1"]["untouched"] == (["/home/bchen of bchen, <0.1 GiB, for 90 days"] if listed else [])


def test_a_clock_ahead_gives_no_negative_age() -> None:
    report = compose({"h1": host(accounts=[account("bchen", 2002, home_changed="2027-01-01T00:00:00Z")])}, now=NOW)
    assert report["hosts"]["h1"]["accounts"][0]["untouched_days"] == 0


def test_files_without_an_account_name_the_person_who_left() -> None:
    files = [{"path": "/srv/thesis", "uid": 2006}, {"path": "/srv/x", "uid": 4321}]
    lines = text(compose({"h1": host(ownerless=files)}, now=NOW))
    assert "  h1: /srv/thesis of fmoreau (uid 2006)" in lines
    assert "  h1: /srv/x of nobody known (uid 4321)" in lines


def test_empty_sections_say_none_and_unknown_drift_says_why() -> None:
    clean = text(compose({"h1": host()}, now=NOW))
    assert clean[clean.index("Drift: what a run would change now") + 1] == "  none"
    assert "Drift unknown" not in clean
    blocked = text(compose({"h1": host(blocked="uid 2002 belongs to old")}, now=NOW))
    assert blocked[blocked.index("Drift unknown") + 1] == "  h1: uid 2002 belongs to old"


def test_sections_of_roles_from_several_hosts_are_one_table() -> None:
    slices = {"title": "Slices", "header": ["person", "memory"], "notes": ["no swap here"]}
    sections = {"h2": [{**slices, "rows": [["amartin", "1.0"]]}], "h1": [{**slices, "rows": [["bchen", "2.0"]]}]}
    report = compose({}, sections, now=NOW)
    assert report["sections"][0]["rows"] == [["amartin", "h2", "1.0"], ["bchen", "h1", "2.0"]]
    lines = text(report)
    assert "  amartin  h2    1.0" in lines
    assert "  h1: no swap here" in lines


def test_a_section_without_rows_says_none() -> None:
    report = compose({}, {"h1": [{"title": "Drift of groups", "header": ["path"], "rows": []}]}, now=NOW)
    assert text(report)[-2:] == ["Drift of groups", "  none"]
