# SPDX-License-Identifier: GPL-3.0-or-later
"""From parameters to directories: names, modes, and everything that makes no sense."""

from __future__ import annotations

import grp
import pwd
from typing import Any

import pytest
from ansible.module_utils.lyceum.acl import model, posix
from ansible.module_utils.lyceum.acl.model import Directory, Link
from ansible.module_utils.lyceum.acl.posix import USER, USER_OBJ, Entry
from ansible.module_utils.lyceum.errors import LyceumError

from .conftest import spec


def one(**entry: Any) -> model.Wanted:
    (wanted,) = spec({"path": "/srv/x", **entry}).wanted
    return wanted


def test_a_project() -> None:
    acl = posix.complete(0o770, [Entry(USER, 5, 2003)])
    wanted = one(group="retina", mode="2770", acl=["user:dlopez:r-X"], default_acl=["user:2003:rx"])
    assert wanted == Directory(
        "/srv/x", 0, 11001, 0o2000, acl, acl, create=True, recurse=False, sealed=False, person=""
    )  # fmt: skip
    assert isinstance(wanted, Directory)
    assert wanted.mode == 0o2770


def test_numbers_need_no_account() -> None:
    wanted = one(owner="4242", group="4343", mode="0700", acl=["user:4444:r"])
    assert isinstance(wanted, Directory)
    assert (wanted.owner, wanted.group, wanted.access[1]) == (4242, 4343, Entry(USER, 4, 4444))
    assert wanted.default == ()


def test_the_mask_shows_in_the_mode_and_base_entries_of_a_default_acl_may_differ() -> None:
    wanted = one(mode="0700", acl=["group:retina:rwx"], default_acl=["user::rw-"])
    assert isinstance(wanted, Directory)
    assert wanted.mode == 0o770
    assert wanted.default[0] == Entry(USER_OBJ, 6)


def test_sealed_is_root_alone_whatever_else_is_said() -> None:
    wanted = one(state="sealed", owner="amartin", mode="0777", acl=["user:bchen:rwx"], recurse=True, person="amartin")
    assert wanted == Directory(
        "/srv/x", 0, 0, 0, posix.minimal(0o700), (), create=True, recurse=False, sealed=True, person="amartin"
    )  # fmt: skip


def test_links() -> None:
    assert one(target=".gid/1") == Link("/srv/x", ".gid/1", create=True, person="")
    assert one(target=".gid/1", create=False) == Link("/srv/x", ".gid/1", create=False, person="")


def test_parents_come_before_what_is_in_them() -> None:
    entries = [{"path": path, "mode": "0711"} for path in ("/srv/a/b", "/srv/a", "/srv", "/srv/a-b")]
    assert [wanted.path for wanted in spec(*entries).wanted] == ["/srv", "/srv/a", "/srv/a-b", "/srv/a/b"]


def test_names_that_nobody_has_concern_their_entry_only() -> None:
    found = spec(
        {"path": "/srv/a", "mode": "0700", "owner": "amartin", "person": "amartin"},
        {"path": "/srv/b", "mode": "0700", "owner": "newcomer", "person": "newcomer"},
        {"path": "/srv/c", "mode": "0700", "acl": ["group:nogroupofthisname:rwx"]},
    )
    assert [wanted.path for wanted in found.wanted] == ["/srv/a"]
    assert found.nameless == {
        "/srv/b": "there is an account newcomer",
        "/srv/c": "there is a group nogroupofthisname",
    }
    assert found.people == {"/srv/a": "amartin", "/srv/b": "newcomer"}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (
            [{"path": "srv"}],
            "'srv': write an absolute path without `..`, `//` or a slash at the end, other than /",
        ),
        (
            [{"path": "/"}],
            "'/': write an absolute path without `..`, `//` or a slash at the end, other than /",
        ),
        (
            [{"path": "/srv/../etc"}],
            "'/srv/../etc': write an absolute path without `..`, `//` or a slash at the end, other than /",
        ),
        ([{"path": "/x", "mode": "0700"}, {"path": "/x", "mode": "0700"}], "/x is listed twice"),
        ([{"path": "/x"}], '/x: mode must be octal digits in quotes, such as "2770", not None'),
        ([{"path": "/x", "mode": "rwx"}], "/x: mode must be octal digits in quotes, such as \"2770\", not 'rwx'"),
        ([{"path": "/x", "mode": "17777"}], "/x: mode must be octal digits in quotes, such as \"2770\", not '17777'"),
        ([{"path": "/x", "mode": "0700", "acl": ["x"]}], "/x: 'x' is no ACL entry; write user:NAME:rwx,"),
        (
            [{"path": "/x", "mode": "0700", "acl": ["u:2001:r", "user:amartin:w"]}],
            "/x: 'user:amartin:w' is in the ACL twice",
        ),
        ([{"path": "/x", "target": ".gid/1", "mode": "0700"}], "/x: a link has a target and no mode"),
        ([{"path": "/x", "target": "y", "acl": ["u:1:r"], "recurse": True}], "/x: a link has a target and no acl, rec"),
        ([{"path": "/x", "target": "y", "state": "sealed"}], "/x: a link has a target and no state sealed"),
        ([{"path": "/x", "target": ""}], "/x: a link has a target and no empty one"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(entries: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(LyceumError) as raised:
        spec(*entries)
    assert str(raised.value).startswith(message)


def test_names_of_this_machine() -> None:
    names = model.Names()
    root, group = pwd.getpwuid(0).pw_name, grp.getgrgid(0).gr_name
    assert (names.uid(root), names.gid(group), names.user(0), names.group(0)) == (0, 0, root, group)
    assert (names.user(4242424), names.group(4242424)) == ("4242424", "4242424")
    assert names.entry_text(Entry(USER, 5, 0)) == f"user:{root}:r-x"
