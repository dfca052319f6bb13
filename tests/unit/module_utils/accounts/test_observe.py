# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read from a host, with a /proc made of files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible.module_utils.lyceum.accounts import observe as module
from ansible.module_utils.lyceum.accounts.database import Database
from ansible.module_utils.lyceum.accounts.observe import (
    Home,
    look_at_home,
    observe,
    process_ids,
    subordinate_ranges,
    trees_of,
)
from ansible.module_utils.lyceum.errors import LyceumError
from hypothesis import given
from hypothesis import strategies as st

from .conftest import Host, needs_root, person


def process(proc: Path, pid: int, uids: str, state: str = "S (sleeping)", threads: int = 1) -> None:
    """What the kernel shows of a process, abridged: proc_pid_status(5)."""
    (proc / str(pid)).mkdir(parents=True)
    words = "\t".join(uids.split())
    lines = [
        "Name:\tUid: 2001",
        "Umask:\t0022",
        f"State:\t{state}",
        f"Tgid:\t{pid}",
        f"Uid:\t{words}",
        "Gid:\t1\t1\t1\t1",
    ]
    (proc / str(pid) / "status").write_text("".join(f"{line}\n" for line in [*lines, f"Threads:\t{threads}"]))


def test_processes_are_found_by_any_of_their_four_ids_and_by_ranges(tmp_path: Path) -> None:
    for pid, uids in enumerate(
        [
            "2001 2001 2001 2001",
            "0 2001 0 2001",
            "0 0 2001 0",
            "2002 2002 2002 2002",
            "524288 524288 524288 524288",
            "589823 589823 589823 589823",
            "589824 589824 589824 589824",
            "0 0 0 0",
        ],
        start=10,
    ):
        process(tmp_path, pid, uids)
    (tmp_path / "self").mkdir()
    (tmp_path / "99").mkdir()  # ended between listing and reading
    found = process_ids([2001], [(524288, 65536)], proc=str(tmp_path))
    assert {uid: sorted(pids) for uid, pids in found.items()} == {2001: [10, 11, 12], 524288: [14], 589823: [15]}


def test_a_zombie_is_dead_unless_other_threads_go_on(tmp_path: Path) -> None:
    process(tmp_path, 10, "2001 2001 2001 2001", "Z (zombie)")
    process(tmp_path, 11, "2001 2001 2001 2001", "Z (zombie)", threads=2)
    assert process_ids([2001], [], proc=str(tmp_path)) == {2001: [11]}


def test_nobody_wanted_or_no_proc_finds_nobody(tmp_path: Path) -> None:
    process(tmp_path, 10, "0 0 0 0")
    assert process_ids([], [(0, 1)], proc=str(tmp_path)) == {}
    assert process_ids([0], [], proc=str(tmp_path / "missing")) == {}


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=6), st.lists(st.integers(0, 90), min_size=1)
)
def test_ranges_may_overlap_in_any_way(spans: list[tuple[int, int]], numbers: list[int]) -> None:
    merged = module._disjoint(spans)
    for number in numbers:
        assert any(f <= number < f + c for f, c in merged) == any(f <= number < f + c for f, c in spans)
    assert all(one[0] + one[1] < two[0] for one, two in zip(merged, merged[1:]))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["amartin:100000:65536"], [(100000, 65536)]),
        (["2001:100000:65536", "amartin:300000:10"], [(100000, 65536), (300000, 10)]),
        (["bchen:100000:65536"], []),
        (["amartin:0:65536"], []),
        (["amartin:33:1"], []),
        (["amartin:30:3"], [(30, 3)]),
        (["amartin:2001:1"], []),
        (["amartin:100000:x"], []),
    ],
)
def test_ranges_with_real_accounts_in_them_are_nobodys(
    host: Host, lines: list[str], expected: list[tuple[int, int]]
) -> None:
    host.append("passwd", "amartin:x:2001:2001::/home/amartin:/bin/bash")
    host.append("subuid", *lines)
    assert subordinate_ranges(Database.load(host.root), {"amartin": 2001}) == {"amartin": expected}


def test_homes_are_looked_at_without_following_links(host: Host) -> None:
    home = host.root / "home"
    (home / "amartin").mkdir(mode=0o750)
    (home / "link").symlink_to("amartin")
    (home / "file").write_text("")
    directory = look_at_home(host.root, "/home/amartin")
    assert (directory.kind, directory.mode, directory.uid) == ("directory", 0o750, os.geteuid())
    assert look_at_home(host.root, "/home/link").kind == "other"
    assert look_at_home(host.root, "/home/file").kind == "other"
    for missing in ("/home/nobody", "/home/file/below", "", "home/amartin"):
        assert look_at_home(host.root, missing) == Home("missing")
    with pytest.raises(LyceumError, match=r"cannot look at /home/x+: File name too long"):
        look_at_home(host.root, f"/home/{'x' * 300}")


@needs_root
def test_traces_of_those_who_leave(host: Host) -> None:
    host.append("passwd", "amartin:x:2001:2001::/home/amartin:/bin/bash", "bchen:x:2002:2002::/home/bchen:/bin/bash")
    host.append("subuid", "amartin:524288:65536")
    for path in ("var/spool/cron/crontabs/amartin", "var/lib/systemd/linger/amartin", "var/mail/amartin"):
        (host.root / path).parent.mkdir(parents=True)
        (host.root / path).write_text("")
    jobs = host.root / "var/spool/cron/atjobs"
    jobs.mkdir()
    for name, uid in {"a0001": 2001, "a0002": 2002, ".SEQ": 2001}.items():
        (jobs / name).write_text("")
        os.chown(jobs / name, uid, uid)
    process(host.root / "proc", 10, "2001 2001 2001 2001")
    process(host.root / "proc", 11, "524300 524300 524300 524300")
    process(host.root / "proc", 12, "2002 2002 2002 2002")
    seen = observe(host.desired([person(state="absent"), person("bchen", 2002)]), host.root)
    assert seen.traces.keys() == {"amartin"}
    traces = seen.traces["amartin"]
    assert traces.processes == (10, 11)
    assert (traces.linger, traces.crontab, traces.atjobs, traces.mail) == (True, True, ("a0001",), True)


def test_the_home_that_counts(host: Host) -> None:
    """Of somebody present it is the wanted one; of somebody who leaves the one the account has."""
    for name in ("amartin", "bchen", "dlopez"):
        uid = 2001 + "abd".index(name[0])
        host.append("passwd", f"{name}:x:{uid}:{uid}::/srv/{name}/:/bin/bash")
        (host.root / "srv" / name).mkdir()
    people = [person(), person("bchen", 2002, state="absent"), person("dlopez", 2003, state="suspended")]
    seen = observe(host.desired(people), host.root)
    assert {name: home.kind for name, home in seen.homes.items()} == {
        "amartin": "missing",
        "bchen": "directory",
        "dlopez": "directory",
    }
    assert {name: home.kind for name, home in seen.old_homes.items()} == {"amartin": "directory"}


def test_leftovers_are_directories_with_our_names_only(host: Host) -> None:
    home = host.root / "home"
    for name in (".lyceum-amartin.new", ".lyceum-bchen.removed", ".lyceum-other", "lyceum-x.new"):
        (home / name).mkdir()
    (home / ".lyceum-file.new").write_text("")
    (home / ".lyceum-link.removed").symlink_to("/etc")
    seen = observe(host.desired([person(), person("bchen", 2002, home="/nowhere/bchen")]), host.root)
    assert seen.leftovers == ("/home/.lyceum-amartin.new", "/home/.lyceum-bchen.removed")


@pytest.mark.parametrize("home", ["/", "", "relative"])
def test_a_home_that_is_no_directory_of_a_person_is_no_tree(home: str) -> None:
    assert home not in trees_of(home, ["/srv"])
    assert trees_of("/home/amartin", ["/srv"])[:2] == ["/home/amartin", "/srv"]


def test_directory_services_are_not_asked_about_a_pretended_host(host: Host) -> None:
    assert observe(host.desired([person()]), host.root).foreign_names == {}
