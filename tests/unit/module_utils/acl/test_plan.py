# SPDX-License-Identifier: GPL-3.0-or-later
"""Desired and observed to actions, as a table."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.lyceum.acl import contents, posix
from ansible.module_utils.lyceum.acl.observe import DIRECTORY, LINK, OTHER, Found, Observed
from ansible.module_utils.lyceum.acl.plan import Plan, plan
from ansible.module_utils.lyceum.acl.posix import USER, Entry

from .conftest import FakeNames, spec

PATH = "/srv/x"
PROJECT = {"group": "retina", "mode": "2770", "acl": ["user:dlopez:r-x"], "default_acl": ["user:dlopez:r-x"]}
ACL = posix.complete(0o770, [Entry(USER, 5, 2003)])
AS_WANTED = Found(DIRECTORY, group=11001, special=0o2000, access=ACL, default=ACL)


def planned(entry: dict[str, Any], found: Found) -> Plan:
    return plan(spec({"path": PATH, **entry}), Observed({PATH: found}, {}), FakeNames())


@pytest.mark.parametrize(
    ("entry", "found", "actions"),
    [
        (PROJECT, AS_WANTED, []),
        (
            PROJECT,
            Found(),
            [
                "create, root:retina 2770",
                "ACL user:dlopez:r-x",
                "default ACL user::rwx, user:dlopez:r-x, group::rwx, mask::rwx, other::---",
            ],
        ),
        (
            PROJECT,
            Found(DIRECTORY, owner=2001, group=2001, access=posix.minimal(0o755)),
            [
                "owner amartin -> root",
                "group 2001 -> retina",
                "mode 0755 -> 2770",
                (
                    "ACL: remove group::r-x, remove other::r-x, add user:dlopez:r-x, add group::rwx, add mask::rwx,"
                    " add other::---"
                ),
                "default ACL: add user::rwx, add user:dlopez:r-x, add group::rwx, add mask::rwx, add other::---",
            ],
        ),
        (
            PROJECT,
            Found(DIRECTORY, group=11001, special=0o2000, default=ACL,
                  access=posix.complete(0o770, [Entry(USER, 7, 2002), Entry(USER, 5, 2003)])),
            ["ACL: remove user:bchen:rwx"],
        ),
        (
            PROJECT,
            Found(DIRECTORY, group=11001, special=0o2000, default=ACL,
                  access=posix.complete(0o770, [Entry(USER, 5, 2003), Entry(posix.MASK, 5)])),
            ["mode 2750 -> 2770", "ACL: remove mask::r-x, add mask::rwx"],
        ),
        ({"mode": "0711"}, Found(DIRECTORY, access=posix.minimal(0o755)), ["mode 0755 -> 0711"]),
        (
            {"mode": "0711"},
            Found(DIRECTORY, access=posix.minimal(0o711), default=posix.minimal(0o755)),
            ["default ACL: remove user::rwx, remove group::r-x, remove other::r-x"],
        ),
        ({"mode": "0711", "create": False}, Found(), []),
        ({"state": "sealed"}, Found(), ["create, root:root 0700"]),
        ({"state": "sealed", "create": False}, Found(), []),
        ({"state": "sealed"}, Found(DIRECTORY, access=posix.minimal(0o700)), []),
        (
            {"state": "sealed", "person": "amartin"},
            Found(DIRECTORY, owner=2001, group=2001, access=posix.minimal(0o700)),
            ["seal: owner amartin -> root, group 2001 -> root"],
        ),
        (
            {"mode": "0700", "owner": "amartin", "person": "amartin"},
            Found(DIRECTORY, access=posix.minimal(0o700)),
            ["owner root -> amartin"],
        ),
        ({"target": ".gid/1"}, Found(), ["create link to .gid/1"]),
        ({"target": ".gid/1"}, Found(LINK, target=".gid/1"), []),
        ({"target": ".gid/1"}, Found(LINK, target=".gid/2"), ["link to .gid/1 instead of .gid/2"]),
        ({"target": ".gid/1", "create": False}, Found(), []),
        (
            {**PROJECT, "recurse": True},
            Found(DIRECTORY, group=11001, special=0o2000, access=ACL, default=ACL, inside=contents.Counts(9, 2)),
            ["in it: 2 of 9 do not have what it hands down"],
        ),
        (
            {**PROJECT, "recurse": True},
            Found(DIRECTORY, group=11001, special=0o2000, access=ACL, default=ACL, inside=contents.Counts(9, 0)),
            [],
        ),
    ],
)  # fmt: skip
def test_actions(entry: dict[str, Any], found: Found, actions: list[str]) -> None:
    result = planned(entry, found)
    assert result.problems == {}
    assert result.actions() == [f"{PATH}: {action}" for action in actions]
    assert result.changed == bool(actions)
    assert result.unchanged == ([] if actions else [PATH])


@pytest.mark.parametrize(
    ("entry", "found", "problem"),
    [
        (PROJECT, Found(OTHER), "/srv/x is neither a directory nor a link, not a directory; it was left alone. Move"),
        (PROJECT, Found(LINK, target="/etc"), "/srv/x is a link, not a directory; it was left alone. Move it away"),
        ({"state": "sealed"}, Found(LINK, target="/etc"), "/srv/x is a link, not a directory; it was left alone."),
        (
            {"target": ".gid/1"},
            Found(DIRECTORY),
            "/srv/x is a directory, not a link; it was left alone. To take over what is in it: mv -T /srv/x /srv/",
        ),
        (
            {"target": ".gid/1"},
            Found(LINK, target="/etc/1"),
            "/srv/x is a link to /etc/1, which is none of ours; it was left alone. Move it away",
        ),
        (
            PROJECT,
            Found(parent=False),
            "/srv/x: there is no directory /srv. Mount or make it, or list it as well",
        ),
        (
            {"mode": "0700", "owner": "amartin", "person": "amartin"},
            Found(DIRECTORY, owner=2002, access=posix.minimal(0o700)),
            "/srv/x belongs to uid 2002, not to amartin (uid 2001); it was left alone. Move it away, or hand it over",
        ),
        (
            PROJECT,
            Found(DIRECTORY, access=posix.minimal(0o700), acls=False),
            "/srv/x: its file system has no POSIX ACLs: mount it with them (option acl), or choose the strategy",
        ),
        (PROJECT, Found(problem="cannot open /srv: Permission denied"), "cannot open /srv: Permission denied"),
    ],
)
def test_problems(entry: dict[str, Any], found: Found, problem: str) -> None:
    result = planned(entry, found)
    assert not result.changed
    assert result.problems[PATH].startswith(problem)


def test_a_mode_alone_needs_no_acls() -> None:
    found = Found(DIRECTORY, access=posix.minimal(0o755), acls=False)
    assert planned({"mode": "2770"}, found).actions() == [f"{PATH}: mode 0755 -> 2770"]


def test_a_directory_is_made_in_one_that_is_made_before() -> None:
    wanted = spec({"path": "/a", "mode": "0711"}, {"path": "/a/b", "mode": "0711"})
    result = plan(wanted, Observed({"/a": Found(), "/a/b": Found(parent=False)}, {}), FakeNames())
    assert (list(result.changes), result.problems) == (["/a", "/a/b"], {})
    blocked = plan(wanted, Observed({"/a": Found(OTHER), "/a/b": Found(parent=False)}, {}), FakeNames())
    assert list(blocked.problems) == ["/a", "/a/b"]


def test_what_is_not_listed_is_told_and_old_names_go() -> None:
    entries = [{"path": "/srv/projects/new", "target": ".gid/1"}, {"path": "/srv/projects/.gid/1", "mode": "2770"}]
    wanted = spec(*entries, folders=({"path": "/srv/projects", "links": ".gid"}, {"path": "/srv/projects/.gid"}))
    children = {
        "/srv/projects": {"new": ".gid/1", "old": ".gid/1", "foreign": "/etc", "folder": None, ".gid": None},
        "/srv/projects/.gid": {"1": None, "2": None},
    }
    observed = Observed(
        {
            "/srv/projects/new": Found(LINK, target=".gid/1"),
            "/srv/projects/.gid/1": Found(DIRECTORY, special=0o2000, access=posix.minimal(0o770)),
        },
        children,
    )
    result = plan(wanted, observed, FakeNames())
    assert result.stale == {"/srv/projects/old": ".gid/1"}
    assert result.actions() == ["/srv/projects/old: remove link to .gid/1, a name no longer used"]
    assert result.unmanaged == ["/srv/projects/folder", "/srv/projects/foreign", "/srv/projects/.gid/2"]


def test_a_link_is_never_removed_where_links_are_not_ours() -> None:
    wanted = spec(folders=({"path": "/srv/scratch"},))
    result = plan(wanted, Observed({}, {"/srv/scratch": {"link": "x"}}), FakeNames())
    assert (result.stale, result.unmanaged, result.changed) == ({}, ["/srv/scratch/link"], False)


def test_names_still_to_come_are_said_and_count_as_a_change() -> None:
    result = plan(spec({"path": PATH, "mode": "0700", "owner": "newcomer"}), Observed({}, {}), FakeNames())
    assert result.changed
    assert result.actions() == ["/srv/x: set owner and permissions once there is an account newcomer"]


def test_the_diff_reads_like_getfacl() -> None:
    change = planned(PROJECT, Found(DIRECTORY, owner=2001, access=posix.minimal(0o755))).changes[PATH]
    assert change.before == ["# owner: amartin", "# group: root", "user::rwx", "group::r-x", "other::r-x"]
    assert change.after == [
        "# owner: root",
        "# group: retina",
        "# flags: -s-",
        "user::rwx",
        "user:dlopez:r-x",
        "group::rwx",
        "mask::rwx",
        "other::---",
        "default:user::rwx",
        "default:user:dlopez:r-x",
        "default:group::rwx",
        "default:mask::rwx",
        "default:other::---",
    ]
