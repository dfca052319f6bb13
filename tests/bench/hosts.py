#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long directories, ACLs, slices and quotas of a host's people take: ours at 1,000 people, and stock loops at 100.

Run by `./lyceum bench hosts`. It boots lab hosts of its own and removes them again; most of its minutes go into the
loops. A container cannot have quotas, so these are measured on a host with a kernel of its own, which is several times
slower than a real one; where none boots, they are not measured, and the tables say so.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import accounts
from _lab_host import HERE, ROOT, STEPS, PlaybookError, print_table, say

# How the lab says that it boots no host with a kernel of its own here, and why.
UNABLE = re.compile(r"This machine cannot boot a host with a kernel of its own: ([^\"\n]+)")

GOALS = {"from nothing": 15, "no change": 3}
"""Seconds of module time at 1,000 people."""

NOT_MEASURED = "not measured"

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
        count=f"repquota -u -v /home | grep ^bench | grep -c ' {HOME_GIB << 20} '",
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
    with contextlib.ExitStack() as at_the_end:
        bench.boot(at_the_end)
        print_table(
            f"Lyceum alone at {arguments.size:,} people: seconds of the module on the host, peak memory",
            ["step", *(f"{part.module} ({bench.place(part)})" for part in PARTS), "together", "goal"],
            list(bench.ours(arguments.size)),
        )
        if not arguments.only_ours:
            print_table(
                f"Side by side at {arguments.compare} people: seconds of the tasks without the tool's start (goal 50x)",
                ["what", "step", "Lyceum", "per person", "stock loops", "per person", "ours is"],
                list(bench.comparison(arguments.compare)),
            )
        print(bench.legend())
    return 0


class Bench:
    """Both hosts and what is run on them. no_machine: why there is none with a kernel of its own."""

    def __init__(self) -> None:
        self.container = accounts.Bench("lab", "lab-debian13")
        self.machine = accounts.Bench("lab_kernel", "lab-kernel13")
        self.no_machine = ""

    def boot(self, at_the_end: contextlib.ExitStack) -> None:
        """Boot what boots here, and have it removed in the end."""
        at_the_end.callback(self.container.shut_down)
        self.container.boot()
        at_the_end.callback(self.machine.shut_down)
        try:
            self.machine.boot()
        except PlaybookError as exc:
            reason = UNABLE.search(exc.output)
            if reason is None:
                raise
            self.no_machine = reason[1]
            say(f"quotas are {NOT_MEASURED}: {self.no_machine}")

    @property
    def hosts(self) -> list[accounts.Bench]:
        """Those that there are."""
        return [self.container] if self.no_machine else [self.container, self.machine]

    @property
    def parts(self) -> list[Part]:
        """What can be measured here."""
        return [part for part in PARTS if not (part.kernel and self.no_machine)]

    def host(self, part: Part) -> accounts.Bench:
        """Where a part is measured."""
        return self.machine if part.kernel else self.container

    def place(self, part: Part) -> str:
        return "own kernel" if part.kernel else "container"

    def legend(self) -> str:
        """What stands below the tables."""
        container = f"Container: {self.container.host}, {os.cpu_count()} cores, the kernel of this machine."
        if self.no_machine:
            return (
                f"{container} Quotas are {NOT_MEASURED}: it has none, and no other host boots here: {self.no_machine}"
            )
        return (
            f"{container} Own kernel: {self.machine.host}, user-mode Linux with one processor;\n"
            "only there are disk quotas enforced. Side by side, everybody has one quota; alone, two."
        )

    def bring_in(self, size: int) -> None:
        """Give everybody an account on the hosts, and none of what is measured."""
        say(f"{size} people: accounts")
        for host in self.hosts:
            host.on_host(accounts.RESET)
            host.playbook(HERE / "accounts_lyceum.yml", accounts.people(size))
        for part in self.parts:
            self.host(part).on_host(part.reset)

    def ours(self, size: int) -> Iterator[list[str]]:
        """Rows of the table of our own figures: the very payload that Ansible sends is measured."""
        self.bring_in(size)
        measured: dict[tuple[Part, str], tuple[float, float]] = {}
        for part in self.parts:
            host = self.host(part)
            payload = next(
                path
                for path in host.payloads(HERE / "hosts_lyceum.yml", people(size), part.name)
                if part.module in path
            )
            host.on_host(part.reset)
            for step in STEPS:
                say(f"{part.title}, {size} people: {step}")
                measured[part, step] = host.measure(payload, step)
            self.verify(part, size)
            host.on_host(part.reset)
        for step in STEPS:
            cells = [
                "{:.2f} s, {:.0f} MiB".format(*measured[part, step]) if part in self.parts else NOT_MEASURED
                for part in PARTS
            ]
            together = sum(measured[part, step][0] for part in self.parts)
            yield [step, *cells, f"{together:.2f} s", self.judged(step, together) if size == 1000 else ""]

    def judged(self, step: str, together: float) -> str:
        """The goal, and whether it is met; a part that is missing can only show that it is not."""
        goal = GOALS[step]
        met = "MISSED" if together > goal else NOT_MEASURED if self.no_machine else "met"
        return f"<= {goal} s: {met}"

    def comparison(self, size: int) -> Iterator[list[str]]:
        """Every part from nothing and once more without changes, with our module and with loops."""
        self.bring_in(size)
        variables = people(size, file_systems=("home",))
        for part in self.parts:
            host = self.host(part)
            times = []
            for title, playbook in (("Lyceum", "hosts_lyceum.yml"), ("stock loops", "hosts_stock.yml")):
                for step in STEPS:
                    say(f"{part.title}, {title}, {size} people: {step}")
                    times.append(host.tasks(HERE / playbook, variables, part.name))
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


def people(size: int, file_systems: Sequence[str] = ("home", "scratch")) -> dict[str, Any]:
    """Variables for the playbooks: what everybody gets, once as our modules and once as stock loops take it.

    file_systems: with quotas.
    """
    found = accounts.people(size)["bench_people"]
    everybody = []
    for number, person in enumerate(found):
        reader = found[(number + 1) % size]["name"]
        everybody.append({"name": person["name"], "uid": person["uid"], "group": person["groups"][0], "reader": reader})
    return {
        "bench_everybody": everybody,
        "bench_home_gib": HOME_GIB,
        "bench_home_files": HOME_FILES,
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
            if quota["name"] in file_systems
        ],
    }  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
