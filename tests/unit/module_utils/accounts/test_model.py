# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused before the host is even looked at, and the days of shadow(5)."""

from __future__ import annotations

import datetime
import re
from typing import Any

import pytest
from ansible.module_utils.lyceum.accounts.model import NOLOGIN, Desired, PersonSpec, last_day
from ansible.module_utils.lyceum.errors import LyceumError
from hypothesis import given
from hypothesis import strategies as st

from .conftest import DEFAULTS, person

VISION = {"name": "vision", "gid": 10001}


def desired(people: list[dict[str, Any]], groups: list[dict[str, Any]] | None = None, **policy: Any) -> Desired:
    return Desired.from_params({**DEFAULTS, **policy, "people": people, "groups": groups or []})


def test_defaults_of_a_person() -> None:
    spec = PersonSpec.from_params({"name": "amartin", "uid": 2001, "gid": None, "groups": ["b", "a", "b"]})
    assert (spec.gid, spec.home, spec.shell, spec.state) == (2001, "/home/amartin", "/bin/bash", "present")
    assert (spec.groups, spec.create, spec.migrate_uid, spec.gecos) == (("a", "b"), True, False, "")


@pytest.mark.parametrize("name", ["", "A", "1a", "-a", "a b", "a:b", "a\n", "a.b", "a" * 33, "../x", "é", "a;$(x)"])
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(LyceumError, match=re.escape(f"people: name {name!r} is not a portable login name")):
        desired([person(name)])
    with pytest.raises(LyceumError, match=re.escape(f"groups: name {name!r} is not a portable group name")):
        desired([person()], [{"name": name, "gid": 10001}])


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"gecos": "a:b"}, "gecos 'a:b' contains a colon or a control character"),
        ({"gecos": "a\nroot::0:0:::"}, "contains a colon or a control character"),
        ({"gecos": "a\udcff"}, "contains a colon or a control character"),
        ({"shell": "/bin/sh:x"}, "shell '/bin/sh:x' contains a colon"),
        ({"shell": "bash"}, "shell 'bash' must be an absolute path"),
        ({"home": "/home"}, "home '/home' must be an absolute path in ASCII, below a directory such as /home"),
        ({"home": "/"}, "must be an absolute path"),
        ({"home": "home/amartin"}, "must be an absolute path"),
        ({"home": "/home/."}, "must be an absolute path"),
        ({"home": "/home/./x"}, "must be an absolute path"),
        ({"home": "/home/x/../../etc"}, "must be an absolute path"),
        ({"home": "/home//x"}, "must be an absolute path"),
        ({"home": "//home/x"}, "must be an absolute path"),
        ({"home": "/home/éva"}, "must be an absolute path in ASCII"),
        ({"home": "/usr/local"}, "home '/usr/local' is inside /usr, which belongs to the system"),
        ({"uid": 0}, "uid 0 is not allowed"),
        ({"uid": -1}, "uid -1 is not allowed"),
        ({"uid": 2**32 - 1}, "uid 4294967295 is not allowed; it must be 1-4294967294"),
        ({"gid": 0}, "gid 0 is not allowed"),
        ({"expires": "31.08.2029"}, "expires '31.08.2029' is not a date like 2029-08-31"),
        ({"groups": ["nlp"]}, "people: amartin: groups ['nlp'] are not in the list of managed groups"),
    ],
)
def test_people_that_are_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(LyceumError, match=re.escape(message)):
        desired([person(**keys)] if "uid" not in keys else [{**person(), **keys}])


@pytest.mark.parametrize(
    ("people", "groups", "message"),
    [
        ([person(), person(uid=2002)], [], "people: name given twice: amartin"),
        ([person(), person("bchen")], [], "people: uid given twice: 2001"),
        ([person(), person("bchen", 2002, home="/home/amartin/")], [], "people: home given twice: /home/amartin"),
        (
            [person(), person("bchen", 2002, home="/home/amartin/deep/b")],
            [],
            "people: home /home/amartin/deep/b of bchen lies inside /home/amartin, the home of amartin",
        ),
        ([person()], [VISION, VISION], "groups: name given twice: vision"),
        ([person()], [VISION, {"name": "nlp", "gid": 10001}], "groups: gid given twice: 10001"),
        ([person()], [{"name": "vision", "gid": 0}], "groups: vision: gid 0 is not allowed"),
        ([person("vision")], [VISION], "vision is both a person and a group"),
        ([person("root", 2001)], [], "people: root is a protected account"),
        ([], [], "people is empty although it is said to be the whole registry"),
    ],
)
def test_lists_that_are_refused(people: list[dict[str, Any]], groups: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(LyceumError, match=re.escape(message)):
        desired(people, groups)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({"home_mode": "rwx"}, "home_mode 'rwx' is not an octal mode like 0700"),
        ({"home_mode": "-700"}, "home_mode '-700' is not an octal mode"),
        ({"home_mode": "10700"}, "home_mode '10700' is not an octal mode"),
        ({"archive_dir": "backups"}, "archive_dir 'backups' must be an absolute path"),
        ({"skel": "skel"}, "skel 'skel' must be an absolute path"),
        ({"search_paths": ["/srv", "tmp"]}, "search_paths 'tmp' must be an absolute path"),
        ({"uid_ranges": [{"first": 9, "last": 1}]}, "uid_ranges: 9-1 is empty"),
        ({"subid_count": -1}, "subid_count 0 or more"),
        ({"subid_base": 0}, "subid_base must be above 0"),
    ],
)
def test_policies_that_are_refused(policy: dict[str, Any], message: str) -> None:
    with pytest.raises(LyceumError, match=re.escape(message)):
        desired([person()], **policy)


def test_a_partial_list_may_be_empty() -> None:
    assert desired([], complete=False).people == ()


@pytest.mark.parametrize(
    ("state", "expires", "field", "shell"),
    [
        ("present", None, "", "/bin/bash"),
        ("present", "2029-08-31", "21793", "/bin/bash"),
        ("present", "1960-01-01", "1", "/bin/bash"),
        ("present", "1970-01-01", "1", "/bin/bash"),
        ("suspended", "2029-08-31", "1", NOLOGIN),
        ("absent", None, "1", NOLOGIN),
    ],
)
def test_expiry_and_shell_by_state(state: str, expires: str | None, field: str, shell: str) -> None:
    spec = PersonSpec.from_params(person(state=state, expires=expires))
    assert (spec.shadow_expire, spec.login_shell) == (field, shell)


@given(st.dates(min_value=datetime.date(1970, 1, 1), max_value=datetime.date(9999, 12, 30)))
def test_the_last_day_goes_to_shadow_and_back(day: datetime.date) -> None:
    assert last_day(PersonSpec.from_params(person(expires=day.isoformat())).shadow_expire) == day


@pytest.mark.parametrize("field", ["", "never", "-1", "99999999", "9999999999999", "\u00b2"])
def test_fields_that_are_no_day_within_the_calendar_mean_never(field: str) -> None:
    assert last_day(field) is None
