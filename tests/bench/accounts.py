#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the accounts of a host take: ours at 1,000 and 10,000 people, and beside stock loops at the same N.

Run by `./lyceum bench accounts`. It boots lab hosts of its own, measures on one of them and removes them again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from _lab_host import HERE, ROOT, STATE, STEPS, LabHost, measured, print_table, say

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJpoOp+ye4SBK6rPlFQEnF5hH6UPv2qD4W7eAnUXmoKq"

# On the host: back to before, by the account files kept at the start.
REMEMBER = (
    "mkdir -p /root/bench && cp -p /etc/passwd /etc/shadow /etc/group /etc/gshadow /etc/subuid /etc/subgid /root/bench/"
)
RESET = (
    "cp -p /root/bench/* /etc/ && find /home -mindepth 1 -maxdepth 1 -name 'bench*' -exec rm -rf {} + &&"
    " find /etc/ssh/authorized_keys.d -name 'bench*' -delete 2>/dev/null; true"
)


def main() -> int:
    """Boot, measure, print, clean up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-i", "--inventory", default="inventories/lab", help="only the lab can be measured")
    parser.add_argument("--compare", type=int, default=100, metavar="N", help="people in the comparison (default 100)")
    parser.add_argument("--sizes", type=int, nargs="*", default=[1000, 10000], help="people for our own figures")
    parser.add_argument("--only-ours", action="store_true", help="leave the comparison out")
    arguments = parser.parse_args()
    if Path(arguments.inventory).resolve() != ROOT / "inventories" / "lab":
        parser.error(f"{arguments.inventory}: thousands of invented people belong on lab hosts only; leave -i out")
    bench = Bench("lab", "lab-debian13")
    try:
        bench.boot()
        print_table(
            f"Lyceum alone, time of the module on the host ({bench.host}, {os.cpu_count()} cores)",
            ["people", "step", "posix_accounts", "peak memory", "authorized_keys_dir"],
            [row for size in arguments.sizes for row in bench.ours(size)],
        )
        if not arguments.only_ours:
            rows = bench.comparison(arguments.compare)
            print_table(
                f"Side by side at {arguments.compare} people: seconds of the tasks (start-up of the tool left out). In"
                " brackets: against our modules alone, without Ansible's own work for the two tasks",
                ["tool", "from nothing", "per person", "ours is", "no change", "per person", "ours is"],
                rows,
            )
    finally:
        bench.shut_down()
    return 0


class Bench(LabHost):
    """The host and what is run on it."""

    def boot(self) -> None:
        super().boot()
        self.on_host(REMEMBER)
        self.on_host("mkdir -p /etc/ssh/authorized_keys.d")

    def ours(self, size: int) -> list[list[str]]:
        """Rows of the table of our own figures."""
        return [
            [f"{size:,}", step, f"{accounts:.2f} s", f"{memory:.0f} MiB", f"{keys:.2f} s"]
            for step, (accounts, memory, keys) in zip(STEPS, self.module_times(size))
        ]

    def module_times(self, size: int) -> list[tuple[float, float, float]]:
        """Seconds and MiB of posix_accounts, seconds of authorized_keys_dir, for each step.

        Create everybody, then run again with nothing to do; the very payload that Ansible sends is measured.
        """
        say(f"{size} people: let Ansible bring the modules to the host")
        self.on_host(RESET)
        payloads = self.payloads(HERE / "accounts_lyceum.yml", people(size))
        accounts = next(path for path in payloads if "posix_accounts" in path)
        keys = next(path for path in payloads if "authorized_keys_dir" in path)
        times = []
        self.on_host(RESET)
        for step in STEPS:
            say(f"{size} people: {step}")
            seconds, memory = self.measure(accounts, step)
            key_seconds, _memory = self.measure(keys, step)
            times.append((seconds, memory, key_seconds))
        found = int(self.on_host("getent passwd | grep -c ^bench"))
        homes = int(self.on_host("ls /home | grep -c ^bench"))
        if (found, homes) != (size, size):
            raise SystemExit(f"measured nonsense: {found} accounts and {homes} homes for {size} people")
        self.on_host(f"{RESET}; rm -rf /root/.ansible/tmp")
        return times

    def comparison(self, size: int) -> list[list[str]]:
        """Every tool from nothing and once more without changes."""
        tools = {
            "Lyceum": lambda: self.tasks(HERE / "accounts_lyceum.yml", people(size)),
            "stock loops": lambda: self.tasks(HERE / "accounts_stock.yml", people(size)),
            "stock loops + Mitogen": lambda: self.mitogen(size),
            "pyinfra": lambda: self.pyinfra(size),
        }
        modules = [accounts + keys for accounts, _memory, keys in self.module_times(size)]
        missing = self.install_others()
        measured: dict[str, list[float]] = {}
        for name, run in tools.items():
            if missing and name in ("stock loops + Mitogen", "pyinfra"):
                continue
            self.on_host(RESET)
            measured[name] = []
            for step in STEPS:
                say(f"{name}, {size} people: {step}")
                measured[name].append(run())
            found = int(self.on_host("getent passwd | grep -c ^bench"))
            if found != size:
                raise SystemExit(f"{name} left {found} accounts for {size} people")
        self.on_host(RESET)
        rows = []
        for name in tools:
            if name not in measured:
                rows.append([name, f"not installed: {missing}", *[""] * 5])
                continue
            row = [name]
            for mine, alone, theirs in zip(measured["Lyceum"], modules, measured[name]):
                ratio = f"{theirs / mine:.0f}x ({theirs / alone:.0f}x) faster"
                row += [f"{theirs:.2f} s", f"{theirs / size * 1000:.1f} ms", ratio]
            rows.append(row)
        rows[0][3] = rows[0][6] = "-"
        return rows

    def mitogen(self, size: int) -> float:
        python = STATE / "venv" / "bin" / "python"
        strategies = subprocess.run(
            [python, "-c", "import ansible_mitogen, os; print(os.path.dirname(ansible_mitogen.__file__))"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        extra = {
            "ANSIBLE_STRATEGY_PLUGINS": f"{strategies}/plugins/strategy",
            "ANSIBLE_STRATEGY": "mitogen_linear",
            # The collections come from the project's environment; Mitogen has its own without them.
            "ANSIBLE_COLLECTIONS_PATH": next(str(p) for p in Path(sys.prefix).glob("lib/python3*/site-packages")),
        }
        output = self.playbook(HERE / "accounts_stock.yml", people(size), binaries=STATE / "venv" / "bin", extra=extra)
        return measured(output)

    def pyinfra(self, size: int) -> float:
        """Wall time of the whole run less that of an empty one: pyinfra prints no times of operations."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "people.json").write_text(json.dumps(people(size)), encoding="utf-8")
            (folder / "inventory.py").write_text(
                f"hosts = [({self.host!r}, {{'ssh_config_file': {str(self.ssh_config)!r}}})]\n",
                encoding="utf-8",
            )
            (folder / "empty.py").write_text("", encoding="utf-8")
            walls = []
            for deploy in (folder / "empty.py", HERE / "_accounts_pyinfra.py"):
                start = time.monotonic()
                subprocess.run(
                    [STATE / "venv" / "bin" / "pyinfra", "-y", folder / "inventory.py", deploy],
                    env={**self.environment, "BENCH_PEOPLE": str(folder / "people.json")},
                    cwd=folder,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    check=True,
                )
                walls.append(time.monotonic() - start)
        return walls[1] - walls[0]

    def install_others(self) -> str:
        """Install Mitogen and pyinfra beside the project; returns why not, if they do not install."""
        say("install what is compared with")
        venv = STATE / "venv"
        for command in (
            [sys.executable, "-m", "venv", str(venv)],
            [
                str(venv / "bin" / "pip"),
                "install",
                "-q",
                "--disable-pip-version-check",
                "-r",
                str(HERE / "requirements.txt"),
            ],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                return done.stderr.strip().splitlines()[-1][:80]
        return ""


def people(size: int) -> dict[str, Any]:
    """Variables for the playbooks: invented people, each in two of 57 shared groups, with one key."""
    names = [f"bench{number:05d}" for number in range(size)]
    groups = [{"name": f"benchg{number}", "gid": 70001 + number} for number in range(57)]
    return {
        "bench_groups": groups,
        "bench_people": [
            {
                "name": name,
                "uid": 10001 + number,
                "gecos": f"Bench Person {number}",
                "groups": [groups[number % 50]["name"], groups[50 + number % 7]["name"]],
            }
            for number, name in enumerate(names)
        ],
        "bench_keys": [{"name": name, "ssh_keys": [f"{KEY} {name}"]} for name in names],
    }


if __name__ == "__main__":
    raise SystemExit(main())
