# SPDX-License-Identifier: GPL-3.0-or-later
"""The nginx of this host: its version, its opinion of a configuration, and a reload that is known to have worked."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..errors import CommandError

VERSION = re.compile(r"nginx/(\d+(?:\.\d+)*)")
# Of no use to the reader: when, how bad, which process.
WORDS = re.compile(r"^(?:nginx: )?(?:\d{4}/\d\d/\d\d [\d:]+ )?(?:\[\w+\] )?(?:\d+#\d+: )?")
# Only a warning of nginx, which then serves one of the two.
CONFLICT = "conflicting server name"
RELOAD_SECONDS = 10
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}


@dataclass(frozen=True)
class Done:
    """How a program ended, and what it said on both channels."""

    status: int
    words: str


class Runner(Protocol):
    """Starts a program of the system and waits for it."""

    def __call__(self, argv: Sequence[str]) -> Done: ...


def run(argv: Sequence[str]) -> Done:
    """The real one. Status 127: there is no such program."""
    try:
        done = subprocess.run(
            list(argv), capture_output=True, text=True, errors="replace", check=False, env=ENVIRONMENT, timeout=120
        )
    except FileNotFoundError:
        return Done(127, f"{argv[0]} is not installed")
    except subprocess.TimeoutExpired:
        return Done(124, f"{argv[0]} did not end within two minutes")
    return Done(done.returncode, (done.stdout + done.stderr).strip())


@dataclass(frozen=True)
class Nginx:
    """What the module needs of nginx and systemd."""

    runner: Runner = run
    pid_file: Path = Path("/run/nginx.pid")
    error_log: Path = Path("/var/log/nginx/error.log")
    processes: Path = Path("/proc")

    def version(self) -> tuple[int, ...] | None:
        """None where nginx is not installed. Raises CommandError for an answer that is no version."""
        done = self.runner(["nginx", "-v"])
        if done.status == 127:
            return None
        found = VERSION.search(done.words)
        if done.status != 0 or found is None:
            raise CommandError(f"cannot find out the version of nginx: {done.words}")
        return tuple(int(part) for part in found[1].split("."))

    def test(self, config: Path | None = None) -> str:
        """What is wrong with a configuration, in nginx's words; empty when nothing is."""
        done = self.runner(["nginx", "-t", *(["-c", str(config)] if config else [])])
        lines = done.words.splitlines()
        conflicts = [line for line in lines if CONFLICT in line]
        if done.status == 0 and not conflicts:
            return ""
        wrong = [line for line in lines if "[emerg]" in line or "[alert]" in line or "[crit]" in line] + conflicts
        return "; ".join(dict.fromkeys(WORDS.sub("", line) for line in wrong)) or done.words or f"exit {done.status}"

    def is_active(self) -> bool:
        return self.runner(["systemctl", "is-active", "--quiet", "nginx.service"]).status == 0

    def reload(self) -> str:
        """Load the configuration; what went wrong, empty when it is in force.

        The signal to reload succeeds even when nginx then keeps the old configuration, as it does when it cannot bind
        an address. It has taken the new one as soon as there are new workers.
        """
        before, logged = self._workers(), self._log_size()
        done = self.runner(["systemctl", "reload", "nginx.service"])
        if done.status != 0:
            return done.words or f"systemctl: exit status {done.status}"
        end = time.monotonic() + RELOAD_SECONDS
        while time.monotonic() < end:
            if self._workers() - before:
                return ""
            time.sleep(0.05)
        return self._log_since(logged) or f"no new worker within {RELOAD_SECONDS} s"

    def _workers(self) -> set[str]:
        """Processes of the master, by number."""
        try:
            master = self.pid_file.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return set()
        found = set()
        for entry in os.scandir(self.processes):
            if not entry.name.isdigit():
                continue
            try:
                status = Path(entry.path, "stat").read_text(encoding="utf-8", errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended meanwhile
            # The name of the program, in brackets, may contain anything.
            if status.rpartition(")")[2].split()[1] == master:
                found.add(entry.name)
        return found

    def _log_size(self) -> int:
        try:
            return self.error_log.stat().st_size
        except FileNotFoundError:
            return 0

    def _log_since(self, position: int) -> str:
        try:
            with self.error_log.open("rb") as handle:
                handle.seek(position)
                text = handle.read().decode(errors="replace")
        except FileNotFoundError:
            return ""
        serious = [line for line in text.splitlines() if "[emerg]" in line or "[alert]" in line]
        return "; ".join(dict.fromkeys(WORDS.sub("", line) for line in serious))
