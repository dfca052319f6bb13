# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that look into the registry: validate, explain, list, next-id. The commands that change it are next door."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

from ..errors import CommandError, LyceumError
from ..registry import explain, ids, validate
from ..registry.model import Registry, parse_date
from ..registry.problem import ERROR
from . import edit_commands, import_commands
from .project import ROOT, announce, environment, inventory, inventory_option, shown
from .tables import table

SECTIONS = ("people", "groups", "projects", "limits")


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands to the command line."""
    check = _command(
        commands,
        "validate",
        validate_registry,
        "check the whole registry; every problem at once, no host is contacted",
        "  ./lyceum validate\n  ./lyceum validate -i inventories/team --today 2027-01-01",
    )
    check.add_argument("--json", action="store_true", help="print the problems as JSON")

    about = _command(
        commands,
        "explain",
        explain_person,
        "everything about one person: state, limits and where each comes from, hosts and why",
        "  ./lyceum explain bchen\n  ./lyceum explain b.chen@ad.example.org --json\n"
        "  ./lyceum explain bchen --today 2027-10-01     # what will hold then",
    )
    about.add_argument("person", metavar="PERSON", help="login name, alias or e-mail address")
    about.add_argument("--json", action="store_true", help="print it as JSON")
    about.add_argument(
        "--no-hosts", action="store_true", help="leave out the hosts, which Ansible has to be asked about"
    )

    lists = _command(
        commands,
        "list",
        list_section,
        "list people, groups, projects or limits",
        "  ./lyceum list\n  ./lyceum list people --state suspended\n  ./lyceum list projects --json",
    )
    lists.add_argument("section", nargs="?", choices=SECTIONS, default="people", help="default: %(default)s")
    lists.add_argument("--state", choices=("present", "suspended", "absent"), help="only those in this state today")
    lists.add_argument("--json", action="store_true", help="print it as JSON")

    free = _command(
        commands,
        "next-id",
        next_id,
        "print the next free uid or gid; a number that was ever given is never given again",
        "  ./lyceum next-id\n  ./lyceum next-id projects",
    )
    free.add_argument("kind", nargs="?", choices=SECTIONS[:3], default="people", help="default: %(default)s")

    edit_commands.register(commands)
    import_commands.register(commands)


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    function: Callable[[argparse.Namespace], int],
    purpose: str,
    examples: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        parents=[inventory_option(), today_option()],
        help=purpose,
        description=f"{purpose[0].upper()}{purpose[1:]}.",
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=function)
    return parser


def today_option() -> argparse.ArgumentParser:
    """Parent parser with the option that shifts the calendar."""
    parent = argparse.ArgumentParser(add_help=False)
    parent.add_argument(
        "--today", type=_day, default=date.today(), metavar="YYYY-MM-DD", help="count dates from this day"
    )
    return parent


def _day(text: str) -> date:
    try:
        found = parse_date(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if found is None:
        raise argparse.ArgumentTypeError("a date is wanted")
    return found


def validate_registry(arguments: argparse.Namespace) -> int:
    """Print every problem and a count; 1 when there is an error."""
    folder = inventory(arguments)
    loaded, problems = validate.inventory(folder, today=arguments.today)
    if arguments.json:
        print(json.dumps([asdict(problem) for problem in problems], indent=2, ensure_ascii=False))
    else:
        for problem in problems:
            print(problem, file=sys.stderr if problem.severity == ERROR else sys.stdout)
        counts = [_counted(loaded.raw.get(section), section) for section in SECTIONS[:3]]
        errors = sum(problem.severity == ERROR for problem in problems)
        warnings = len(problems) - errors
        print(
            f"{shown(folder)}: {', '.join(counts)}: {errors or 'no'} error{'' if errors == 1 else 's'}, "
            f"{warnings or 'no'} warning{'' if warnings == 1 else 's'}"
        )
    return 1 if any(problem.severity == ERROR for problem in problems) else 0


def _counted(entries: Any, section: str) -> str:
    number = len(entries) if isinstance(entries, list) else 0
    names = {"people": "person", "groups": "group", "projects": "project"}
    return f"{number} {names[section] if number == 1 else section}"


def read_valid(folder: Path, today: date) -> tuple[dict[str, Any], Registry]:
    """(raw, registry) of an inventory. LyceumError with every error when it is not valid."""
    loaded, problems = validate.inventory(folder, today=today)
    errors = [f"  - {problem}" for problem in problems if problem.severity == ERROR]
    if errors:
        raise LyceumError("The registry has errors, so nothing can be said for sure:\n" + "\n".join(errors))
    return loaded.raw, Registry.from_raw(loaded.raw, today=today)


# -- explain -------------------------------------------------------------------------------------------------------


def explain_person(arguments: argparse.Namespace) -> int:
    """Print what a person is, may and has, and why."""
    folder = inventory(arguments)
    raw, registry = read_valid(folder, arguments.today)
    name = registry.find_person(arguments.person).name
    found = explain.person(registry, name)
    if not arguments.no_hosts:
        argv = explain.hosts_argv(shown(folder))
        if not arguments.json:
            print(announce(argv), flush=True)
        found["hosts"] = explain.hosts(raw, name, explain.parse_hosts(output_of(argv)), today=arguments.today)
    print(json.dumps(found, indent=2, ensure_ascii=False) if arguments.json else _explanation(found))
    return 0


def output_of(argv: Sequence[str]) -> str:
    """Standard output of a program run in the checkout. CommandError with its last words when it fails."""
    done = subprocess.run(argv, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip()[-2000:]
        raise CommandError(f"`{argv[0]}` ended with status {done.returncode}: {words}")
    return done.stdout


def _explanation(found: Mapping[str, Any]) -> str:
    person = found["person"]
    state = found["state"] + (f": {found['reason']}" if found["reason"] else "")
    facts = [
        ("state", state),
        ("name", person["full_name"]),
        ("e-mail", person["email"]),
        ("ids", f"uid {person['uid']}, gid {person['gid']}"),
        ("home", person["home"]),
        ("affiliation", person["affiliation"]),
        ("access", f"{person['access']} ({found['access_from']})"),
        ("shell", person["shell"] if person["access"] == "shell" else ""),
        ("dates", _dates(person["starts"], person["ends"])),
        ("aliases", ", ".join(person["aliases"])),
        ("groups", ", ".join(person["groups"])),
        ("projects", ", ".join(_membership(project) for project in found["projects"])),
        ("services", ", ".join(person["services"])),
    ]
    lines = [person["name"], *(f"  {label:<12} {value}" for label, value in facts if value)]
    lines += [f"  {'key':<12} {key['fingerprint']} {key['type']} {key['comment']}" for key in found["keys"]]
    lines += [
        "",
        *_titled("Limits", [_limit_row(key, limit) for key, limit in found["limits"].items()], "none are set"),
    ]
    if "hosts" in found:
        rows = [(host["host"], host["account"], host["why"]) for host in found["hosts"]]
        lines += ["", *_titled("Hosts", rows, "the inventory has no host in the group accounts")]
    return "\n".join(lines)


def _titled(title: str, rows: Sequence[Sequence[str]], nothing: str) -> list[str]:
    return [title, *(f"  {line}" for line in (table(rows) if rows else [nothing]))]


def _dates(starts: str | None, ends: str | None) -> str:
    return " ".join(f"{word} {day}" for word, day in (("from", starts), ("to", ends)) if day)


def _membership(project: Mapping[str, Any]) -> str:
    return f"{project['name']} ({project['role']}{'' if project['live'] else ', not live today'})"


def _limit_row(key: str, limit: Mapping[str, Any]) -> tuple[str, str, str]:
    below = [f"{step['layer']} {_amount(step['value'], '')}" for step in reversed(limit["trail"][:-1])]
    return (
        key,
        _amount(limit["value"], limit["unit"]),
        limit["layer"] + (f"  (over {', '.join(below)})" if below else ""),
    )


def _amount(value: Any, unit: str) -> str:
    return "unlimited" if value is None else f"{value} {unit}".rstrip()


# -- list ----------------------------------------------------------------------------------------------------------


def list_section(arguments: argparse.Namespace) -> int:
    """Print one section as a table or as JSON."""
    _, registry = read_valid(inventory(arguments), arguments.today)
    print_section(registry, arguments.section, arguments.state, as_json=arguments.json)
    return 0


def print_section(registry: Registry, section: str, state: str | None, *, as_json: bool) -> None:
    """Print people, groups, projects or limits."""
    rows = [row for row in explain.rows(registry, section) if state is None or row.get("state") == state]
    if as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    if not rows:
        print(f"no {section}" + (f" in state {state}" if state else ""))
        return
    head = list(rows[0])
    print("\n".join(table([[name.upper() for name in head], *([_cell(row[name]) for name in head] for row in rows)])))


def _cell(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}:{item}" for key, item in value.items()) or "-"
    if isinstance(value, Iterable) and not isinstance(value, str):
        return ", ".join(str(item) for item in value) or "-"
    return "-" if value in (None, "") else str(value)


def next_id(arguments: argparse.Namespace) -> int:
    """Print one number."""
    _, registry = read_valid(inventory(arguments), arguments.today)
    print(ids.next_free(registry, arguments.kind))
    return 0
