# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody's access changes in the registry while they are at work."""

from __future__ import annotations

import copy
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from target import Target

from playbooks import PROJECT, succeeds

PEOPLE = yaml.safe_load((PROJECT / "inventories/lab/group_vars/all/people.yml").read_text())["lyceum_people"]


ARCHIVES = "/var/backups/lyceum/homes"


def registry(**changes: dict[str, Any]) -> list[dict[str, Any]]:
    """The people of the lab with some of them changed."""
    people = copy.deepcopy(PEOPLE)
    for person in people:
        person.update(changes.get(person["name"], {}))
    return people


def of_person(target: Target, name: str) -> list[str]:
    return target.host.run("pgrep -u %s", name).stdout.split()


@contextmanager
def ended(words: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A program that does not outlive the test, however that goes."""
    with subprocess.Popen(words, **options) as program:
        try:
            yield program
        finally:
            program.kill()


@pytest.fixture
def restored(target: Target) -> Any:
    yield
    succeeds(target.name)


@pytest.mark.usefixtures("restored")
def test_who_becomes_confined_loses_what_ran_before(target: Target) -> None:
    words = target.ssh_words("dlopez")
    with ended([*words, "sleep 600 & exec sleep 601"], stdin=subprocess.DEVNULL) as session:
        while len(of_person(target, "dlopez")) < 3:
            assert session.poll() is None
        target.host.check_output("loginctl enable-linger dlopez")
        succeeds(target.name, lyceum_people=registry(dlopez={"access": "jail"}))
        assert session.wait(30) != 0
    assert of_person(target, "dlopez") == []
    assert target.run_as("dlopez", "ls /home").stdout == "dlopez\n"
    assert target.host.file("/var/lib/systemd/linger/dlopez").exists is False


@pytest.mark.usefixtures("restored")
def test_who_leaves_loses_the_view_and_nobody_else_loses_data(target: Target, tmp_path: Path) -> None:
    marker = tmp_path / "precious"
    marker.write_text("the only copy\n")
    put = [*target.transfer_words("sftp", "ksato"), "-b", "-", target.address]
    subprocess.run(put, input=f"put {marker} precious\n", capture_output=True, text=True, check=True)
    target.host.check_output("cp /home/ksato/precious /srv/projects/retina/precious")
    with ended(
        [*target.transfer_words("sftp", "ksato"), target.address], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    ) as session:  # fmt: skip
        assert session.stdout is not None
        assert session.stdin is not None
        session.stdin.write("pwd\n")
        session.stdin.flush()
        session.stdout.readline()
        succeeds(
            target.name,
            lyceum_people=registry(ksato={"state": "absent", "reason": "left"}),
            accounts_allow_removals=["ksato"],
        )
        # The client may notice only when it is asked for something.
        session.communicate("ls\n", timeout=30)
        assert session.returncode != 0
    assert of_person(target, "2010") == []
    assert not target.host.file("/home/ksato").exists
    assert target.host.file("/srv/projects/retina/precious").content_string == "the only copy\n"
    archives = sorted(target.host.file(ARCHIVES).listdir())
    newest = [name for name in archives if name.startswith("ksato-") and name.endswith(".tar.zst")][-1]
    assert "precious" in target.host.check_output("tar --zstd -tf %s", f"{ARCHIVES}/{newest}")
    assert not target.host.file("/etc/lyceum/sshd_jail.d/ksato.json").exists
    target.host.check_output("rm /srv/projects/retina/precious")
