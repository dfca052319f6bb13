# SPDX-License-Identifier: GPL-3.0-or-later
"""People of the registry who attack their own limits over logins of their own, with programs that end by themselves."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from plugin import active
from target import Target

ROLE = "cgroups"
GIB = 2**30
PAGE = 4096
# In every command line, so that a killed proof can be cleaned up after.
TAG = "lyceum-proof-slices"
JOBS = f"/var/tmp/{TAG}"  # noqa: S108  (root makes it)
# No attack is larger than this, and none takes more than a third of what is free: others work on the host.
MOST_MEMORY = 4 * GIB
MOST_TASKS = 3000

# Takes memory step by step, touching every page; says what it got.
HOG = """
import sys, time
size, step, kept = int(sys.argv[2]), 4 << 20, []
try:
    while len(kept) * step < size:
        kept.append(b"x" * step)
except MemoryError:
    print("refused", flush=True)
print(len(kept) * step, flush=True)
time.sleep(float(sys.argv[3]))
"""

# Holds some memory and works a little.
NEIGHBOUR = """
import sys, time
kept, end = b"x" * (32 << 20), time.monotonic() + float(sys.argv[2])
print("working", flush=True)
while time.monotonic() < end:
    sum(kept[: 1 << 16])
    time.sleep(0.05)
"""

# Forks children that only sleep until it is told no; says how many, and why it stopped.
STORM = """
import errno, json, os, signal, sys, time
children, why = [], ""
try:
    while len(children) < int(sys.argv[2]):
        child = os.fork()
        if child == 0:
            time.sleep(30)
            os._exit(0)
        children.append(child)
except OSError as exc:
    why = errno.errorcode[exc.errno]
print(json.dumps({"made": len(children), "why": why}), flush=True)
time.sleep(float(sys.argv[3]))
for child in children:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""

# Burns CPU time in as many processes as asked for, on one CPU or on all.
BURN = """
import os, sys, time
end, cpu = time.monotonic() + float(sys.argv[2]), sys.argv[4]
if cpu != "all":
    os.sched_setaffinity(0, {int(cpu)})
for _ in range(int(sys.argv[3]) - 1):
    if os.fork() == 0:
        break
while time.monotonic() < end:
    pass
"""


@dataclass
class Person:
    """Somebody with a shell, a key at hand and limits. limits: of the registry, unlimited and absent ones left out."""

    name: str
    uid: int
    limits: dict[str, float]
    affiliation: str
    affiliation_cores: float | None

    @property
    def memory(self) -> int | None:
        """What the registry says, in bytes and whole pages."""
        return whole_pages(self.limits["memory_gib"]) if "memory_gib" in self.limits else None

    @property
    def swap(self) -> int | None:
        """The same; None also where the role derives it from the memory."""
        return whole_pages(self.limits["memory_swap_gib"]) if "memory_swap_gib" in self.limits else None

    @property
    def tasks(self) -> int | None:
        return int(self.limits["tasks"]) if "tasks" in self.limits else None

    @property
    def cores(self) -> float | None:
        return self.limits.get("cpu_cores")

    @property
    def weight(self) -> float:
        return self.limits.get("cpu_weight", 100)

    def most_cores(self, cpus: int) -> float:
        """What the person alone may use of so many."""
        return cpus if self.cores is None else min(self.cores, cpus)


def whole_pages(gib: float) -> int:
    """Bytes, as the kernel rounds limits."""
    return int(gib * GIB) // PAGE * PAGE


@dataclass
class Running:
    """A program of a person that is at work over ssh."""

    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)

    def line(self) -> str:
        """The next line it prints, "" when it has ended."""
        assert self.process.stdout is not None
        self.said.append(self.process.stdout.readline().strip())
        return self.said[-1]

    def end(self, timeout: float) -> int | None:
        """Wait for its end and return the exit status; 137 is SIGKILL, as the shell over there says it.

        None: it is still at work, for instance because the kernel slows it down instead of killing it.
        """
        try:
            out, _ = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            return None
        self.said += out.split()
        return self.process.returncode


class Scene:
    """The host and the people on it who can be tried as."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.claims: dict[str, Any] = target.plan[ROLE]
        self.registry: list[dict[str, Any]] = self.claims["people"]
        self.probe("slices_clean")
        self.host = self.probe("slices_host")
        accounts = target.result("observe")["accounts"]
        self.people = [
            Person(
                entry["name"],
                entry["uid"],
                {key: value for key, value in entry["limits"].items() if value is not None},
                entry["affiliation"],
                entry["affiliation_cpu_cores"],
            )
            for entry in self.registry
            if entry["state"] == "present"
            and entry["name"] in target.identities
            and accounts.get(entry["name"])
            and active(target.people[entry["name"]])
        ]
        self._running: list[Running] = []

    def probe(self, action: str, **parameters: Any) -> Any:
        return self.target.probe(action, role=ROLE, timeout=100, **parameters)

    def start(self, person: Person, script: str, *words: object, prefix: str = "") -> Running:
        """Run a script as the person. prefix: a program that runs it."""
        # `exit`: a shell that has nothing more to do would become the program, and sshd tell nobody of a SIGKILL.
        command = f"{prefix} python3 - {TAG} {' '.join(map(str, words))}; exit $?".strip()
        process = subprocess.Popen(
            [*self.target.ssh_words(person.name), command],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert process.stdin is not None
        process.stdin.write(script)
        process.stdin.close()
        process.stdin = None  # communicate() would close it again
        self._running.append(Running(process))
        return self._running[-1]

    @property
    def cpus(self) -> int:
        """Processors of the host."""
        return int(self.host["cpus"])

    def uids(self, most: int) -> dict[str, int]:
        """name -> uid of some of the people."""
        return {person.name: person.uid for person in self.people[:most]}

    def slice_of(self, person: Person) -> Mapping[str, Any]:
        """`{limits, use}` of a person's slice, as the kernel has them now."""
        found: Mapping[str, Any] = self.probe("slices_of", uids=[person.uid])[str(person.uid)]
        return found

    def watch(self, people: list[Person], seconds: float) -> tuple[float, dict[str, dict[str, int]]]:
        """How long it really was, and by name how much CPU time and throttled time (microseconds) came."""
        seen = self.probe("slices_watch", uids=[person.uid for person in people], seconds=seconds)
        return seen["seconds"], {person.name: seen["grown"][str(person.uid)] for person in people}

    def least(self, key: str) -> Person | None:
        """Who has the lowest limit of a kind, if anybody has one."""
        having = [person for person in self.people if key in person.limits]
        return min(having, key=lambda person: person.limits[key], default=None)

    def neighbour_of(self, person: Person, key: str) -> Person | None:
        """Somebody else, with as much room as there is."""
        others = [one for one in self.people if one.uid != person.uid]
        return max(others, key=lambda one: one.limits.get(key, float("inf")), default=None)

    def settle(self) -> None:
        """End whatever is still at work; every attack ends with it."""
        for running in self._running:
            if running.process.poll() is None:
                running.process.kill()
                with suppress(subprocess.TimeoutExpired):
                    running.process.communicate(timeout=5)
        self._running.clear()
        self.probe("slices_end")

    def close(self) -> None:
        self.settle()
        self.probe("slices_clean")


def storm_result(line: str) -> tuple[int, str]:
    """How many processes a storm made, and the error that stopped it, "" when nothing did."""
    told = json.loads(line)
    return int(told["made"]), str(told["why"])
