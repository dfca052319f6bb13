# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is in a group that is as good as root."""

from __future__ import annotations

import grp
import pwd
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible.module_utils.lyceum.containers import docker_group
from ansible.module_utils.lyceum.containers.docker_group import Membership, observe, removable, remove
from ansible.module_utils.lyceum.errors import CommandError


@pytest.fixture(autouse=True)
def accounts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Group docker with three members, and an account that has it as its own group."""

    def by_name(name: str) -> SimpleNamespace:
        if name != "docker":
            raise KeyError(name)
        return SimpleNamespace(gr_gid=999, gr_mem=["bchen", "amartin", "root"])

    people = [SimpleNamespace(pw_name=name, pw_gid=gid) for name, gid in (("amartin", 2001), ("runner", 999))]
    monkeypatch.setattr(grp, "getgrnam", by_name)
    monkeypatch.setattr(pwd, "getpwall", lambda: people)


def test_all_but_root_and_admins_are_drift() -> None:
    assert observe(["docker", "lxd"], ["amartin"]) == [
        Membership("docker", "bchen", primary=False),
        Membership("docker", "runner", primary=True),
    ]


def test_a_primary_group_is_only_reported() -> None:
    drift = observe(["docker"], [])
    assert [item.name for item in drift] == ["amartin", "bchen", "runner"]
    assert [item.name for item in removable(drift)] == ["amartin", "bchen"]
    assert drift[2].sentence == (
        "group docker is as good as root: runner has it as primary group and is no admin of the registry"
    )


def test_a_program_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "gpasswd"
    program.write_text('#!/bin/sh\necho "gpasswd: cannot lock /etc/group; $*" >&2\nexit 1\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(docker_group, "ENVIRONMENT", {"PATH": str(tmp_path)})
    with pytest.raises(CommandError, match=r"cannot take bchen out of group docker: .*--delete bchen docker"):
        remove(Membership("docker", "bchen", primary=False))
