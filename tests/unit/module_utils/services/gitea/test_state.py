# SPDX-License-Identifier: GPL-3.0-or-later
"""What Gitea says, normalised."""

from __future__ import annotations

from ansible.module_utils.lyceum.services.gitea.state import Account, Key, Organization, Repository, Team, Token


def test_an_account_is_compared_by_what_is_wanted_of_it() -> None:
    account = Account.from_api({"id": 1, "login": "amartin", "email": "A.Martin@Example.org", "active": True})
    assert account.differs({"email": "a.martin@example.org", "active": True, "admin": True}) == {"admin": True}


def test_shut_needs_both() -> None:
    """prohibit_login alone leaves SSH open, inactive alone can be undone by a mail."""
    said = {"id": 1, "login": "amartin"}
    assert [
        Account.from_api({**said, "active": active, "prohibit_login": prohibit}).shut
        for active, prohibit in ((True, True), (False, False), (False, True))
    ] == [False, False, True]


def test_what_is_null_or_missing_is_empty() -> None:
    assert Key.from_api({"id": 3, "user": None}) == Key(3, "", "", "")
    assert Token.from_api({"id": 3, "name": None}) == Token(3, "")
    assert Repository.from_api({"id": 3, "name": "x", "owner": None}).owner == ""
    assert Organization.from_api({"id": 3, "username": "retina"}).name == "retina"


def test_the_units_of_a_team_are_in_order() -> None:
    team = Team.from_api({"id": 3, "name": "write", "permission": "none", "units_map": {"b": "read", "a": "write"}})
    assert team.units == (("a", "write"), ("b", "read"))
