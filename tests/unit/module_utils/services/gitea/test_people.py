# SPDX-License-Identifier: GPL-3.0-or-later
"""People as the registry gives them, and what is remembered of them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.services.gitea.people import Memory, Person, Wanted
from ansible.module_utils.lyceum.services.gitea.state import Account, Key

from .fake import fingerprint, public_key

PARAMS: dict[str, Any] = {
    "complete": True, "exclusive_keys": True, "default_heir": "", "purge": [], "protected": [], "max_removals": 10,
    "max_removals_percent": 10, "allow_removals": [], "passwords": {}, "must_change_password": True,
}  # fmt: skip


def entry(name: str = "amartin", uid: int = 2001, **values: Any) -> dict[str, Any]:
    return {"name": name, "uid": uid, "email": f"{name}@example.org", **values}


def test_a_person_as_projected_from_the_registry() -> None:
    person = Person.from_params(
        entry(full_name="A. Martin", admin=True, max_repositories=0, heir=None, ssh_keys=[public_key(1, "laptop")])
    )
    assert (person.admin, person.limit, person.heir, person.slot) == (True, 0, "", "uid 2001")
    assert [(key.fingerprint, key.comment) for key in person.keys] == [(fingerprint(public_key(1)), "laptop")]
    assert Person.from_params(entry()).limit == -1


def test_a_key_that_gitea_would_let_in_everywhere_is_left_out() -> None:
    """from= and expiry-time narrow a key for sshd; Gitea knows nothing of them."""
    lines = [f'from="192.0.2.0/24" {public_key(1, "a")}', f"no-pty {public_key(2, 'b')}"]
    person = Person.from_params(entry(ssh_keys=lines))
    assert [key.comment for key in person.keys] == ["b"]
    assert person.left_out == (f"key {fingerprint(public_key(1))} (a) with the option from",)


def test_the_same_key_twice_is_one_key() -> None:
    person = Person.from_params(entry(ssh_keys=[public_key(1, "a"), public_key(1, "b")]))
    assert len(person.keys) == 1


def test_every_problem_of_the_list_is_told_at_once() -> None:
    people = [
        entry(ssh_keys=["rubbish"]),
        entry("bchen", 2002, ssh_keys=[public_key(1, "k")]),
        entry("dlopez", 2002, email="bchen@example.org", ssh_keys=[public_key(1, "k")]),
        entry("ehansen", 2005, email=""),
    ]
    with pytest.raises(LyceumError) as caught:
        Wanted.from_params({**PARAMS, "people": people})
    text = str(caught.value)
    assert text.startswith("5 problem(s) in the list of people: amartin: SSH key 1: ")
    assert "the uid 2002 is there 2 times; the address bchen@example.org is there 2 times" in text
    assert f"dlopez and bchen have the same key {fingerprint(public_key(1))} (k); Gitea takes a key only once" in text
    assert "ehansen has no address" in text


def test_passwords_do_not_show() -> None:
    wanted = Wanted.from_params({**PARAMS, "people": [entry()], "passwords": {"amartin": "first"}})
    assert "first" not in repr(wanted)
    assert wanted.passwords["amartin"].reveal() == "first"


def test_what_the_journal_remembers() -> None:
    memory = Memory.from_journal(
        {
            "account": {"id": 7, "name": "amartin"},
            "max_repositories": {"id": 7, "value": 3},
            "lost key SHA256:x": {"title": "laptop", "line": "ssh-ed25519 AAAA"},
            "lost token 4": {"name": "ci"},
            "shut": {"id": 7},
        }
    )
    assert memory == Memory((7, "amartin"), (7, 3), (Key(0, "laptop", "SHA256:x", "ssh-ed25519 AAAA"),), ("ci",), 7)
    assert memory.knows_limit(Account(7, "amartin")) == 3
    assert memory.knows_limit(Account(8, "amartin")) is None  # made anew since
    assert Memory.from_journal({}) == Memory()
