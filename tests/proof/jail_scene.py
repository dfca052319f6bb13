# SPDX-License-Identifier: GPL-3.0-or-later
"""Who takes part in the proofs of role sshd_jail, and what they bring about on a host."""

from __future__ import annotations

import contextlib
import functools
import json
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from plugin import active
from target import Target

ATTEMPTS = Path(__file__).with_name("confined.py")
SECRETS = ("/etc/shadow", "/etc/gshadow", "/etc/ssh/ssh_host_ed25519_key", "/root/.bashrc", "/etc/sudoers")
WAIT = 20
WORK = ".lyceum-proof-jail"  # in homes; jail_clean removes it
SLEEPER = "lyceum-proof-sleeper"  # what a process outside is called, see probe_sshd_jail.py


@dataclass(frozen=True, eq=False)
class Scene:
    """Who plays which part on a host, and what the host says about itself. None: nobody whose key is at hand."""

    target: Target
    host: Mapping[str, Any]
    sftp: str | None
    rsync: str | None
    jail: str | None
    shell: str | None
    git: str | None

    def need(self, *parts: str) -> list[str]:
        """The names for these parts; skips the test where one is not cast."""
        for part in parts:
            if getattr(self, part) is None:
                pytest.skip(f"nobody with access {part} whose private key is at hand")
        return [getattr(self, part) for part in parts]

    def others(self, *names: str) -> list[str]:
        """Everybody else with an account here."""
        return [name for name in self.target.people if name in self.host["shells"] and name not in names]

    def project(self, name: str, mode: str) -> str | None:
        """The directory of a project that this person may write to or only read, if there is one."""
        claims = {person["name"]: person for person in self.target.plan["sshd_jail"]["people"]}
        found = claims[name]["projects"][mode]
        return (
            f"{self.target.plan['sshd_jail']['projects_dir']}/{found[0]}" if found and self.host["projects"] else None
        )

    def ask(self, action: str, **parameters: Any) -> Any:
        return self.target.probe(action, role="sshd_jail", timeout=60, **parameters)

    def client(self, *words: str, typed: str = "", seconds: int = WAIT) -> subprocess.CompletedProcess[str]:
        """Run a client on the controller. One that does not end is a status of 124."""
        try:
            return subprocess.run(
                words, input=typed, capture_output=True, text=True, check=False, timeout=seconds, errors="replace"
            )
        except subprocess.TimeoutExpired as exc:
            heard = exc.stdout.decode(errors="replace") if isinstance(exc.stdout, bytes) else exc.stdout or ""
            return subprocess.CompletedProcess(words, 124, heard, "still running")


@pytest.fixture(scope="session")
def scene(target: Target) -> Iterator[Scene]:
    people = list(target.people)
    target.probe("jail_clean", role="sshd_jail", people=people)
    host = target.probe("jail_host", role="sshd_jail", projects=target.plan["sshd_jail"]["projects_dir"])

    def cast(access: str) -> str | None:
        fit = [
            name
            for name, person in target.people.items()
            if person["access"] == access and person["state"] == "present" and name in target.identities
            if access != "shell" or active(person)
        ]
        return fit[0] if fit else None

    yield Scene(target, host, cast("sftp"), cast("rsync"), cast("jail"), cast("shell"), cast("git") or cast("none"))
    target.probe("jail_clean", role="sshd_jail", people=people)


@functools.cache
def attempts(scene: Scene, name: str) -> dict[str, Any]:
    """What came of everything that confined.py tries as this person, who has a process and a setuid file outside."""
    pid = scene.ask("jail_sleep", people=[name])[name]
    setuid = scene.ask("jail_setuid", person=name)
    homes = [scene.target.people[other]["home"] for other in scene.others(name)]
    wanted = {
        "pid": pid,
        "sleeper": SLEEPER,
        "others": scene.others(name),
        "projects": scene.target.plan["sshd_jail"]["projects_dir"],
        "secrets": [*SECRETS, *(f"{home}/.profile" for home in homes)],
        "setuid": setuid["path"],
    }
    script = f"{ATTEMPTS.read_text()}\nmain(json.loads({json.dumps(wanted)!r}))\n"
    done = scene.target.run_as(name, "python3 -", stdin=script, timeout=60)
    if done.returncode:
        raise RuntimeError(f"the attempts of {name} failed themselves: {done.stderr.strip()[-300:]}")
    alive = scene.ask("jail_alive", pids=[pid])["alive"] == [pid]
    return {**json.loads(done.stdout), "alive": {"result": alive}, "outside": {"result": setuid["outside"]}}


def free_port() -> int:
    """A port of the controller that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextlib.contextmanager
def tunnel(scene: Scene, name: str, port: int, *options: str) -> Iterator[None]:
    """ssh of a person with these options, which listens on this port of the controller once it has been let in."""
    words = scene.target.ssh_words(name, "-N", *options)
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as one:
        end = time.monotonic() + WAIT
        while time.monotonic() < end and one.poll() is None:
            with socket.socket() as knock:
                if knock.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield
        one.kill()


def talk(address: tuple[str, int] | str, sent: bytes, *, socks: tuple[str, int] | None = None) -> str:
    """Connect (through a SOCKS5 proxy on the controller to `socks`, if given), say something, return the answer."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as one:
        one.settimeout(5)
        try:
            one.connect(address)
            if socks:
                host = socks[0].encode()
                one.sendall(b"\5\1\0")
                one.recv(2)
                one.sendall(b"\5\1\0\3" + bytes([len(host)]) + host + socks[1].to_bytes(2, "big"))
                if one.recv(10)[1:2] != b"\0":
                    return "refused"
            one.sendall(sent)
            heard = one.recv(4096)
        except OSError as exc:
            return f"refused ({exc})"
        with contextlib.suppress(OSError):  # whoever greets then waits
            one.settimeout(0.3)
            while block := one.recv(4096):
                heard += block
    return heard.decode(errors="replace")
