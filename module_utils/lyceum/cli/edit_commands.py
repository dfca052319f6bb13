# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that change the registry files and touch no host: person, group."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from ..errors import LyceumError
from ..registry import sshkeys
from ..registry.edit import Editor
from ..registry.model import Registry, parse_date
from .project import LAB_INVENTORY, inventory, inventory_option, shown
from .tables import table

ACCESS = ("none", "git", "sftp", "rsync", "jail", "shell")
_TEXT_KEYS = ("full_name", "email", "affiliation", "access", "shell", "home", "reason", "description", "owner")
_DATE_KEYS = ("starts", "ends")
# What --set must not do, and the command that does it with all that belongs to it.
_ELSEWHERE = {
    "name": "a login name never changes; other names go under --set aliases=[...]",
    "gid": "files on every host belong to that number; edit the file by hand if no host has it yet",
    "ssh_keys": "use `./lyceum person add-key` and `remove-key`",
    "state": "use `suspend`, `resume` or `remove`",
    "migrate_uid": "use --migrate-uid together with --uid, or --unset migrate_uid",
    "members": "use `./lyceum group add-member` and `remove-member`",
}
_NOT_TOUCHED = "No host was touched; they follow with: ./lyceum {command}{option}"


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands to the command line."""
    _register_person(_subcommands(commands, "person", "add, change, suspend or remove people, and their keys"))
    _register_group(_subcommands(commands, "group", "add, change or remove groups and projects, and their members"))


def _subcommands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, purpose: str
) -> argparse._SubParsersAction[argparse.ArgumentParser]:
    parser = commands.add_parser(
        name,
        help=f"{purpose} (in the registry; no host is touched)",
        description=f"{purpose[0].upper()}{purpose[1:]}. Only the files of the registry change: comments and order "
        "stay, every change is checked together with all the rest before it is written, and is shown as a diff.",
        epilog=f"help on each: ./lyceum {name} add --help",
    )
    return parser.add_subparsers(title="commands", metavar="COMMAND", required=True)


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    function: Callable[[argparse.Namespace], int],
    purpose: str,
    examples: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        parents=[inventory_option()],
        help=purpose,
        description=f"{purpose[0].upper()}{purpose[1:]}.",
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=function)
    if not name.startswith("list"):
        parser.add_argument("--dry-run", action="store_true", help="show what would change, write nothing")
    return parser


def _register_person(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    def add(name: str, function: Callable[[argparse.Namespace], int], purpose: str, examples: str) -> Any:
        parser = _command(commands, name, function, purpose, examples)
        parser.add_argument("name", metavar="NAME", help="login name")
        return parser

    parser = add(
        "add", person_add, "add a person, with the next free uid",
        "  ./lyceum person add dlopez --full-name 'D. Lopez' --email dlopez@example.org \\\n"
        "      --affiliation researcher --group vision --key dlopez.pub --ends 2028-09-30\n"
        "  ssh-add -L | ./lyceum person add dlopez --affiliation student --key -",
    )  # fmt: skip
    _person_options(parser)
    parser.add_argument("--uid", type=int, help="this uid instead of the next free one")
    parser.add_argument("--group", action="append", default=[], metavar="GROUP", help="shared group; repeatable")
    parser.add_argument(
        "--key", action="append", default=[], metavar="FILE", help="file of public keys, or - for stdin"
    )
    parser.add_argument("--alias", action="append", default=[], metavar="NAME", help="other account name; repeatable")

    parser = add(
        "modify", person_modify, "change what the registry says about a person",
        "  ./lyceum person modify bchen --affiliation researcher --ends 2028-09-30\n"
        "  ./lyceum person modify bchen --set limits.home_gib=200 --set limits.gpu_slices=null\n"
        "  ./lyceum person modify bchen --set groups=[vision,nlp] --unset limits.tasks\n"
        "  ./lyceum person modify bchen --uid 2050 --migrate-uid",
    )  # fmt: skip
    _person_options(parser)
    _set_options(parser)
    parser.add_argument("--uid", type=int, help="another uid; needs --migrate-uid")
    parser.add_argument(
        "--migrate-uid", action="store_true", help="let the next run move the account and its files to the new uid"
    )

    parser = add(
        "suspend", person_suspend, "no login anywhere; data stays untouched",
        "  ./lyceum person suspend bchen --reason 'on leave until October'",
    )  # fmt: skip
    parser.add_argument("--reason", help="shown in reports")
    add("resume", person_resume, "undo suspend or remove", "  ./lyceum person resume bchen")
    add(
        "remove", person_remove,
        "remove a person: the entry becomes a tombstone that keeps the uid reserved; keys and memberships go away",
        "  ./lyceum person remove bchen --dry-run\n  ./lyceum person remove bchen && ./lyceum offboard bchen",
    )  # fmt: skip
    parser = add(
        "add-key", person_add_key, "add public keys; weak, private and doubled ones are refused",
        "  ./lyceum person add-key bchen laptop.pub\n  ssh-add -L | ./lyceum person add-key bchen -\n"
        "  ./lyceum person add-key bchen 'ssh-ed25519 AAAA... laptop'",
    )  # fmt: skip
    parser.add_argument("key", metavar="FILE|-|KEY", help="file of public keys, - for stdin, or the public key itself")
    parser = add(
        "remove-key", person_remove_key, "remove keys by fingerprint (see list-keys)",
        "  ./lyceum person remove-key bchen SHA256:Yb0...",
    )  # fmt: skip
    parser.add_argument("fingerprint", nargs="+", metavar="SHA256:...", help="as list-keys and ssh-keygen -l print it")
    add("list-keys", person_list_keys, "list a person's keys", "  ./lyceum person list-keys bchen")


def _person_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--full-name", help="shown in the password database")
    parser.add_argument("--email", help="e-mail address")
    parser.add_argument("--affiliation", help="student, researcher, faculty, staff, admin or one of the site's own")
    parser.add_argument("--access", choices=ACCESS, help="what a login may do; default: the affiliation's")
    parser.add_argument("--shell", help="login shell (default /bin/bash)")
    parser.add_argument("--starts", metavar="YYYY-MM-DD", help="first day")
    parser.add_argument("--ends", metavar="YYYY-MM-DD", help="last day")


def _set_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="assignments",
        help="any key of the registry, dotted inside mappings; values are YAML; repeatable",
    )  # fmt: skip
    parser.add_argument("--unset", action="append", default=[], metavar="KEY", help="remove a key; repeatable")


def _register_group(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _command(
        commands, "add", group_add, "add a group, or with --owner a project, with the next free gid",
        "  ./lyceum group add vision --description 'Computer vision'\n"
        "  ./lyceum group add retina --owner amartin --ends 2027-12-31",
    )  # fmt: skip
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("--gid", type=int, help="this gid instead of the next free one")
    parser.add_argument("--description")
    parser.add_argument("--owner", metavar="PERSON", help="makes it a project of this person")
    parser.add_argument("--ends", metavar="YYYY-MM-DD", help="last day of a project")

    parser = _command(
        commands, "modify", group_modify, "change what the registry says about a group or project",
        "  ./lyceum group modify retina --owner bchen\n  ./lyceum group modify retina --set limits.storage_gib=500",
    )  # fmt: skip
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("--description")
    parser.add_argument("--owner", metavar="PERSON", help="new owner of a project")
    parser.add_argument("--ends", metavar="YYYY-MM-DD", help="last day of a project")
    _set_options(parser)

    parser = _command(
        commands, "remove", group_remove,
        "remove a group or project: the entry becomes a tombstone that keeps the gid reserved",
        "  ./lyceum group remove vision --dry-run",
    )  # fmt: skip
    parser.add_argument("name", metavar="NAME")

    parser = _command(
        commands, "add-member", group_add_member, "put people into a group or project",
        "  ./lyceum group add-member vision bchen dlopez\n  ./lyceum group add-member retina bchen --role read",
    )  # fmt: skip
    parser.add_argument("name", metavar="GROUP", help="group or project")
    parser.add_argument("person", nargs="+", metavar="PERSON")
    parser.add_argument("--role", choices=("read", "write"), help="only for projects (default: write)")

    parser = _command(
        commands, "remove-member", group_remove_member, "take people out of a group or project",
        "  ./lyceum group remove-member vision bchen",
    )  # fmt: skip
    parser.add_argument("name", metavar="GROUP", help="group or project")
    parser.add_argument("person", nargs="+", metavar="PERSON")

    _command(commands, "list", group_list, "list groups and projects with their members", "  ./lyceum group list")


# -- people --------------------------------------------------------------------------------------------------------


def person_add(arguments: argparse.Namespace) -> int:
    """Add a person."""
    editor = _editor(arguments)
    uid = editor.add_person(
        {
            "name": arguments.name,
            "uid": arguments.uid,
            "full_name": arguments.full_name,
            "email": arguments.email,
            "affiliation": arguments.affiliation,
            "groups": arguments.group or None,
            "ssh_keys": [line for source in arguments.key for line in read_keys(source)] or None,
            "access": arguments.access,
            "shell": arguments.shell,
            "aliases": arguments.alias or None,
            "starts": _date("starts", arguments.starts),
            "ends": _date("ends", arguments.ends),
        }
    )
    _commit(editor, arguments, f"onboard {arguments.name}")
    print(f"{arguments.name} has uid {uid}.")
    if not arguments.key:
        print(f"They cannot log in before they have a key: ./lyceum person add-key {arguments.name} FILE.pub")
    return 0


def person_modify(arguments: argparse.Namespace) -> int:
    """Change keys of a person."""
    editor = _editor(arguments)
    person = editor.entry("people", arguments.name)
    options = {
        key: getattr(arguments, key)
        for key in ("full_name", "email", "affiliation", "access", "shell", "starts", "ends")
        if getattr(arguments, key) is not None
    }
    changes = [*options.items(), *_assignments(arguments)]
    uid = int(dict(changes).pop("uid", arguments.uid) or 0)
    changes = [(key, value) for key, value in changes if key != "uid"]
    if uid and uid != person.get("uid"):
        if not arguments.migrate_uid:
            raise LyceumError(
                f"The uid of {arguments.name} is {person.get('uid')}: files, ACLs and subordinate ids on every host "
                f"belong to that number. To have them moved to {uid} by the next run, add --migrate-uid."
            )
        changes += [("uid", uid), ("migrate_uid", True)]
    elif arguments.migrate_uid:
        raise LyceumError("--migrate-uid goes together with --uid and a number other than the present one.")
    _apply(editor, "people", arguments.name, changes, arguments.unset)
    _commit(editor, arguments, f"onboard {arguments.name}")
    return 0


def person_suspend(arguments: argparse.Namespace) -> int:
    """Suspend a person."""
    editor = _editor(arguments)
    editor.suspend(arguments.name, arguments.reason)
    _commit(editor, arguments, f"offboard {arguments.name}")
    return 0


def person_resume(arguments: argparse.Namespace) -> int:
    """Undo suspend or remove, and say what still keeps the person out."""
    editor = _editor(arguments)
    editor.resume(arguments.name)
    _commit(editor, arguments, f"onboard {arguments.name}")
    person = Registry.from_raw({"people": [editor.entry("people", arguments.name)]}, today=editor.today).people[0]
    state, reason = person.effective_state(editor.today)
    if state != "present":
        print(f"{arguments.name} is {state} all the same: {reason}. ./lyceum person modify changes the dates.")
    elif not person.ssh_keys:
        print(f"{arguments.name} has no key: ./lyceum person add-key {arguments.name} FILE.pub")
    return 0


def person_remove(arguments: argparse.Namespace) -> int:
    """Turn a person into a tombstone."""
    editor = _editor(arguments)
    editor.remove_person(arguments.name)
    _commit(editor, arguments, f"offboard {arguments.name}")
    return 0


def person_add_key(arguments: argparse.Namespace) -> int:
    """Add public keys to a person."""
    editor = _editor(arguments)
    editor.add_keys(arguments.name, read_keys(arguments.key))
    _commit(editor, arguments, f"onboard {arguments.name}")
    return 0


def person_remove_key(arguments: argparse.Namespace) -> int:
    """Remove keys of a person."""
    editor = _editor(arguments)
    editor.remove_keys(arguments.name, arguments.fingerprint)
    _commit(editor, arguments, f"onboard {arguments.name}")
    return 0


def person_list_keys(arguments: argparse.Namespace) -> int:
    """Print a person's keys; a line that is no valid key is named as such."""
    rows = [
        (key.fingerprint, key.type, str(key.bits), key.comment) if key else ("not a valid key", "-", "-", "")
        for _, key in _editor(arguments).keys_of(arguments.name)
    ]
    print("\n".join(table(rows)) if rows else f"{arguments.name} has no keys")
    return 0


def read_keys(source: str) -> list[str]:
    """The keys in a file, on standard input (-), or in the argument itself. LyceumError for what is not acceptable."""
    if source == "-":
        text = sys.stdin.read()
    elif " " in source or sshkeys.is_private(source):
        text = source
    else:
        try:
            text = Path(source).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise LyceumError(f"The key file {source} cannot be read: {error}") from error
    try:
        found = [key.line for key in sshkeys.parse_many(text)]
    except sshkeys.SshKeyError as error:
        raise LyceumError(f"The key is not taken: {error}. {error.remedy}") from error
    if not found:
        raise LyceumError(f"There is no key in {'the input' if source == '-' else source}.")
    return found


# -- groups --------------------------------------------------------------------------------------------------------


def group_add(arguments: argparse.Namespace) -> int:
    """Add a group or project."""
    editor = _editor(arguments)
    entry = {"name": arguments.name, "gid": arguments.gid, "description": arguments.description}
    if arguments.owner is None and arguments.ends is not None:
        raise LyceumError("Only a project ends; make it one with --owner PERSON.")
    if arguments.owner is not None:
        entry |= {"owner": arguments.owner, "ends": _date("ends", arguments.ends)}
    kind = "groups" if arguments.owner is None else "projects"
    gid = editor.add_group(kind, entry)
    _commit(editor, arguments, "site")
    print(f"{arguments.name} has gid {gid}.")
    return 0


def group_modify(arguments: argparse.Namespace) -> int:
    """Change keys of a group or project."""
    editor = _editor(arguments)
    section = editor.section_of(arguments.name)
    options = {key: getattr(arguments, key) for key in ("description", "owner", "ends")}
    changes = [*((key, value) for key, value in options.items() if value is not None), *_assignments(arguments)]
    _apply(editor, section, arguments.name, changes, arguments.unset)
    owner = dict(changes).get("owner")
    if owner in (editor.entry(section, arguments.name).get("members") or {}):
        editor.unset(section, arguments.name, ("members", str(owner)))
    _commit(editor, arguments, "site")
    return 0


def group_remove(arguments: argparse.Namespace) -> int:
    """Turn a group or project into a tombstone."""
    editor = _editor(arguments)
    editor.remove_group(arguments.name)
    _commit(editor, arguments, "site")
    return 0


def group_add_member(arguments: argparse.Namespace) -> int:
    """Put people into a group or project."""
    editor = _editor(arguments)
    for person in arguments.person:
        editor.add_member(arguments.name, person, arguments.role)
    _commit(editor, arguments, "site")
    return 0


def group_remove_member(arguments: argparse.Namespace) -> int:
    """Take people out of a group or project."""
    editor = _editor(arguments)
    for person in arguments.person:
        editor.remove_member(arguments.name, person)
    _commit(editor, arguments, "site")
    return 0


def group_list(arguments: argparse.Namespace) -> int:
    """Print groups and projects in one table."""
    editor = _editor(arguments)
    rows = [("NAME", "GID", "KIND", "STATE", "MEMBERS")]
    for group in editor.entries("groups"):
        name = str(group.get("name"))
        members = [
            str(person.get("name")) for person in editor.entries("people") if name in (person.get("groups") or [])
        ]
        rows.append((name, str(group.get("gid")), "group", str(group.get("state") or "present"), ", ".join(members)))
    for project in editor.entries("projects"):
        members = [f"{project.get('owner')} (owner)"]
        members += [f"{person} ({role})" for person, role in (project.get("members") or {}).items()]
        state = str(project.get("state") or "present")
        rows.append((str(project.get("name")), str(project.get("gid")), "project", state, ", ".join(members)))
    print("\n".join(table(rows)))
    return 0


# -- common --------------------------------------------------------------------------------------------------------


def _editor(arguments: argparse.Namespace) -> Editor:
    return Editor(inventory(arguments), today=date.today())


def _commit(editor: Editor, arguments: argparse.Namespace, command: str) -> None:
    outcome = editor.commit(dry_run=arguments.dry_run)
    print(outcome.diff, end="")
    for warning in outcome.warnings:
        print(warning)
    if not outcome.diff:
        print("Nothing to change: the registry says so already.")
    elif not outcome.written:
        print("Dry run: nothing was written.")
    else:
        option = "" if arguments.inventory == LAB_INVENTORY else f" -i {arguments.inventory}"
        print(f"Wrote {', '.join(shown(file) for file in outcome.files)}.")
        print(_NOT_TOUCHED.format(command=command, option=option))


def _apply(editor: Editor, section: str, name: str, changes: Sequence[tuple[str, Any]], unset: Sequence[str]) -> None:
    for key, value in changes:
        path = key.split(".")
        if value == "":
            editor.unset(section, name, path)
        else:
            editor.set(section, name, path, _date(key, value) if key in _DATE_KEYS else value)
    for key in unset:
        _refuse_elsewhere(key, unset=True)
        editor.unset(section, name, key.split("."))


def _assignments(arguments: argparse.Namespace) -> list[tuple[str, Any]]:
    """(key, value) of each --set; values are read as YAML, except where the registry wants text or a date."""
    found: list[tuple[str, Any]] = []
    for text in arguments.assignments:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise LyceumError(f"--set {text!r}: KEY=VALUE is wanted, for example limits.home_gib=200.")
        _refuse_elsewhere(key)
        if key not in (*_TEXT_KEYS, *_DATE_KEYS) and value != "":
            try:
                value = yaml.safe_load(value)
            except yaml.YAMLError as error:
                raise LyceumError(f"--set {text!r}: the value is not YAML: {' '.join(str(error).split())}") from error
        found.append((key, value))
    return found


def _refuse_elsewhere(key: str, *, unset: bool = False) -> None:
    first = key.split(".")[0]
    if first in _ELSEWHERE and not (unset and first == "migrate_uid"):
        raise LyceumError(f"{key} is not changed this way: {_ELSEWHERE[first]}.")
    if unset and first == "uid":
        raise LyceumError(f"{key} cannot be removed: it says whose the files are.")


def _date(key: str, text: str | None) -> date | None:
    try:
        return parse_date(text)
    except ValueError as error:
        raise LyceumError(f"{key}: {text!r} is not a date; write it as YYYY-MM-DD, for example 2027-09-30.") from error
