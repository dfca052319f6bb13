#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the people of a Gitea take: ours at 1,000 with a key each, loops over `uri` at 50, and the server's limit.

Run by `./lyceum bench gitea`. Every figure is of an empty Gitea on this machine's loopback, which is started for it
and removed again: the real one of `lyceum_artifact_mirror` or --gitea, else the stand-in, of whose speed no real
server can be blamed; the tables say which. Ours are the whole tasks of Ansible, as somebody waits for them.
"""

from __future__ import annotations

import argparse
import base64
import itertools
import os
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import _gitea_server as server
import httpx
from _gitea_server import DATABASES, SCOPES, WRITERS, Empty
from _lab_host import HERE, STEPS, LabHost, measured, print_table, say
from fixtures.gitea.servers import ADMIN, Gitea

FASTER = 20  # times than the loop, for each person
OF_THE_LIMIT = 80  # per cent of what the server takes from a program that does nothing but send
NO_CHANGE_S = 5.0
GOALS_AT = 1000  # people; other sizes are not judged


def main() -> int:
    """Start, measure, print, clean up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-i", "--inventory", default="inventories/lab", help="whose lyceum_artifact_mirror to look in")
    parser.add_argument("--size", type=int, default=GOALS_AT, help=f"people for our own figures (default {GOALS_AT})")
    parser.add_argument("--compare", type=int, default=50, metavar="N", help="people in the loops (default 50)")
    parser.add_argument("--gitea", type=Path, metavar="FILE", help="program of a real Gitea")
    parser.add_argument("--stand-in", action="store_true", help="take the stand-in, whatever there is")
    parser.add_argument(
        "--database", choices=DATABASES, help="default: postgresql where it is installed on this machine, else sqlite"
    )
    arguments = parser.parse_args()
    # An end by signal is an end like any other: what was started is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="lyceum-bench-state-") as state:
        bench = Bench(Path(arguments.inventory).name, Path(state))
        program = None if arguments.stand_in else arguments.gitea or bench.real_gitea()
        database = arguments.database or (server.POSTGRES if server.postgres_programs() else server.SQLITE)
        with server.giteas(program, database) as empty:
            bench.measure(empty, database, arguments.size, arguments.compare)
    return 0


class Bench(LabHost):
    """The controller, which is where the module works, and the servers it works on. No host is booted."""

    def __init__(self, inventory: str, state: Path) -> None:
        super().__init__(inventory, "localhost")
        self.state = state
        self.version = ""

    def real_gitea(self) -> Path | None:
        """The one of the site's mirror. A mirror that is a URL is for hosts; --gitea names a file here."""
        output = self.playbook(HERE / "gitea_mirror.yml")
        mirror = str(output["plays"][0]["tasks"][0]["hosts"]["localhost"]["msg"])
        return server.in_mirror(Path(mirror)) if mirror and Path(mirror).is_dir() else None

    def measure(self, empty: Empty, database: str, size: int, compare: int) -> None:
        """Print the tables."""
        writers = WRITERS[database]
        limit = self.limit(empty, size, writers)
        ours = self.playbooks(empty, "gitea_lyceum.yml", size, writers)
        few = self.playbooks(empty, "gitea_lyceum.yml", compare, writers)
        loops = self.playbooks(empty, "gitea_stock.yml", compare, writers)
        print_table(
            f"Gitea {self.version} on {database}, {writers} calls at once, on this machine's {os.cpu_count()} cores",
            ["who", "people", *(f"{step}{what}" for step in STEPS for what in ("", ", per person"))],
            [
                ["Lyceum", *row(size, ours)],
                ["Lyceum", *row(compare, few)],
                ["loops over uri", *row(compare, loops)],
                ["the same POSTs and nothing else", *row(size, [limit])],
            ],
        )
        print_table(
            "Goals" if size == GOALS_AT else f"Goals (they are for {GOALS_AT:,} people; these are {size:,})",
            ["goal", "measured", ""],
            list(judged(size, compare, ours, few, loops, limit)),
        )

    def playbooks(self, empty: Empty, playbook: str, size: int, writers: int) -> list[float]:
        """Seconds of the tasks with an empty server, and again with nothing to do."""
        times = []
        with empty() as gitea:
            variables = self.variables(gitea, size, writers)
            for step in STEPS:
                say(f"{playbook.removesuffix('.yml')}, {size:,} people: {step}")
                output = self.playbook(HERE / playbook, variables)
                expect(changes(output) is (step == STEPS[0]), f"{playbook} changed something, or nothing, in {step!r}")
                times.append(measured(output))
            self.verify(gitea, size)
        return times

    def limit(self, empty: Empty, size: int, writers: int) -> float:
        """Seconds for the same POSTs, each sent as soon as one before it is answered."""
        with empty() as gitea:
            variables = self.variables(gitea, size, writers)
            say(f"the same POSTs, {size:,} people, {writers} at once")
            seconds = load(gitea.url, variables["bench_token"], variables["bench_posts"], writers)
            self.verify(gitea, size)
        return seconds

    def variables(self, gitea: Gitea, size: int, writers: int) -> dict[str, Any]:
        """What the playbooks are told, through a file that only we can read."""
        self.version = gitea.admin("GET", "/version").body["version"]
        return {
            **people(size),
            "bench_url": gitea.url,
            "bench_token": gitea.token(ADMIN, SCOPES),
            "bench_writers": writers,
            "bench_state_dir": str(self.state),
        }

    def verify(self, gitea: Gitea, size: int) -> None:
        """Everybody is there with one key, and nobody else."""
        token = gitea.token(ADMIN, SCOPES)
        with httpx.Client(base_url=f"{gitea.url}/api/v1", headers={"Authorization": f"token {token}"}) as client:
            accounts = int(client.get("/admin/users").headers["x-total-count"])
            lists = [client.get(f"/users/{person['name']}/keys").json() for person in people(size)["bench_people"]]
        keys = sum(map(len, lists))
        expect((accounts, keys) == (size + 1, size), f"{accounts} accounts and {keys} keys for {size} people")


def load(url: str, token: str, posts: Iterable[dict[str, Any]], writers: int) -> float:
    """Send all POSTs, the two of a person one after the other, and return the seconds it took."""
    limits = httpx.Limits(max_connections=writers, max_keepalive_connections=writers)
    headers = {"Authorization": f"token {token}"}
    with httpx.Client(base_url=f"{url}/api/v1", headers=headers, limits=limits, timeout=60, trust_env=False) as client:

        def send(post: dict[str, Any]) -> None:
            account = post["account"]
            client.post("/admin/users", json=account).raise_for_status()
            client.post(f"/admin/users/{account['username']}/keys", json=post["key"]).raise_for_status()

        start = time.monotonic()
        with ThreadPoolExecutor(writers) as pool:
            for _done in pool.map(send, posts):
                pass
        return time.monotonic() - start


def judged(
    size: int, compare: int, ours: list[float], few: list[float], loops: list[float], limit: float
) -> Iterator[list[str]]:
    """The goals, what was measured, and whether that is enough."""
    each, each_of_few, each_of_loops = ours[0] / size, few[0] / compare, loops[0] / compare
    same = f"{each_of_loops / each_of_few:.0f}x with {compare} people in both"
    yield [
        f"for each person >= {FASTER}x faster than the loops over uri",
        f"{each_of_loops / each:.0f}x ({same})",
        verdict(each_of_loops / each >= FASTER),
    ]
    yield [
        f"from nothing >= {OF_THE_LIMIT} % of the server's own limit",
        f"{limit / ours[0] * 100:.0f} % ({size / ours[0]:.0f} of {size / limit:.0f} people a second)",
        verdict(limit / ours[0] * 100 >= OF_THE_LIMIT),
    ]
    yield [f"no change <= {NO_CHANGE_S:g} s", f"{ours[1]:.2f} s", verdict(ours[1] <= NO_CHANGE_S)]


def verdict(held: bool) -> str:
    return "met" if held else "MISSED"


def row(size: int, times: list[float]) -> list[str]:
    """People, then seconds and milliseconds for each person of every step; the load has no second step."""
    cells = [cell for seconds in times for cell in (f"{seconds:.2f} s", f"{seconds / size * 1000:.1f} ms")]
    return [f"{size:,}", *itertools.islice(itertools.chain(cells, itertools.repeat("")), 4)]


def changes(output: dict[str, Any]) -> bool:
    """Whether a playbook changed anything."""
    return any(host["changed"] for host in output["stats"].values())


def expect(true: bool, otherwise: str) -> None:
    if not true:
        raise SystemExit(f"measured nonsense: {otherwise}")


def people(size: int) -> dict[str, Any]:
    """Variables for the playbooks: invented people with a key each, once as our module takes them, and once as bodies
    of the POSTs that come of it."""
    found, posts = [], []
    for number in range(size):
        name = f"bench{number:05d}"
        person = {"name": name, "uid": 10001 + number, "full_name": f"Bench Person {number}",
                  "email": f"{name}@example.org"}  # fmt: skip
        found.append({**person, "ssh_keys": [f"{public_key(number)} {name}"]})
        account = {
            "username": name, "email": person["email"], "full_name": person["full_name"], "login_name": name,
            "password": f"{secrets.token_urlsafe(32)}aA1-", "must_change_password": False, "restricted": False,
            "visibility": "limited", "send_notify": False, "source_id": 0,
        }  # fmt: skip
        posts.append({"account": account, "key": {"title": name, "key": public_key(number), "read_only": False}})
    return {"bench_people": found, "bench_posts": posts}


def public_key(number: int) -> str:
    """An Ed25519 key of nobody: servers look at its length only, and take each but once."""
    kind = b"ssh-ed25519"
    parts = [kind, number.to_bytes(32, "big")]
    blob = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return f"{kind.decode()} {base64.b64encode(blob).decode()}"


if __name__ == "__main__":
    raise SystemExit(main())
