# SPDX-License-Identifier: GPL-3.0-or-later
"""Contradictions between registry and host. Every one is found, and none is invented."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.lyceum.accounts.conflicts import find_conflicts, find_unmanaged
from ansible.module_utils.lyceum.accounts.database import Database
from ansible.module_utils.lyceum.accounts.observe import Home, Observed

from .conftest import Host, person

AMARTIN = "amartin:x:2001:2001::/home/amartin:/bin/bash"


def conflicts(
    host: Host,
    people: list[dict[str, Any]],
    groups: list[dict[str, Any]] | None = None,
    homes: dict[str, Home] | None = None,
    foreign: dict[int, str] | None = None,
    **policy: Any,
) -> list[str]:
    observed = Observed(Database.load(host.root), homes or {}, {}, foreign_names=foreign or {})
    return find_conflicts(host.desired(people, groups, **policy), observed)


def check(
    host: Host, lines: dict[str, list[str]], people: list[dict[str, Any]], expected: list[str], **policy: Any
) -> None:
    for name, own in lines.items():
        host.append(name, *own)
    found = conflicts(host, people, **policy)
    assert len(found) == len(expected), found
    for sentence, part in zip(found, expected):
        assert part in sentence


@pytest.mark.parametrize(
    ("lines", "people", "expected"),
    [
        # uids
        ({"passwd": [AMARTIN]}, [person()], []),
        ({"passwd": [AMARTIN]}, [person(uid=2101)], ["account amartin has uid 2001 here but 2101 in the registry"]),
        ({"passwd": [AMARTIN]}, [person(uid=2101, migrate_uid=True)], []),
        ({}, [person(uid=33)], ["uid 33 of amartin belongs to account www-data here", "gid 33 of amartin belongs to"]),
        ({}, [person(uid=33, state="absent")], []),
        ({}, [person(uid=33, create=False)], []),
        # An account of that name which is not the person's is neither suspended nor removed.
        ({}, [person("www-data", 2001, state="absent")], ["account www-data has uid 33 here but 2001 in the registry"]),
        (
            {},
            [person("www-data", 2001, state="suspended", create=False)],
            ["account www-data has uid 33", "group www-data has gid 33"],
        ),
        (
            {"passwd": ["toor:x:0:0::/root:/bin/sh"]},
            [person("toor", 2001, state="absent", migrate_uid=True)],
            ["account toor is a name of root (uid 0) here"],
        ),
        # Two names for one uid: what one of them runs and owns is the other's.
        *(
            (
                {"passwd": lines},
                [person(state=state)],
                ["uid 2001 of amartin belongs to account alias here too; give alias another uid"],
            )
            for state in ("present", "suspended", "absent")
            for lines in (
                [AMARTIN, "alias:x:2001:2001::/home/amartin:/bin/sh"],
                ["alias:x:2001:2001::/home/amartin:/bin/sh", AMARTIN],
            )
        ),
        # gids
        ({"group": ["amartin:x:2500:"]}, [person()], ["group amartin has gid 2500 here but 2001 in the registry"]),
        ({"group": ["other:x:2001:"]}, [person()], ["gid 2001 of amartin belongs to group other here"]),
        (
            {"group": ["amartin:x:2001:", "other:x:2001:"]},
            [person()],
            ["gid 2001 of amartin belongs to group other here"],
        ),
        (
            {"passwd": [AMARTIN], "group": ["amartin:x:2001:"]},
            [person(uid=2101, migrate_uid=True)],
            [],
        ),
        # damaged lines
        ({"shadow": ["amartin:$y$x:1"]}, [person()], ["the line of amartin in /etc/shadow is damaged"]),
        ({"passwd": ["amartin:x:2o01:2001:::"]}, [person(state="absent")], ["the line of amartin in /etc/passwd"]),
        ({"group": ["vision:x"]}, [person()], []),
        ({"passwd": ["stranger:x"]}, [person()], []),
    ],
)
def test_conflicts(host: Host, lines: dict[str, list[str]], people: list[dict[str, Any]], expected: list[str]) -> None:
    check(host, lines, people, expected, subid_count=0)


@pytest.mark.parametrize(
    ("lines", "people", "expected"),
    [
        ({"subuid": ["box:524287:1"]}, [person()], []),
        (
            {"subuid": ["box:524287:2"]},
            [person()],
            ["subordinate ids 524288-589823 of amartin overlap those of box in"],
        ),
        (
            {"subgid": ["box:589823:5"]},
            [person()],
            ["of amartin overlap those of box in /etc/subgid; remove that line"],
        ),
        ({"subuid": ["box:0:4294967295"]}, [person()], ["overlap those of box in /etc/subuid"]),
        ({"subuid": ["a:1:9", "b:5:9"]}, [person()], []),
        ({"subuid": ["amartin:524288:65536"]}, [person()], []),
        ({"subuid": ["2001:524288:65536"]}, [person()], []),
        ({"subuid": ["bchen:524288:65536"]}, [person(), person("bchen", 2002, state="absent")], []),
        ({"subuid": ["box:524288:1"]}, [person(state="absent")], []),
        (
            {"passwd": ["ldapish:x:525000:525000::/home/l:/bin/sh"]},
            [person()],
            ["subordinate ids 524288-589823 of amartin contain uid 525000, which is somebody's"],
        ),
        (
            {"group": ["ldapish:x:525000:"]},
            [person()],
            ["subordinate ids 524288-589823 of amartin contain gid 525000, which is somebody's"],
        ),
    ],
)
def test_subordinate_ids(
    host: Host, lines: dict[str, list[str]], people: list[dict[str, Any]], expected: list[str]
) -> None:
    check(host, lines, people, expected, subid_count=65536)


@pytest.mark.parametrize(
    ("uid", "expected"),
    [
        # (1993 - 2001) * 65536 + 524288 = 0: root's own id would be in the range.
        (1993, "subordinate ids 0-65535 of amartin do not fit into 32 bits"),
        (1990, "do not fit into 32 bits"),
        (70000, "do not fit into 32 bits"),
    ],
)
def test_ranges_of_uids_outside_the_registrys_range_are_refused(host: Host, uid: int, expected: str) -> None:
    found = conflicts(host, [person(uid=uid)])
    assert found
    assert all(expected in sentence for sentence in found)
    assert conflicts(host, [person(uid=uid)], subid_count=0) == []


def test_two_new_people_never_overlap_and_one_may_not_contain_the_other(host: Host) -> None:
    assert conflicts(host, [person(), person("bchen", 2002)]) == []
    found = conflicts(host, [person(), person("far", 530000, create=False)], subid_base=524288)
    assert ["contain uid 530000" in sentence or "contain gid 530000" in sentence for sentence in found] == [True, True]


@pytest.mark.parametrize(
    ("entry", "home", "state", "expected"),
    [
        (None, Home("directory", 2001, 2001, 0o700), "present", None),
        (None, Home("directory", 0, 0, 0o755), "present", "home /home/amartin exists and belongs to uid 0, not to"),
        (None, Home("other"), "present", "home /home/amartin of amartin is not a directory"),
        (AMARTIN, Home("directory", 0, 0, 0o755), "present", None),
        (AMARTIN, Home("directory", 4242, 4242, 0o755), "present", None),
        (AMARTIN, Home("directory", 33, 33, 0o755), "present", "belongs to uid 33, not to amartin"),
        (AMARTIN.replace("/home/", "/data/"), Home("directory", 0, 0, 0o755), "present", "belongs to uid 0"),
        (AMARTIN, Home("directory", 33, 33, 0o755), "suspended", None),
        (AMARTIN, Home("other"), "absent", None),
    ],
)
def test_homes_of_somebody_else(host: Host, entry: str | None, home: Home, state: str, expected: str | None) -> None:
    if entry:
        host.append("passwd", entry)
    found = conflicts(host, [person(state=state)], homes={"amartin": home})
    assert len(found) == (1 if expected else 0)
    assert all(expected in sentence for sentence in found if expected)


def test_uids_of_the_directory_service_are_taken(host: Host) -> None:
    assert conflicts(host, [person()], foreign={2001: "amartin"}) == []
    (found,) = conflicts(host, [person()], foreign={2001: "zoe"})
    assert found == "uid 2001 of amartin belongs to zoe in the directory service; give amartin a free uid"


def test_shared_groups_and_primary_groups_in_them(host: Host) -> None:
    vision = {"name": "vision", "gid": 10001}
    assert conflicts(host, [person(gid=10001)], [vision]) == []
    host.append("group", "old:x:10001:")
    (found,) = conflicts(host, [person()], [vision])
    assert found == "gid 10001 of vision belongs to group old here; give vision a free gid or remove old"


def test_unmanaged(host: Host) -> None:
    host.append("passwd", AMARTIN, "ops:x:2900:2900::/srv/ops:/bin/sh", "low:x:2000:2000:::", "high:x:3000:3000:::")
    host.append("group", "sudo2:x:28:amartin,zoe", "vision:x:10001:amartin", "amartin:x:2001:amartin")
    wish = host.desired([person()], [{"name": "vision", "gid": 10001}])
    assert find_unmanaged(wish, Database.load(host.root)) == [
        "account ops (uid 2900) is not in the registry",
        "group sudo2 (not managed) has amartin as member(s)",
    ]
