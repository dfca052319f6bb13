# SPDX-License-Identifier: GPL-3.0-or-later
"""The module from its parameters to its result, on a host in a directory."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import posix_accounts
import pytest
from ansible.module_utils.lyceum.accounts import apply, homes
from ansible.module_utils.lyceum.errors import LyceumError

from ..module_utils.accounts.conftest import Host, needs_root, person
from .runner import run_module

Run = Callable[..., dict[str, Any]]
VISION = {"name": "vision", "gid": 10001}


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """main() works below this root; nobody's processes are ended."""
    one = Host(tmp_path)
    harmless = functools.partial(apply.run, root=one.root, end_sessions=lambda _people: {})
    monkeypatch.setattr(posix_accounts.apply, "run", harmless)
    return one


@pytest.fixture
def run(host: Host, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(people: list[dict[str, Any]], *, check: bool = False, diff: bool = False, **params: Any) -> dict[str, Any]:
        wanted = {"people": people, "uid_ranges": [{"first": 2001, "last": 2999}], "search_paths": ["/srv"], **params}
        return run_module(posix_accounts, capsys, wanted, check=check, diff=diff)

    return call


@needs_root
def test_check_apply_check_apply_and_absent(host: Host, run: Run) -> None:
    people = [person(groups=["vision"], expires="2029-08-31"), person("bchen", 2002)]
    before = host.snapshot()
    checked = run(people, groups=[VISION], check=True, diff=True)
    assert host.snapshot() == before
    applied = run(people, groups=[VISION], diff=True)
    for key in ("changed", "actions", "diff", "lyceum", "reports"):
        assert checked[key] == applied[key], key
    assert applied["changed"]
    assert applied["lyceum"]["results"]["amartin"]["result"] == "created"
    for check in (True, False):
        again = run(people, groups=[VISION], check=check, diff=True)
        assert (again["changed"], again["failed"], again["actions"], again["diff"]) == (False, False, [], [])
        assert again["lyceum"] == {
            "kind": "accounts",
            "results": {},
            "unchanged": ["amartin", "bchen"],
            "unmanaged": [],
            "conflicts": [],
        }
    gone = [person(state="absent"), person("bchen", 2002)]
    removed = run(gone, groups=[VISION])
    assert removed["lyceum"]["results"]["amartin"]["result"] == "removed"
    assert Path(removed["archives"]["amartin"]).parent == host.root / "var/backups/lyceum/homes"
    assert host.line("passwd", "amartin") is None
    assert not run(gone, groups=[VISION])["changed"]


@needs_root
def test_the_diff_has_one_entry_per_person_and_no_secret(host: Host, run: Run) -> None:
    run([person(), person("bchen", 2002)])
    path = host.root / "etc/shadow"
    path.write_text(path.read_text().replace("amartin:*:", "amartin:$y$j9T$secret:"))
    result = run([person(state="suspended", gecos="Another Name"), person("bchen", 2002)], diff=True)
    (entry,) = result["diff"]
    assert entry["before_header"] == entry["after_header"] == "amartin"
    assert "password: set\n" in entry["before"]
    assert "password: locked\n" in entry["after"]
    assert "full name: Another Name\n" in entry["after"]
    assert "secret" not in repr(result)


@pytest.mark.parametrize(
    ("people", "params", "message"),
    [
        ([{"name": "amartin"}], {}, "missing required arguments: uid found in people"),
        ([person(uid="x")], {}, None),
        (
            [person(state="gone")],
            {},
            "value of state must be one of: present, suspended, absent, got: gone found in people",
        ),
        ([person(sate="absent")], {}, None),
        ([], {}, "people is empty although it is said to be the whole registry; refusing to go on"),
        ([person("root", 2001)], {}, "people: root is a protected account and cannot be managed here"),
        (
            [person(groups=["nlp"])],
            {},
            "people: amartin: groups ['nlp'] are not in the list of managed groups",
        ),
        ([person()], {"home_mode": "rwx"}, "home_mode 'rwx' is not an octal mode like 0700"),
        ([person(), person("bchen")], {}, "people: uid given twice: 2001"),
        (
            [person("a;$(x)")],
            {},
            "people: name 'a;$(x)' is not a portable login name (lower case, digits, _ and -, at most 32)",
        ),
    ],
)
def test_bad_input_is_one_message_and_touches_nothing(
    host: Host, run: Run, people: list[dict[str, Any]], params: dict[str, Any], message: str | None
) -> None:
    before = host.snapshot()
    result = run(people, **params)
    assert result["failed"]
    if message is not None:
        assert result["msg"] == message
    assert "Traceback" not in result["msg"]
    assert host.snapshot() == before


def test_conflicts_are_listed(host: Host, run: Run) -> None:
    result = run([person(uid=33)], subid_count=0)
    assert result["failed"]
    assert result["lyceum"] == {
        "kind": "accounts",
        "results": {},
        "unchanged": [],
        "unmanaged": [],
        "conflicts": [
            "uid 33 of amartin belongs to account www-data here; give amartin a free uid or remove www-data",
            "gid 33 of amartin belongs to group www-data here; give amartin a free gid or remove www-data",
        ],
    }
    assert result["msg"].startswith("2 conflict(s) with accounts that are not in the registry; nothing was changed: ")


@needs_root
def test_a_failure_of_one_person_comes_with_the_results_of_all(
    host: Host, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object) -> None:
        raise LyceumError("cannot create home /home/amartin: no space left")

    monkeypatch.setattr(homes, "create", fail)
    result = run([person(), person("bchen", 2002, state="suspended")])
    assert result["failed"]
    assert result["changed"]
    assert result["msg"] == "1 of 2 people failed: amartin: cannot create home /home/amartin: no space left"
    assert {name: one["result"] for name, one in result["lyceum"]["results"].items()} == {
        "amartin": "failed",
        "bchen": "created",
    }
    assert result["lyceum"]["results"]["amartin"]["error"] == "cannot create home /home/amartin: no space left"
    assert host.line("passwd", "bchen") is not None
    assert host.line("passwd", "amartin") is None


def test_a_refusal_names_the_way_to_allow_it(host: Host, run: Run) -> None:
    names = [f"p{number}" for number in range(5)]
    host.append("passwd", *(f"{name}:x:{2001 + n}:{2001 + n}::/home/{name}:/bin/sh" for n, name in enumerate(names)))
    result = run([person(name, 2001 + number, state="absent") for number, name in enumerate(names)])
    assert result["failed"]
    assert "name them in allow_removals" in result["msg"]


@needs_root
def test_one_person_alone_leaves_the_others(host: Host, run: Run) -> None:
    run([person(groups=["vision"]), person("bchen", 2002, groups=["vision"])], groups=[VISION])
    result = run([person("bchen", 2002, gecos="B. Chen", groups=["vision"])], groups=[VISION], complete=False)
    assert list(result["lyceum"]["results"]) == ["bchen"]
    assert host.line("group", "vision") == "vision:x:10001:amartin,bchen"


def test_values_come_as_text_from_templates(run: Run) -> None:
    result = run([{**person(), "uid": "2001", "gid": "2001", "create": "false"}], check=True)
    assert (result["failed"], result["changed"]) == (False, False)
