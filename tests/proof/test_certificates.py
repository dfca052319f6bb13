# SPDX-License-Identifier: GPL-3.0-or-later
"""Private keys attacked by people of the host, and certificates as clients judge them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from plugin import Proof
from target import Target

pytestmark = pytest.mark.role("certificates")

LEAST_DAYS = 1
SAMPLE = 5


@pytest.fixture(scope="session")
def listed(target: Target) -> list[dict[str, Any]]:
    entries = target.plan["certificates"]["certificates"]
    found = [entry for entry in entries if entry.get("state", "present") == "present"]
    if not found:
        pytest.skip("this host has no certificate")
    return found


@pytest.mark.control("keys", "a person of the host reads a private key")
def test_keys_are_closed(target: Target, listed: list[dict[str, Any]], proof: Proof) -> None:
    people = [person["name"] for person in target.people.values() if person["state"] == "present"]
    names = [entry["name"] for entry in listed]
    found = target.probe("certificate_keys", role="certificates", names=names, people=people)
    if not found["people"]:
        pytest.skip("nobody of the registry has an account here")
    for name in names:
        if name not in found["root"]:
            proof.broken(f"there is no key of {name}")
        elif name in found["read"]:
            proof.broken(f"{', '.join(found['read'][name])} read that of {name}")
        else:
            proof.held(f"{name} to {len(found['people'])} people")


@pytest.mark.control("certificates", "a certificate is not trusted, for other names, or past its end")
def test_certificates_are_good(target: Target, listed: list[dict[str, Any]], proof: Proof) -> None:
    for entry in listed:
        found = target.probe(
            "certificate_verdict", role="certificates", name=entry["name"], hosts=entry["subject_alt_names"]
        )
        wrong = [f"{host}: {words}" for host, words in found["wrong"].items()]
        if wrong:
            proof.broken(f"{entry['name']}: {'; '.join(wrong)}")
        elif found["days"] < LEAST_DAYS:
            proof.broken(f"{entry['name']} ends in {found['days']:.1f} days")
        else:
            proof.held(f"{entry['name']} for {found['days']:.0f} days")


@pytest.mark.control("keys", "others on the controller read the key of the site's own authority")
def test_the_authority_is_closed(target: Target, proof: Proof) -> None:
    folder = target.plan["certificates"]["directory"]
    if not target.plan["certificates"]["authority"]:
        pytest.skip("the site has no authority of its own")
    key = Path(folder) / "ca.key"
    if not key.exists():
        pytest.skip("the key of the authority is not on this controller")
    for path in (key, key.parent):
        mode = path.stat().st_mode & 0o777
        if mode & 0o077:
            proof.broken(f"{path} has mode {mode:04o}")
        else:
            proof.held(f"{path.name} {mode:04o}")
