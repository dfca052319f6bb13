# SPDX-License-Identifier: GPL-3.0-or-later
"""Editing account files in memory: idempotent, exact for the people listed, byte for byte for everybody else."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.lyceum.accounts.database import FIELDS, Database, Table
from ansible.module_utils.lyceum.accounts.edit import edit, edited_copy, lock_out, members_of, subid_start
from ansible.module_utils.lyceum.accounts.model import Desired, PersonSpec
from hypothesis import given, settings
from hypothesis import strategies as st

from .conftest import DEFAULTS, TODAY, person

MANAGED = ["amartin", "bchen", "dlopez", "gnovak"]
STRANGERS = ["alice", "www-data", "zoe"]
GROUPS = {"vision": 10001, "nlp": 10002}
JUNK = ["# comment", "", "+@nis", "half a line", "a:b:c:d:e:f:g:h:i:j:k", "\xff\x85:x"]


def database(users: str = "", **contents: str) -> Database:
    """Account files by name; `users` is passwd (which linters take for a password)."""
    return Database({kind: Table(kind, {**contents, "passwd": users}.get(kind, "")) for kind in FIELDS}, set())


def render(one: Database) -> dict[str, str]:
    return {kind: table.render() for kind, table in one.tables.items()}


def desired(people: list[dict[str, Any]], groups: list[dict[str, Any]] | None = None, **policy: Any) -> Desired:
    return Desired.from_params({**DEFAULTS, **policy, "people": people, "groups": groups or []})


@st.composite
def databases(draw: st.DrawFn) -> Database:
    """A host before Lyceum: some managed people, strangers, their groups, shadows with every kind of password, junk."""
    junk = st.lists(st.sampled_from(JUNK), max_size=3)
    lines: dict[str, list[str]] = {kind: draw(junk) for kind in FIELDS}
    everybody = [*MANAGED, *STRANGERS]
    there = draw(st.lists(st.sampled_from(everybody), unique=True))
    for name in there:
        uid = (2001 + MANAGED.index(name)) if name in MANAGED else 3001 + STRANGERS.index(name)
        gecos = draw(st.sampled_from(["", "Some One", "J\xc3\xb6rg,,,", "\xff"]))
        lines["passwd"].append(f"{name}:x:{uid}:{uid}:{gecos}:/home/{name}:/bin/sh")
        password = draw(st.sampled_from(["*", "!", "!!", "!*", "$y$j9T$x", "!$y$j9T$x", "abJnggxhB/yWI", ""]))
        if draw(st.booleans()):
            lines["shadow"].append(f"{name}:{password}:19000:0:99999:7:::")
        if draw(st.booleans()):
            lines["group"].append(f"{name}:x:{uid}:")
        if draw(st.booleans()):
            lines["subuid"].append(f"{draw(st.sampled_from([name, str(uid)]))}:{100000 + uid * 70000}:65536")
        if draw(st.booleans()):
            lines["subgid"].append(f"{name}:{100000 + uid * 70000}:65536")
    for group, gid in {**GROUPS, "sudo": 27, "video": 44}.items():
        if group in GROUPS and draw(st.booleans()):
            continue
        members = draw(st.lists(st.sampled_from(everybody), unique=True))
        lines["group"].append(f"{group}:x:{gid}:{','.join(members)}")
        if draw(st.booleans()):
            admins = draw(st.lists(st.sampled_from(everybody), unique=True, max_size=2))
            lines["gshadow"].append(f"{group}:!:{','.join(admins)}:{','.join(members)}")
    for kind in FIELDS:
        lines[kind] = draw(st.permutations(lines[kind]))
    contents = {kind: "".join(f"{line}\n" for line in own) for kind, own in lines.items()}
    return database(contents.pop("passwd"), **contents)


@st.composite
def registries(draw: st.DrawFn, complete: bool | None = None) -> Desired:
    names = draw(st.lists(st.sampled_from(MANAGED), unique=True, min_size=1))
    people = [
        person(
            name,
            2001 + MANAGED.index(name),
            state=draw(st.sampled_from(["present", "suspended", "absent"])),
            groups=draw(st.lists(st.sampled_from(sorted(GROUPS)), unique=True)),
            create=draw(st.booleans()),
            expires=draw(st.sampled_from([None, "2029-08-31"])),
        )
        for name in names
    ]
    groups = [
        {
            "name": name,
            "gid": gid,
            "state": draw(st.sampled_from(["present", "present", "absent"])),
            "extra_members": draw(st.lists(st.sampled_from(STRANGERS), unique=True, max_size=2)),
        }
        for name, gid in GROUPS.items()
    ]
    exact = draw(st.booleans()) if complete is None else complete
    return desired(people, groups, complete=exact, subid_count=draw(st.sampled_from([0, 65536])))


@settings(max_examples=50, deadline=None)
@given(databases(), registries())
def test_editing_twice_is_editing_once(before: Database, wish: Desired) -> None:
    once = edited_copy(before, wish, TODAY)
    assert render(edited_copy(once, wish, TODAY)) == render(once)


@settings(max_examples=50, deadline=None)
@given(databases(), registries())
def test_lines_of_nobody_listed_stay_where_they_are(before: Database, wish: Desired) -> None:
    after = edited_copy(before, wish, TODAY)
    listed = {one.name for one in wish.people} | {str(one.uid) for one in wish.people}
    for kind in ("passwd", "shadow", "subuid", "subgid"):
        foreign = [line for line in before.tables[kind].lines if isinstance(line, str) or line[0] not in listed]
        assert [line for line in after.tables[kind].lines if isinstance(line, str) or line[0] not in listed] == foreign
    for kind in ("group", "gshadow"):
        leaving = {one.name for one in wish.people if one.state == "absent"}
        for line in before.tables[kind].lines:
            if isinstance(line, str):
                assert line in after.tables[kind].lines
            elif line[0] not in GROUPS and line[0] not in listed:
                now = after.tables[kind].entries[line[0]]
                assert set(members_of(line)) - leaving == set(members_of(now)) - leaving
                assert leaving & set(members_of(now)) == set()
                assert now[1] == line[1]
                if not leaving & set(",".join(line).split(",")):
                    assert now == line


@settings(max_examples=50, deadline=None)
@given(databases(), registries())
def test_everybody_listed_is_as_wished(before: Database, wish: Desired) -> None:
    after = edited_copy(before, wish, TODAY)
    for one in wish.people:
        tables = [after.passwd, after.shadow, after.subuid, after.subgid]
        if one.state == "absent":
            assert [table.kind for table in tables if one.name in table.entries] == []
            assert one.name not in after.group.entries or one.name not in before.passwd.entries
            continue
        if one.name not in after.passwd.entries:
            assert not one.create
            continue
        entry, shadow = after.passwd.entries[one.name], after.shadow.entries[one.name]
        assert (entry[2], entry[3], entry[6]) == (str(one.uid), str(one.gid), one.login_shell)
        assert shadow[7] == one.shadow_expire
        assert shadow[1].startswith("!") or one.state == "present"
        assert after.group.entries[one.name][2] == str(one.gid)
        for group in wish.groups:
            members = members_of(after.group.entries[group.name]) if group.name in after.group.entries else []
            assert (one.name in members) == (group.name in one.groups and group.state == "present")
            assert group.state == "absent" or members == members_of(after.gshadow.entries[group.name])


@settings(max_examples=40, deadline=None)
@given(databases(), registries(complete=False))
def test_a_partial_list_never_changes_the_membership_of_a_stranger(before: Database, wish: Desired) -> None:
    after = edited_copy(before, wish, TODAY)
    listed = {one.name for one in wish.people}
    extra = {group.name: group.extra_members for group in wish.groups}
    for name, entry in before.group.entries.items():
        if name in after.group.entries and name not in listed:
            was, now = set(members_of(entry)) - listed, set(members_of(after.group.entries[name])) - listed
            assert was <= now
            assert now - was <= extra.get(name, frozenset())


@settings(max_examples=40, deadline=None)
@given(databases(), registries(complete=True))
def test_a_complete_list_makes_memberships_exact(before: Database, wish: Desired) -> None:
    after = edited_copy(before, wish, TODAY)
    for group in wish.groups:
        if group.state == "present":
            wanted = {p.name for p in wish.people if group.name in p.groups and p.state != "absent"}
            wanted |= group.extra_members
            assert set(members_of(after.group.entries[group.name])) == wanted & after.passwd.entries.keys()


@pytest.mark.parametrize(
    ("before", "locked", "after"),
    [
        ("$y$j9T$abc", "!$y$j9T$abc", "$y$j9T$abc"),
        ("abJnggxhB/yWI", "!abJnggxhB/yWI", "abJnggxhB/yWI"),
        ("*", "!*", "*"),
        ("!", "!", "!"),
        ("!!", "!!", "!!"),
        # An empty field is a login without a password: there is no way back to that.
        ("", "!", "!"),
    ],
)
def test_lock_out_and_the_way_back(before: str, locked: str, after: str) -> None:
    one = database(
        users="amartin:x:2001:2001:A. Martin:/home/amartin:/bin/bash\n",
        shadow=f"amartin:{before}:19000:0:99999:7:::\n",
        group="amartin:x:2001:\n",
        gshadow="amartin:!::\n",
    )
    original = render(one)
    wish = desired([person()], subid_count=0)
    lock_out(one, wish.people)
    assert one.shadow.entries["amartin"][1] == locked
    assert one.shadow.entries["amartin"][7] == "1"
    assert one.passwd.entries["amartin"][6] == "/usr/sbin/nologin"
    lock_out(one, wish.people)
    assert one.shadow.entries["amartin"][1] == locked
    edit(one, wish.people, (), wish.policy, TODAY)
    assert one.shadow.entries["amartin"][1] == after
    if before == after:
        assert render(one) == original


def test_lock_out_without_an_account_or_a_shadow_line_is_no_error() -> None:
    one = database(users="bchen:x:2002:2002::/home/bchen:/bin/bash\n")
    lock_out(one, [PersonSpec.from_params(person()), PersonSpec.from_params(person("bchen", 2002))])
    assert one.passwd.render() == "bchen:x:2002:2002::/home/bchen:/usr/sbin/nologin\n"


def test_people_whose_step_failed_keep_account_and_membership() -> None:
    one = database(
        users="amartin:x:2001:2001::/home/amartin:/bin/bash\nbchen:x:2002:2002::/home/bchen:/bin/bash\n",
        group="vision:x:10001:amartin,bchen,zoe\n",
    )
    wish = desired([person(state="absent"), person("bchen", 2002)], [{"name": "vision", "gid": 10001}])
    edit(one, wish.people[1:], wish.groups, wish.policy, TODAY, untouched=frozenset({"amartin"}))
    assert one.group.entries["vision"][3] == "amartin"
    assert "amartin" in one.passwd.entries


def test_somebody_suspended_keeps_the_home_where_the_files_are() -> None:
    one = database(users="amartin:x:2001:2001::/data/old:/bin/bash\n")
    edit(one, desired([person(state="suspended")]).people, (), desired([person()]).policy, TODAY)
    assert one.passwd.entries["amartin"][5] == "/data/old"


@pytest.mark.parametrize(
    ("subuid", "subgid", "expected"),
    [
        ("", "", ("amartin:524288:65536\n", "amartin:524288:65536\n")),
        ("amartin:1000000:65536\n", "", ("amartin:1000000:65536\n", "amartin:1000000:65536\n")),
        ("", "2001:1000000:65536\n", ("amartin:1000000:65536\n", "2001:1000000:65536\n")),
        ("2001:7000000:9\n", "amartin:8000000:9\n", ("2001:7000000:9\n", "amartin:8000000:9\n")),
    ],
)
def test_subordinate_ranges_are_kept_and_alike(subuid: str, subgid: str, expected: tuple[str, str]) -> None:
    one = edited_copy(database(subuid=subuid, subgid=subgid), desired([person()]), TODAY)
    assert (one.subuid.render(), one.subgid.render()) == expected


def test_moving_to_another_uid_renames_numeric_owners_of_ranges() -> None:
    one = database(
        users="amartin:x:2001:2001::/home/amartin:/bin/bash\n",
        subuid="2001:100000:65536\n2001:300000:65536\n",
        subgid="2001:100000:65536\n",
    )
    after = edited_copy(one, desired([person(uid=2101, migrate_uid=True)]), TODAY)
    assert after.subuid.render() == "amartin:100000:65536\namartin:300000:65536\n"
    assert after.subgid.render() == "amartin:100000:65536\n"


def test_removal_takes_numeric_ranges_and_group_administration_along() -> None:
    one = database(
        users="amartin:x:2001:2001::/home/amartin:/bin/bash\n",
        group="amartin:x:2001:\nsudo:x:27:amartin,zoe\n",
        gshadow="sudo:!:amartin:amartin,zoe\n",
        subuid="2001:100000:65536\namartin:300000:65536\nzoe:500000:65536\n",
    )
    after = edited_copy(one, desired([person(state="absent")]), TODAY)
    assert after.subuid.render() == "zoe:500000:65536\n"
    assert after.group.render() == "sudo:x:27:zoe\n"
    assert after.gshadow.render() == "sudo:!::zoe\n"


def test_a_group_that_is_still_primary_for_somebody_stays() -> None:
    one = database(
        users="amartin:x:2001:2001::/home/amartin:/bin/bash\nzoe:x:3001:2001::/home/zoe:/bin/bash\n",
        group="amartin:x:2001:\nvision:x:10001:\n",
    )
    after = edited_copy(
        one, desired([person(state="absent")], [{"name": "vision", "gid": 10001, "state": "absent"}]), TODAY
    )
    assert after.group.render() == "amartin:x:2001:\n"


@given(st.integers(2001, 59999), st.integers(2001, 59999))
def test_ranges_depend_on_the_uid_alone_and_never_overlap(one: int, other: int) -> None:
    policy = desired([person()]).policy
    first, second = subid_start(one, policy), subid_start(other, policy)
    assert first >= policy.subid_base
    assert first + policy.subid_count <= 2**32
    assert one == other or abs(first - second) >= policy.subid_count
