# SPDX-License-Identifier: GPL-3.0-or-later
"""What is planned for people, from what was read."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import RefusedError
from ansible.module_utils.lyceum.services.gitea.people import Memory, Person, Policy, WantedKey
from ansible.module_utils.lyceum.services.gitea.people_plan import Observed, Plan, plan
from ansible.module_utils.lyceum.services.gitea.state import Account, Key, Repository, Token

BOT = Account(1, "lyceum-bot", admin=True)


def person(name: str = "amartin", uid: int = 2001, *keys: str, **values: Any) -> Person:
    wanted = tuple(WantedKey(f"SHA256:{key}", f"ssh-ed25519 {key}", "laptop") for key in keys)
    return Person(name, uid, email=f"{name}@example.org", keys=wanted, **values)


def account(number: int = 7, name: str = "amartin", **values: Any) -> Account:
    return Account(number, name, email=f"{name}@example.org", visibility="limited", **values)


def key(name: str, number: int = 9) -> Key:
    return Key(number, "laptop", f"SHA256:{name}", f"ssh-ed25519 {name}")


def observed(*accounts: Account, **values: Any) -> Observed:
    return Observed(BOT, {one.id: one for one in (BOT, *accounts)}, **values)


def sentences(made: Plan, name: str = "amartin") -> list[str]:
    return [op.sentence for op in made.people[name].ops] if name in made.people else []


def test_somebody_new() -> None:
    made = plan([person("amartin", 2001, "a", admin=True, max_repositories=3)], observed(), {}, Policy())
    assert sentences(made) == [
        "create account amartin (amartin@example.org, limited)",
        "make an administrator",
        "own repositories: no limit of their own -> 3",
        "add key SHA256:a (laptop)",
    ]


def test_nothing_to_do() -> None:
    seen = observed(account(), keys={7: [key("a")]})
    made = plan([person("amartin", 2001, "a")], seen, {}, Policy())
    assert (made.people, made.refused, made.unmanaged, made.notes) == ({}, {}, [], [])


def test_an_account_is_adopted_in_any_case_of_its_name() -> None:
    made = plan([person()], observed(account(name="AMartin")), {}, Policy())
    assert sentences(made) == []
    assert made.accounts["amartin"].name == "AMartin"


def test_differences_are_told() -> None:
    now = account(full_name="A", admin=True)
    assert sentences(plan([person(full_name="A. Martin", restricted=True)], observed(now), {}, Policy())) == [
        "full name: A -> A. Martin; admin: yes -> no; restricted: no -> yes"
    ]


def test_a_limit_is_compared_with_what_was_set_because_gitea_does_not_tell_it() -> None:
    wanted, seen = person(max_repositories=3), observed(account())
    assert sentences(plan([wanted], seen, {}, Policy())) == ["own repositories: not known -> 3"]
    assert sentences(plan([wanted], seen, {2001: Memory(limit=(7, 3))}, Policy())) == []
    assert sentences(plan([wanted], seen, {2001: Memory(limit=(6, 3))}, Policy())) != []  # another account
    assert sentences(plan([person()], seen, {}, Policy())) == []  # nobody ever limited it
    back = plan([person()], seen, {2001: Memory(limit=(7, 3))}, Policy())
    assert sentences(back) == ["own repositories: 3 -> no limit of their own"]


def test_a_rename_is_recognised_by_uid() -> None:
    made = plan([person("a-martin")], observed(account()), {2001: Memory(account=(7, "amartin"))}, Policy())
    assert sentences(made, "a-martin")[0] == "rename account amartin to a-martin"
    assert made.unmanaged == []


def test_an_id_that_belongs_to_somebody_else_by_now_renames_nobody() -> None:
    """After a reinstallation the numbers begin anew."""
    made = plan([person("a-martin")], observed(account(name="bchen")), {2001: Memory(account=(7, "amartin"))}, Policy())
    assert sentences(made, "a-martin")[0].startswith("create account a-martin")
    assert made.unmanaged == ["bchen"]


def test_a_rename_to_a_name_that_is_taken_is_refused() -> None:
    seen = observed(account(), account(8, "a-martin"))
    made = plan([person("a-martin")], seen, {2001: Memory(account=(7, "amartin"))}, Policy())
    assert made.people == {}
    assert "a-martin is the name of another account (id 8)" in made.refused["a-martin"]


def test_the_bot_and_protected_accounts_are_nobodys() -> None:
    policy = Policy(protected=frozenset({"root"}))
    made = plan([person("lyceum-bot"), person("root", 2002)], observed(account(9, "root")), {}, policy)
    assert set(made.refused) == {"lyceum-bot", "root"}
    assert made.unmanaged == []


def test_keys_are_those_of_the_registry() -> None:
    seen = observed(account(), keys={7: [key("old"), key("a", 10)]})
    made = plan([person("amartin", 2001, "a", "new")], seen, {}, Policy())
    assert sentences(made) == ["remove key SHA256:old (laptop)", "add key SHA256:new (laptop new)"]
    kept = plan([person("amartin", 2001, "a", "new")], seen, {}, Policy(exclusive_keys=False))
    assert sentences(kept) == ["add key SHA256:new (laptop new)"]


def test_a_title_is_used_once() -> None:
    """Gitea refuses a second key of the same title."""
    made = plan([person("amartin", 2001, "aaaaaaaaaa", "bbbbbbbbbb")], observed(account()), {}, Policy())
    assert [op.data["title"] for op in made.people["amartin"].ops] == ["laptop", "laptop bbbbbbbb"]


def test_fingerprint_is_global_the_holder_is_named() -> None:
    seen = observed(account(), account(8, "bchen"), keys={8: [key("a")]})
    made = plan([person("amartin", 2001, "a"), person("bchen", 2002, "a2", "a")], seen, {}, Policy())
    assert "key SHA256:a (laptop) already belongs to the account bchen" in made.refused["amartin"]
    assert sentences(made, "bchen") == ["add key SHA256:a2 (laptop a2)"]


def test_fingerprint_is_global_a_key_moves_in_one_run_in_one_lane() -> None:
    seen = observed(account(), account(8, "bchen"), keys={8: [key("a")], 7: []})
    made = plan([person("amartin", 2001, "a"), person("bchen", 2002)], seen, {}, Policy())
    assert made.refused == {}
    assert sentences(made) == ["add key SHA256:a (laptop)"]
    assert sentences(made, "bchen") == ["remove key SHA256:a (laptop)"]
    assert made.lanes["amartin"] == made.lanes["bchen"]
    keys = [op.key for one in made.people.values() for op in one.ops]
    assert len(keys) == len(set(keys))  # "after" goes by key, whoever else is in the lane


def test_a_key_with_a_condition_is_told() -> None:
    made = plan([person(left_out=("key X with the option from",))], observed(account()), {}, Policy())
    assert made.notes == ["amartin: key X with the option from is not used: Gitea would let it in regardless"]


def test_suspension_takes_everything_that_lets_in() -> None:
    seen = observed(account(), keys={7: [key("a")]}, tokens={7: [Token(4, "ci")]})
    made = plan([person("amartin", 2001, "a", state="suspended")], seen, {}, Policy())
    assert sentences(made) == [
        "shut out amartin: inactive, no login",
        "remove key SHA256:a (laptop)",
        "remove access token ci",
    ]
    assert {op.result for op in made.people["amartin"].ops} == {"suspended"}
    one = made.people["amartin"]
    assert ([key.title for key in one.lose_keys], one.lose_tokens) == (["laptop"], [Token(4, "ci")])


def test_half_shut_is_not_shut() -> None:
    made = plan([person(state="suspended")], observed(account(prohibit_login=True), tokens={7: []}), {}, Policy())
    assert sentences(made) == ["shut out amartin: inactive, no login"]


def test_whoever_never_had_an_account_gets_none() -> None:
    made = plan([person(state="suspended"), person("fmoreau", 2006, state="absent")], observed(), {}, Policy())
    assert made.people == {}


def test_return_puts_back_the_keys_of_the_registry_under_their_titles() -> None:
    shut = observed(account(active=False, prohibit_login=True))
    memory = Memory(
        keys=(Key(0, "my laptop", "SHA256:a", "ssh-ed25519 a"), Key(0, "own", "SHA256:own", "ssh-ed25519 o"))
    )
    made = plan([person("amartin", 2001, "a")], shut, {2001: memory}, Policy())
    assert sentences(made) == ["let in again", "add key SHA256:a (my laptop)"]
    assert "SHA256:own (own) went with the suspension and does not come back" in made.notes[0]
    free = plan([person("amartin", 2001, "a")], shut, {2001: memory}, Policy(exclusive_keys=False))
    assert sentences(free)[1:] == ["add key SHA256:a (my laptop)", "add key SHA256:own (own)"]


def absent(**values: Any) -> Person:
    return person("fmoreau", 2006, state="absent", **values)


def left(*repositories: str, **belongings: Any) -> Observed:
    owned = [Repository(number, "fmoreau", name) for number, name in enumerate(repositories, 50)]
    return observed(
        account(6, "fmoreau", active=False, prohibit_login=True),
        organizations={6: ["speech"]},
        tokens={6: []},
        belongings={"fmoreau": owned, **belongings},
    )


def test_absent_without_repositories_leaves_and_is_deleted() -> None:
    made = plan([absent()], left(), {}, Policy())
    assert sentences(made, "fmoreau") == ["leave organization speech", "delete account fmoreau"]


def test_repositories_go_to_the_heir_and_never_with_the_account() -> None:
    theirs = [Repository(90, "retina", "thesis")]
    made = plan([absent(heir="retina")], left("thesis", "code", retina=theirs), {}, Policy())
    assert sentences(made, "fmoreau") == [
        "rename repository fmoreau/thesis to fmoreau-thesis, for retina has one of that name",
        "give repository fmoreau/fmoreau-thesis to retina",
        "give repository fmoreau/code to retina",
        "leave organization speech",
        "delete account fmoreau",
    ]


@pytest.mark.parametrize(("heir", "why"), [("", "there is no heir"), ("nobody", "the heir nobody has no account")])
def test_without_an_heir_the_account_stays_shut(heir: str, why: str) -> None:
    made = plan([absent(heir=heir)], left("thesis", nobody=None), {}, Policy())
    assert made.people == {}
    assert why in made.notes[0]


def test_purge_is_asked_for_by_name() -> None:
    made = plan([absent()], left("thesis"), {}, Policy(purge=frozenset({"fmoreau"})))
    assert sentences(made, "fmoreau") == [
        "leave organization speech",
        "delete account fmoreau and its repositories (thesis)",
    ]
    assert made.people["fmoreau"].ops[-1].data == {"purge": True}


def test_the_heir_of_all() -> None:
    made = plan([absent()], left("thesis", archive=[]), {}, Policy(default_heir="archive"))
    assert "give repository fmoreau/thesis to archive" in sentences(made, "fmoreau")


def test_the_guard_counts_those_who_are_shut_or_deleted() -> None:
    people = [person(f"p{number}", 3000 + number, state="suspended") for number in range(5)]
    seen = [account(10 + number, f"p{number}") for number in range(5)]
    with pytest.raises(RefusedError, match="takes away 5 of 5 accounts"):
        plan(people, observed(*seen), {}, Policy())
    shut = [account(10 + number, f"p{number}", active=False, prohibit_login=True) for number in range(5)]
    assert plan(people, observed(*shut), {}, Policy()).people == {}


def test_unmanaged_accounts_are_told_where_the_list_is_complete() -> None:
    seen = observed(account(), account(8, "stranger"))
    assert plan([person()], seen, {}, Policy()).unmanaged == ["stranger"]
    assert plan([person()], seen, {}, Policy(complete=False)).unmanaged == []
