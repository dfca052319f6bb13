# SPDX-License-Identifier: GPL-3.0-or-later
"""What the system itself says after the role has run, with the people of inventories/lab."""

from __future__ import annotations

import time
from typing import Any

import pytest
from plugin import active
from target import Target

EXPIRED_DAY = "1"


def people_in(target: Target, state: str) -> list[dict[str, Any]]:
    people = [person for person in target.people.values() if person["state"] == state]
    assert people, f"inventories/lab has nobody who is {state}, so that nothing is tested"
    return people


def fields(target: Target, database: str, name: str) -> list[str]:
    """The fields of one entry of an account database, [] when there is none."""
    found = target.host.run("getent %s %s", database, name)
    return found.stdout.strip().split(":") if found.rc == 0 else []


def test_accounts_of_present_people(target: Target) -> None:
    for person in people_in(target, "present"):
        entry = fields(target, "passwd", person["name"])
        assert entry[2:4] == [str(person["uid"])] * 2
        assert entry[5:] == [person["home"], person["shell"]]
        expires = fields(target, "shadow", person["name"])[7]
        assert not expires or int(expires) > time.time() // 86400


def test_homes_are_private_and_filled_from_skel(target: Target) -> None:
    for person in filter(active, people_in(target, "present")):
        home = target.host.file(person["home"])
        assert (home.user, home.group, home.mode) == (person["name"], person["name"], 0o700)
        profile = target.host.file(f"{person['home']}/.profile")
        assert (profile.user, profile.content_string) == (
            person["name"],
            target.host.file("/etc/skel/.profile").content_string,
        )


def test_suspended_people_keep_their_data_and_nothing_else(target: Target) -> None:
    legacy = [person for person in people_in(target, "suspended") if fields(target, "passwd", person["name"])]
    assert legacy, "no suspended person had an account before"
    for person in legacy:
        assert fields(target, "passwd", person["name"])[6] == "/usr/sbin/nologin"
        shadow = fields(target, "shadow", person["name"])
        assert shadow[1].startswith("!")
        assert shadow[7] == EXPIRED_DAY
        home = target.host.file(person["home"])
        assert home.is_directory
        assert home.mode & 0o077 == 0


def test_people_who_never_had_access_get_no_account(target: Target) -> None:
    without = [person["name"] for person in people_in(target, "suspended") if not person["create"]]
    assert without, "nobody is before the start or after the end"
    for name in without:
        assert fields(target, "passwd", name) == [] or fields(target, "shadow", name)[7] == EXPIRED_DAY


def test_homes_of_the_legacy_accounts_that_left_are_archived(target: Target) -> None:
    archives = target.result("observe")["archives"]
    assert {name: list(found.values()) for name, found in archives.items() if found} == {"fmoreau": [True]}


def test_the_account_in_no_list_is_left_alone(target: Target) -> None:
    assert fields(target, "passwd", "oldservice")[2] == "2900"


def test_subordinate_ids_do_not_overlap(target: Target) -> None:
    for database in ("subuid", "subgid"):
        lines = target.host.file(f"/etc/{database}").content_string.splitlines()
        ranges = sorted((int(start), int(count), name) for name, start, count in (line.split(":") for line in lines))
        for (start, count, name), (following, _count, other) in zip(ranges, ranges[1:]):
            assert start + count <= following, f"{database}: {name} and {other}"
        owners = {name for _start, _count, name in ranges}
        assert {person["name"] for person in people_in(target, "present") if person["create"]} <= owners


@pytest.mark.parametrize("program", ["pwck -r -q", "grpck -r"])
def test_account_files_are_consistent(target: Target, program: str) -> None:
    done = target.host.run(program)
    assert done.rc == 0, done.stdout + done.stderr


def test_sshd_says_what_the_role_wrote(target: Target) -> None:
    for user in ("root", next(person["name"] for person in filter(active, people_in(target, "present")))):
        effective = target.host.check_output("/usr/sbin/sshd -T -C user=%s,host=x,addr=192.0.2.7", user).splitlines()
        for option, value in target.plan["sshd"].items():
            assert f"{option} {value}" in effective


def test_the_change_of_sshd_was_confirmed(target: Target) -> None:
    timers = target.host.check_output("systemctl list-timers --all --plain --no-legend")
    assert "lyceum" not in timers
