# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes outside the slice of their person."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.module_utils.lyceum.slices.strays import Stray, find

PEOPLE = {2001: "amartin", 2002: "bchen"}
V1_LINES = "9:name=systemd:{0}\n4:memory:{0}\n3:cpuset:/\n0::{0}\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "etc/subuid").write_text("amartin:524288:65536\nbchen:589824:65536\nstranger:700000:65536\nbroken\n")
    return tmp_path


def process(root: Path, pid: int, uids: str, group: str, *, state: str = "S", lines: str = "0::{0}\n") -> None:
    folder = root / f"proc/{pid}"
    folder.mkdir()
    spread = "\t".join(uids.split())
    (folder / "status").write_text(f"Name:\tprog{pid}\nState:\t{state} (x)\nUid:\t{spread}\n")
    (folder / "cgroup").write_text(lines.format(group))


@pytest.mark.parametrize("group", ["/system.slice/cron.service", "/user.slice/user-2002.slice", "/", "/user.slice"])
@pytest.mark.parametrize(("layout", "lines"), [("unified", "0::{0}\n"), ("hybrid", V1_LINES), ("legacy", V1_LINES)])
def test_outside(root: Path, group: str, layout: str, lines: str) -> None:
    process(root, 7, "2001 2001 2001 2001", group, lines=lines)
    assert find(PEOPLE, layout, root) == [Stray(2001, 7, "prog7", group)]


@pytest.mark.parametrize("below", ["", "/session-1.scope", "/user@2001.service/app.slice/x.service"])
def test_inside(root: Path, below: str) -> None:
    process(root, 7, "2001 2001 2001 2001", f"/user.slice/user-2001.slice{below}")
    assert find(PEOPLE, "unified", root) == []


def test_a_name_that_only_begins_alike_is_outside(root: Path) -> None:
    process(root, 7, "2001 2001 2001 2001", "/user.slice/user-2001.slice2/x")
    assert len(find(PEOPLE, "unified", root)) == 1


def test_whose_a_process_is(root: Path) -> None:
    process(root, 1, "2001 0 0 0", "/")  # a setuid program
    process(root, 2, "0 2002 0 2002", "/")  # root acting as somebody
    process(root, 3, "524300 524300 524300 524300", "/")  # in a rootless container
    process(root, 4, "589824 589824 589824 589824", "/")
    process(root, 5, "655360 655360 655360 655360", "/")  # beyond the ranges
    process(root, 6, "700000 700000 700000 700000", "/")  # somebody who is not looked for
    process(root, 7, "0 0 0 0", "/")
    assert sorted((stray.pid, stray.uid) for stray in find(PEOPLE, "unified", root)) == [
        (1, 2001),
        (2, 2002),
        (3, 2001),
        (4, 2002),
    ]


def test_the_dead_and_those_who_go_are_not_counted(root: Path) -> None:
    process(root, 1, "2001 2001 2001 2001", "/", state="Z")
    process(root, 2, "2001 2001 2001 2001", "/")
    (root / "proc/2/cgroup").unlink()
    (root / "proc/3").mkdir()
    assert find(PEOPLE, "unified", root) == []


def test_a_host_without_subordinate_ids(root: Path) -> None:
    (root / "etc/subuid").unlink()
    process(root, 1, "2001 2001 2001 2001", "/")
    assert len(find(PEOPLE, "unified", root)) == 1
