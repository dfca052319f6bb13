# SPDX-License-Identifier: GPL-3.0-or-later
"""Gitea as the role leaves it: its files, its secrets, leaving and returning, and a database that goes away."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from target import Target
from test_gitea import REPOSITORY, probe

pytestmark = pytest.mark.role("gitea")

PROJECT = Path(__file__).resolve().parents[3]
PEOPLE = yaml.safe_load((PROJECT / "inventories/lab/group_vars/all/people.yml").read_text())["lyceum_people"]
OUTAGE_SECONDS = 20


def play(host: str, playbook: str, **variables: Any) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("ansible-playbook")
    words = ["-i", os.environ["MOLECULE_INVENTORY_FILE"], "--limit", host, "-e", json.dumps(variables, default=str)]
    return subprocess.run(
        [str(program), *words, playbook], cwd=PROJECT, capture_output=True, text=True, check=False, timeout=300
    )


def provision(target: Target, expected: int = 0, **changes: dict[str, Any]) -> str:
    """One run over a registry with some people changed; what it printed."""
    people = copy.deepcopy(PEOPLE)
    for person in people:
        person.update(changes.get(person["name"], {}))
    done = play(target.name, "molecule/gitea/people.yml", lyceum_people=people)
    assert done.returncode == expected, done.stdout[-4000:] + done.stderr[-1000:]
    return done.stdout


def present(target: Target) -> str:
    """Somebody with a key of their own in the registry."""
    for person in target.plan["gitea"]["people"]:
        if person["state"] == "present" and person["ssh_keys"] and not person.get("admin"):
            return str(person["name"])
    raise AssertionError("inventories/lab has nobody with an account in Gitea and a key, so that nothing is tested")


@pytest.fixture
def scene(target: Target) -> Iterator[dict[str, str]]:
    """A person with a repository, a token, a key, a password and an open session for the time of the test."""
    name = present(target)
    probe(target, "clear", names=[name])
    try:
        made = probe(target, "scene", name=name)
        word = probe(target, "password", name=name)
        session = probe(target, "sign_in", name=name, password=word)["session"]
        yield {"name": name, "token": made["token"], "password": word, "session": session}
    finally:
        provision(target)
        probe(target, "clear", names=[name])


def entered(target: Target, scene: dict[str, str]) -> dict[str, bool]:
    """By which ways the person of the scene gets in."""
    name = scene["name"]
    me = probe(target, "api", method="GET", path="/user", token=scene["token"])
    ways = {"API": me["status"] == 200 and me["body"] is not None}
    for how in ("https", "ssh"):
        done = probe(target, "git", how=how, owner=name, name=name, token=scene["token"])
        ways[how] = done["entered"]
    ways["session"] = probe(target, "settings", session=scene["session"])["entered"]
    ways["web"] = probe(target, "sign_in", name=name, password=scene["password"])["entered"]
    return ways


def everywhere(entered: bool) -> dict[str, bool]:
    return dict.fromkeys(("API", "https", "ssh", "session", "web"), entered)


def test_who_is_suspended_is_out_within_one_run_and_comes_back_with_keys(target: Target, scene: dict[str, str]) -> None:
    name = scene["name"]
    before = probe(target, "account", name=name)
    assert entered(target, scene) == everywhere(True)
    provision(target, **{name: {"state": "suspended"}})
    assert entered(target, scene) == everywhere(False)
    during = probe(target, "account", name=name)
    assert (during["prohibit_login"], during["keys"]) == (True, 0)
    provision(target)
    after = probe(target, "account", name=name)
    # The key that the test added was in no registry and is gone for good.
    assert (after["active"], after["prohibit_login"]) == (True, False)
    assert probe(target, "sign_in", name=name, password=scene["password"])["entered"]
    assert after["keys"] == before["keys"] - 1
    # Nor does a token come back, whose words nobody but its owner had.
    assert not entered(target, scene)["API"]


def test_a_database_that_is_away_for_a_while_costs_nothing(target: Target, scene: dict[str, str]) -> None:
    """Somebody is suspended while PostgreSQL is gone: that run or the next ends where it should, with nothing lost."""

    def outage() -> None:
        time.sleep(3)
        target.host.check_output(
            "systemctl kill --signal=SIGKILL postgresql@*.service; systemctl stop postgresql@*.service"
        )
        time.sleep(OUTAGE_SECONDS)
        target.host.check_output("systemctl start postgresql.service")

    name = scene["name"]
    people = copy.deepcopy(PEOPLE)
    next(person for person in people if person["name"] == name)["state"] = "suspended"
    thread = threading.Thread(target=outage)
    thread.start()
    play(target.name, "molecule/gitea/people.yml", lyceum_people=people)
    thread.join()
    provision(target, **{name: {"state": "suspended"}})
    assert "changed=0" in provision(target, **{name: {"state": "suspended"}})
    assert entered(target, scene) == everywhere(False)
    provision(target)
    assert "changed=0" in provision(target)
    found = probe(
        target, "api", method="GET", path=f"/repos/{name}/{REPOSITORY}", token=probe(target, "token", name=name)
    )
    assert found["status"] == 200


def test_secrets_are_made_once(target: Target) -> None:
    def sums() -> str:
        return str(target.host.check_output("sha256sum /etc/gitea/secrets/* /etc/lyceum/gitea/token"))

    before = sums()
    provision(target)
    assert sums() == before


def test_a_token_that_was_lost_is_made_anew(target: Target) -> None:
    target.host.check_output("rm /etc/lyceum/gitea/token")
    provision(target)
    assert target.host.file("/etc/lyceum/gitea/token").mode == 0o600
    assert "changed=0" in provision(target)


def test_no_secret_is_in_an_argument_or_in_the_journal(target: Target) -> None:
    token = target.host.file("/etc/lyceum/gitea/token").content_string.strip()
    words = target.host.check_output("ps -eo args; journalctl --no-pager -o cat -n 20000")
    assert token not in words
    settings = target.host.file("/etc/gitea/app.ini").content_string
    assert "PASSWD = \n" in settings
    for name in ("secret_key", "internal_token", "jwt_secret", "lfs_jwt_secret"):
        secret = target.host.file(f"/etc/gitea/secrets/{name}").content_string.strip()
        assert secret not in settings
        assert secret not in words


def test_it_starts_with_the_machine_and_again_when_it_dies(target: Target) -> None:
    assert target.host.service("gitea").is_enabled
    target.host.check_output("systemctl kill --signal=SIGKILL gitea.service")
    for _try in range(60):
        if target.host.run("curl -sf --unix-socket /run/gitea/gitea.sock http://localhost/api/healthz").rc == 0:
            break
        time.sleep(1)
    assert target.host.service("gitea").is_running
