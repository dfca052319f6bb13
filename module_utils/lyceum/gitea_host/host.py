# SPDX-License-Identifier: GPL-3.0-or-later
"""Gitea on this host: its command line as its own user, its API over the Unix socket, its unit."""

from __future__ import annotations

import http.client
import json
import os
import pwd
import re
import socket
import subprocess
import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import CommandError, LyceumError

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ASK_SECONDS = 30
WORDS = 600  # characters of a program's last words that are quoted
VERSION = re.compile(r"^gitea version ([^\s:]+)")


@dataclass(frozen=True)
class Answer:
    """body: what the JSON says, or None when it is none (a page for people says nothing, whatever its status)."""

    status: int
    body: Any


@dataclass(frozen=True)
class Host:
    """program: the path that everything calls, a link to one release. socket: where the server listens."""

    program: Path
    config: Path
    user: str
    home: Path
    socket: Path
    unit: str

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Host:
        return cls(
            Path(params["program"]),
            Path(params["config"]),
            params["user"],
            Path(params["home"]),
            Path(params["socket"]),
            params["unit"],
        )

    # --- programs

    def gitea(self, *words: str, seconds: int = 600, quote: bool = False) -> str:
        """A command of Gitea. What it prints is returned and nowhere else: it may be a secret. quote: see `run`."""
        return self.as_user([str(self.program), *words, "--config", str(self.config)], seconds=seconds, quote=quote)

    def as_user(
        self,
        argv: Sequence[str],
        *,
        seconds: int = 600,
        stdout: int | None = None,
        stdin: int = subprocess.DEVNULL,
        quote: bool = False,
    ) -> str:
        """A program as the user of the server, with nothing of ours in its environment. CommandError when it fails."""
        try:
            account = pwd.getpwnam(self.user)
        except KeyError as exc:
            raise LyceumError(f"there is no user {self.user}; run the role gitea without tags once") from exc
        environment = {"PATH": PATH, "LC_ALL": "C.UTF-8", "HOME": str(self.home), "USER": self.user}
        switch = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        return run(
            argv,
            seconds=seconds,
            stdout=stdout,
            stdin=stdin,
            quote=quote,
            cwd=str(self.home),
            env=environment,
            **({} if account.pw_uid == os.geteuid() else switch),
        )

    def systemctl(self, verb: str) -> None:
        run(["systemctl", verb, *([] if verb == "daemon-reload" else [self.unit])], seconds=400)

    def started(self) -> int:
        """When the server was started, in seconds of the epoch; 0 when it does not run."""
        words = ["systemctl", "show", "--timestamp=unix", "--property=ExecMainStartTimestamp", "--value", self.unit]
        said = run(words, seconds=60).strip().lstrip("@")
        return int(said) if said.isdigit() and self.is_active() else 0

    def is_active(self) -> bool:
        return subprocess.run(["systemctl", "is-active", "--quiet", self.unit], check=False).returncode == 0

    # --- the server

    def ask(self, method: str, path: str, *, token: str = "", basic: tuple[str, str] | None = None) -> Answer:
        """One request. OSError when nobody answers."""
        headers = {"Host": "localhost", "Accept": "application/json"}
        if token:
            headers["Authorization"] = f"token {token}"
        if basic:
            headers["Authorization"] = "Basic " + b64encode(":".join(basic).encode()).decode()
        connection = UnixConnection(str(self.socket))
        try:
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            content = response.read()
        except http.client.HTTPException as exc:
            raise OSError(f"{type(exc).__name__}: {exc}") from exc
        finally:
            connection.close()
        try:
            body = json.loads(content) if "json" in (response.getheader("Content-Type") or "") else None
        except ValueError:
            body = None
        return Answer(response.status, body)

    def wait(self, token: str, name: str, seconds: float, pause: float = 0.2) -> None:
        """Until the server does its work. With a token that means: it knows who that is. LyceumError otherwise."""
        deadline = time.monotonic() + seconds
        while True:
            problem = self.problem(token, name)
            if not problem:
                return
            if time.monotonic() > deadline:
                raise LyceumError(f"{self.unit} did not become healthy within {seconds:g} s: {problem}")
            time.sleep(pause)

    def problem(self, token: str, name: str) -> str:
        """Why the server is not healthy; empty when it is."""
        try:
            health = self.ask("GET", "/api/healthz")
            if health.status != 200:
                return f"/api/healthz answers {health.status}"
            if not token:
                return ""
            me = self.ask("GET", "/api/v1/user", token=token)
        except OSError as exc:
            return exc.strerror or str(exc)
        known = me.status == 200 and isinstance(me.body, dict) and me.body.get("login") == name
        return "" if known else f"it answers {me.status} to the bot {name} and does not know who that is"


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=ASK_SECONDS)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(ASK_SECONDS)
        self.sock.connect(self.path)


def run(
    argv: Sequence[str],
    *,
    seconds: int,
    stdout: int | None = None,
    stdin: int = subprocess.DEVNULL,
    quote: bool = False,
    **options: Any,
) -> str:
    """What a program printed. CommandError with its last words, but none of what it printed: that may be a secret.

    quote: it prints none, and says there, too, why it failed, as Gitea's log does.
    """
    try:
        done = subprocess.run(
            list(argv),
            stdin=stdin,
            stdout=subprocess.PIPE if stdout is None else stdout,
            stderr=subprocess.PIPE,
            check=False,
            timeout=seconds,
            **options,
        )
    except OSError as exc:
        raise CommandError(f"cannot run {argv[0]}: {exc.strerror}") from exc
    except subprocess.TimeoutExpired as exc:
        raise CommandError(f"{Path(argv[0]).name} did not end within {seconds} s") from exc
    if done.returncode:
        told = done.stderr + (done.stdout or b"") if quote else done.stderr
        said = " ".join(told.decode(errors="replace").split())[-WORDS:]
        raise CommandError(f"{' '.join(map(str, argv[:4]))} ended with status {done.returncode}: {said}")
    return "" if done.stdout is None else done.stdout.decode(errors="replace")


def version_of(program: Path) -> str:
    """What a program says it is, such as 1.26.2. CommandError when it does not run, LyceumError when it is no Gitea."""
    said = run([str(program), "--version"], seconds=60, env={"PATH": PATH, "LC_ALL": "C.UTF-8", "HOME": "/"})
    found = VERSION.match(said)
    if not found:
        raise LyceumError(f"{program} is no Gitea: it says {said[:80]!r} to --version")
    return found.group(1)


def is_stand_in(version: str) -> bool:
    return "stand-in" in version


def numbers(version: str) -> tuple[int, ...]:
    """For comparing releases."""
    return tuple(int(part) for part in re.findall(r"\d+", version.split("+")[0])[:3])
