# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that are one playbook or one program each, and say which."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

from .. import audit
from ..errors import LyceumError
from .project import ROOT, inventory, inventory_option, run_here, shown, state_dir

PERSON = re.compile(r"[a-z_][a-z0-9_-]{0,31}")

PLAYBOOKS = {
    "site": "make every host match the registry",
    "onboard": "bring one person to all hosts",
    "offboard": "take one person, who is suspended or absent in the registry, off all hosts",
    "prove": "attack every control on the live hosts and print what held",
    "report": "last logins, untouched homes, unmanaged accounts, drift",
}
ABOUT_ONE_PERSON = ("onboard", "offboard")


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands to the command line."""
    for name, purpose in PLAYBOOKS.items():
        person = " PERSON" if name in ABOUT_ONE_PERSON else ""
        parser = commands.add_parser(
            name,
            parents=[inventory_option()],
            help=purpose,
            description=f"{purpose[0].upper()}{purpose[1:]}. Runs playbooks/{name}.yml and shows the command line.",
            epilog=f"Options for ansible-playbook follow two dashes:\n"
            f"  ./lyceum {name}{person.replace('PERSON', 'amartin')} -- --check --diff",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if person:
            parser.add_argument("person", metavar="PERSON", help="login name in the registry")
            parser.add_argument("--reason", metavar="TEXT", help="why, for the audit log")
        if name == "offboard":
            parser.add_argument(
                "--keep-data", action="store_true", help="leave the home of somebody absent where it is, not archived"
            )
        parser.set_defaults(run=playbook, playbook=name, takes_more=True)

    audits = commands.add_parser(
        "audit",
        parents=[inventory_option()],
        help="show the audit log of an inventory, or verify its chain",
        description="Every run appends what it did to a log whose records contain the hash of the one before.",
        epilog="  ./lyceum audit --verify\n  ./lyceum audit -i inventories/team",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    audits.add_argument("--verify", action="store_true", help="check that no record was changed, removed or inserted")
    audits.set_defaults(run=audit_log)

    bench = commands.add_parser(
        "bench",
        parents=[inventory_option()],
        help="measure, and print a table",
        description=f"Benchmarks: {', '.join(benchmarks()) or 'none yet'}.",
        epilog="  ./lyceum bench accounts\n  ./lyceum bench accounts -- --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    bench.add_argument("name", metavar="NAME", help="what to measure")
    bench.set_defaults(run=benchmark, takes_more=True)


def playbook_argv(arguments: argparse.Namespace, name: str, *words: str) -> list[str]:
    """The command line that runs a playbook on the chosen inventory."""
    return ["ansible-playbook", "-i", shown(inventory(arguments)), f"playbooks/{name}.yml", *words]


def person_words(name: str) -> list[str]:
    """Words that narrow a playbook to one person. Raises LyceumError for what cannot be a login name."""
    if not PERSON.fullmatch(name):
        raise LyceumError(f"{name!r} is no login name: lower-case letters, digits, `_` and `-`, a letter first.")
    return ["-e", f"person={name}"]


def playbook(arguments: argparse.Namespace) -> int:
    """Run one playbook."""
    words = []
    if arguments.playbook in ABOUT_ONE_PERSON:
        words += person_words(arguments.person)
        words += ["-e", json.dumps({"reason": arguments.reason})] if arguments.reason else []
    if arguments.playbook == "offboard" and arguments.keep_data:
        words += ["-e", json.dumps({"accounts_keep_data": True})]
    return run_here([*playbook_argv(arguments, arguments.playbook, *words), *arguments.more])


def audit_log(arguments: argparse.Namespace) -> int:
    """Print or verify the audit log of the chosen inventory."""
    path = state_dir() / "audit" / f"{inventory(arguments).name}.jsonl"
    if not arguments.verify:
        if not path.exists():
            raise LyceumError(f"There is no audit log {shown(path)} yet: no run has changed or checked anybody.")
        print(path.read_text(), end="")
        return 0
    breaks = audit.verify(path)
    for line in breaks:
        print(line, file=sys.stderr)
    print(f"{shown(path)}: {'BROKEN' if breaks else 'the chain is whole'}")
    return 1 if breaks else 0


def benchmarks(folder: Path = ROOT / "tests" / "bench") -> list[str]:
    """Names of the benchmarks."""
    return sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith(("_", "test_", "conftest")))


def benchmark(arguments: argparse.Namespace) -> int:
    """Run one benchmark."""
    if arguments.name not in benchmarks():
        raise LyceumError(f"No benchmark {arguments.name!r}. There are: {', '.join(benchmarks()) or 'none yet'}.")
    script = f"tests/bench/{arguments.name}.py"
    return run_here(["python", script, "-i", shown(inventory(arguments)), *arguments.more])
