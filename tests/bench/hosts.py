#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long directories, ACLs, slices and quotas of a host's people take: ours at 1,000 people, and stock loops at 100.

Run by `./lyceum bench hosts`. It boots lab hosts of its own and removes them again. A container cannot have quotas, so
these are measured on a host with a kernel of its own, which is several times slower than a real one.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import accounts
from _lab_host import HERE, ROOT, STEPS, print_table, say

GOALS = {"from nothing": 15, "no change": 3}
"""Seconds of module time at 1,000 people."""

HOME_GIB, HOME_FILES, SCRATCH_GIB = 10, 100_000, 5


@dataclass(frozen=True)
class Part:
    """One thing that is measured. name: its tag in the playbooks. module: what does it for us.

    reset: undoes it on the host. count: prints for how many people it is there.
    """

    name: str
    title: str
    module: str
    kernel: bool
    reset: str
    count: str


PARTS = (
    Part(
        "directories", "directories, ACLs", "acl_tree", False,
        reset="rm -rf /srv/bench",
        count="getfacl --absolute-names --recursive /srv/bench | grep -c '^default:user:bench.*:r-x$'",
    ),
    Part(
        "slices", "slices", "user_slices", False,
        reset="rm -rf /etc/systemd/system/user-*.slice.d && systemctl daemon-reload",
        count="cat /etc/systemd/system/user-1*.slice.d/*.conf | grep -c ^MemoryMax=",
    ),
    Part(
        "quotas", "quotas", "disk_quotas", True,
        reset="for path in /home /srv/scratch; do"
        " getent passwd | grep ^bench | cut -d: -f3 | sed 's/$/ 0 0 0 0/' | setquota -b -u $path; done",
        count=f"repquota -u -v /srv/scratch | grep ^bench | grep -c ' {SCRATCH_GIB << 20} '",
    ),
)  # fmt: skip


def main() -> int:
    """Boot, measure, print, clean up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-i", "--inventory", default="inventories/lab", help="only the lab can be measured")
    parser.add_argument("--compare", type=int, default=100, metavar="N", help="people in the comparison (default 100)")
    parser.add_argument("--size", type=int, default=1000, help="people for our own figures (default 1000)")
    parser.add_argument("--only-ours", action="store_true", help="leave the comparison out")
    arguments = parser.parse_args()
    if Path(arguments.inventory).resolve() != ROOT / "inventories" / "lab":
        parser.error(f"{arguments.inventory}: thousands of invented people belong on lab hosts only; leave -i out")
    bench = Bench()
    try:
        bench.boot()
        print_table(
            f"Lyceum alone at {arguments.size:,} people: seconds of the module on the host, peak memory",
            ["step", *(f"{part.module} ({bench.place(part)})" for part in PARTS), "together", "goal"],
            list(bench.ours(arguments.size)),
        )
        if not arguments.only_ours:
            print_table(
                f"Side by side at {arguments.compare} people: seconds of the tasks (start-up of the tool left out)",
                ["what", "step", "Lyceum", "per person", "stock loops", "per person", "ours is"],
                list(bench.comparison(arguments.compare)),
            )
        print(
            f"Container: {bench.container.host}, {os.cpu_count()} cores, the kernel of this machine. Own kernel:"
            f" {bench.machine.host}, user-mode Linux with one processor;\nonly there are disk quotas enforced."
        )
    finally:
        bench.shut_down()
    return 0


class Bench:
    """Both hosts and what is run on them."""

    def __init__(self) -> None:
        self.container = accounts.Bench("lab", "lab-debian13")
        self.machine = accounts.Bench("lab_kernel", "lab-kernel13")

    def boot(self) -> None:
        for host in (self.container, self.machine):
            host.boot()

    def shut_down(self) -> None:
        for host in (self.container, self.machine):
            host.shut_down()

    def host(self, part: Part) -> accounts.Bench:
        """Where a part is measured."""
        return self.machine if part.kernel else self.container

    def place(self, part: Part) -> str:
        return "own kernel" if part.kernel else "container"

    def bring_in(self, size: int) -> None:
        """Give everybody an account on both hosts, and none of what is measured."""
        say(f"{size} people: accounts")
        for host in (self.container, self.machine):
            host.on_host(accounts.RESET)
            host.playbook(HERE / "accounts_lyceum.yml", accounts.people(size))
        for part in PARTS:
            self.host(part).on_host(part.reset)

    def ours(self, size: int) -> Iterator[list[str]]:
        """Rows of the table of our own figures: the very payload that Ansible sends is measured."""
        self.bring_in(size)
        times: dict[str, list[tuple[float, float]]] = {step: [] for step in STEPS}
        for part in PARTS:
            host = self.host(part)
            payload = next(
                path
                for path in host.payloads(HERE / "hosts_lyceum.yml", people(size), part.name)
                if part.module in path
            )
            host.on_host(part.reset)
            for step in STEPS:
                say(f"{part.title}, {size} people: {step}")
                times[step].append(host.measure(payload))
            self.verify(part, size)
            host.on_host(part.reset)
        for step, measured in times.items():
            together = sum(seconds for seconds, _memory in measured)
            cells = [f"{seconds:.2f} s, {memory:.0f} MiB" for seconds, memory in measured]
            yield [step, *cells, f"{together:.2f} s", f"<= {GOALS[step]} s" if size == 1000 else ""]

    def comparison(self, size: int) -> Iterator[list[str]]:
        """Every part from nothing and once more without changes, with our module and with loops."""
        self.bring_in(size)
        for part in PARTS:
            host = self.host(part)
            times = []
            for title, playbook in (("Lyceum", "hosts_lyceum.yml"), ("stock loops", "hosts_stock.yml")):
                for step in STEPS:
                    say(f"{part.title}, {title}, {size} people: {step}")
                    times.append(host.tasks(HERE / playbook, people(size), part.name))
                self.verify(part, size)
                host.on_host(part.reset)
            for step, ours, theirs in zip(STEPS, times[:2], times[2:]):
                yield [
                    f"{part.title} ({self.place(part)})", step,
                    f"{ours:.2f} s", f"{ours / size * 1000:.1f} ms",
                    f"{theirs:.2f} s", f"{theirs / size * 1000:.0f} ms", f"{theirs / ours:.0f}x faster",
                ]  # fmt: skip

    def verify(self, part: Part, size: int) -> None:
        found = int(self.host(part).on_host(part.count))
        if found != size:
            raise SystemExit(f"measured nonsense: {part.title} of {found} people instead of {size}")


def people(size: int) -> dict[str, Any]:
    """Variables for the playbooks: what everybody gets, once as our modules and once as stock loops take it."""
    found = accounts.people(size)["bench_people"]
    everybody = []
    for number, person in enumerate(found):
        reader = found[(number + 1) % size]["name"]
        everybody.append({"name": person["name"], "uid": person["uid"], "group": person["groups"][0], "reader": reader})
    return {
        "bench_everybody": everybody,
        "bench_home_gib": HOME_GIB,
        "bench_home_files": HOME_FILES,
        "bench_scratch_gib": SCRATCH_GIB,
        "bench_entries": [
            {"path": "/srv/bench", "mode": "0711"},
            *(
                {
                    "path": f"/srv/bench/{person['name']}",
                    "owner": person["name"],
                    "group": person["group"],
                    "mode": "2770",
                    "acl": [f"user:{person['reader']}:r-x"],
                    "default_acl": [f"user:{person['reader']}:r-x"],
                }
                for person in everybody
            ),
        ],
        "bench_limits": [
            {
                "name": person["name"],
                "uid": person["uid"],
                "limits": {"cpu_cores": 2, "cpu_weight": 100, "memory_gib": 4, "tasks": 1024, "io_weight": 100},
            }
            for person in everybody
        ],
        "bench_quotas": [
            quota
            for person in everybody
            for quota in (
                {
                    "path": "/home", "kind": "user", "id": person["uid"], "name": "home", "person": person["name"],
                    "hard_gib": HOME_GIB, "hard_files": HOME_FILES,
                },
                {
                    "path": "/srv/scratch", "kind": "user", "id": person["uid"], "name": "scratch",
                    "person": person["name"], "hard_gib": SCRATCH_GIB,
                },
            )
        ],
    }  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
