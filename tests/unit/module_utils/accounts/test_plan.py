# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan: pure, so every case is an observed state and the sentences that follow from it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.lyceum.accounts.conflicts import find_conflicts
from ansible.module_utils.lyceum.accounts.database import Database
from ansible.module_utils.lyceum.accounts.edit import edited_copy
from ansible.module_utils.lyceum.accounts.model import Desired
from ansible.module_utils.lyceum.accounts.observe import Home, Observed, Traces
from ansible.module_utils.lyceum.accounts.ownership import Ownership
from ansible.module_utils.lyceum.accounts.plan import Plan, plan
from ansible.module_utils.lyceum.errors import ConflictError, RefusedError
from hypothesis import assume, given, settings

from .conftest import TODAY, Host, person
from .test_edit import databases, registries

VISION = {"name": "vision", "gid": 10001}
OWN = Home("directory", 2001, 2001, 0o700)


def account(host: Host, name: str = "amartin", uid: int = 2001, home: str | None = None, crypted: str = "*") -> None:
    """An account as Lyceum makes it, unless told otherwise."""
    host.append("passwd", f"{name}:x:{uid}:{uid}:A. Martin:{home or f'/home/{name}'}:/bin/bash")
    host.append("shadow", f"{name}:{crypted}:20778:0:99999:7:::")
    host.append("group", f"{name}:x:{uid}:")
    host.append("gshadow", f"{name}:!::")
    for kind in ("subuid", "subgid"):
        host.append(kind, f"{name}:{524288 + (uid - 2001) * 65536}:65536")


def planned(host: Host, people: list[dict[str, Any]], groups: Any = None, policy: Any = None, **observed: Any) -> Plan:
    homes = {"homes": {one["name"]: Home("directory", one["uid"], one["uid"], 0o700) for one in people}, "traces": {}}
    seen = Observed(Database.load(host.root), **{**homes, **observed})
    return plan(host.desired(people, groups, **(policy or {})), seen, TODAY)


def test_nothing_to_do(host: Host) -> None:
    account(host)
    found = planned(host, [person()])
    assert not found.changed
    assert (found.actions(), found.unchanged, found.people) == ([], ["amartin"], {})


def test_creation(host: Host) -> None:
    found = planned(host, [person(groups=["vision"])], [VISION], homes={})
    assert found.actions() == [
        "create group vision (gid 10001)",
        "amartin: create account (uid 2001, gid 2001, shell /bin/bash)",
        "amartin: create home /home/amartin from /etc/skel",
    ]
    one = found.people["amartin"]
    assert (one.result, one.before, one.create_home) == ("created", [], True)
    assert one.after == [
        "uid: 2001",
        "gid: 2001",
        "full name: A. Martin",
        "home: /home/amartin",
        "shell: /bin/bash",
        "own group: 2001",
        "groups: vision",
        "password: none",
        "expires: never",
        "subuid: 524288:65536",
        "subgid: 524288:65536",
        "home directory: 2001:2001 0700",
    ]


@pytest.mark.parametrize(
    ("keys", "observed", "actions"),
    [
        ({"gecos": "Å. Martin"}, {}, ["full name: A. Martin -> Å. Martin"]),
        ({"shell": "/bin/zsh"}, {}, ["shell: /bin/bash -> /bin/zsh"]),
        ({"expires": "2029-08-31"}, {}, ["expires: never -> 2029-08-31"]),
        ({"groups": ["vision"]}, {}, ["groups: none -> vision"]),
        (
            {"state": "suspended"},
            {},
            ["shell: /bin/bash -> /usr/sbin/nologin", "password: set -> locked", "expires: never -> already"],
        ),
        (
            {"state": "suspended"},
            {"traces": {"amartin": Traces((7, 8), linger=True)}},
            [
                "shell: /bin/bash -> /usr/sbin/nologin",
                "password: set -> locked",
                "expires: never -> already",
                "end 2 process(es), stop lingering",
            ],
        ),
        ({}, {"homes": {}}, ["create home /home/amartin from /etc/skel"]),
        (
            {},
            {"homes": {"amartin": Home("directory", 0, 0, 0o755)}},
            ["home /home/amartin: owner 0:0 mode 0755 -> 2001:2001 0700"],
        ),
        (
            {"home": "/data/amartin"},
            {"homes": {}, "old_homes": {"amartin": Home("directory", 2001, 2001, 0o755)}},
            [
                "home: /home/amartin -> /data/amartin",
                "move the files of /home/amartin to /data/amartin",
                "home /data/amartin: owner 2001:2001 mode 0755 -> 2001:2001 0700",
            ],
        ),
        (
            {"home": "/data/amartin"},
            {"old_homes": {"amartin": OWN}},
            ["home: /home/amartin -> /data/amartin"],
        ),
        (
            {"home": "/data/amartin"},
            {"homes": {}, "old_homes": {"amartin": Home("directory", 33, 33, 0o755)}},
            [
                "leave /home/amartin where it is: it belongs to uid 33",
                "home: /home/amartin -> /data/amartin",
                "create home /data/amartin from /etc/skel",
            ],
        ),
    ],
)
def test_changes(host: Host, keys: dict[str, Any], observed: dict[str, Any], actions: list[str]) -> None:
    account(host, crypted="$y$j9T$abc")
    host.append("group", "vision:x:10001:")
    host.append("gshadow", "vision:!::")
    found = planned(host, [person(**keys)], [VISION], **observed)
    assert found.people["amartin"].actions == actions
    assert found.people["amartin"].result == ("suspended" if keys.get("state") == "suspended" else "changed")
    assert "$y$" not in repr(found)


@pytest.mark.parametrize(
    ("home", "traces", "policy", "others", "actions", "flags"),
    [
        (OWN, Traces(), {}, [], ["archive home /home/amartin to /var/backups/homes, verify, then delete"], "AH"),
        (Home("missing"), Traces(), {}, [], [], ""),
        (
            OWN,
            Traces((1,), True, True, ("a1",), True),
            {},
            [],
            [
                "end 1 process(es), stop lingering",
                "archive home /home/amartin, crontab, at jobs, mail to /var/backups/homes, verify, then delete",
            ],
            "AHC",
        ),
        (Home("missing"), Traces(mail=True), {}, [], ["archive mail to /var/backups/homes, verify, then delete"], "AC"),
        (OWN, Traces(mail=True), {"keep_data": True}, [], ["keep home /home/amartin: keep_data"], ""),
        (
            OWN,
            Traces(crontab=True, mail=True),
            {"keep_data": True},
            [],
            ["keep home /home/amartin: keep_data", "delete crontab"],
            "C",
        ),
        (Home("other"), Traces(), {}, [], ["keep home /home/amartin: it is not a directory"], ""),
        (
            Home("directory", 0, 0, 0o755),
            Traces(crontab=True),
            {},
            [],
            [
                "keep home /home/amartin: it belongs to uid 0",
                "archive crontab to /var/backups/homes, verify, then delete",
            ],
            "AC",
        ),
        (OWN, Traces(), {}, ["/home/amartin"], ["keep home /home/amartin: other0 lives in it too"], ""),
        (OWN, Traces(), {}, ["/home/amartin/sub/"], ["keep home /home/amartin: other0 lives in it too"], ""),
        (
            OWN,
            Traces(),
            {},
            ["/home/amartin2", "/home", "/"],
            ["archive home /home/amartin to /var/backups/homes, verify, then delete"],
            "AH",
        ),
    ],
)
def test_removals(
    host: Host, home: Home, traces: Traces, policy: dict[str, Any], others: list[str], actions: list[str], flags: str
) -> None:
    account(host)
    for number, path in enumerate(others):
        host.append("passwd", f"other{number}:x:{5000 + number}:5000::{path}:/bin/sh")
    found = planned(host, [person(state="absent")], policy=policy, homes={"amartin": home}, traces={"amartin": traces})
    one = found.people["amartin"]
    assert one.actions == [*actions, "remove account (uid 2001 stays reserved in the registry)"]
    assert (one.result, one.after, one.end_sessions) == ("removed", [], True)
    has = [flag for flag, on in zip("AHC", (one.archive, one.archive_home, one.clear_schedule)) if on]
    assert "".join(has) == flags


def test_a_home_that_is_kept_for_a_reason_needs_no_archive_but_keeps_being_shared(host: Host) -> None:
    """Two people who leave and share a home: neither deletes it."""
    account(host)
    account(host, "bchen", 2002, home="/home/amartin")
    found = planned(
        host,
        [person(state="absent"), person("bchen", 2002, state="absent")],
        homes={"amartin": OWN, "bchen": OWN},
    )
    assert [one.archive_home for one in found.people.values()] == [False, False]


def test_nobody_unknown_is_created_or_removed(host: Host) -> None:
    people = [
        person(state="absent"),
        person("bchen", 2002, create=False),
        person("c", 2003, state="suspended", create=False),
    ]
    assert not planned(host, people, homes={}).changed


def test_what_is_left_of_somebody_without_an_account_is_removed(host: Host) -> None:
    host.append("shadow", "amartin:*:1::::::")
    host.append("group", "old:x:900:amartin")
    found = planned(host, [person(state="absent")], homes={})
    assert found.actions() == ["amartin: remove what is left of the account in shadow, group old"]
    assert found.people["amartin"].result == "removed"


def test_moving_to_another_uid(host: Host) -> None:
    account(host)
    found = planned(
        host,
        [person(uid=2101, migrate_uid=True)],
        homes={"amartin": OWN},
        migrations={"amartin": (Ownership("/home/amartin", 3, 1),)},
    )
    one = found.people["amartin"]
    assert one.actions == [
        "uid: 2001 -> 2101",
        "gid: 2001 -> 2101",
        "own group: 2001 -> 2101",
        "hand over 3 file(s) and 1 ACL entr(ies) below /home/amartin from 2001 to 2101",
    ]
    assert (one.old_ids, one.end_sessions, one.repair_home) == ((2001, 2001), True, False)


@pytest.mark.parametrize(
    ("home", "repair"),
    [
        (Home("directory", 2001, 2001, 0o755), True),
        (Home("directory", 0, 0, 0o700), True),
        (Home("directory", 2101, 2101, 0o700), False),
    ],
)
def test_a_home_that_does_not_simply_change_hands_is_repaired_too(host: Host, home: Home, repair: bool) -> None:
    account(host)
    found = planned(host, [person(uid=2101, migrate_uid=True)], homes={"amartin": home})
    assert found.people["amartin"].repair_home == repair


@pytest.mark.parametrize(
    ("home", "repair"),
    [(Home("directory", 2001, 2001, 0o755), True), (Home("directory", 33, 33, 0o755), False), (Home("other"), False)],
)
def test_only_the_own_home_of_somebody_suspended_is_made_private(host: Host, home: Home, repair: bool) -> None:
    account(host, home="/srv/x")
    found = planned(host, [person(state="suspended")], homes={"amartin": home})
    one = found.people["amartin"]
    assert one.repair_home == repair
    assert one.home == "/srv/x"


def everybody(host: Host, count: int, password: str) -> list[dict[str, Any]]:
    for number in range(count):
        account(host, f"p{number}", 2001 + number, crypted=password)
    return [person(f"p{number}", 2001 + number) for number in range(count)]


@pytest.mark.parametrize("state", ["suspended", "absent"])
@pytest.mark.parametrize("password", ["*", "!", "$y$j9T$abc"])
@pytest.mark.parametrize(
    ("leaving", "policy", "allowed"),
    [
        (3, {}, True),
        (4, {}, False),
        (4, {"allow_removals": ["p0"]}, True),
        (4, {"max_removals_percent": 20}, True),
        (5, {"max_removals_percent": 20}, False),
        (4, {"max_removals_percent": 100, "max_removals": 3}, False),
        (1, {"max_removals": 0}, False),
    ],
)
def test_guard(host: Host, state: str, password: str, leaving: int, policy: dict[str, Any], allowed: bool) -> None:
    people = everybody(host, 20, password)
    people = [{**one, "state": state} for one in people[:leaving]] + people[leaving:]
    if allowed:
        assert len(planned(host, people, policy=policy).people) == leaving
    else:
        with pytest.raises(RefusedError, match=f"removes or suspends {leaving} of 20 accounts .* allow_removals"):
            planned(host, people, policy=policy)


def test_those_suspended_already_do_not_count(host: Host) -> None:
    people = [{**one, "state": "suspended"} for one in everybody(host, 6, "*")]
    for kind, old, new in (
        ("shadow", ":*:20778:0:99999:7:::", ":!*:20778:0:99999:7::1:"),
        ("passwd", ":/bin/bash", ""),
    ):
        path = host.root / "etc" / kind
        content = path.read_text().replace(old, new or ":/usr/sbin/nologin")
        path.write_text(content.replace("root:/root:/usr/sbin/nologin", "root:/root:/bin/bash"))
    traces = {one["name"]: Traces((1,)) for one in people}
    assert len(planned(host, people, traces=traces).people) == 6


def test_all_conflicts_come_at_once(host: Host) -> None:
    with pytest.raises(ConflictError) as caught:
        planned(host, [person(uid=33), person("sudo", 2002)], policy={"subid_count": 0})
    assert str(caught.value).startswith(
        "3 conflict(s) with accounts that are not in the registry; nothing was changed: "
    )
    assert len(caught.value.details["conflicts"]) == 3


def test_groups(host: Host) -> None:
    account(host)
    host.append("group", "vision:x:10001:amartin,zoe", "old:x:10002:")
    groups = [
        {**VISION, "extra_members": ["www-data"]},
        {"name": "old", "gid": 10002, "state": "absent"},
        {"name": "new", "gid": 10003},
        {"name": "never", "gid": 10004, "state": "absent"},
    ]
    found = planned(host, [person(groups=["vision"])], groups)
    assert found.actions() == [
        "group vision: remove zoe, who is not in the registry",
        "group vision: add www-data",
        "remove group old (gid 10002)",
        "create group new (gid 10003)",
    ]


def test_what_has_no_sentence_of_its_own_is_a_change_all_the_same(host: Host) -> None:
    account(host)
    host.append("group", "vision:x:10001:")
    assert planned(host, [person()], [VISION]).actions() == ["bring /etc/gshadow in line"]
    (host.root / "etc/gshadow").unlink()
    assert not planned(host, [person()], [VISION]).changed


@pytest.mark.parametrize(("field", "shown"), [("99999999", "99999999"), ("-5", "-5"), ("21793", "2029-08-31")])
def test_days_beyond_the_calendar_are_shown_as_they_stand(host: Host, field: str, shown: str) -> None:
    account(host)
    path = host.root / "etc/shadow"
    path.write_text(path.read_text().replace("amartin:*:20778:0:99999:7:::", f"amartin:*:20778:0:99999:7::{field}:"))
    assert planned(host, [person()]).people["amartin"].actions == [f"expires: {shown} -> never"]


def test_leftovers_are_a_change(host: Host) -> None:
    account(host)
    found = planned(host, [person()], leftovers=("/home/.lyceum-x.new",))
    assert found.changed
    assert found.actions() == ["delete /home/.lyceum-x.new, left by an interrupted run"]


@settings(max_examples=40, deadline=None)
@given(databases(), registries())
def test_planning_after_applying_plans_nothing(before: Database, wish: Desired) -> None:
    """`edited_copy` is what apply writes; on what it gives nothing is left to do, whatever was there before."""
    homes = {one.name: Home("directory", one.uid, one.gid, 0o700) for one in wish.people}
    assume(not find_conflicts(wish, Observed(before, homes, {})))
    after = Observed(edited_copy(before, wish, TODAY), homes, {})
    left = plan(wish, after, TODAY)
    assert left.actions() == []
    assert sorted(left.unchanged) == sorted(one.name for one in wish.people)
