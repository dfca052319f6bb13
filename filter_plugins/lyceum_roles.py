# SPDX-License-Identifier: GPL-3.0-or-later
"""Small helpers of roles and playbooks: check names, reshape lists. They know nothing of the registry's rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import ansible.module_utils

_CORE = str(Path(__file__).resolve().parent.parent / "module_utils")
if _CORE not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(_CORE)

from ansible.errors import AnsibleFilterError  # noqa: E402
from ansible.module_utils.lyceum import proof, report  # noqa: E402


def unknown_role_variables(names: Iterable[str], known: Iterable[str], prefix: str) -> list[str]:
    """One sentence for each variable name that the role does not have, with a suggestion where one is close.

    Ansible itself accepts `accounts_grups: []` without a word and works with the default.
    """
    # Without the common prefix, which would make every name look alike.
    options = {option.removeprefix(prefix): option for option in known}
    sentences = []
    for name in sorted(set(names) - set(options.values())):
        close = get_close_matches(name.removeprefix(prefix), options, n=1, cutoff=0.6)
        remedy = f"did you mean {options[close[0]]}?" if close else "there is nothing like it; see the role's README."
        sentences.append(f"Unknown variable {name}: {remedy}")
    return sentences


def pick(items: Iterable[Mapping[str, Any]], keys: Sequence[str]) -> list[dict[str, Any]]:
    """The items with only these keys; a key that an item lacks stays away."""
    return [{key: item[key] for key in keys if key in item} for item in items]


def expected_of_sshd(users: Iterable[str], options: Mapping[str, str]) -> list[dict[str, Any]]:
    """The `expect` parameter of sshd_dropin: for each of these users the same effective options."""
    return [{"user": user, "options": dict(options)} for user in users]


def host_package(packages: Iterable[str], role: str) -> list[dict[str, str]]:
    """The `files` parameter of managed_files: parts of the core as a Python package `lyceum` for tools on the host.

    packages: modules or packages of module_utils/lyceum. It lies in /usr/local/lib/lyceum/<role>, so that no role ever
    meets another's version. AnsibleFilterError for a name that does not exist.
    """
    core = Path(_CORE) / "lyceum"
    sources = [core / f"{name}.py" for name in ("__init__", "errors", "files")]
    for name in packages:
        found = [core / f"{name}.py"] if (core / f"{name}.py").is_file() else sorted((core / name).glob("*.py"))
        if not found:
            raise AnsibleFilterError(f"host_package: there is no {name!r} in {core}.")
        sources += found
    return [
        {"path": f"/usr/local/lib/lyceum/{role}/lyceum/{path.relative_to(core)}", "content": path.read_text()}
        for path in dict.fromkeys(sources)
    ]


def person_problem(people: Iterable[Mapping[str, Any]], name: str, purpose: str) -> str:
    """Why `purpose` ("onboard" or "offboard") cannot be done for this person, and what can; "" when nothing is wrong.

    people: the whole registry as `registry_for('accounts')` gives it.
    """
    by_name = {str(person["name"]): person for person in people}
    if not name:
        return f"Say who: -e person=NAME (./lyceum {purpose} NAME)."
    if name not in by_name:
        close = get_close_matches(name, by_name, n=1, cutoff=0.6)
        hint = f" Did you mean {close[0]}?" if close else ""
        return f"There is nobody called {name} in the registry.{hint} `./lyceum person add` adds somebody."
    state, reason = str(by_name[name]["state"]), str(by_name[name].get("reason") or "")
    because = "" if not reason or state in reason else f" ({reason})"
    if purpose == "onboard" and state != "present":
        return (
            f"{name} is {state} in the registry{because}. "
            f"`./lyceum offboard {name}` carries that out on the hosts, `./lyceum person modify {name}` changes it."
        )
    if purpose == "offboard" and state == "present":
        return (
            f"{name} is present in the registry, so the next run would bring the account back. "
            f"Say first what is meant: `./lyceum person suspend {name}` (keeps the data) "
            f"or `./lyceum person remove {name}` (archives it)."
        )
    return ""


def proof_table(verdicts: Iterable[Mapping[str, Any]]) -> str:
    """The table of what the provers of all hosts wrote, as one text."""
    return "\n".join(proof.lines(proof.Verdict.from_dict(verdict) for verdict in verdicts))


def hosts_report(
    hosts: Mapping[str, Mapping[str, Any]], now: str, sections: Mapping[str, Sequence[Mapping[str, Any]]] | None = None
) -> dict[str, Any]:
    """The report as data, see module_utils/lyceum/report.py. now: ISO time in UTC."""
    return report.compose(hosts, sections, now=datetime.fromisoformat(now))


def hosts_report_text(composed: Mapping[str, Any]) -> str:
    """The same as one text."""
    return "\n".join(report.text(composed))


class FilterModule:
    """Jinja filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "expected_of_sshd": expected_of_sshd,
            "host_package": host_package,
            "hosts_report": hosts_report,
            "hosts_report_text": hosts_report_text,
            "person_problem": person_problem,
            "pick": pick,
            "proof_table": proof_table,
            "unknown_role_variables": unknown_role_variables,
        }
