# SPDX-License-Identifier: GPL-3.0-or-later
"""Where things are, and how programs are started and shown."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import LyceumError

ROOT = Path(__file__).resolve().parents[3]
"""The checkout."""

LAB_INVENTORY = "inventories/lab"


def state_dir() -> Path:
    """Git-ignored state of this controller; the environment variable LYCEUM_STATE_DIR moves it."""
    return Path(os.environ.get("LYCEUM_STATE_DIR") or ROOT / ".lyceum").resolve()


def inventory_option() -> argparse.ArgumentParser:
    """Parent parser with the option that every command has."""
    parent = argparse.ArgumentParser(add_help=False)
    parent.add_argument(
        "-i", "--inventory", metavar="DIR", default=LAB_INVENTORY, help="inventory to use (default: %(default)s)"
    )
    return parent


def inventory(arguments: argparse.Namespace) -> Path:
    """The chosen inventory; a relative path counts from the current folder, the default from the checkout.

    Raises LyceumError where there is none.
    """
    chosen = Path(arguments.inventory)
    for path in (chosen, ROOT / chosen):
        if path.is_dir():
            return path.resolve()
    raise LyceumError(f"No inventory folder {arguments.inventory!r}. There are: {', '.join(inventories())}.")


def inventories() -> list[str]:
    """Inventories of the checkout, without the shared part."""
    return sorted(str(path.parent.relative_to(ROOT)) for path in ROOT.glob("inventories/*/hosts.yml"))


def shown(path: Path) -> str:
    """A path as an admin in the checkout would type it."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def environment(**more: str) -> dict[str, str]:
    """Environment of started programs: the tools of this Python first, nothing that only this command line needs."""
    tools = str(Path(sys.executable).parent)
    values = {**os.environ, "PATH": os.pathsep.join([tools, os.environ.get("PATH", os.defpath)]), **more}
    values.pop("PYTHONPATH", None)
    return values


def announce(argv: Sequence[str]) -> str:
    """The line that shows a command, quoted so that it can be pasted."""
    return f"$ {shlex.join(argv)}"


def run_here(argv: Sequence[str]) -> int:
    """Show a command, run it on this terminal in the checkout, and return its exit status."""
    print(announce(argv), flush=True)
    with subprocess.Popen(list(argv), cwd=ROOT, env=environment()) as child:
        while True:
            try:
                return child.wait()
            except KeyboardInterrupt:
                # The terminal told the child too; it ends in its own way, for Ansible after the running task.
                continue


@contextlib.contextmanager
def lab_lock() -> Iterator[int]:
    """Hold this lab's lock, waiting with a message while another command has it.

    Yields a file descriptor. Started programs inherit it, so the lab stays locked while one of them is left, even
    after this process was killed.
    """
    path = state_dir() / "lab.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            print(f"lyceum: waiting for another command on this lab ({lock.read().strip()})", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        lock.seek(0)
        lock.truncate()
        lock.write(f"process {os.getpid()}: {shlex.join(sys.argv[1:])}\n")
        lock.flush()
        yield lock.fileno()
