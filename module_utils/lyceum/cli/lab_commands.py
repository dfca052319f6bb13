# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab on this machine, the demonstration in it, and everything that CI checks."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ..errors import LyceumError
from ..lab import kernel
from .playbook_commands import person_words, playbook_argv
from .project import (
    LAB_INVENTORY,
    ROOT,
    announce,
    environment,
    inventories,
    inventory_option,
    lab_lock,
    shown,
    state_dir,
)
from .steps import Command, Result, Runner, Step, all_ok, command

NEWCOMER = "amartin"
"""Who the demonstration onboards first, alone, on hosts that know nobody."""

TEST_STATE = ROOT / ".lyceum" / "test hosts"
"""State of the labs that `test` makes: never the one that somebody uses. The blank is there to be stumbled over."""


UNABLE = r"\s+".join(map(re.escape, kernel.UNABLE.split())) + r":\s+(.{1,300}?)\.\s"
"""How a scenario says that this machine cannot boot its hosts; Ansible breaks lines where it likes."""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands to the command line."""
    demo = commands.add_parser(
        "demo",
        parents=[inventory_option()],
        help="boot lab hosts on this machine, make them match the registry, prove it",
        description="Boots Debian hosts as containers on this machine, onboards people, attacks every control, and\n"
        "says where to look. It can be interrupted and started again at any point.",
        epilog="  ./lyceum demo              hosts stay up; a second run changes nothing\n"
        "  ./lyceum demo --destroy    remove the hosts and everything the lab made",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    end = demo.add_mutually_exclusive_group()
    end.add_argument("--keep", action="store_true", help="leave the hosts up (the default)")
    end.add_argument("--destroy", action="store_true", help="remove the hosts, nothing else")
    demo.set_defaults(run=lambda arguments: lab_down(arguments) if arguments.destroy else run_demo(arguments))

    test = commands.add_parser(
        "test",
        parents=[inventory_option()],
        help="run everything that CI runs",
        description="Linters, types, unit tests, example registries, module and role documentation, molecule\n"
        "scenarios, and the demonstration twice. Its hosts are its own and are removed at the end.",
        epilog="  ./lyceum test",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    test.set_defaults(run=run_tests)

    ssh = commands.add_parser(
        "ssh",
        parents=[inventory_option()],
        help="log in to a lab host",
        description="Logs in to a host of the lab as root, or as one of its people with their throw-away key.",
        epilog="  ./lyceum ssh lab-debian12\n  ./lyceum ssh amartin@lab-debian12\n"
        "  ./lyceum ssh lab-debian12 -- systemctl status ssh",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    ssh.add_argument("host", metavar="[PERSON@]HOST", help="host of the lab")
    ssh.set_defaults(run=log_in, takes_more=True)

    lab = commands.add_parser(
        "lab", help="boot or remove the lab hosts", description="The lab hosts alone, without the demonstration."
    )
    actions = lab.add_subparsers(title="actions", metavar="ACTION", required=True)
    for name, purpose, run in (("up", "boot the lab hosts", lab_up), ("down", "remove the lab hosts", lab_down)):
        action = actions.add_parser(
            name,
            parents=[inventory_option()],
            help=purpose,
            description=f"{purpose.capitalize()}. Runs playbooks/lab_{name}.yml and shows the command line.",
            epilog=f"  ./lyceum lab {name}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        action.set_defaults(run=run, takes_more=True)


def lab_up(arguments: argparse.Namespace) -> int:
    """Boot the lab."""
    return _lab(arguments, "lab_up", "Boot the lab hosts")


def lab_down(arguments: argparse.Namespace) -> int:
    """Remove the lab."""
    return _lab(arguments, "lab_down", "Remove the lab hosts")


def _lab(arguments: argparse.Namespace, playbook: str, title: str) -> int:
    with lab_lock() as lock:
        runner = Runner(playbook, 1, keep=(lock,))
        runner.run(Step(title, (Command((*playbook_argv(arguments, playbook), *arguments.more)),), show_end=True))
    return 0 if all_ok(runner.results) else 1


def log_in(arguments: argparse.Namespace) -> int:
    """Replace this process by ssh."""
    lab = state_dir() / "lab"
    person, _, host = arguments.host.rpartition("@")
    words = ["ssh", "-F", shown(lab / "ssh_config")]
    if not (lab / "ssh_config").exists():
        raise LyceumError("There are no lab hosts: run `./lyceum lab up` first.")
    if person:
        if not (lab / "keys" / person).exists():
            raise LyceumError(f"The lab has no key of {person!r}. It has: {', '.join(_key_names(lab))}.")
        words += ["-i", shown(lab / "keys" / person), "-l", person]
    argv = [*words, host, *arguments.more]
    print(announce(argv), file=sys.stderr, flush=True)
    os.chdir(ROOT)
    os.execvpe("ssh", argv, environment())


def _key_names(lab: Path) -> list[str]:
    return sorted(path.stem for path in (lab / "keys").glob("*.pub"))


# -- demo ----------------------------------------------------------------------------------------------------------


def run_demo(arguments: argparse.Namespace) -> int:
    """From nothing to proven hosts; a second time changes nothing."""

    def play(name: str, *words: str) -> Command:
        return Command(tuple(playbook_argv(arguments, name, *words)))

    steps = [
        Step("Boot the lab hosts", (play("lab_up"),), show_end=True),
        Step(f"Onboard one person, {NEWCOMER}", (play("onboard", *person_words(NEWCOMER)),), show_end=True),
        Step("Make every host match the registry", (play("site"),), show_end=True),
        Step("Prove it: attack every control", (play("prove"),), show_end=True),
    ]
    began = time.monotonic()
    with lab_lock() as lock:
        runner = Runner("demo", len(steps), keep=(lock,))
        for step in steps:
            if runner.run(step).failed:
                return 1
    print(summary(arguments, runner, time.monotonic() - began))
    return 0


def summary(arguments: argparse.Namespace, runner: Runner, seconds: float) -> str:
    """Where to look after a demonstration, and what could not be had in it."""
    option = "" if arguments.inventory == LAB_INVENTORY else f" -i {shlex.quote(arguments.inventory)}"
    hosts = [
        line.split()[1] for line in (state_dir() / "lab" / "ssh_config").read_text().splitlines() if line[:5] == "Host "
    ]
    lines = ["", "The hosts stay up. Where to look:"]
    lines += [f"  ./lyceum ssh {host:<30} as root" for host in hosts]
    lines += [
        f"  ./lyceum ssh {NEWCOMER + '@' + hosts[0]:<30} as a person, with a throw-away key",
        f"  ./lyceum ssh {hosts[0]} -- ls -l /var/backups/lyceum/homes",
        f"  ./lyceum explain {NEWCOMER}{option}",
        f"  ./lyceum report{option}",
        f"  ./lyceum audit --verify{option}",
        f"  {shown(state_dir() / 'logs')}/demo-*.log",
        f"Remove everything: ./lyceum demo --destroy{option}",
        *(["", "What this lab does without, and why:"] if runner.not_enforced else []),
        *(f"  {text}" for text in runner.not_enforced),
        "",
        f"demo: every control held; changed={runner.changed} over all playbooks, {seconds:.0f} s",
    ]
    return "\n".join(lines)


# -- test ----------------------------------------------------------------------------------------------------------


def run_tests(arguments: argparse.Namespace) -> int:
    """Run every check, the later ones also after a failure, and leave nothing behind."""
    steps = check_steps()
    clean_up = clean_up_step()
    runner = Runner("test", len(steps) + 1)
    interrupted = False
    try:
        for step in steps:
            runner.run(step)
    except KeyboardInterrupt:
        interrupted = True
        print("      interrupted: cleaning up", flush=True)
    runner.total = len(runner.results) + 1
    runner.run(clean_up)
    runner.sweep()
    for result in runner.results:
        word = "SKIPPED" if result.skipped else "FAILED" if result.failed else "ok"
        print(f"  {word:7} {result.seconds:7.1f} s  {result.step.title}{result.skipped and ': '}{result.skipped}")
    print(total(runner.results))
    if interrupted:
        raise KeyboardInterrupt
    return 0 if all_ok(runner.results) else 1


def total(results: Sequence[Result]) -> str:
    """The last line of `test`."""
    counts = [
        (sum(result.passed for result in results), "passed"),
        (sum(result.failed for result in results), "failed"),
    ]
    skipped = sum(bool(result.skipped) for result in results)
    return ", ".join(f"{count} {word}" for count, word in [*counts, *([(skipped, "skipped")] if skipped else [])])


def check_steps() -> list[Step]:
    """All checks, the quick ones first."""
    modules = sorted(path.stem for path in ROOT.glob("library/*.py"))
    roles = sorted(path.name for path in ROOT.glob("roles/*/") if path.is_dir())
    plugins = ["library", "filter_plugins", "lookup_plugins", "callback_plugins"]
    demo = command("./lyceum", "demo", LYCEUM_STATE_DIR=str(TEST_STATE / "demo"))
    return [
        Step("Lint and format of Python", (command("ruff", "check", "."), command("ruff", "format", "--check", "."))),
        Step("Types", (command("mypy", *plugins), command("mypy", "-p", "ansible.module_utils.lyceum"))),
        Step("Style of YAML", (command("yamllint", "--strict", "."),)),
        Step("Style of playbooks and roles", (command("ansible-lint", "--offline", "--strict"),)),
        Step("Unit tests", (command("pytest", "-q"),)),
        Step(
            "Registries of all inventories",
            tuple(command("./lyceum", "validate", "-i", name) for name in inventories()),
        ),
        Step(
            "Documentation of modules and roles",
            (
                command("ansible-doc", "-t", "module", *modules),
                command("ansible-doc", "-t", "role", "-r", "roles", *roles),
            ),
        ),
        *(
            Step(f"Molecule scenario {name}", (command("molecule", "test", "-s", name),), skip=UNABLE)
            for name in sorted(path.parent.name for path in ROOT.glob("molecule/*/molecule.yml"))
        ),
        Step("Demonstration from nothing", (demo,), expect="every control held"),
        Step("Demonstration again: changes nothing", (demo,), expect="every control held; changed=0 "),
    ]


def clean_up_step() -> Step:
    """Remove whatever the other steps have made, also after an interrupt in the middle of one."""
    scenarios = sorted(path.parent.name for path in ROOT.glob("molecule/*/molecule.yml"))
    return Step(
        "Remove the test hosts",
        (
            *(command("molecule", "destroy", "-s", name) for name in scenarios),
            command("./lyceum", "demo", "--destroy", LYCEUM_STATE_DIR=str(TEST_STATE / "demo")),
        ),
    )
