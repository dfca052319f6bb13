# SPDX-License-Identifier: GPL-3.0-or-later
"""Parse the command line and run one command."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from typing import Any

from ..errors import LyceumError
from . import lab_commands, playbook_commands, registry_commands

INTERRUPTED = 130

EPILOG = """\
A first look, with nothing prepared:      ./lyceum demo
All checks:                               ./lyceum test
Use your own inventory:                   ./lyceum site -i inventories/team
Pass options on to ansible-playbook:      ./lyceum site -- --check --diff --limit web1
"""


def parser() -> argparse.ArgumentParser:
    """The whole command line. Every command sets `run`: a function of the parsed arguments that returns a status."""
    top = argparse.ArgumentParser(
        prog="./lyceum",
        description="One registry of people, groups, projects and limits becomes real accounts on real hosts.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    lab_commands.register(commands)
    playbook_commands.register(commands)
    registry_commands.register(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status: 0 well, 1 refused or failed, 2 wrong usage, 130 interrupted."""
    words = list(sys.argv[1:] if argv is None else argv)
    # What follows `--` belongs to the program that a command starts.
    own, further = (words[: words.index("--")], words[words.index("--") + 1 :]) if "--" in words else (words, [])
    arguments = parser().parse_args(own)
    if further and not getattr(arguments, "takes_more", False):
        parser().error("this command passes nothing on: remove what follows `--`")
    arguments.more = further
    # A polite kill cleans up just as Ctrl-C does.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return int(arguments.run(arguments))
    except LyceumError as exc:
        print(f"lyceum: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lyceum: interrupted", file=sys.stderr)
        return INTERRUPTED


def _interrupt(_signal: int, _frame: Any) -> None:
    raise KeyboardInterrupt
