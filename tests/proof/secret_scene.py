# SPDX-License-Identifier: GPL-3.0-or-later
"""The search for secrets of services, on a host and on the controller.

The role that makes them says in its plan where each of them lives, and nothing else about it:

    secrecy:
      secrets: [{name: database password, path: /etc/gitea/secrets/database, where: host}]   # or: controller
      state_dir: what runs keep on the controller
      inventory: [what the hosts come from]
      playbook: playbooks/services.yml

A file with more in it than one secret has a `pattern` with a group. A secret may be in the files that are listed for
it and nowhere else. Nothing found is only worth something where a bait was: each search is first shown to find one.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from plugin import PROJECT, Proof
from secret_watch import SEARCH, Secrets, Watched
from target import ProbeError, Target

ROOTS = ["/etc", "/home", "/root", "/run", "/srv", "/tmp", "/var"]  # noqa: S108  (searched, not written)
SEARCH_SECONDS = 300
WATCH_SECONDS = 10
BAIT = "bait"
LARGEST = SEARCH["LARGEST"]


@dataclass
class Scene:
    """claims: what the role says. bait: what must be found."""

    target: Target
    claims: dict[str, Any]
    bait: Secrets

    def probe(self, action: str, **parameters: Any) -> dict[str, Any]:
        """Like `Target.probe`. As in `secret_watch.search`, no failure shows what it was given."""
        __tracebackhide__ = True
        try:
            return dict(self.target.probe(f"secrets_{action}", role="secrets", **parameters))
        except Exception as exc:  # noqa: BLE001  (whatever it is, it is told)
            message = f"{type(exc).__name__}: {exc}"
        raise ProbeError(message)

    @property
    def on_host(self) -> list[dict[str, str]]:
        return [one for one in self.claims["secrets"] if one["where"] == "host"]

    @property
    def here(self) -> list[dict[str, str]]:
        return [one for one in self.claims["secrets"] if one["where"] == "controller"]

    @cached_property
    def known(self) -> Secrets:
        """All secrets, of both sides."""
        return Secrets(self.probe("read", sources=self.on_host)["known"]) | Secrets.here(self.here)


def search_host(scene: Scene, proof: Proof) -> None:
    """Everything at rest, and what runs."""
    scene.probe("plant", canary=scene.bait.reveal()[BAIT])
    try:
        seen = scene.probe(
            "search", sources=scene.on_host, known=(Secrets.here(scene.here) | scene.bait).reveal(), roots=ROOTS,
            timeout=SEARCH_SECONDS,
        )  # fmt: skip
    finally:
        scene.probe("uproot")
    bait = {place for name, place in seen["found"] if name == BAIT}
    for what, there in {
        "files": any(place.endswith("/bait") for place in bait),
        "configurations of git": any(place.endswith("/bait.git/config") for place in bait),
        "journal": "the journal" in bait,
        "command lines": any(place.startswith("the command line of") for place in bait),
        "environments": any(place.startswith("the environment of") for place in bait),
    }.items():
        if not there:
            proof.not_tested(f"the bait in the {what} was not found")
    for path in seen["large"]:
        proof.not_tested(f"{path} is too large to be searched")
    found = [f"{name} in {place}" for name, place in seen["found"] if name != BAIT]
    judge(proof, found)
    if not found:
        proof.held(
            f"{len(scene.known)} secrets, {seen['files']} files, {seen['journal'] >> 20} MiB of journal,"
            f" {seen['processes']} processes"
        )


def watch_run(scene: Scene, proof: Proof) -> None:
    command = run_words(scene)
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(scene.known.watch, command, cwd=PROJECT, env=environment(scene))
        on_host: list[str] = []
        while True:
            seen = scene.probe(
                "watch", sources=scene.on_host, known=Secrets.here(scene.here).reveal(), seconds=WATCH_SECONDS
            )
            on_host += [f"{name} in {place} on the host" for name, place in seen["found"]]
            if run.done():
                break
        watched: Watched = run.result()
    if watched.status != 0:
        proof.not_tested(f"the run failed with {watched.status}")
    elif b"PLAY RECAP" not in watched.output or not watched.lines:
        proof.not_tested("the run did nothing")
    judge(proof, watched.found + on_host)
    if watched.status == 0 and not watched.found + on_host:
        proof.held(f"{len(watched.output) >> 10} KiB of output, {watched.lines} command lines on the controller")


def search_controller(scene: Scene, proof: Proof) -> None:
    folder = Path(scene.claims["state_dir"])
    found, count, large = scene.known.found_below(folder, scene.here)
    judge(proof, found)
    # Disks of lab hosts and programs for hosts, which are no words of a run.
    rest = f", without {len(large)} of more than {LARGEST >> 20} MiB" if large else ""
    if not count:
        proof.not_tested(f"nothing is in {folder}")
    elif not found:
        proof.held(f"{count} files of the state directory{rest}")


def look_at_modes(scene: Scene, proof: Proof) -> None:
    for source in scene.on_host:
        mode = scene.target.host.file(source["path"]).mode
        (proof.broken if mode & 0o007 else proof.held)(f"{source['path']} has mode {mode:04o}")
    for source in scene.here:
        mode = Path(source["path"]).stat().st_mode & 0o7777
        (proof.broken if mode & 0o077 else proof.held)(f"{source['name']} on the controller has mode {mode:04o}")


def run_words(scene: Scene) -> list[str]:
    """A run that changes nothing and says as much as Ansible can, for this host."""
    words = [str(Path(sys.executable).with_name("ansible-playbook")), "--check", "--diff", "-vvv"]
    for source in scene.claims["inventory"]:
        words += ["--inventory", source]
    return [*words, "--limit", f"{scene.target.name},localhost", scene.claims["playbook"]]


def environment(scene: Scene) -> dict[str, str]:
    return {**os.environ, "LYCEUM_STATE_DIR": scene.claims["state_dir"]}


def judge(proof: Proof, found: list[str]) -> None:
    for place in dict.fromkeys(found):
        proof.broken(place)
