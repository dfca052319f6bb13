# SPDX-License-Identifier: GPL-3.0-or-later
"""Suspended and removed people stay out, whatever they still know or have left behind."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from plugin import Proof
from target import ProbeError, Target
from test_login import AT_ONCE, judge, with_identity


def people_in(target: Target, state: str) -> list[str]:
    names = [name for name, person in target.people.items() if person["state"] == state]
    if not names:
        pytest.skip(f"nobody is {state} in the registry")
    return names[:20]


def answer(target: Target, name: str, program: str) -> dict[str, Any]:
    """The answer of a probe in namespaces of its own, or a skip that says why there is none."""
    if not target.result("observe")["programs"][program]:
        pytest.skip(f"{program} is not installed")
    try:
        return target.result(name)  # type: ignore[no-any-return]
    except ProbeError as exc:
        if "unshare failed" in str(exc) or "Operation not permitted" in str(exc):
            pytest.skip(f"no private mount namespace on this host: {exc}")
        raise


def control_of(target: Target) -> str:
    """The active person whose success shows that the attack works at all."""
    if target.control is None:
        pytest.skip("no active person has an account here, so that nothing shows that the attack works")
    return target.control


@pytest.mark.parametrize("state", ["suspended", "absent"])
@pytest.mark.control("offboarding", "{state}: login with the own key")
def test_key(target: Target, proof: Proof, state: str) -> None:
    names = people_in(target, state)
    known = with_identity(target, proof, names)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for name, login in zip(known, pool.map(lambda n: target.attack(n, target.identities[n]), known)):
            judge(proof, name, login)


@pytest.mark.parametrize("state", ["suspended", "absent"])
@pytest.mark.control("offboarding", "{state}: su with the right password")
def test_password_su(target: Target, proof: Proof, state: str) -> None:
    names, control = people_in(target, state), control_of(target)
    let_in = answer(target, "password", "su")["su"]
    if not let_in[control]:
        pytest.skip(f"su refuses even {control}, who is active: the attack shows nothing")
    for name in names:
        if let_in[name]:
            proof.broken(f"{name} got in")
        else:
            proof.held(name)


@pytest.mark.parametrize("state", ["suspended", "absent"])
@pytest.mark.control("offboarding", "{state}: ssh with the right password")
def test_password_ssh(target: Target, proof: Proof, state: str) -> None:
    names, control = people_in(target, state), control_of(target)
    let_in = answer(target, "password", "su")["ssh"]
    options = target.result("observe")["sshd"].get(control, {})
    takes_passwords = ["yes"] in (options.get("passwordauthentication"), options.get("kbdinteractiveauthentication"))
    if takes_passwords and not let_in[control]:
        pytest.skip(f"sshd takes passwords but refuses even {control}, who is active: the attack shows nothing")
    for name in names:
        if let_in[name]:
            proof.broken(f"{name} got in")
        else:
            proof.held(name)


@pytest.mark.parametrize("state", ["suspended", "absent"])
@pytest.mark.control("offboarding", "{state}: a cron job left behind")
def test_cron(target: Target, proof: Proof, state: str) -> None:
    judge_jobs(target, proof, people_in(target, state), answer(target, "schedule", "cron")["fired"])


@pytest.mark.parametrize("state", ["suspended", "absent"])
@pytest.mark.control("offboarding", "{state}: a job given to at")
def test_at(target: Target, proof: Proof, state: str) -> None:
    judge_jobs(target, proof, people_in(target, state), answer(target, "spool", "atd")["fired"])


def judge_jobs(target: Target, proof: Proof, names: list[str], fired: list[str]) -> None:
    control = control_of(target)
    if control not in fired:
        pytest.skip(f"not even the job of {control}, who is active, was run: the attack shows nothing")
    for name in names:
        if name in fired:
            proof.broken(f"the job of {name} was run")
        else:
            proof.held(name)


@pytest.mark.control("offboarding", "suspended: keys, processes or sessions go on")
def test_ways_in(target: Target, proof: Proof) -> None:
    people_in(target, "suspended")
    for name, found in target.result("observe")["ways_in"].items():
        for what in found:
            proof.broken(f"{name}: {what}")
        if not found:
            proof.held(name)


@pytest.mark.control("offboarding", "absent: something is left (account, process, crontab, linger, home, key)")
def test_leftovers(target: Target, proof: Proof) -> None:
    people_in(target, "absent")
    for name, left in target.result("observe")["leftovers"].items():
        for what in left:
            proof.broken(f"{name}: {what}")
        if not left:
            proof.held(name)


@pytest.mark.control("offboarding", "absent: the archive of the home is missing or damaged")
def test_archive(target: Target, proof: Proof) -> None:
    people_in(target, "absent")
    for name, archives in target.result("observe")["archives"].items():
        for path, intact in archives.items():
            if intact:
                proof.held(path)
            else:
                proof.broken(f"{path} does not match its checksum")
        if not archives:
            proof.not_tested(f"{name}: no archive here, so no home was archived here")
