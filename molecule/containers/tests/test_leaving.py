# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of containers when somebody is suspended, comes back, and leaves for good."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from container_scene import IMAGE, RUN, Scene
from target import Target

PROJECT = Path(__file__).resolve().parents[3]
ANSIBLE_PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
PEOPLE = PROJECT / "inventories/lab/group_vars/all/people.yml"
PLAYBOOKS = ("playbooks/identities.yml", "playbooks/containers.yml")
PERSON = "gnovak"
LEAVER = "lzanetti"
NEW = {"uid": 2099, "full_name": "L. Zanetti", "affiliation": "student"}


def run(target: Target, people: Sequence[dict[str, Any]]) -> None:
    """Carry out the registry with these people instead, on one host."""
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as changed:
        yaml.safe_dump({"lyceum_people": list(people)}, changed)
        changed.flush()
        done = subprocess.run(
            [ANSIBLE_PLAYBOOK, "-i", os.environ["MOLECULE_INVENTORY_FILE"], "--limit", target.name,
             "-e", f"@{changed.name}", *PLAYBOOKS],
            cwd=PROJECT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


def registry(**changes: dict[str, Any]) -> list[dict[str, Any]]:
    """The people of the lab, with changes by name; a name that is new is added."""
    people = {one["name"]: one for one in yaml.safe_load(PEOPLE.read_text())["lyceum_people"]}
    for name, change in changes.items():
        people[name] = {**people.get(name, {"name": name}), **change}
    return list(people.values())


@pytest.fixture
def scene(target: Target) -> Iterator[Scene]:
    """Somebody with a container that has something to lose."""
    scene = Scene(target, PERSON, "amartin", {})
    assert scene.begin(PERSON) == ""
    yield scene
    scene.end(PERSON)


def test_suspended_and_back_and_gone_for_good(scene: Scene) -> None:
    """One person is suspended while another comes; then the one comes back and the other leaves."""
    target = scene.target
    scene.sh(PERSON, "podman exec lyceum-proof sh -c 'echo precious > /precious'")
    target.host.check_output("systemctl start lyceum-containers.service")
    assert target.host.file(f"/var/lib/systemd/linger/{PERSON}").exists
    run(target, registry(**{PERSON: {"state": "suspended"}, LEAVER: NEW}))
    try:
        nothing_goes_on(scene)
        owner = leave_volume(target)
    finally:
        run(target, registry(**{LEAVER: {"uid": NEW["uid"], "state": "absent"}}))
    everything_is_there(scene)
    archive_has_volume(target, owner)


def nothing_goes_on(scene: Scene) -> None:
    assert scene.family(PERSON) == {"monitors": [], "below": [], "first": None}
    people = {PERSON: scene.uid(PERSON)}
    assert scene.probe("remains", people=people, policies="/etc/lyceum/containers.d") == {PERSON: []}


def everything_is_there(scene: Scene) -> None:
    listed = scene.sh(PERSON, "podman ps --all --format '{{.Names}} {{.ID}}'").stdout
    assert f"lyceum-proof {scene.containers[PERSON][:12]}" in listed
    kept = scene.sh(PERSON, "podman start lyceum-proof > /dev/null && podman exec lyceum-proof cat /precious")
    assert kept.stdout == "precious\n", kept.stderr
    again = scene.sh(PERSON, f"podman run --rm {RUN} {IMAGE} echo works")
    assert again.stdout == "works\n", again.stderr


def leave_volume(target: Target) -> int:
    """Put a file where a container of the leaver would have written it as www-data; return whose it is."""
    home = target.host.check_output("getent passwd %s", LEAVER).split(":")[5]
    spans = target.host.file("/etc/subuid").content_string.splitlines()
    owner = 32 + next(int(line.split(":")[1]) for line in spans if line.startswith(f"{LEAVER}:"))
    folder = f"{home}/.local/share/containers/storage/volumes/v/_data"
    target.host.check_output("mkdir -p %s", folder)
    target.host.check_output("touch %s/of-www", folder)
    target.host.check_output("chown -R %s %s/of-www", f"{owner}:{owner}", folder)
    return owner


def archive_has_volume(target: Target, owner: int) -> None:
    assert not target.host.file(f"/home/{LEAVER}").exists
    assert not target.host.file(f"/etc/lyceum/containers.d/{LEAVER}.json").exists
    archives = target.host.check_output("ls /var/backups/lyceum/homes").split()
    newest = max(one for one in archives if one.startswith(f"{LEAVER}-") and one.endswith(".tar.zst"))
    listed = target.host.check_output("tar --zstd --numeric-owner -tvf /var/backups/lyceum/homes/%s", newest)
    [line] = [line for line in listed.splitlines() if line.endswith("/of-www")]
    assert f"{owner}/{owner}" in line
