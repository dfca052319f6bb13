# SPDX-License-Identifier: GPL-3.0-or-later
"""Names, numbers, addresses and keys belong to one entry only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.lyceum.registry import identities
from ansible.module_utils.lyceum.registry.findings import Findings

from . import samples


def check(raw: dict[str, Any]) -> list[str]:
    findings = Findings(raw, None)
    identities.check(raw, findings)
    return [str(problem) for problem in findings.sorted()]


def key_owner(*entries: dict[str, Any]) -> list[str]:
    """What is said about people a, b, c ... with the next uids and these further keys."""
    numbered = enumerate(zip("abcdef", entries, strict=False))
    return check({"people": [{"name": name, "uid": 2001 + number, **entry} for number, (name, entry) in numbered]})


GONE = {"state": "absent"}


def test_valid_registry() -> None:
    assert check(samples.registry()) == []


CASES = yaml.safe_load((Path(__file__).parents[2] / "data" / "identities" / "messages.yml").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: " ".join(case["messages"])[:60] or "nothing wrong")
def test_messages(case: dict[str, Any]) -> None:
    assert check(case["raw"]) == case["messages"]


def test_the_last_person_of_the_longest_range_has_all_subordinate_ids() -> None:
    last = identities.SUBID_BASE + identities.MAX_PEOPLE_IDS * identities.SUBID_COUNT
    assert last <= 2**32 < last + identities.SUBID_COUNT


def test_one_key_for_two_people() -> None:
    mark = samples.FINGERPRINTS[samples.ED25519_1]
    other = f'from="192.0.2.1" {samples.ED25519_1.rsplit(" ", 1)[0]} another-comment'
    assert key_owner({"ssh_keys": [samples.ED25519_1]}, {"ssh_keys": [other]}) == [
        (
            f"lyceum_people[b].ssh_keys[0]: the key {mark} is also a key of a. "
            "A key tells who logs in: let one of the two make a key of their own."
        )
    ]


def test_one_key_twice() -> None:
    mark = samples.FINGERPRINTS[samples.ED25519_1]
    assert key_owner({"ssh_keys": [samples.ED25519_1, samples.RSA_3072, samples.ED25519_1]}) == [
        f"lyceum_people[a].ssh_keys[2]: the key {mark} is listed twice. Remove one of the two."
    ]


def test_who_comes_back_may_bring_the_old_key() -> None:
    assert key_owner({"ssh_keys": [samples.ED25519_1], **GONE}, {"ssh_keys": [samples.ED25519_1]}) == []


def test_a_weak_key_is_refused() -> None:
    (message,) = key_owner({"ssh_keys": [samples.RSA_2048]})
    assert message.endswith("RSA with 2048 bits is outside 3072 to 16384. Make a new one: ssh-keygen -t ed25519")


@pytest.mark.parametrize(
    "line", ["-----BEGIN OPENSSH PRIVATE KEY-----", "b3BlbnNzaC1rZXktdjEAAAAABG5vbmU", "MIIEvQIBADANB"]
)
def test_what_may_be_a_private_key_is_not_shown(line: str) -> None:
    (message,) = key_owner({"ssh_keys": [line]})
    assert line[:8] not in message
