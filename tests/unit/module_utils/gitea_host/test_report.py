# SPDX-License-Identifier: GPL-3.0-or-later
"""Sections of the report."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.lyceum.gitea_host import report


def test_changes_strangers_and_faults_are_said() -> None:
    people: dict[str, Any] = {"actions": ["a: create"], "lyceum": {"unmanaged": ["x"], "not_enforced": ["n"]}}
    broken = {"failed": True, "msg": "no answer"}
    changes, strangers = report.compose([people, broken], True)
    assert (changes["rows"], changes["notes"]) == ([["a: create"]], ["n", "no answer"])
    assert strangers["rows"] == [["x"]]


def test_a_host_without_gitea_says_so() -> None:
    assert report.compose([], False)[0]["notes"] == ["there is no Gitea on this host"]
