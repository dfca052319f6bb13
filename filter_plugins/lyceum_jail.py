# SPDX-License-Identifier: GPL-3.0-or-later
"""What role sshd_jail needs of the core on the controller."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ansible.module_utils
from ansible.errors import AnsibleFilterError

_CORE = str(Path(__file__).resolve().parent.parent / "module_utils")
if _CORE not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(_CORE)

from ansible.module_utils.lyceum.errors import LyceumError  # noqa: E402
from ansible.module_utils.lyceum.sshd import profiles, report  # noqa: E402


def jail_blocks(forwarding: bool) -> dict[str, dict[str, str]]:
    """sshd's options of each confined profile, as they are written in sshd_config."""
    return profiles.blocks(forwarding=forwarding)


def jail_expectations(people: Iterable[Sequence[str]], forwarding: bool) -> list[dict[str, Any]]:
    """The `expect` parameter of sshd_dropin for pairs of name and profile."""
    return profiles.expectations([(name, profile) for name, profile in people], forwarding=forwarding)


def jail_policies(
    people: Iterable[Mapping[str, Any]],
    directory: str,
    *,
    projects: str,
    scratch: str,
    write: Sequence[str],
    read: Sequence[str],
) -> list[dict[str, Any]]:
    """The `files` parameter of managed_files: what each confined person may see, and no file for everybody else."""
    people = list(people)
    found = profiles.policies(people, projects=projects, scratch=scratch, write=write, read=read)
    return [
        {
            "path": f"{directory}/{person['name']}.json",
            "person": person["name"],
            **(
                {"content": json.dumps(found[person["name"]]) + "\n", "mode": "0640", "group": str(person["gid"])}
                if person["name"] in found
                else {"state": "absent"}
            ),
        }
        for person in people
    ]


def jail_certificate_file(certificate: str) -> str:
    """Where a certificate of a host key belongs."""
    try:
        return profiles.certificate_file(certificate)
    except LyceumError as exc:
        raise AnsibleFilterError(str(exc)) from None


def jail_certificate_files(certificates: Iterable[str]) -> list[dict[str, Any]]:
    """The `files` parameter of managed_files for certificates of host keys. Those of others are left alone."""
    return [{"path": jail_certificate_file(one), "content": f"{one.strip()}\n"} for one in certificates]


def jail_principal_files(
    people: Iterable[Mapping[str, Any]], directory: str, others: Mapping[str, Sequence[str]], enabled: bool
) -> list[dict[str, Any]]:
    """The `files` parameter of managed_files: whom a certificate may name to get in, for each person."""
    people = list(people)
    found = profiles.principals(people, others) if enabled else {}
    gone = [person["name"] for person in people if person["name"] not in found]
    return [
        *({"path": f"{directory}/{name}", "content": "".join(f"{one}\n" for one in found[name])} for name in found),
        *({"path": f"{directory}/{name}", "state": "absent", "person": name} for name in gone),
    ]


def jail_exempt(listed: Iterable[str], controller: str) -> list[str]:
    """Addresses and networks that are never shut out, the controller's among them."""
    try:
        return profiles.exempt(listed, controller)
    except LyceumError as exc:
        raise AnsibleFilterError(str(exc)) from None


def jail_misplaced(
    people: Iterable[Mapping[str, Any]],
    passwd: Mapping[str, Sequence[str]],
    group: Mapping[str, Sequence[str]],
) -> list[str]:
    """Sentences about people whose account does not confine them; passwd and group are facts of the module getent."""
    shells = {name: fields[-1] for name, fields in passwd.items()}
    members = {name: str(fields[-1] or "").split(",") for name, fields in group.items()}
    return profiles.misplaced(people, shells, members)


def jail_report(
    people: Iterable[Mapping[str, Any]],
    *,
    journal: Iterable[str],
    bans: Iterable[str],
    never: Iterable[str],
    notes: Iterable[str],
) -> list[dict[str, Any]]:
    """Sections of the report, see module_utils/lyceum/sshd/report.py."""
    return report.sections(people, journal, bans, never, notes)


class FilterModule:
    """Jinja filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "jail_blocks": jail_blocks,
            "jail_certificate_file": jail_certificate_file,
            "jail_certificate_files": jail_certificate_files,
            "jail_exempt": jail_exempt,
            "jail_expectations": jail_expectations,
            "jail_misplaced": jail_misplaced,
            "jail_policies": jail_policies,
            "jail_principal_files": jail_principal_files,
            "jail_report": jail_report,
        }
