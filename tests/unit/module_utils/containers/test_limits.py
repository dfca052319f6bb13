# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel lets a container use, against what its person may use for one."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.module_utils.lyceum.containers.limits import cgroup_of, enforceable, too_wide

from .samples import container, policy

PERSON = policy(container_memory_gib=1, container_cpu_cores=2)


def test_only_cgroup_v2_alone_can_be_held_to(tmp_path: Path) -> None:
    assert not enforceable(tmp_path)
    (tmp_path / "unified").mkdir()
    (tmp_path / "unified/cgroup.controllers").touch()  # hybrid
    assert not enforceable(tmp_path)
    (tmp_path / "cgroup.controllers").touch()
    assert enforceable(tmp_path)


@pytest.mark.parametrize(
    ("line", "result"),
    [
        ("0::/user.slice/user-2001.slice/user@2001.service/user.slice/libpod-{}.scope/container",
         "user.slice/user-2001.slice/user@2001.service/user.slice/libpod-{}.scope"),
        ("0::/user.slice/libpod-{}.scope", "user.slice/libpod-{}.scope"),
        # With the manager cgroupfs.
        ("0::/user.slice/user-2001.slice/{}", "user.slice/user-2001.slice/{}"),
        ("0::/a/libpod-{}/container", "a/libpod-{}"),
        ("0::/user.slice/user-2001.slice/session-1.scope", None),
        ("4:memory:/user.slice/libpod-{}.scope", None),
        ("0::/libpod-x.scope", None),
    ],
)  # fmt: skip
def test_the_cgroup_of_a_container(tmp_path: Path, line: str, result: str | None) -> None:
    web = container()
    (tmp_path / "41").mkdir()
    (tmp_path / "41/cgroup").write_text(line.format(web.identity) + "\n")
    expected = None if result is None else Path("/cg", result.format(web.identity))
    assert cgroup_of(web, tmp_path, Path("/cg")) == expected


def test_a_container_that_has_just_ended_has_none(tmp_path: Path) -> None:
    assert cgroup_of(container(), tmp_path) is None


@pytest.mark.parametrize(
    ("memory", "cpu", "found"),
    [
        ("1073741824", "200000 100000", 0),
        ("4096", "50000 100000", 0),
        ("max", "max 100000", 2),
        ("1073745920", "200000 100000", 1),
        ("1073741824", "210000 100000", 1),
    ],
)
def test_what_is_too_wide(tmp_path: Path, memory: str, cpu: str, found: int) -> None:
    (tmp_path / "memory.max").write_text(f"{memory}\n")
    (tmp_path / "cpu.max").write_text(f"{cpu}\n")
    assert len(list(too_wide(PERSON, tmp_path))) == found
    assert list(too_wide(policy(), tmp_path)) == []


def test_controllers_that_are_off_hold_nothing(tmp_path: Path) -> None:
    assert list(too_wide(PERSON, tmp_path)) == []
