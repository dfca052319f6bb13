# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 at random moments of a run that creates, suspends, archives, removes and moves people, on real hosts.

Whatever the moment: pwck and grpck stay clean, nobody's data are lost, and the next run ends where an undisturbed one
does.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

from target import Target

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[2]
STATE = Path(os.environ["LYCEUM_STATE_DIR"])
KILLS = 50

STAYING = [{"name": f"crashold{number:02d}", "uid": 30001 + number, "groups": ["crashers"]} for number in range(20)]
BEFORE = {
    "crash_groups": [{"name": "crashers", "gid": 50001}],
    "crash_before": STAYING,
}
AFTER = {
    "crash_after": [
        *({**person, "state": "absent"} for person in STAYING[:4]),
        *({**person, "state": "suspended"} for person in STAYING[4:8]),
        *({**person, "uid": person["uid"] + 1000, "migrate_uid": True} for person in STAYING[8:10]),
        *STAYING[10:],
        *({"name": f"crashnew{number:03d}", "uid": 33001 + number, "groups": ["crashers"]} for number in range(150)),
    ]
}


def test_killed_at_any_moment_nothing_is_damaged_and_the_next_run_converges(target: Target) -> None:
    host, seed = target.name, random.randrange(2**32)
    on_host(host, "remember")
    try:
        deliver(host)
        report = experiment(host, seed)
    finally:
        on_host(host, "forget")
    print(f"{report['killed']} of {report['tries']} runs of about {report['seconds']} s killed, seed {seed}")
    assert report["problems"] == [], f"seed {seed}"
    assert report["killed"] == KILLS, "too few kills to mean anything"


def deliver(host: str) -> None:
    """Run both states once for real; Ansible leaves the payloads in ~/.ansible/tmp."""
    variables = json.dumps({**BEFORE, **AFTER})
    environment = {**os.environ, "ANSIBLE_KEEP_REMOTE_FILES": "1", "ANSIBLE_PIPELINING": "0"}
    environment["ANSIBLE_CALLBACK_PLUGINS"] = str(HERE / "none")  # no entry in the audit log
    command = [f"{Path(sys.executable).parent}/ansible-playbook", "-i", str(PROJECT / "inventories" / "lab")]
    done = subprocess.run(
        [*command, "--limit", host, "-e", variables, str(HERE / "crash.yml")],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def experiment(host: str, seed: int) -> dict[str, Any]:
    listing = ssh(host, "ls -dtr /root/.ansible/tmp/*/AnsiballZ_posix_accounts.py").split()
    before, after = listing[-2:]
    report: dict[str, Any] = json.loads(on_host(host, before, after, str(KILLS), str(seed)))
    ssh(host, "rm -rf /root/.ansible/tmp")
    return report


def on_host(host: str, *arguments: str) -> str:
    return ssh(host, " ".join(["python3", "-", *arguments]), (HERE / "crash_on_host.py").read_text(encoding="utf-8"))


def ssh(host: str, command: str, standard_input: str = "") -> str:
    done = subprocess.run(
        ["ssh", "-F", str(STATE / "lab" / "ssh_config"), host, command],
        input=standard_input,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{host}: {command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout
