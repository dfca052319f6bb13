# SPDX-License-Identifier: GPL-3.0-or-later
"""The end-of-run callback, driven by real ansible-playbook runs of a stand-in module on local hosts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import lyceum_run
import pytest
from ansible.module_utils.lyceum import audit

PROJECT = Path(lyceum_run.__file__).resolve().parent.parent

MODULE = """#!/usr/bin/python
import time
from ansible.module_utils.basic import AnsibleModule
module = AnsibleModule({"lyceum": {"type": "dict"}, "failed": {"type": "bool"}, "sleep": {"type": "int", "default": 0}},
                       supports_check_mode=True)
time.sleep(module.params["sleep"])
if module.params["failed"]:
    module.fail_json(msg="as asked", lyceum=module.params["lyceum"])
module.exit_json(changed=True, lyceum=module.params["lyceum"])
"""


def created(name: str) -> dict[str, Any]:
    return {"results": {name: {"result": "created", "actions": [f"create {name}"], "error": None}}}


class Site:
    """A scratch playbook directory with two local hosts and its own state directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.log = root / "state" / "audit" / "scratch.jsonl"
        (root / "library").mkdir()
        (root / "library" / "people.py").write_text(MODULE)
        (root / "ansible.cfg").write_text("[defaults]\n")
        (root / "scratch").mkdir()
        host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        (root / "scratch" / "hosts.yml").write_text(json.dumps({"all": {"hosts": {"h1": host, "h2": host}}}))

    def start(self, tasks: list[dict[str, Any]], *args: str, **environment: str) -> subprocess.Popen[str]:
        play = [{"hosts": "all", "gather_facts": False, "tasks": tasks}]
        (self.root / "play.yml").write_text(json.dumps(play))
        return subprocess.Popen(
            [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "scratch", "play.yml", *args],
            cwd=self.root,
            env={
                **os.environ,
                "ANSIBLE_CONFIG": str(self.root / "ansible.cfg"),
                "ANSIBLE_CALLBACK_PLUGINS": str(PROJECT / "callback_plugins"),
                "ANSIBLE_LOCALHOST_WARNING": "0",
                "LYCEUM_STATE_DIR": str(self.root / "state"),
                "COLUMNS": "120",
                **environment,
            },
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, tasks: list[dict[str, Any]], *args: str, **environment: str) -> str:
        process = self.start(tasks, *args, **environment)
        return process.communicate(timeout=60)[0]

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_table_and_record_of_a_run_in_which_one_host_fails(site: Site) -> None:
    failed = {"results": {"bchen": {"result": "failed", "actions": [], "error": "disk full"}}}
    tasks = [
        {"people": {"lyceum": created("amartin")}},
        {"people": {"lyceum": failed, "failed": True}, "when": "inventory_hostname == 'h2'"},
    ]
    output = site.run(tasks, "-e", "reason='paper deadline'", "--limit", "h1,h2", SUDO_USER="gnovak")
    assert "  amartin  created  created" in output
    assert "  bchen    -        failed" in output
    assert "FAILED h2: bchen: disk full" in output
    [record] = site.records()
    assert (record["actor"], record["reason"], record["limit"]) == ("gnovak", "paper deadline", "h1,h2")
    assert (record["ok"], record["check"], record["interrupted"]) == (False, False, False)
    assert record["hosts"]["h2"]["people"]["bchen"] == {"result": "failed", "actions": [], "errors": ["disk full"]}
    assert record["playbook"].endswith("play.yml")
    assert audit.verify(site.log) == []


def test_check_runs_are_marked_and_previews_are_no_changes(site: Site) -> None:
    site.run([{"people": {"lyceum": created("amartin")}}], "--check")
    site.run([{"people": {"lyceum": created("amartin")}, "check_mode": True}, {"people": {"lyceum": created("bchen")}}])
    checked, real = site.records()
    assert (checked["check"], list(checked["hosts"]["h1"]["people"])) == (True, ["amartin"])
    assert (real["check"], list(real["hosts"]["h1"]["people"])) == (False, ["bchen"])


def test_a_run_about_nobody_leaves_no_trace(site: Site) -> None:
    assert "People" not in site.run([{"people": {}}])
    assert not site.log.exists()


def test_an_interrupted_run_is_recorded(site: Site) -> None:
    process = site.start([{"people": {"lyceum": created("amartin")}}, {"people": {"sleep": 30}}])
    assert process.stdout is not None
    for line in process.stdout:
        if "changed: [h2]" in line:
            break
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    [record] = site.records()
    assert (record["ok"], record["interrupted"]) == (False, True)
    assert record["hosts"]["h1"]["people"]["amartin"]["result"] == "created"


def test_a_registry_file_that_is_no_yaml_is_named(site: Site) -> None:
    variables = site.root / "scratch" / "group_vars" / "all"
    variables.mkdir(parents=True)
    (variables / "people.yml").write_text("lyceum_people:\n  - [oops\n")
    process = site.start([{"people": {}}])
    output, errors = process.communicate(timeout=30)
    assert process.returncode != 0
    assert "people.yml:3: is not valid YAML" in f"{output}{errors}"
    assert not site.log.exists()


def test_a_log_that_cannot_be_written_is_said_aloud(site: Site) -> None:
    (site.root / "state").write_text("a file in the way")
    output = site.run([{"people": {"lyceum": created("amartin")}}])
    assert "This run is not on record" in output


def test_text_for_the_screen_is_printed_as_it_is(site: Site) -> None:
    assert "\n  a  b\n  -  -\n" in site.run([{"set_stats": {"data": {"lyceum_text": "  a  b\n  -  -\n"}}}])


@pytest.mark.parametrize(
    ("sources", "name"),
    [
        (["inventories/lab"], "lab"),
        (["inventories/common", "inventories/team/"], "team"),
        (["inventories/institution/hosts.yml"], "institution"),
        ("inventories/lab", "lab"),
        (["host.example.org,"], "adhoc"),
        ([], "adhoc"),
        (["inventories/my site"], "my_site"),
    ],
)
def test_inventory_name(sources: Any, name: str) -> None:
    assert lyceum_run.inventory_name(sources) == name


@pytest.mark.parametrize(
    ("environment", "extra", "who"),
    [
        ({"SUDO_USER": "gnovak", "USER": "root"}, {}, "gnovak"),
        ({"USER": "amartin"}, {}, "amartin"),
        ({"USER": "awx"}, {"awx_user_name": "bchen", "awx_job_id": 7}, "bchen (AWX job 7)"),
    ],
)
def test_actor(environment: dict[str, str], extra: dict[str, Any], who: str) -> None:
    assert lyceum_run.actor(environment, extra) == who


def test_revision_is_awx_word_or_the_checkout() -> None:
    assert lyceum_run.revision({"awx_project_revision": "abc"}) == "abc"
    assert len((lyceum_run.revision({}) or "").removesuffix("-dirty")) in (0, 40)
