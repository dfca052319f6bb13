# SPDX-License-Identifier: GPL-3.0-or-later
"""What the system itself says after the role has run, with the people of inventories/lab and what prepare.yml left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from target import Target

PROJECT = Path(__file__).resolve().parents[3]
ANSIBLE = Path(sys.executable).with_name("ansible")

PROJECT_ACL = """user::rwx
user:dlopez:r-x
user:ksato:r-x
user:lrossi:r-x
group::rwx
mask::rwx
other::---
default:user::rwx
default:user:dlopez:r-x
default:user:ksato:r-x
default:user:lrossi:r-x
default:group::rwx
default:mask::rwx
default:other::---"""
EVERYBODY = """user::rwx
group::{0}
other::---
default:user::rwx
default:group::{0}
default:other::---"""
OWN = "user::rwx\ngroup::{}\nother::{}"


@pytest.mark.parametrize(
    ("path", "owner", "group", "mode", "acl"),
    [
        ("/srv", "root", "root", 0o711, OWN.format("--x", "--x")),
        ("/srv/projects", "root", "root", 0o711, OWN.format("--x", "--x")),
        ("/srv/projects/.gid", "root", "root", 0o711, OWN.format("--x", "--x")),
        ("/srv/projects/.gid/11001", "root", "retina", 0o2770, PROJECT_ACL),
        ("/srv/projects/.gid/11003", "root", "root", 0o700, OWN.format("---", "---")),
        ("/srv/collaborative", "root", "lyceum-people", 0o2770, EVERYBODY.format("rwx")),
        ("/srv/readonly", "root", "lyceum-people", 0o2750, EVERYBODY.format("r-x")),
        ("/srv/scratch", "root", "root", 0o711, OWN.format("--x", "--x")),
        ("/srv/scratch/amartin", "amartin", "amartin", 0o700, OWN.format("---", "---")),
        ("/srv/scratch/fmoreau", "root", "root", 0o700, OWN.format("---", "---")),
        ("/srv/teaching", "root", "nlp", 0o2770, OWN.format("rwx", "---")),
    ],
)
def test_directories(target: Target, path: str, owner: str, group: str, mode: int, acl: str) -> None:
    found = target.host.file(path)
    assert (found.user, found.group, found.mode) == (owner, group, mode)
    assert target.host.check_output("getfacl -cpE %s", path).strip() == acl


def test_a_boot_opens_nothing(target: Target) -> None:
    # What each boot does there; systemd's own home.conf says 0755. Not more of it, which would forbid logins.
    target.host.check_output("systemd-tmpfiles --create --prefix=/srv")
    assert target.host.file("/srv").mode == 0o711


def test_names_are_links_and_the_old_one_is_gone(target: Target) -> None:
    assert target.host.file("/srv/projects/retina").linked_to == "/srv/projects/.gid/11001"
    assert not target.host.file("/srv/projects/eyes").exists
    assert target.host.file("/srv/projects/forgotten").mode == 0o755, "what nobody wrote down was touched"


def test_old_files_of_a_project_are_shared_now(target: Target) -> None:
    target.host.check_output("systemctl start lyceum-share.service")
    file = target.host.file("/srv/projects/retina/results")
    assert (file.content_string, file.user, file.group, file.mode) == ("the only copy\n", "amartin", "retina", 0o660)
    assert "user:dlopez:r-x" in target.host.check_output("getfacl -cp /srv/projects/retina/results")


def test_what_is_sealed_is_untouched_inside(target: Target) -> None:
    file = target.host.file("/srv/scratch/fmoreau/results")
    assert (file.content_string, file.uid, file.mode) == ("the only copy\n", 2006, 0o600)


def test_suspended_people_get_nothing_new(target: Target) -> None:
    assert not target.host.file("/srv/scratch/ehansen").exists


def test_the_timer_is_there_after_a_boot(target: Target) -> None:
    timer = target.host.service("lyceum-share.timer")
    assert timer.is_enabled
    assert timer.is_running
    assert target.host.run("systemctl is-failed lyceum-share.service").rc != 0


def test_the_tool_can_do_little_else(target: Target) -> None:
    lines = target.host.check_output("systemd-analyze security --no-pager lyceum-share.service").splitlines()
    exposure = float(lines[-1].split(":")[1].split()[0])
    assert exposure < 4, lines[-1]


def test_processes_are_hidden_now_and_after_a_boot(target: Target) -> None:
    assert target.host.service("lyceum-hide-processes.service").is_enabled
    mounts = target.host.file("/proc/self/mountinfo").content_string.splitlines()
    assert any(" / /proc " in line and "hidepid=invisible" in line for line in mounts)
    groups = target.host.check_output("systemctl show systemd-logind.service --property=SupplementaryGroups --value")
    assert groups == "lyceum-proc"


def on_host(target: Target, entries: list[dict[str, Any]]) -> dict[str, Any]:
    """The module's result on the host, whether it succeeded or not."""
    done = subprocess.run(
        [ANSIBLE, "-i", os.environ["MOLECULE_INVENTORY_FILE"], target.name, "-m", "acl_tree",
         "-a", json.dumps({"entries": entries})],
        cwd=PROJECT, capture_output=True, text=True, check=False,
        env={**os.environ, "ANSIBLE_CALLBACK_RESULT_FORMAT": "json", "ANSIBLE_FORCE_COLOR": "0"},
    )  # fmt: skip
    # Ansible prints the error first, then `HOST | FAILED! => {the result}`.
    text = done.stdout.partition(f"{target.name} | ")[2]
    result: dict[str, Any] = json.loads(text[text.index("{") :])
    return result


def test_a_file_system_without_acls_is_told_and_the_rest_goes_on(target: Target) -> None:
    folder = "/run/lyceum-test-ramfs"
    target.host.check_output("mkdir -p %s", folder)
    target.host.check_output("mount -t ramfs ramfs %s", folder)
    try:
        wanted = {"group": "retina", "mode": "2770"}
        result = on_host(
            target,
            [
                {"path": f"{folder}/plain", **wanted},
                {"path": f"{folder}/acl", **wanted, "acl": ["user:amartin:r-x"]},
            ],
        )
        assert result["msg"] == (
            f"1 of 2 paths failed: {folder}/acl: its file system has no POSIX ACLs: mount it with them (option acl), or"
            " choose the strategy group_shared or user_subdirs, which need none"
        )
        assert target.host.file(f"{folder}/plain").mode == 0o2770
        assert target.host.file(f"{folder}/acl").mode == 0o700, "what cannot be shared as it should be stays closed"
    finally:
        target.host.check_output("umount %s", folder)
        target.host.check_output("rmdir %s", folder)
