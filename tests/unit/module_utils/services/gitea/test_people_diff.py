# SPDX-License-Identifier: GPL-3.0-or-later
"""The diff for one person."""

from __future__ import annotations

from ansible.module_utils.lyceum.services.gitea.people import Memory, Policy
from ansible.module_utils.lyceum.services.gitea.people_diff import diff
from ansible.module_utils.lyceum.services.gitea.people_plan import plan
from ansible.module_utils.lyceum.services.gitea.state import Repository, Token

from .test_people_plan import absent, account, key, left, observed, person


def test_somebody_new_is_all_added() -> None:
    made = plan([person("amartin", 2001, "a", max_repositories=3, admin=True)], observed(), {}, Policy())
    shown = diff(made.people["amartin"])
    assert shown["before"] == ""
    assert shown["after"].splitlines() == [
        "account: amartin",
        "full name: none",
        "email: amartin@example.org",
        "visibility: limited",
        "administrator: yes",
        "restricted: no",
        "let in: yes",
        "own repositories: 3",
        "key: SHA256:a (laptop)",
    ]


def test_a_suspension() -> None:
    seen = observed(account(), keys={7: [key("a")]}, tokens={7: [Token(4, "ci")]})
    shown = diff(plan([person(state="suspended")], seen, {}, Policy()).people["amartin"])
    gone = set(shown["before"].splitlines()) - set(shown["after"].splitlines())
    assert gone == {"let in: yes", "key: SHA256:a (laptop)", "access token ci"}
    assert "let in: no" in shown["after"]


def test_a_rename_with_a_limit_that_goes() -> None:
    memory = Memory(account=(7, "amartin"), limit=(7, 3))
    shown = diff(plan([person("a-martin")], observed(account()), {2001: memory}, Policy()).people["a-martin"])
    assert "account: amartin\n" in shown["before"]
    assert "own repositories: 3\n" in shown["before"]
    assert "account: a-martin\n" in shown["after"]
    assert "own repositories: no limit of their own\n" in shown["after"]


def test_what_is_handed_over_is_all_that_remains() -> None:
    made = plan([absent(heir="retina")], left("thesis", retina=list[Repository]()), {}, Policy())
    shown = diff(made.people["fmoreau"])
    assert shown["after"] == "repository retina/thesis\n"
    assert "member of speech\nrepository" not in shown["after"]
    assert "repository fmoreau/thesis\nmember of speech\n" in shown["before"]
