# SPDX-License-Identifier: GPL-3.0-or-later
"""What the system itself says after the role has run, and that Docker's tools work as people know them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from container_scene import IMAGE, RUN, Scene
from target import Target

PROJECT = Path(__file__).resolve().parents[3]
ANSIBLE = Path(sys.executable).with_name("ansible")
PERSON, OTHER = "dlopez", "gnovak"

COMPOSE = f"""
services:
  web:
    image: {IMAGE}
    command: python3 -m http.server 8000 --directory /etc
    volumes: ["/usr:/usr:ro"]
    ports: ["18000:8000"]
  client:
    image: {IMAGE}
    command: sleep 600
    volumes: ["/usr:/usr:ro"]
"""
ASK = 'import urllib.request; print(urllib.request.urlopen("http://web:8000/passwd").read().decode())'


@pytest.fixture(scope="module")
def scene(target: Target) -> Iterator[Scene]:
    """Somebody with the image of the proof and a container that runs."""
    scene = Scene(target, PERSON, OTHER, {})
    assert scene.begin(PERSON) == ""
    yield scene
    scene.end(PERSON)


def test_timers_run_and_have_not_failed(target: Target) -> None:
    for name in ("lyceum-containers", "lyceum-containers-tidy"):
        timer = target.host.service(f"{name}.timer")
        assert timer.is_enabled
        assert timer.is_running
        target.host.check_output("systemctl start %s.service", name)
        assert target.host.check_output("systemctl show --value -p Result %s.service", name) == "success"


def test_root_has_no_podman_that_listens(target: Target) -> None:
    socket = target.host.service("podman.socket")
    assert not socket.is_running
    assert not socket.is_enabled


def test_logind_waits_longer_than_the_tool_takes(target: Target) -> None:
    words = ["org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager", "UserStopDelayUSec"]
    assert target.host.check_output("busctl get-property %s %s %s %s", *words) == "t 90000000"


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        ("/etc/lyceum/containers.d", 0o700),
        ("/etc/lyceum/containers.d/amartin.json", 0o600),
        ("/var/lib/lyceum/images", 0o700),
        ("/var/lib/lyceum/containers", 0o700),
        ("/usr/local/sbin/lyceum-containers", 0o755),
    ],
)
def test_files_of_root(target: Target, path: str, mode: int) -> None:
    file = target.host.file(path)
    assert (file.user, file.group, file.mode) == ("root", "root", mode)


def test_only_people_with_a_shell_have_a_policy(target: Target) -> None:
    listed = target.host.check_output("ls /etc/lyceum/containers.d").split()
    assert listed == ["amartin.json", "bchen.json", "dlopez.json", "gnovak.json"]


def test_podman_uses_what_the_kernel_does_best(scene: Scene) -> None:
    shown = "{{.Store.GraphDriverName}} {{.Store.GraphRoot}} {{.Host.Security.Rootless}} {{.Host.NetworkBackend}}"
    done = scene.sh(PERSON, f"podman info --format '{shown}'")
    storage = f"{scene.target.people[PERSON]['home']}/.local/share/containers/storage"
    assert done.stdout.split() == ["overlay", storage, "true", "netavark"], done.stderr


def test_compose_with_names_and_ports(scene: Scene) -> None:
    compose = "docker-compose --file /tmp/lyceum-compose.yml --project-name proof"
    script = f"""
cat > /tmp/lyceum-compose.yml <<'EOF'
{COMPOSE}
EOF
{compose} up --detach >&2
sleep 2
{compose} exec -T client python3 -c '{ASK}'
curl --silent --max-time 5 http://127.0.0.1:18000/passwd
{compose} down --timeout 0 >&2
rm /tmp/lyceum-compose.yml
"""
    done = scene.sh(PERSON, script, timeout=180)
    assert done.stdout.count("root:x:0:0:root:/root:/bin/sh\n") == 2, done.stdout + done.stderr


def test_build_with_docker_and_run_it(scene: Scene) -> None:
    script = f"""
set -e
mkdir -p /tmp/lyceum-build && cd /tmp/lyceum-build
printf 'FROM {IMAGE}\\nCOPY hello /hello\\n' > Dockerfile
echo built > hello
docker build --quiet --tag lyceum-built . >&2
docker run {RUN.replace("--label lyceum-proof=1", "--rm")} lyceum-built cat /hello
docker image rm lyceum-built > /dev/null
rm -r /tmp/lyceum-build
"""
    done = scene.sh(PERSON, script, timeout=120)
    assert done.stdout == "built\n", done.stderr


def test_the_api_answers_over_ssh(scene: Scene) -> None:
    """What `docker context create --docker host=ssh://...` does on this side."""
    done = scene.target.run_as(PERSON, "docker system dial-stdio", stdin="GET /_ping HTTP/1.0\r\n\r\n")
    assert " 200 OK" in done.stdout.splitlines()[0], done.stderr


def test_who_has_a_container_that_runs_lingers_and_only_then(scene: Scene) -> None:
    linger = scene.target.host.file(f"/var/lib/systemd/linger/{PERSON}")
    scene.target.host.check_output("systemctl start lyceum-containers.service")
    assert linger.exists
    assert not scene.target.host.file(f"/var/lib/systemd/linger/{OTHER}").exists
    scene.sh(PERSON, "podman stop --time 0 lyceum-proof")
    scene.target.host.check_output("systemctl start lyceum-containers.service")
    assert not linger.exists
    scene.sh(PERSON, "podman start lyceum-proof")


def test_a_session_leaves_nothing_behind(target: Target) -> None:
    uid = target.people[OTHER]["uid"]
    assert target.run_as(OTHER, "cat ~/.config/containers/storage.conf").stdout.startswith("# Written by Lyceum")
    view = target.host.file(f"/run/lyceum/containers/{uid}")
    assert view.exists
    target.host.check_output("systemctl stop user@%s.service", str(uid))
    deadline = time.monotonic() + 10
    while view.exists and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not view.exists
    assert f"/run/lyceum/containers/{uid}" not in target.host.file("/proc/self/mountinfo").content_string


def test_who_gets_no_policy_logs_in_all_the_same(target: Target) -> None:
    """Root and everybody else: the unit that a session waits for has nothing to do, and fails for nobody."""
    done = target.host.run("systemctl start lyceum-containers-session@0.service")
    assert done.rc == 0, done.stderr
    assert not target.host.file("/run/lyceum/containers/0").exists
    target.host.check_output("systemctl stop lyceum-containers-session@0.service")


def test_events_are_logged_with_their_person(scene: Scene) -> None:
    log = scene.target.host.file("/var/log/lyceum/containers.log")
    lines = log.content_string.splitlines() if log.exists else []
    assert all({"time", "event"} <= json.loads(line).keys() for line in lines)


def on_host(target: Target, **arguments: Any) -> dict[str, Any]:
    """The result of the module docker_group on the host."""
    words = [ANSIBLE, "-i", os.environ["MOLECULE_INVENTORY_FILE"], target.name, "-m", "docker_group"]
    done = subprocess.run(
        [*words, "-a", json.dumps(arguments)],
        cwd=PROJECT, capture_output=True, text=True, check=False,
        env={**os.environ, "ANSIBLE_CALLBACK_RESULT_FORMAT": "json", "ANSIBLE_FORCE_COLOR": "0"},
    )  # fmt: skip
    text = done.stdout.partition(f"{target.name} | ")[2]
    result: dict[str, Any] = json.loads(text[text.index("{") :])
    return result


def test_members_of_docker_are_drift_until_they_are_removed(target: Target) -> None:
    existed = target.host.run("getent group docker").rc == 0
    if not existed:
        target.host.check_output("groupadd --system docker")
    try:
        target.host.check_output("gpasswd --add bchen docker")
        sentence = "group docker is as good as root: bchen is a member and is no admin of the registry"
        found = on_host(target, admins=["amartin"])
        assert (found["changed"], found["drift"]) == (False, [sentence])
        removed = on_host(target, admins=["amartin"], policy="remove")
        assert (removed["changed"], removed["actions"]) == (True, ["take bchen out of group docker"])
        assert "bchen" not in target.host.check_output("getent group docker")
        assert on_host(target, policy="remove")["changed"] is False
    finally:
        if not existed:
            target.host.check_output("groupdel docker")
