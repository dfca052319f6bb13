# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs about people against the fake, from reading to remembering."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import RefusedError
from ansible.module_utils.lyceum.services.errors import Ambiguous
from ansible.module_utils.lyceum.services.gitea.people import Wanted
from ansible.module_utils.lyceum.services.gitea.people_run import run

from .fake import FakeGitea, fingerprint, public_key, session_with
from .test_people import PARAMS, entry

ONE, TWO, THREE = public_key(1, "laptop"), public_key(2, "desk"), public_key(3, "ci")
MARTIN = entry(ssh_keys=[ONE, TWO], visibility="limited", full_name="A. Martin")
CHEN = entry("bchen", 2002, ssh_keys=[THREE], admin=True, max_repositories=5, visibility="limited")
FORMER = entry("fmoreau", 2006, state="absent", heir="bchen", email="")


class Site:
    """A Gitea, a journal, and runs."""

    def __init__(self, folder: Path) -> None:
        self.fake = FakeGitea()
        self.folder = folder

    def run(self, *people: dict[str, Any], check: bool = False, **params: Any) -> dict[str, Any]:
        self.fake.calls.clear()
        wanted = Wanted.from_params({**PARAMS, **params, "people": list(people)})
        with session_with(self.fake, self.folder) as session:
            return run(wanted, session, check=check, with_diff=True)

    def sent(self) -> list[str]:
        return [call for call in self.fake.calls if not call.startswith("GET ")]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_check_apply_check_apply(site: Site) -> None:
    before = site.fake.snapshot()
    checked = site.run(MARTIN, CHEN, check=True)
    assert site.fake.snapshot() == before
    applied = site.run(MARTIN, CHEN)
    assert checked == applied
    assert "msg" not in applied
    assert applied["actions"] == [
        "amartin: create account amartin (amartin@example.org, limited)",
        f"amartin: add key {fingerprint(ONE)} (laptop)",
        f"amartin: add key {fingerprint(TWO)} (desk)",
        "bchen: create account bchen (bchen@example.org, limited)",
        "bchen: make an administrator",
        "bchen: own repositories: no limit of their own -> 5",
        f"bchen: add key {fingerprint(THREE)} (ci)",
    ]
    assert applied["lyceum"]["results"]["amartin"]["result"] == "created"
    assert applied["server"] == "1.26.2+fake"
    chen = site.fake.users["bchen"]
    assert (chen["is_admin"], chen["max_repo_creation"]) == (True, 5)
    for again in (site.run(MARTIN, CHEN, check=True), site.run(MARTIN, CHEN)):
        assert (again["changed"], again["actions"], again["diff"]) == (False, [], [])
        assert again["lyceum"]["unchanged"] == ["amartin", "bchen"]
        assert site.sent() == []


def test_the_fewest_calls(site: Site) -> None:
    """One for us, one for each page of accounts, one for the keys of each: Gitea has no list of all keys."""
    site.run(MARTIN, CHEN)
    site.run(MARTIN, CHEN)
    assert sorted(site.fake.calls) == [
        "GET /admin/users",
        "GET /user",
        "GET /users/amartin/keys",
        "GET /users/bchen/keys",
    ]


def test_one_person_costs_the_same_on_a_large_site(site: Site) -> None:
    for number in range(40):
        site.fake.user(f"p{number}")
    site.run({**MARTIN, "name": "zz"}, complete=False)
    site.run({**MARTIN, "name": "zz"}, complete=False)
    assert sorted(site.fake.calls) == ["GET /admin/users", "GET /user", "GET /users/zz/keys"]


def test_edit_says_login_name_and_source_again(site: Site) -> None:
    """PATCH wipes login_name when it is left out, and refuses an empty one."""
    site.fake.user("amartin", source_id=3, login_name="uid=amartin,ou=people", visibility="public")
    site.fake.user("bchen", visibility="public", is_admin=True)
    result = site.run({**MARTIN, "ssh_keys": []}, {**CHEN, "ssh_keys": [], "max_repositories": None})
    assert "msg" not in result
    after = site.fake.users
    assert (after["amartin"]["source_id"], after["amartin"]["login_name"]) == (3, "uid=amartin,ou=people")
    assert after["amartin"]["visibility"] == "limited"
    assert (after["bchen"]["source_id"], after["bchen"]["login_name"]) == (0, "bchen")


def test_422_the_address_belongs_to_somebody_else(site: Site) -> None:
    site.fake.user("stranger", email="amartin@example.org")
    result = site.run(MARTIN, CHEN)
    error = result["lyceum"]["results"]["amartin"]["error"]
    assert "the address amartin@example.org belongs to the account stranger" in error
    assert result["msg"].startswith("amartin: create account")
    assert result["lyceum"]["results"]["bchen"]["result"] == "created"  # the others go on


def test_400_a_new_address_belongs_to_somebody_else(site: Site) -> None:
    site.run({**MARTIN, "ssh_keys": []})
    site.fake.user("stranger", email="new@example.org")
    error = site.run({**MARTIN, "ssh_keys": [], "email": "new@example.org"})["msg"]
    assert "the address new@example.org belongs to the account stranger" in error


def test_422_the_name_is_that_of_an_organization(site: Site) -> None:
    site.fake.org("amartin", "lyceum-bot")
    assert "the name amartin is taken by an organization or a bot" in site.run(MARTIN)["msg"]


def test_422_the_name_is_reserved(site: Site) -> None:
    result = site.run(entry("explore", 2009))
    assert "Gitea keeps the name explore for itself" in result["msg"]


def test_422_exists_because_the_answer_was_lost(site: Site) -> None:
    """Sent, done, and nobody heard of it: the account is found and taken, not made again."""
    lost = iter([True])

    def after(method: str, path: str) -> None:
        if (method, path) == ("POST", "/admin/users") and next(lost, False):
            raise Ambiguous("the connection was lost")

    site.fake.after = after
    assert "msg" not in site.run(MARTIN)
    assert site.sent().count("POST /admin/users") == 1
    assert site.run(MARTIN)["changed"] is False


def test_fingerprint_is_global_the_unmanaged_holder_is_named(site: Site) -> None:
    site.fake.key("stranger", ONE)
    site.fake.user("stranger")
    result = site.run(MARTIN)
    error = result["lyceum"]["results"]["amartin"]["error"]
    assert f"key {fingerprint(ONE)} (laptop) already belongs to the account stranger" in error
    assert site.fake.keys_of("amartin") == {fingerprint(TWO)}


def test_fingerprint_is_global_a_deploy_key_has_it(site: Site) -> None:
    site.fake.key("", ONE)
    assert "is a deploy key of a repository" in site.run(MARTIN)["msg"]


def test_first_passwords_are_given_once_and_show_nowhere(site: Site) -> None:
    result = site.run(MARTIN, CHEN, passwords={"amartin": "first-passw0rd"})
    assert site.fake.passwords["amartin"] == "first-passw0rd"
    assert site.fake.users["amartin"]["must_change_password"] is True
    assert (len(site.fake.passwords["bchen"]) > 40, site.fake.users["bchen"]["must_change_password"]) == (True, False)
    journal = b"".join(path.read_bytes() for path in site.folder.rglob("*") if path.is_file())
    for secret in site.fake.passwords.values():
        assert secret not in str(result)
        assert secret.encode() not in journal


def test_400_a_first_password_that_gitea_does_not_take(site: Site) -> None:
    error = site.run(MARTIN, passwords={"amartin": "zq-7"})["msg"]
    assert "Gitea does not take the first password given for amartin: PasswordIsRequired" in error
    assert 'first"' not in error


def test_suspension_takes_keys_and_tokens_and_return_gives_back_the_keys(site: Site) -> None:
    site.run(MARTIN, CHEN)
    site.fake.tokens[90] = {"id": 90, "name": "ci", "of": "amartin"}
    suspended = {**MARTIN, "state": "suspended"}
    assert site.run(suspended, CHEN)["lyceum"]["results"]["amartin"]["result"] == "suspended"
    user = site.fake.users["amartin"]
    assert (user["active"], user["prohibit_login"]) == (False, True)
    assert (site.fake.keys_of("amartin"), site.fake.tokens) == (set(), {})
    assert site.run(suspended, CHEN)["changed"] is False
    assert "GET /users/amartin/tokens" not in site.fake.calls  # seen once
    back = site.run(MARTIN, CHEN)
    assert back["actions"][0] == "amartin: let in again"
    assert site.fake.keys_of("amartin") == {fingerprint(ONE), fingerprint(TWO)}
    assert site.run(MARTIN, CHEN)["changed"] is False


def test_keys_of_their_own_come_back_where_they_may_have_some(site: Site) -> None:
    site.run(MARTIN)
    site.fake.key("amartin", public_key(8), "own")
    assert site.run(MARTIN, exclusive_keys=False)["changed"] is False
    site.run({**MARTIN, "state": "suspended", "ssh_keys": []}, exclusive_keys=False)
    assert site.fake.keys_of("amartin") == set()
    site.run(MARTIN, exclusive_keys=False)
    titles = {key["title"] for key in site.fake.keys.values()}
    assert titles == {"laptop", "desk", "own"}


def test_rename_keeps_the_account(site: Site) -> None:
    site.run(MARTIN, CHEN)
    number = site.fake.users["amartin"]["id"]
    renamed = {**MARTIN, "name": "a-martin", "email": "a-martin@example.org"}
    result = site.run(renamed, CHEN)
    assert result["actions"] == [
        "a-martin: rename account amartin to a-martin",
        "a-martin: email: amartin@example.org -> a-martin@example.org",
    ]
    assert site.fake.users["a-martin"]["id"] == number
    assert site.run(renamed, CHEN)["changed"] is False


def test_absent_hands_over_leaves_and_goes(site: Site) -> None:
    site.run(CHEN)
    site.fake.user("fmoreau")
    site.fake.org("speech", "fmoreau")
    for owner in ("fmoreau", "bchen"):
        site.fake.repo(owner, "thesis")
    result = site.run(CHEN, FORMER)
    assert result["lyceum"]["results"]["fmoreau"]["result"] == "removed"
    assert sorted((repo["of"], repo["name"]) for repo in site.fake.repos) == [
        ("bchen", "fmoreau-thesis"),
        ("bchen", "thesis"),
    ]
    # The last owner cannot leave; the bot takes the place.
    assert site.fake.members("speech", "Owners") == ["lyceum-bot"]
    assert "fmoreau" not in site.fake.users
    assert site.run(CHEN, FORMER)["changed"] is False


def test_absent_is_not_deleted_when_something_could_not_be_handed_over(site: Site) -> None:
    site.run(CHEN)
    site.fake.user("fmoreau")
    site.fake.repo("fmoreau", "thesis")
    site.fake.fault = lambda method, path: (403, "limit reached") if path.endswith("/transfer") else None
    result = site.run(CHEN, FORMER)
    assert "limit reached" in result["msg"]
    assert site.fake.users["fmoreau"]["active"] is False
    assert not any(call.startswith("DELETE /admin/users/fmoreau") for call in site.fake.calls)


def test_what_the_server_accepts_and_does_not_do_is_a_failure(site: Site) -> None:
    site.run(MARTIN)
    edited = {**MARTIN, "full_name": "Anne Martin"}
    site.fake.fault = lambda method, path: (200, site.fake.users["amartin"]) if method == "PATCH" else None
    assert "the service accepted it, but it is not so" in site.run(edited)["msg"]


def test_the_guard_stops_before_anything_is_sent(site: Site) -> None:
    people = [entry(f"p{number}", 3000 + number) for number in range(5)]
    site.run(*people)
    with pytest.raises(RefusedError):
        site.run(*({**person, "state": "suspended"} for person in people))
    assert site.sent() == []


def test_a_refused_token_stops_everything_at_once(site: Site) -> None:
    site.fake.fault = lambda method, path: (401, "gone") if method == "POST" else None
    result = site.run(MARTIN, CHEN, *(entry(f"p{number}", 3000 + number) for number in range(10)))
    assert len(site.sent()) <= 2  # one for each writer
    assert len(result["deferred"]) >= 10


class Killed(BaseException):
    pass


def story(site: Site, step: int) -> dict[str, Any]:
    """People come, change, leave: the wanted list after each step."""
    steps = [
        (MARTIN, CHEN, {**FORMER, "state": "present", "email": "fmoreau@example.org"}),
        ({**MARTIN, "state": "suspended"}, {**CHEN, "name": "b-chen"}, {**FORMER, "heir": "b-chen"}),
        ({**MARTIN, "ssh_keys": [TWO]}, {**CHEN, "name": "b-chen"}, FORMER),
    ]
    if step == 1 and not site.fake.repos:
        site.fake.repo("fmoreau", "thesis")
    return site.run(*steps[step])


def test_killed_after_or_before_any_call_the_next_run_ends_the_same(tmp_path: Path) -> None:
    """At every call that changes something: the answer is never heard, or the call never made."""
    straight = Site(tmp_path / "straight")
    calls = 0
    for step in range(3):
        assert "msg" not in story(straight, step)
        calls += len(straight.sent())
    for late in (True, False):
        for victim in range(calls):
            site = Site(tmp_path / f"{late}-{victim}")
            seen = iter(range(calls))

            def strike(method: str, path: str, seen: Any = seen, victim: int = victim) -> None:
                if method != "GET" and next(seen, None) == victim:
                    raise Killed

            if late:
                site.fake.after = strike
            else:
                site.fake.fault = strike
            for step in range(3):
                try:
                    story(site, step)
                except Killed:
                    assert "msg" not in story(site, step), (late, victim)
                assert story(site, step)["actions"] == [], (late, victim, step)
            assert without_ids(site) == without_ids(straight), (late, victim)


def without_ids(site: Site) -> tuple[Any, ...]:
    fake = site.fake
    users = {name: {k: v for k, v in user.items() if k != "id"} for name, user in fake.users.items()}
    keys = sorted((key["owner"], key["fingerprint"], key["title"]) for key in fake.keys.values())
    return users, keys, [(repo["of"], repo["name"]) for repo in fake.repos]
