# SPDX-License-Identifier: GPL-3.0-or-later
"""sshd itself: what it says of everybody, its cryptography, who guesses keys, and what is written down about it all."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import jail_scene
import pytest
from jail_scene import Scene
from plugin import Proof
from target import Target, UnreachableError

pytestmark = pytest.mark.role("sshd_jail")
scene = jail_scene.scene  # where pytest looks for it, also from a scenario that takes over all of this module

GUESSES = 12
SHUT_OUT_SECONDS = 10  # until fail2ban has read the journal
# Variables that would reach the program that confines, before it does.
DANGEROUS = ("LD_PRELOAD", "LD_AUDIT", "LD_LIBRARY_PATH", "BASH_ENV", "ENV", "GCONV_PATH", "PYTHONPATH")


@pytest.mark.control("sshd", "the configuration says of somebody else than the registry (sshd -T -C)")
def test_effective_configuration(scene: Scene, proof: Proof) -> None:
    claims = scene.target.plan["sshd_jail"]
    free = [*scene.target.admins, *filter(None, [scene.shell])]
    everybody = [*free, *(wanted["user"] for wanted in claims["expect"])]
    found = scene.ask("jail_sshd", users=everybody)
    for name in free:
        wrong = [key for key in ("forcecommand", "chrootdirectory") if found[name].get(key) != ["none"]]
        for key in wrong:
            proof.broken(f"{name} is confined: {key} {found[name].get(key)}")
    for wanted in claims["expect"]:
        name, options = wanted["user"], found[wanted["user"]]
        for key, value in wanted["options"].items():
            if options.get(key, [None])[0] != value:
                proof.broken(f"{name}: {key} {options.get(key)} instead of {value}")
        accepted = [one for one in options.get("acceptenv", []) for bad in DANGEROUS if Path(bad).match(one)]
        for one in accepted:
            proof.broken(f"{name} may send {one}")
        if options.get("permituserenvironment") != ["no"]:
            proof.broken(f"{name}: ~/.ssh/environment is read")
    if not proof.seen["BROKEN"]:
        proof.held(f"{len(everybody)} people")


@pytest.mark.control("sshd", "weak cryptography is agreed to (ssh-audit)")
def test_cryptography(scene: Scene, proof: Proof) -> None:
    program = Path(sys.executable).with_name("ssh-audit")
    route = scene.target.route
    if {"proxyjump", "proxycommand"} & set(route):
        pytest.skip("the host is not reached directly")
    if not program.exists():
        pytest.skip("ssh-audit is not installed beside the prover's Python")
    done = scene.client(
        str(program),
        "--skip-rate-test",
        "--no-colors",
        "--level=warn",
        f"--port={route['port']}",
        route["hostname"],
        seconds=60,
    )
    findings = [line for line in done.stdout.splitlines() if "[fail]" in line or "[warn]" in line]
    if findings:
        proof.broken("; ".join(" ".join(line.split()) for line in findings))
    elif done.returncode:
        proof.not_tested(f"ssh-audit ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-200:]}")
    else:
        proof.held("no failure, no warning")


@pytest.mark.control("sshd", "somebody guesses keys from one address, again and again")
def test_brute_force(scene: Scene, proof: Proof, foreign_key: Path) -> None:
    target, claims = scene.target, scene.target.plan["sshd_jail"]
    [free] = scene.need("shell")
    if not claims["throttle"]:
        pytest.skip("switched off by sshd_jail_throttle")
    source, other = target.source(), target.source()
    if not target.sshd_address[2]:
        pytest.skip("sshd does not listen on addresses of the loopback network")
    key = target.identities[free]
    if not target.attack(free, key, source).entered:
        pytest.skip(f"{free} cannot log in from {source} to begin with")
    for _guess in range(GUESSES):
        target.attack(free, str(foreign_key), source)
    end = time.monotonic() + SHUT_OUT_SECONDS
    while (shut_out := not target.attack(free, key, source).entered) is False and time.monotonic() < end:
        time.sleep(0.5)
    elsewhere = target.attack(free, key, other).entered
    admin = Target(target.plan)
    try:
        admin.connect()
    except UnreachableError as exc:
        proof.broken(f"the admin is shut out, too: {exc}")
    finally:
        admin.close()
        if not claims["own_penalties"]:
            scene.ask("jail_unban", address=source)
    if not shut_out:
        proof.broken(f"after {GUESSES} wrong keys the right one was still taken from the same address")
    elif not elsewhere:
        proof.not_tested("nobody gets in from another address either")
    else:
        proof.held(f"shut out after {GUESSES} wrong keys; the admin and other addresses were not")


@pytest.mark.control("sshd", "a login or a transfer leaves no trace in the journal")
def test_journal(scene: Scene, proof: Proof, tmp_path: Path) -> None:
    people = [name for name in (scene.sftp, scene.rsync, scene.jail) if name]
    if not people:
        pytest.skip("nobody is confined here")
    sent = tmp_path / "sent"
    sent.touch()
    since = scene.host["time"]
    for name in people:
        words = [*scene.target.transfer_words("sftp", name), "-b", "-", scene.target.address]
        scene.client(*words, typed=f"put {sent} lyceum-proof-of-{name}\nrm lyceum-proof-of-{name}\n")
    for name in people:
        key = subprocess.run(
            ["ssh-keygen", "-lf", scene.target.identities[name]], capture_output=True, text=True, check=True
        ).stdout.split()[1]
        uid = scene.target.people[name]["uid"]
        lines = scene.ask("jail_journal", since=since, uid=uid, words=["Accepted", f"lyceum-proof-of-{name}"])["lines"]
        missing = [] if any(f"for {name} " in line and key in line for line in lines) else ["the login with its key"]
        missing += [] if any(line.startswith("open ") and "WRITE" in line for line in lines) else ["the file written"]
        missing += [] if any(line.startswith("remove ") for line in lines) else ["the file removed"]
        for what in missing:
            proof.broken(f"{name}: {what} is not there")
        if not missing:
            proof.held(name)


@pytest.mark.control("audit", "a change of the system's settings, with the rights of root, leaves no trace")
def test_audit(scene: Scene, proof: Proof) -> None:
    if not scene.target.plan["sshd_jail"]["audit"]:
        pytest.skip("switched off by sshd_jail_audit")
    found = scene.ask("jail_audit")
    if not found["installed"]:
        proof.broken("the rules are not installed")
    elif found["refused"]:
        pytest.skip(f"the rules are installed, but the kernel gives no audit control here: {found['refused'][0]}")
    elif not any("lyceum-etc" in rule for rule in found["rules"]):
        proof.broken("the rules are not in the kernel")
    elif scene.ask("jail_audit_event")["logged"]:
        proof.held("a new file in /etc was logged")
    else:
        proof.broken("a new file in /etc was not logged")
