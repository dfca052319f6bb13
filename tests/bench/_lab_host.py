# SPDX-License-Identifier: GPL-3.0-or-later
"""What benchmarks share: a lab of their own, playbooks and modules run in it, times and tables."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
# An even shorter path than the checkout's: nothing here may depend on where it lies.
STATE = Path(os.environ.get("LYCEUM_STATE_DIR") or ROOT / ".lyceum") / "bench"
BIN = Path(sys.executable).parent

STEPS = ("from nothing", "no change")

# On the host: run a module; print wall seconds, peak memory in MiB, and whether the module changed anything.
MEASURE = """
import json, os, resource, subprocess, sys, tempfile, time
start = time.monotonic()
with tempfile.TemporaryFile() as said:
    child = subprocess.Popen(sys.argv[1:], stdout=said)
    _pid, status, usage = os.wait4(child.pid, 0)
    seconds = time.monotonic() - start
    said.seek(0)
    text = said.read().decode()
if status:
    sys.exit(text)
print(json.dumps([seconds, usage.ru_maxrss / 1024, json.loads(text)["changed"]]))
"""


class PlaybookError(SystemExit):
    """Ends the program with Ansible's words. output: all of them, for whoever knows what to do about it."""

    def __init__(self, command: str, status: int, output: str) -> None:
        super().__init__(f"{command}\nfailed with {status}:\n{output[-6000:]}")
        self.output = output


class LabHost:
    """One host of a lab inventory, with the lab booted for the benchmark only. Other hosts of it stay idle."""

    def __init__(self, inventory: str, host: str) -> None:
        self.inventory = ROOT / "inventories" / inventory
        self.host = host
        self.environment = {
            **os.environ,
            "LYCEUM_STATE_DIR": str(STATE),
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            # Machine-readable output with the start and end of each task; our own callback would print between.
            "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
            "ANSIBLE_CALLBACK_PLUGINS": str(HERE / "none"),
        }

    @property
    def ssh_config(self) -> Path:
        """What reaches the hosts of the lab."""
        return STATE / self.inventory.name / "ssh_config"

    def boot(self) -> None:
        say(f"boot the hosts of {self.inventory.name}")
        self.playbook(ROOT / "playbooks" / "lab_up.yml")

    def shut_down(self) -> None:
        say(f"remove the hosts of {self.inventory.name}")
        self.playbook(ROOT / "playbooks" / "lab_down.yml")

    def payloads(self, playbook: Path, variables: dict[str, Any], *tags: str) -> list[str]:
        """Let Ansible bring the modules of a playbook to the host; returns the very files that it runs there."""
        self.on_host("rm -rf /root/.ansible/tmp")
        self.playbook(playbook, variables, *tags, keep_payload=True)
        return self.on_host("ls -d /root/.ansible/tmp/*/AnsiballZ_*.py").split()

    def tasks(self, playbook: Path, variables: dict[str, Any], *tags: str) -> float:
        """Seconds from the start of the first measured task of a playbook to the end of the last."""
        return measured(self.playbook(playbook, variables, *tags))

    def playbook(
        self,
        path: Path,
        variables: dict[str, Any] | None = None,
        *tags: str,
        keep_payload: bool = False,
        binaries: Path = BIN,
        extra: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        """Run a playbook and return its JSON output. Ends the program with Ansible's words when it fails.

        `bench_host` in it is the host that is measured: two would share the cores of this machine.
        """
        environment = {**self.environment, **(extra or {})}
        if keep_payload:
            environment |= {"ANSIBLE_KEEP_REMOTE_FILES": "1", "ANSIBLE_PIPELINING": "0"}
        with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as handle:
            json.dump({**(variables or {}), "bench_host": self.host}, handle)
            handle.flush()
            command = [
                str(binaries / "ansible-playbook"),
                "-i",
                str(self.inventory),
                "-e",
                f"@{handle.name}",
                str(path),
            ]
            command += ["--tags", ",".join(tags)] if tags else []
            done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise PlaybookError(shlex.join(command), done.returncode, done.stdout + done.stderr)
        result: dict[str, Any] = json.loads(done.stdout[done.stdout.index("{") :])
        return result

    def measure(self, payload: str, step: str) -> tuple[float, float]:
        """Wall seconds and MiB of one run of a module on the host.

        Ends the program if it fails, changes nothing from nothing, or changes anything where there is nothing to do.
        """
        output = self.on_host(f"python3 -c {shlex.quote(MEASURE)} python3 {payload}")
        seconds, memory, changed = json.loads(output)
        if changed is not (step == STEPS[0]):
            raise SystemExit(f"measured nonsense: {step}, and {payload} says changed={changed}")
        return seconds, memory

    def on_host(self, command: str) -> str:
        ssh = ["ssh", "-F", str(self.ssh_config), self.host, command]
        done = subprocess.run(ssh, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"on {self.host}: {command}\nfailed with {done.returncode}: {done.stderr[-2000:]}")
        return done.stdout.strip()


def measured(output: dict[str, Any]) -> float:
    """Seconds of the tasks behind the first one, which only opens the connection."""
    times = [task["task"]["duration"] for play in output["plays"] for task in play["tasks"]][1:]
    return moment(times[-1]["end"]) - moment(times[0]["start"])


def moment(text: str) -> float:
    """Seconds of Ansible's `2026-11-21T08:00:00.123456Z`."""
    clock = re.match(r"(.*)T(\d+):(\d+):(\d+\.?\d*)Z?\Z", text)
    if not clock:
        raise SystemExit(f"unexpected time {text!r} in Ansible's output")
    days = time.mktime(time.strptime(clock[1], "%Y-%m-%d"))
    return days + int(clock[2]) * 3600 + int(clock[3]) * 60 + float(clock[4])


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text} ...", file=sys.stderr, flush=True)


def print_table(title: str, header: list[str], rows: list[list[str]]) -> None:
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    print(f"\n{title}\n")
    for row in [header, ["-" * width for width in widths], *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    print(flush=True)
