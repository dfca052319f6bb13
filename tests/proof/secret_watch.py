# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets on the controller: what a run prints, what its processes are called, what it leaves in the state directory.

The very search of the host (probe_secrets.py) is used, so that its control there is one for here.
"""

from __future__ import annotations

import os
import runpy
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import probe
from ansible.module_utils.lyceum.services.secret import Secret

HERE = Path(__file__).parent
SEARCH: dict[str, Any] = runpy.run_path(str(HERE / "probe_secrets.py"), init_globals=vars(probe))


def search(name: str, *arguments: Any) -> Any:
    """Call a function of the search. pytest prints the arguments of the functions on the way to a failure, so that none
    may be on it that was given a secret.
    """
    __tracebackhide__ = True
    try:
        return SEARCH[name](*arguments)
    except Exception as exc:  # noqa: BLE001  (whatever it is, it is told)
        message = f"{name}: {type(exc).__name__}: {exc}"
    raise RuntimeError(message)


@dataclass
class Watched:
    """How a command ended. found: "name in place", of secrets only, never their text. lines: command lines seen."""

    status: int
    output: bytes = field(repr=False)
    found: list[str]
    lines: int


class Secrets:
    """What must not be found. Its text is in memory only, and no repr, traceback or message shows it."""

    def __init__(self, known: Mapping[str, str]) -> None:
        self._known = {name: Secret(text) for name, text in known.items()}

    def __repr__(self) -> str:
        return f"Secrets({', '.join(sorted(self._known))})"

    def __len__(self) -> int:
        return len(self._known)

    def __or__(self, other: Secrets) -> Secrets:
        return Secrets({**self.reveal(), **other.reveal()})

    def reveal(self) -> dict[str, str]:
        """The texts: for a probe, by its standard input."""
        return {name: secret.reveal() for name, secret in self._known.items()}

    @classmethod
    def here(cls, sources: Sequence[Mapping[str, str]]) -> Secrets:
        """From files of the controller."""
        return cls(search("secrets_sources", sources))

    def found_in(self, data: bytes, place: str) -> list[str]:
        return [f"{name} in {place}" for name in sorted(search("secrets_in", data, self._needles()))]

    def found_below(self, folder: Path, own: Sequence[Mapping[str, str]] = ()) -> tuple[list[str], int, list[str]]:
        """Where they are in the files of a folder, how many files were read, and which were too large for it.

        own: their files, where they may be.
        """
        allowed = {os.path.realpath(source["path"]): list(self._known) for source in own}
        found, count, large = search("secrets_files", [str(folder.resolve())], self._needles(), allowed)
        return [f"{name} in {path}" for name, path in found], count, large

    def watch(self, command: Sequence[str], **options: Any) -> Watched:
        """Run a command. All processes of ours are looked at until it ends, and all that it says when it has."""
        ended, result = threading.Event(), []

        def sample() -> None:
            result.append(search("secrets_processes", self._needles(), ended.is_set, os.geteuid()))

        watcher = threading.Thread(target=sample)
        watcher.start()
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
                **options,
            )
        finally:
            ended.set()
            watcher.join()
        processes, lines = result[0]
        found = [f"{name} in {place}" for name, place in processes]
        return Watched(done.returncode, done.stdout, self.found_in(done.stdout, "the output") + found, lines)

    def _needles(self) -> dict[str, list[bytes]]:
        needles: dict[str, list[bytes]] = search("secrets_needles", self.reveal())
        return needles
