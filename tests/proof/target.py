# SPDX-License-Identifier: GPL-3.0-or-later
"""One host under attack: the admin's connection to it, and logins as other people over connections of their own."""

from __future__ import annotations

import itertools
import json
import os
import random
import shlex
import subprocess
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import testinfra

HERE = Path(__file__).parent
FUTURE = "from __future__ import annotations\n"  # once, at the top of what is sent
TIMEOUT = 30
LOCK = "/run/lyceum-proof.lock"
LOCK_SECONDS = 120

# What the attacker's ssh takes over from the way the admin reaches the host; all else (keys above all) stays away.
ROUTE = ("hostname", "port", "hostkeyalias", "userknownhostsfile", "globalknownhostsfile", "stricthostkeychecking",
         "proxyjump", "proxycommand", "addressfamily")  # fmt: skip

# Joins stdin/stdout of the attacker's ssh with the host's own sshd. sshd (from OpenSSH 9.8 on) shuts out addresses with
# failed logins for a while; an address of the host's own loopback network per attempt keeps the admin's out of that.
RELAY = """
import os, socket, sys, threading
peer = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5, (sys.argv[3], 0) if sys.argv[3] else None)
def pump(read, write):
    while True:
        block = read(65536)
        if not block:
            break
        write(block)
    try:
        peer.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the other direction ended first
threading.Thread(target=pump, args=(lambda n: os.read(0, n), peer.sendall), daemon=True).start()
pump(peer.recv, lambda block: os.write(1, block))
"""


class ProbeError(Exception):
    """The probe could not do its work on the host: nothing was shown, neither way."""


class UnreachableError(Exception):
    """The admin's own connection does not work; the message has ssh's last words."""


@dataclass(frozen=True)
class Login:
    """How an attempt ended. entered: sshd accepted it, even if the shell then said no. refused: sshd said no."""

    entered: bool
    refused: bool
    output: str
    words: str


def one_word(value: str) -> str:
    """Quote a path with blanks for `-o`. `ssh -G` prints it like a list of paths; which it is, the disk knows."""
    return f'"{value}"' if " " in value and Path(value).exists() else value


class Target:
    """Built from one plan (see playbooks/prove.yml): `{host, connection, people, groups, admins, keys_dir, ...}`, and
    under the name of each further role of the host what that role claims."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.name: str = plan["host"]
        self.people: dict[str, dict[str, Any]] = {person["name"]: person for person in plan["people"]}
        self.identities: dict[str, str] = plan["identities"]
        self.admins: list[str] = []
        # The active person whose success shows that an attack works at all.
        self.control: str | None = None
        self.folder = tempfile.TemporaryDirectory(prefix="lyceum-proof-")
        self.socket = f"{self.folder.name}/control"
        self._sources = itertools.count(random.randrange(2, 1 << 22))
        self._pool = ThreadPoolExecutor(max_workers=4)
        self._holder: subprocess.Popen[str] | None = None
        self._started: dict[str, Future[Any]] = {}

    # --- the admin's connection ---

    @cached_property
    def admin_words(self) -> list[str]:
        """ssh with the connection variables of the inventory, without the host name."""
        connection = self.plan["connection"]
        words = ["ssh", *shlex.split(connection["args"]), "-oBatchMode=yes", "-oConnectTimeout=10"]
        words += [f"-p{connection['port']}"] if connection["port"] else []
        words += [f"-l{connection['user']}"] if connection["user"] else []
        return words + (["-i", connection["key"]] if connection["key"] else [])

    @property
    def address(self) -> str:
        return str(self.plan["connection"]["host"])

    def connect(self) -> str:
        """Open the shared connection; return who the admin is there. Raises UnreachableError."""
        done = subprocess.run(
            [*self.admin_words, "-oControlMaster=yes", f"-oControlPath={self.socket}", "-oControlPersist=120",
             self.address, "id -un"],
            capture_output=True, text=True, timeout=TIMEOUT, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if done.returncode:
            raise UnreachableError(last_words(done.stderr))
        return done.stdout.strip()

    def lock(self) -> None:
        """Wait until no other proof is at work on the host; two would undo each other's attacks. Ends with `close`.

        The lock lives as long as a process on the host, which ends with the connection, also when this one is killed.
        """
        words = ["sudo", "-n"] if self.plan["connection"]["become"] else []
        words += ["flock", "--timeout", str(LOCK_SECONDS), LOCK, "sh", "-c", "echo locked; exec cat"]
        self._holder = subprocess.Popen(
            [*self.shared, shlex.join(words)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != "locked\n":
            raise UnreachableError(f"another proof is at work on the host, or {LOCK} cannot be locked")

    @cached_property
    def shared(self) -> list[str]:
        return [*self.admin_words, "-oControlMaster=no", f"-oControlPath={self.socket}", self.address]

    @cached_property
    def host(self) -> Any:
        """testinfra's view of the host, over the same connection."""
        extra = shlex.join([*self.admin_words[1:], "-oControlMaster=no", f"-oControlPath={self.socket}"])
        return testinfra.get_host(f"ssh://{self.address}", ssh_extra_args=extra, sudo=self.plan["connection"]["become"])

    def probe(
        self, action: str, *, role: str = "accounts", isolated: bool = False, timeout: int = TIMEOUT, **parameters: Any
    ) -> Any:
        """Run one action of probe.py, or of the role's own probe_<role>.py, as root and return its answer.

        isolated: in its own mount and pid namespaces. timeout: seconds. Raises ProbeError with the reason.
        """
        own = "" if role == "accounts" else (HERE / f"probe_{role}.py").read_text().replace(FUTURE, "")
        request = {"action": action, "parameters": parameters}
        words = ["sudo", "-n"] if self.plan["connection"]["become"] else []
        if isolated:
            words += ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation=private"]
        words += [self.plan["connection"]["python"], "-"]
        done = subprocess.run(
            [*self.shared, shlex.join(words)],
            input=f"{(HERE / 'probe.py').read_text()}\n{own}\nmain(json.loads({json.dumps(request)!r}))\n",
            capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip
        if done.returncode:
            raise ProbeError(f"{action}: {last_words(done.stderr)}")
        answer = json.loads(done.stdout)
        if "error" in answer:
            raise ProbeError(f"{action}: {answer['error']}")
        return answer

    def start(self, name: str, action: str, **parameters: Any) -> None:
        """Begin a slow probe now; `result(name)` waits for it."""
        self._started[name] = self._pool.submit(self.probe, action, **parameters)

    def result(self, name: str) -> Any:
        return self._started[name].result()

    def close(self) -> None:
        self._pool.shutdown(wait=True)
        if self._holder is not None:
            self._holder.communicate()
        subprocess.run([*self.shared[:-1], "-Oexit", self.address], capture_output=True, check=False)
        self.folder.cleanup()

    # --- logins of others ---

    @cached_property
    def route(self) -> dict[str, str]:
        """How the host is reached, as `ssh -G` resolves the admin's options."""
        done = subprocess.run([*self.admin_words, "-G", self.address], capture_output=True, text=True, check=True)
        options = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
        return {key: one_word(options[key]) for key in ROUTE if options.get(key) not in (None, "none")}

    def _client_options(self, name: str) -> list[str]:
        """Options by which ssh, sftp and scp log in over the network as a person, with that person's key alone."""
        options = {
            **self.route, "User": name, "BatchMode": "yes", "IdentitiesOnly": "yes", "IdentityAgent": "none",
            "IdentityFile": one_word(self.identities[name]), "PreferredAuthentications": "publickey",
            "ConnectTimeout": "10", "ControlPath": "none", "LogLevel": "ERROR",
        }  # fmt: skip
        return [f"-o{key}={value}" for key, value in options.items()]

    def ssh_words(self, name: str, *options: str) -> list[str]:
        """ssh as a person, up to and including the host; the command follows. KeyError without a private key."""
        return ["ssh", "-F", "none", *self._client_options(name), *options, self.address]

    def transfer_words(self, program: str, name: str, *options: str) -> list[str]:
        """sftp, scp or rsync as a person, without source and destination; the host in these is `target.address`."""
        if program == "rsync":
            return ["rsync", "-e", shlex.join(["ssh", "-F", "none", *self._client_options(name)]), *options]
        return [program, "-F", "none", *self._client_options(name), *options]

    def run_as(
        self, name: str, command: str, *options: str, stdin: str | None = None, timeout: int = TIMEOUT
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as a person over a login of their own. Raises subprocess.TimeoutExpired."""
        return subprocess.run(
            [*self.ssh_words(name, *options), command],
            input=stdin or "", capture_output=True, text=True, timeout=timeout, check=False,
            env={**os.environ, "LC_ALL": "C"},
        )  # fmt: skip

    def login(self, user: str, key: str) -> Login:
        """Log in over the network, as the person would, with this private key and no other."""
        route = [f"-o{key}={value}" for key, value in self.route.items() if key != "hostname"]
        return self._attempt(user, key, [*route, f"-oHostName={self.route['hostname']}"])

    def attack(self, user: str, key: str, source: str | None = None) -> Login:
        """Try to log in with this private key and no other, to the host's own sshd, from an address of its loopback.

        source: that address; one of its own for each attempt without.
        """
        address, port, loopback = self.sshd_address
        origin = (source or self.source()) if loopback else ""
        relay = shlex.join([self.plan["connection"]["python"], "-c", RELAY, address, port, origin])
        proxy = shlex.join([*self.shared, relay]).replace("%", "%%")
        return self._attempt(
            user, key, [f"-oProxyCommand={proxy}", "-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null"]
        )

    @cached_property
    def sshd_address(self) -> tuple[str, str, bool]:
        """Where sshd listens on the host: address, port, and whether addresses of the loopback network can reach it."""
        listening = self.result("observe")["listen"]
        for entry in listening:
            address, _, port = entry.rpartition(":")
            if address in ("0.0.0.0", "[::]", "127.0.0.1"):  # noqa: S104  (compared, not bound)
                return "127.0.0.1", port, True
        address, _, port = listening[0].rpartition(":")
        return address.strip("[]"), port, False

    def source(self) -> str:
        """An address of the host's loopback network that nobody else uses."""
        number = next(self._sources) % (1 << 24)
        return f"127.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255 or 1}"

    def _attempt(self, user: str, key: str, options: list[str]) -> Login:
        done = subprocess.run(
            ["ssh", "-F", "none", "-v", *options, "-oBatchMode=yes", "-oIdentitiesOnly=yes", "-oIdentityAgent=none",
             "-oIdentityFile=none", f"-oIdentityFile={one_word(key)}", "-oPreferredAuthentications=publickey",
             "-oConnectTimeout=10", "-l", user, self.address, "id -un"],
            capture_output=True, text=True, timeout=TIMEOUT, check=False, stdin=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C"},
        )  # fmt: skip
        entered = "\nAuthenticated to " in done.stderr
        # An expired account: sshd takes the key, asks PAM about the account, and closes the connection.
        closed = "debug1: Server accepts key:" in done.stderr and "\nConnection closed by " in done.stderr
        refused = not entered and (closed or f"{user}@{self.address}: Permission denied" in done.stderr)
        return Login(entered, refused, done.stdout.strip(), last_words(done.stderr))


def last_words(text: str) -> str:
    """The last line that is not debug noise."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("debug")]
    return lines[-1] if lines else "no message"
