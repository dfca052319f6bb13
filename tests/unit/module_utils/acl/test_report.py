# SPDX-License-Identifier: GPL-3.0-or-later
"""The return value: by person, by path, in words."""

from __future__ import annotations

from ansible.module_utils.lyceum.acl import contents, posix
from ansible.module_utils.lyceum.acl.apply import Outcome
from ansible.module_utils.lyceum.acl.observe import DIRECTORY, LINK, OTHER, Found, Observed
from ansible.module_utils.lyceum.acl.plan import plan
from ansible.module_utils.lyceum.acl.report import module_result

from .conftest import FakeNames, spec

SPEC = spec(
    {"path": "/s/amartin", "mode": "0700", "owner": "amartin", "person": "amartin"},
    {"path": "/t/amartin", "mode": "0700", "owner": "amartin", "person": "amartin"},
    {"path": "/s/bchen", "mode": "0700", "owner": "bchen", "person": "bchen"},
    {"path": "/s/dlopez", "mode": "0700", "owner": "dlopez", "person": "dlopez"},
    {"path": "/s/newcomer", "mode": "0700", "owner": "newcomer", "person": "newcomer"},
    {"path": "/p", "mode": "0711"},
    folders=({"path": "/p", "links": ".gid"},),
)
OBSERVED = Observed(
    {
        "/s/amartin": Found(),
        "/t/amartin": Found(OTHER),
        "/s/bchen": Found(DIRECTORY, owner=2002, access=posix.minimal(0o755)),
        "/s/dlopez": Found(DIRECTORY, owner=2003, access=posix.minimal(0o700)),
        "/p": Found(LINK, target="/etc"),
    },
    {"/p": {"old": ".gid/1", "stray": None}},
)


def outcome() -> Outcome:
    todo = plan(SPEC, OBSERVED, FakeNames())
    return Outcome(todo, dict(todo.problems), {"/p": contents.Counts(3, 1, 1)})


def test_people_have_one_row_each() -> None:
    lyceum = module_result(SPEC, outcome(), with_diff=False)["lyceum"]
    taken = "/t/amartin is neither a directory nor a link, not a directory; it was left alone. Move it away"
    assert lyceum == {
        "kind": "directories",
        "results": {
            "amartin": {"result": "failed", "actions": ["/s/amartin: create, amartin:root 0700"], "error": taken},
            "bchen": {"result": "changed", "actions": ["/s/bchen: mode 0755 -> 0700"], "error": None},
            "newcomer": {
                "result": "changed",
                "actions": ["/s/newcomer: set owner and permissions once there is an account newcomer"],
                "error": None,
            },
        },
        "unchanged": ["dlopez"],
        "unmanaged": ["/p/stray"],
        "conflicts": ["/p is a link, not a directory; it was left alone. Move it away"],
    }


def test_a_new_directory_makes_a_person_created() -> None:
    wanted = spec({"path": "/s/amartin", "mode": "0700", "owner": "amartin", "person": "amartin"})
    todo = plan(wanted, Observed({"/s/amartin": Found()}, {}), FakeNames())
    assert module_result(wanted, Outcome(todo), with_diff=False)["lyceum"]["results"]["amartin"]["result"] == "created"


def test_the_message_has_the_first_failures_and_how_many() -> None:
    result = module_result(SPEC, outcome(), with_diff=False)
    assert result["failed"]
    assert result["msg"] == (
        "2 of 6 paths failed: /p is a link, not a directory; it was left alone. Move it away;"
        " /t/amartin is neither a directory nor a link, not a directory; it was left alone. Move it away"
    )
    many = Outcome(plan(SPEC, OBSERVED, FakeNames()), {f"/{number}": f"/{number} is bad" for number in range(7)})
    assert module_result(SPEC, many, with_diff=False)["msg"].endswith("/4 is bad; and 2 more")


def test_paths_counts_and_diffs() -> None:
    result = module_result(SPEC, outcome(), with_diff=True)
    assert result["changed"]
    assert result["changed_paths"] == ["/s/amartin", "/s/bchen", "/p/old"]
    assert result["inside"] == {"/p": {"looked_at": 3, "wrong": 1, "mended": 1, "left": 0, "examples": []}}
    assert [entry["before_header"] for entry in result["diff"]] == ["/s/amartin", "/s/bchen", "/p/old"]
    assert result["diff"][1]["before"] == "# owner: bchen\n# group: root\nuser::rwx\ngroup::r-x\nother::r-x\n"
    assert result["diff"][2] == {
        "before_header": "/p/old",
        "after_header": "/p/old",
        "before": "-> .gid/1\n",
        "after": "",
    }
