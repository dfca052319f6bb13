# SPDX-License-Identifier: GPL-3.0-or-later
"""Who gets in, with which key."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from plugin import Proof, active
from target import Login, Target, UnreachableError

AT_ONCE = 3  # sshd drops unauthenticated connections from 10 at a time on (MaxStartups)
SAMPLE = 5


def enterable(target: Target) -> list[str]:
    """People whom the registry lets in here and who have an account."""
    accounts = target.result("observe")["accounts"]
    return [name for name, person in target.people.items() if active(person) and accounts[name]]


def with_identity(target: Target, proof: Proof, names: list[str]) -> list[str]:
    """Those whose private key is at hand; the others are stated as not tested."""
    unknown = [name for name in names if name not in target.identities]
    if unknown:
        some = ", ".join(unknown[:SAMPLE]) + (" ..." if len(unknown) > SAMPLE else "")
        proof.not_tested(f"no private key at hand for {len(unknown)} people: {some}")
    return [name for name in names if name in target.identities]


def judge(proof: Proof, who: str, login: Login) -> None:
    """State what an attack by login showed: only sshd's own refusal is a refusal."""
    if login.entered:
        proof.broken(f"{who} got in")
    elif login.refused:
        proof.held(who)
    else:
        proof.not_tested(f"{who}: {login.words}")


@pytest.mark.control("admin access", "the admin logs in over a new connection")
def test_admin(plan: dict[str, Any], proof: Proof) -> None:
    target = Target(plan)
    try:
        proof.held(target.connect())
    except UnreachableError as exc:
        proof.broken(str(exc))
    finally:
        target.close()


@pytest.mark.control("login", "a person logs in with the own key")
def test_own_key(target: Target, proof: Proof) -> None:
    names = [name for name, person in target.people.items() if active(person) and person["create"]]
    if not names:
        pytest.skip("the registry lets nobody in here")
    known = with_identity(target, proof, names)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for name, login in zip(known, pool.map(lambda n: target.login(n, target.identities[n]), known)):
            if login.output == name:
                proof.held(name)
            else:
                proof.broken(f"{name} cannot log in: {login.words}")


@pytest.mark.control("login", "a key outside the registry")
def test_foreign_key(target: Target, proof: Proof, foreign_key: Path) -> None:
    names = [*target.admins, *enterable(target)[:SAMPLE]]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for name, login in zip(names, pool.map(lambda n: target.attack(n, str(foreign_key)), names)):
            judge(proof, name, login)


@pytest.mark.control("login", "a key the person wrote to ~/.ssh/authorized_keys and authorized_keys2")
def test_own_authorized_keys(target: Target, proof: Proof, foreign_key: Path) -> None:
    names = enterable(target)[:1]
    if not names:
        pytest.skip("nobody who may log in has an account here")
    [name] = names
    target.probe("plant", person=name, key=foreign_key.with_suffix(".pub").read_text().strip())
    try:
        login = target.attack(name, str(foreign_key))
    finally:
        restored = target.probe("uproot", person=name)["restored"]
    if len(restored) == 2:
        judge(proof, name, login)
    else:
        proof.not_tested(f"{name}: somebody else took the planted key away during the attack")


@pytest.mark.control("login", "a person forges the managed key files")
def test_forged_key_file(target: Target, proof: Proof) -> None:
    names = enterable(target)[:SAMPLE]
    for path, why in target.result("observe")["keys"].items():
        proof.broken(f"{path}: {why}")
    for name in names:
        breaches = target.probe("forge", person=name, keys_dir=target.plan["keys_dir"])["breaches"]
        for breach in breaches:
            proof.broken(breach)
        if not breaches:
            proof.held(name)
    if not names:
        proof.not_tested("nobody who may log in has an account here")


@pytest.mark.control("login", "sshd reads another source of keys for somebody")
def test_effective_configuration(target: Target, proof: Proof) -> None:
    wanted = target.plan["sshd"]
    for user, options in target.result("observe")["sshd"].items():
        if "error" in options:
            proof.not_tested(f"{user}: {options['error']}")
            continue
        wrong = [f"{key} {options.get(key)}" for key, value in wanted.items() if options.get(key) != [value]]
        if options.get("authorizedkeysfile") == ["none"]:  # of somebody who may not log in at all: stricter than asked
            wrong = [what for what in wrong if not what.startswith("authorizedkeysfile")]
        if options.get("authorizedkeyscommand", ["none"]) != ["none"]:
            wrong.append(f"authorizedkeyscommand {options['authorizedkeyscommand']}")
        for what in wrong:
            proof.broken(f"{user}: {what}")
        if not wrong:
            proof.held(user)
