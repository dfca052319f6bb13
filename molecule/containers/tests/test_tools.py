# SPDX-License-Identifier: GPL-3.0-or-later
"""The host tools against both releases of Podman: what the proofs do not go into."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from container_scene import IMAGE, LABEL, RUN, SHARED, Scene, tree
from target import Target

PERSON, OTHER = "dlopez", "gnovak"
FOLDER = "/run/lyceum-molecule"


@pytest.fixture
def scene(target: Target) -> Iterator[Scene]:
    """Somebody with a container that runs, and nothing left of before or afterwards."""
    scene = Scene(target, PERSON, OTHER, {})
    scene.probe("tidy", uids=[scene.uid(PERSON)])
    assert scene.begin(PERSON) == ""
    target.host.check_output("rm -rf %s", FOLDER)
    target.host.check_output("mkdir -p %s/policies", FOLDER)
    yield scene
    saved = "podman images --quiet --filter reference=localhost/lyceum-saved/*"
    scene.sh(PERSON, f"rm -f ~/.config/containers/containers.conf; podman image rm --force $({saved})")
    scene.end(PERSON)
    target.host.check_output("rm -rf %s", FOLDER)
    scene.probe("tidy", uids=[scene.uid(PERSON)])


def write(target: Target, path: str, content: Any) -> None:
    target.host.check_output("printf %%s %s > %s", json.dumps(content), path)


def configure(scene: Scene, limits: dict[str, Any], **settings: Any) -> str:
    """Settings and a policy of the test's own; the path of the settings."""
    person = scene.target.people[PERSON]
    about = {"name": PERSON, "uid": person["uid"], "gid": person["uid"], "home": person["home"], "limits": limits}
    write(scene.target, f"{FOLDER}/policies/{PERSON}.json", about)
    places = {key: f"{FOLDER}/{key}" for key in ("policies", "state", "log")}
    write(scene.target, f"{FOLDER}/settings.json", {**places, "source": "containers-proof", **settings})
    return f"{FOLDER}/settings.json"


def test_old_containers_are_saved_and_only_then_removed(scene: Scene) -> None:
    made = f"podman create --name lyceum-proof-old {RUN} {IMAGE} cat /precious"
    copy = "podman start --attach lyceum-proof-old > /dev/null 2>&1; podman cp /tmp/precious lyceum-proof-old:/precious"
    scene.sh(PERSON, f"{made} && echo precious > /tmp/precious && {copy}")
    scene.sh(PERSON, f"podman create --name lyceum-proof-kept --label lyceum.keep=true {RUN} {IMAGE} true")
    settings = configure(scene, {}, keep_days=0)
    done = scene.target.host.run("lyceum-containers tidy --json --settings %s", settings)
    found = json.loads(done.stdout)
    assert (done.rc, found["failures"]) == (0, []), done.stdout + done.stderr
    [event] = found["events"]
    # The one that runs and the one with the label were left alone.
    listed = scene.sh(PERSON, f"podman ps --all --filter label={LABEL} --format '{{{{.Names}}}}'").stdout.split()
    assert sorted(listed) == ["lyceum-proof", "lyceum-proof-kept"]
    kept = scene.sh(PERSON, f"podman run --rm {RUN} {shlex.quote(event['image'])} cat /precious")
    assert kept.stdout == "precious\n", kept.stderr


def test_who_breaks_the_own_podman_keeps_no_container_by_it(scene: Scene) -> None:
    broken = "mkdir -p ~/.config/containers && echo '[engine' > ~/.config/containers/containers.conf"
    scene.sh(PERSON, broken)
    settings = configure(scene, {"runtime_hours": 0}, period_seconds=0.1, stop_seconds=1)
    events: list[str] = []
    for _ in range(10):
        scene.target.host.run("lyceum-containers look --settings %s", settings)
        log = scene.target.host.file(f"{FOLDER}/log")
        events = [json.loads(line)["event"] for line in log.content_string.splitlines()] if log.exists else []
        if "stopped" in events:
            break
    assert events[:3] == ["warned", "warned", "failed"]
    assert events[-1] == "stopped"
    assert scene.family(PERSON)["monitors"] == []
    scene.sh(PERSON, "rm ~/.config/containers/containers.conf")
    again = scene.sh(PERSON, "podman start lyceum-proof && podman exec lyceum-proof echo works")
    assert again.stdout.endswith("works\n"), again.stderr


def test_shared_images_are_pruned_once_nobody_uses_them(scene: Scene) -> None:
    # Not of the same layer as the person's own image, which would be in use as well.
    made = scene.probe("share", tree=tree("another").hex())
    assert made["status"] == 0, made
    scene.sh(PERSON, f"podman create --name lyceum-proof-user {RUN} {SHARED} true")
    run_prune = f"""
import sys
sys.path.insert(0, "/usr/local/lib/lyceum/containers")
from pathlib import Path
from lyceum.containers import images, settings
found = settings.load_settings(Path("{FOLDER}/settings.json"))
print(sorted(name for image in images.prune(found, dry_run=False)[0] for name in image.names))
"""
    configure(scene, {}, images=scene.target.plan["containers"]["images_dir"], images_keep_days=-1)

    def prune() -> str:
        return str(scene.target.host.check_output("python3 -I -c %s", run_prune))

    assert SHARED not in prune()
    assert scene.sh(PERSON, f"podman image exists {SHARED}").returncode == 0
    scene.sh(PERSON, "podman rm lyceum-proof-user")
    assert SHARED in prune()
    assert scene.sh(PERSON, f"podman image exists {SHARED}").returncode != 0


def test_what_runs_is_shown(scene: Scene) -> None:
    shown = json.loads(scene.target.host.check_output("lyceum-containers show"))
    assert [one["name"] for one in shown["people"][PERSON]["running"]] == ["lyceum-proof"]
    assert shown["people"][OTHER]["running"] == []
