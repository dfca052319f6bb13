# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of containers when somebody is suspended, comes back, and leaves for good."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from container_scene import IMAGE, RUN, Scene
from target import Target

PROJECT = Path(__file__).resolve().parents[3]
ANSIBLE_PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
PEOPLE = PROJECT / "inventories/lab/group_vars/all/people.yml"
PLAYBOOKS = ("playbooks/identities.yml", "playbooks/containers.yml")
PERSON = "gnovak"
LEAVER = {"name": "lzanetti", "uid": 2099, "full_name": "L. Zanetti", "affiliation": "student"}


def run(target: Target, person: str, people: Sequence[dict[str, Any]]) -> None:
    """Carry out the registry with these people instead, for one of them on one host."""
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as changed:
        yaml.safe_dump({"lyceum_people": list(people)}, changed)
        changed.flush()
        done = subprocess.run(
            [ANSIBLE_PLAYBOOK, "-i", os.environ["MOLECULE_INVENTORY_FILE"], "--limit", target.name,
             "-e", f"person={person}", "-e", f"@{changed.name}", *PLAYBOOKS],
            cwd=PROJECT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


def registry() -> list[dict[str, Any]]:
    people: list[dict[str, Any]] = yaml.safe_load(PEOPLE.read_text())["lyceum_people"]
    return people


def test_suspended_containers_are_stopped_and_come_back_untouched(target: Target) -> None:
    scene = Scene(target, PERSON, "amartin", {})
    assert scene.begin(PERSON) == ""
    uid = scene.uid(PERSON)
    back = True
    try:
        scene.sh(PERSON, "podman exec lyceum-proof sh -c 'echo precious > /precious'")
        target.host.check_output("systemctl start lyceum-containers.service")
        assert target.host.file(f"/var/lib/systemd/linger/{PERSON}").exists

        suspended = [{**one, "state": "suspended"} if one["name"] == PERSON else one for one in registry()]
        back = False
        run(target, PERSON, suspended)
        assert scene.family(PERSON) == {"monitors": [], "below": [], "first": None}
        remains = target.probe("remains", role="containers", people={PERSON: uid}, policies="/etc/lyceum/containers.d")
        assert remains == {PERSON: []}

        run(target, PERSON, registry())
        back = True
        listed = scene.sh(PERSON, "podman ps --all --format '{{.Names}} {{.ID}}'").stdout
        assert f"lyceum-proof {scene.containers[PERSON][:12]}" in listed
        kept = scene.sh(PERSON, "podman start lyceum-proof > /dev/null && podman exec lyceum-proof cat /precious")
        assert kept.stdout == "precious\n", kept.stderr
        # And the last thing that could have been lost: what images they had.
        again = scene.sh(PERSON, f"podman run --rm {RUN} {IMAGE} echo works")
        assert again.stdout == "works\n", again.stderr
    finally:
        if not back:
            run(target, PERSON, registry())
        scene.end(PERSON)


def test_the_archive_of_a_home_has_what_belongs_to_containers(target: Target) -> None:
    name = LEAVER["name"]
    run(target, name, [*registry(), LEAVER])
    home = target.host.check_output("getent passwd %s", name).split(":")[5]
    spans = target.host.file("/etc/subuid").content_string.splitlines()
    first = next(int(line.split(":")[1]) for line in spans if line.startswith(f"{name}:"))
    folder = f"{home}/.local/share/containers/storage/volumes/v/_data"
    target.host.check_output("mkdir -p %s", folder)
    target.host.check_output("touch %s/of-www", folder)
    target.host.check_output("chown -R %s %s/of-www", f"{first + 32}:{first + 32}", folder)

    run(target, name, [*registry(), {"name": name, "uid": 2099, "state": "absent"}])
    assert not target.host.file(home).exists
    assert not target.host.file(f"/etc/lyceum/containers.d/{name}.json").exists
    archives = target.host.check_output("ls /var/backups/lyceum/homes").split()
    [archive] = [one for one in archives if one.startswith(f"{name}-2099-") and one.endswith(".tar.zst")]
    listed = target.host.check_output("tar --zstd --numeric-owner -tvf /var/backups/lyceum/homes/%s", archive)
    [line] = [line for line in listed.splitlines() if line.endswith("/of-www")]
    assert f"{first + 32}/{first + 32}" in line
