# SPDX-License-Identifier: GPL-3.0-or-later
"""What people can reach of one another, and which groups they are in."""

from __future__ import annotations

import pytest
from plugin import Proof
from target import Target
from test_login import enterable

ATTACKERS = 2


@pytest.mark.control("homes", "a stranger lists, enters, reads or writes a home")
def test_homes(target: Target, proof: Proof) -> None:
    accounts = target.result("observe")["accounts"]
    homes = {name: person["home"] for name, person in target.people.items() if accounts[name]}
    # `nobody` is in no group; people come with the groups that the registry gives them.
    attackers = ["nobody", *enterable(target)[:ATTACKERS]]
    seen = target.probe("homes", attackers=attackers, victims=homes)
    if not seen["homes"]:
        pytest.skip("there are no homes here")
    for breach in seen["breaches"]:
        proof.broken(breach)
    if not seen["breaches"]:
        proof.held(f"{', '.join(attackers)} against {seen['homes']} homes")


@pytest.mark.control("groups", "somebody is in a managed group without the registry, or is missing")
def test_memberships(target: Target, proof: Proof) -> None:
    observed = target.result("observe")
    for group in target.plan["groups"]:
        name, found = group["name"], observed["groups"][group["name"]]
        if group["state"] == "absent":
            if found:
                proof.broken(f"{name} still exists")
            else:
                proof.held(name)
            continue
        if found is None:
            proof.broken(f"{name} does not exist")
            continue
        wanted = {
            who for who, person in target.people.items() if observed["accounts"][who] and name in person["groups"]
        } | set(group["extra_members"])
        wrong = [f"{who} is in {name}" for who in sorted(set(found["members"]) - wanted)]
        wrong += [f"{who} is not in {name}" for who in sorted(wanted - set(found["members"]))]
        wrong += [f"{name} has gid {found['gid']}, not {group['gid']}"] if found["gid"] != group["gid"] else []
        for what in wrong:
            proof.broken(what)
        if not wrong:
            proof.held(name)
    if not target.plan["groups"]:
        pytest.skip("the registry has no groups")
