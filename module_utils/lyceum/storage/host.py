# SPDX-License-Identifier: GPL-3.0-or-later
"""lyceum-storage: what timers and the report run on a host, as root."""

from __future__ import annotations

import argparse
import grp
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .. import notices
from ..errors import LyceumError
from ..files import write_atomically
from . import purger, show, state, warn
from .settings import ETC, Person, Policy, load
from .usage import PROJECT, Row, Usage, collect, rows_of

SOURCE = "storage"
TEXTFILE = "lyceum_storage.prom"


def main(words: Sequence[str] | None = None) -> int:
    """Exit status 0 if everything was done, 1 if something was not; that is said on stderr."""
    parser = argparse.ArgumentParser(prog="lyceum-storage", description="Storage of the people on this host.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("usage", help="read what everybody uses, warn, and write metrics")
    purging = commands.add_parser("purge", help="announce and delete what lies unused in scratch")
    purging.add_argument("--dry-run", action="store_true", help="say what would be deleted now, and change nothing")
    commands.add_parser("report", help="print the tables of the report as JSON")
    options = parser.parse_args(words)
    problems: list[str] = []
    try:
        if options.command == "report":
            sys.stdout.write(json.dumps(report(load(ETC), state.BASE)) + "\n")
        else:
            with state.locked(state.BASE, options.command):
                policy = load(ETC)
                if options.command == "usage":
                    problems += usage(policy, state.BASE)
                else:
                    purger.purge_all(policy, time.time(), problems.append, dry_run=options.dry_run)
    except LyceumError as exc:
        problems.append(str(exc))
    sys.stderr.write("".join(f"lyceum-storage: {problem}\n" for problem in problems))
    return 1 if problems else 0


def usage(policy: Policy, base: Path) -> list[str]:
    """Read, warn, hand out, write metrics. Returns what went wrong, which stops none of the rest."""
    before = state.read_usage(base)
    found = collect(policy, rows_of(before), members(policy), time.time)
    levels = warn.levels(found.rows, before.get("levels", {}), policy.settings.warn_percent)
    problems = list(found.errors)
    for name, text in warn.notices(policy, found.rows, levels).items():
        person = policy.people[name]
        try:
            if person.state == "absent":
                notices.forget(person.uid)
            else:
                notices.post(person.recipient, SOURCE, text, mail=policy.settings.mail)
        except LyceumError as exc:
            problems.append(str(exc))
    present = {person.uid: person for person in policy.people.values() if person.state != "absent"}
    contents = {
        name: content
        for uid, person in present.items()
        for name, content in files_of(person, policy, found.rows, str(uid)).items()
    }
    owners = {name: present[int(name.partition(".")[0])].gid for name in contents}
    problems += state.write_people(base, contents, owners, {f"{uid}.purge" for uid in present})
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(found.time))
    state.write_usage(base, {**found.as_dict(), "levels": levels}, moment)
    textfile = Path(policy.settings.textfile_dir)
    if policy.settings.textfile_dir and textfile.is_dir():
        write_atomically(textfile / TEXTFILE, show.metrics(found, len(problems)).encode(), 0o644)
    return problems


def files_of(person: Person, policy: Policy, rows: Sequence[Row], name: str) -> dict[str, bytes]:
    """What a person is shown: all rows as JSON for lyceum-limits, and the lines of the login banner."""
    mine = [row for row in rows if row.person == person.name]
    written = {one.name for one in policy.projects.values() if person.name in one.write}
    mine += [row for row in rows if row.what == PROJECT and row.name in written]
    banner = "".join(f"{line}\n" for line in show.banner(mine))
    content = json.dumps({"name": person.name, "rows": [asdict(row) for row in mine]})
    return {name: content.encode(), f"{name}.banner": banner.encode()}


def members(policy: Policy) -> Mapping[str, list[str]]:
    """Who of the registry is in which shared group, as the host has it."""
    found = {}
    for group, gid in policy.settings.groups.items():
        try:
            found[group] = [name for name in grp.getgrgid(gid).gr_mem if name in policy.people]
        except KeyError:
            continue  # a group of the registry that this host does not have
    return found


def report(policy: Policy, base: Path) -> list[dict[str, Any]]:
    """The tables for the report; what is not known yet is empty."""
    data = state.read_usage(base)
    sums = {key: data.get(key, {}) for key in ("people", "projects", "groups", "institution")}
    known = Usage(data.get("time", 0.0), rows_of(data), **sums, errors=data.get("errors", []))
    return show.sections(known, purger.summary(policy.people.values(), time.time()))
