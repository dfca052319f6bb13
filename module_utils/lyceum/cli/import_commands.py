# SPDX-License-Identifier: GPL-3.0-or-later
"""The command that drafts a new registry from a live host and members files."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from ..errors import CommandError, LyceumError, RefusedError
from ..registry import importer, survey, validate
from ..registry.classify import Classifier, Members, parse_members
from ..registry.load import COMMON
from ..registry.problem import ERROR
from .project import ROOT, announce, environment, inventory, inventory_option, shown

SHOWN = 15  # lines of one kind on the terminal

EPILOG = """\
examples:
  ./lyceum import -i inventories/team --from-host web1 --to inventories/new
  ./lyceum import --from-host root@old.example.org --members student.members --members archived.members \\
      --classify classify.yml --to inventories/new
  ssh root@old.example.org sh -s < module_utils/lyceum/registry/survey.sh > old.txt
  ./lyceum import --from-file old.txt --to inventories/new

classify.yml (every key may be missing):
  rules: [{pattern: '^[0-9]+@', affiliation: student}]     # the first that matches wins
  overrides: {"12345@students.example.org": researcher}    # wins over the rules
  archived: [x.old@ad.example.org]                         # has left; wins over all
  default: student
  same_person: {a.martin@ad.example.org: ["12345@students.example.org"]}   # main account: further ones
  logins: {a.martin@ad.example.org: amartin}               # when the derived login will not do

members files hold one account per line, # begins a comment; the file's name (researcher.members) is the affiliation,
archived.members lists who has left, and a line `account:affiliation` overrides.

Logins: a POSIX login stays. Otherwise the domain is cut off, upper case and accents are flattened, other characters
are dropped (a.martin@ad.example.org -> amartin), and u is put before a digit (12345 -> u12345). Two accounts that would
get the same login are left out and reported.
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "import",
        parents=[inventory_option()],
        help="draft a new registry from a live host and members files (changes neither)",
        description="Write a new inventory with a registry drafted from what exists: ids are kept, and what needs a "
        "human is listed in its REVIEW.md. The host is only read.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--from-host", metavar="HOST", help="host of the inventory, or USER@ADDRESS")
    source.add_argument("--from-file", metavar="FILE", help="saved output of survey.sh, - for stdin")
    parser.add_argument("--members", action="append", default=[], metavar="FILE", help="members file; repeatable")
    parser.add_argument("--classify", metavar="FILE", help="YAML with rules, overrides, archived, ... (see below)")
    parser.add_argument("--affiliation", help="affiliation of everybody about whom nothing else says one")
    parser.add_argument("--to", required=True, metavar="DIR", help="folder of the new inventory; must not exist")
    parser.add_argument("--renumber", action="store_true", help="give ids that no registry can hold new numbers")
    parser.add_argument("-K", "--ask-become-pass", action="store_true", help="ask for the sudo password on the host")
    parser.set_defaults(run=import_registry)


def import_registry(arguments: argparse.Namespace) -> int:
    """Draft, write and check a registry; 1 when something is left that the validator or a human must settle first."""
    target = Path(arguments.to).absolute()
    if target.exists():
        raise RefusedError(f"{arguments.to} exists already: an import only writes a new folder. Choose another name.")
    if not (arguments.from_host or arguments.from_file or arguments.members):
        raise LyceumError("There is nothing to import from: give --from-host, --from-file or --members.")
    classifier = read_classifier(arguments.classify, arguments.members)
    if arguments.affiliation:
        classifier = replace(classifier, default=arguments.affiliation)
    origin = arguments.from_host or Path(arguments.from_file or "members files").name
    found = read_survey(arguments)
    draft = importer.draft(found, classifier, host=origin, renumber=arguments.renumber)
    source = f"Drafted by `./lyceum import` from {origin} on {date.today()}; see REVIEW.md."
    write(target, importer.files(draft, source=source), arguments.from_host)
    return report(target, draft)


def read_survey(arguments: argparse.Namespace) -> survey.Survey:
    """The accounts of the chosen host or file; empty when only members files are imported."""
    if arguments.from_file == "-":
        return survey.parse(sys.stdin.read())
    if arguments.from_file:
        return survey.parse(_text(arguments.from_file))
    if not arguments.from_host:
        return survey.Survey()
    argv = host_argv(arguments)
    print(announce(argv), flush=True)
    done = subprocess.run(argv, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True, check=False)
    return survey.parse(script_output(done.stdout, arguments.from_host))


def host_argv(arguments: argparse.Namespace) -> list[str]:
    """The command that runs survey.sh on the host as root."""
    host = str(arguments.from_host)
    by_address = "@" in host
    where = f"{host.rsplit('@', 1)[1]}," if by_address else shown(inventory(arguments))
    argv = ["env", "ANSIBLE_CALLBACK_RESULT_FORMAT=json", "ansible", host.rsplit("@", 1)[-1], "-i", where, "--become"]
    argv += ["-u", host.rsplit("@", 1)[0]] if by_address else []
    argv += ["--ask-become-pass"] if arguments.ask_become_pass else []
    return [*argv, "-m", "ansible.builtin.script", "-a", shown(survey.SCRIPT)]


def script_output(output: str, host: str) -> str:
    """Standard output of the script, from what `ansible` printed. CommandError when it did not run."""
    match = re.search(r"^\S+ \| (?:CHANGED|SUCCESS) => ", output, re.MULTILINE)
    if match is None:
        said = output.strip()[-2000:] or "Ansible said why above. For a host outside the inventory give USER@ADDRESS."
        raise CommandError(f"{host} could not be read: {said}")
    result: dict[str, Any] = json.JSONDecoder().raw_decode(output, match.end())[0]
    return str(result.get("stdout", ""))


def read_classifier(file: str | None, members_files: Sequence[str]) -> Classifier:
    """The rules and lists to classify by. LyceumError when a file cannot be read or used."""
    raw: Any = None
    if file is not None:
        try:
            raw = yaml.safe_load(_text(file))
        except yaml.YAMLError as error:
            raise LyceumError(f"{file} is not valid YAML: {' '.join(str(error).split())}") from error
        if isinstance(raw, dict) and set(raw) == {"lyceum_classify"}:
            raw = raw["lyceum_classify"]
        if not isinstance(raw, (dict, type(None))):
            raise LyceumError(
                f"{file} must hold `rules:`, `overrides:` and so on, or all of it below `lyceum_classify:`."
            )
    members = parse_members([(name, _text(name)) for name in members_files]) if members_files else Members()
    return Classifier.from_raw(raw, members)


def write(target: Path, files: dict[str, str], host: str | None) -> None:
    """Write the inventory: all of it or nothing."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as scratch:
            made = Path(scratch) / target.name
            folder = made / "group_vars" / "all"
            folder.mkdir(parents=True)
            for name, text in files.items():
                ((made if name.endswith(".md") else folder) / name).write_text(text)
            hosts = f"    {host.rsplit('@', 1)[-1]}:\n" if host else ""
            (made / "hosts.yml").write_text(f"---\naccounts:\n  hosts:\n{hosts}")
            if (target.parent / "common" / "group_vars").exists():
                (made / COMMON).symlink_to("../common")
                (folder / COMMON).symlink_to("../../../common/group_vars/all")
            made.rename(target)
    except OSError as error:
        raise LyceumError(f"{target} cannot be written: {error}") from error


def report(target: Path, draft: importer.Draft) -> int:
    """Print what was imported and what remains to be done; the exit status."""
    _, problems = validate.inventory(target, today=date.today())
    print(f"Wrote {shown(target)}; people: {len(draft.people)}, groups: {len(draft.groups)}.")
    for heading, sentences in draft.review.items():
        print(f"{heading} ({len(sentences)}):")
        _print_some([f"  - {sentence}" for sentence in sentences], shown(target / "REVIEW.md"))
    _print_some([str(problem) for problem in problems], f"./lyceum validate -i {shown(target)}")
    errors = sum(problem.severity == ERROR for problem in problems)
    left_out = len(draft.review.get("Left out", []))
    if errors or left_out:
        print(
            f"What remains: {errors} error{'' if errors == 1 else 's'} of the validator and {left_out} left out, "
            f"listed above. Then: ./lyceum validate -i {shown(target)}"
        )
        return 1
    print(f"The registry is valid. Look through {shown(target / 'REVIEW.md')}, then:")
    print(f"  ./lyceum site -i {shown(target)} -- --check")
    return 0


def _print_some(lines: list[str], rest: str) -> None:
    """The first lines, and where the others are: a survey of a large host has thousands."""
    print("".join(f"{line}\n" for line in lines[:SHOWN]), end="")
    if len(lines) > SHOWN:
        print(f"  ... and {len(lines) - SHOWN} more: {rest}")


def _text(file: str) -> str:
    try:
        return Path(file).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise LyceumError(f"{file} cannot be read: {error}") from error
