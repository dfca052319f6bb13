# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters over the registry. They only translate between Ansible and `module_utils/lyceum/registry`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import ansible.module_utils
from ansible.errors import AnsibleFilterError

_CORE = str(Path(__file__).resolve().parent.parent / "module_utils")
if _CORE not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(_CORE)

from ansible.module_utils.lyceum.errors import LyceumError  # noqa: E402
from ansible.module_utils.lyceum.registry import projection  # noqa: E402
from ansible.module_utils.lyceum.registry.model import VARIABLES, parse_date  # noqa: E402
from ansible.module_utils.lyceum.registry.positions import DataPath  # noqa: E402

DOCUMENTATION = r"""
name: registry_for
short_description: What one role sees of the registry
description:
  - Projects the registry to the entries and keys one role works with. Dates, access profiles and states are decided.
  - The registry must be valid; C(playbooks/validate.yml) sees to it.
positional: _input, role
options:
  _input:
    description: The variable C(lyceum_registry).
    type: dict
    required: true
  role:
    description: Who asks, for example V(accounts), V(accounts_groups) or V(cgroups).
    type: str
    required: true
  only:
    description: A name, or a list of names, of the people wanted. All of them without it.
    type: raw
  extra_keys:
    description: Person's name to list of further public keys, as in C(lyceum_proof_keys).
    type: dict
  allowed_groups:
    description: Groups or projects whose members may use the host. Everybody may when it is empty.
    type: list
    elements: str
  profiles:
    description: Access profiles that the host serves. Whoever has another one is kept out.
    type: list
    elements: str
    default: [shell]
"""

EXAMPLES = r"""
accounts_people: "{{ lyceum_registry | registry_for('accounts') }}"
one_person: "{{ lyceum_registry | registry_for('accounts', only='amartin') }}"
"""

RETURN = r"""
_value:
  description: One mapping for each entry, in the order of the registry; for V(groups_and_acls) and V(containers) such
    lists by name.
  type: raw
"""


def registry_for(
    registry: Any,
    role: Any,
    only: Any = None,
    extra_keys: Any = None,
    allowed_groups: Any = None,
    profiles: Any = ("shell",),
) -> Any:
    """See DOCUMENTATION. AnsibleFilterError with one sentence for anything that cannot be served."""
    raw = _raw(registry, "registry_for")
    today = _today(raw)
    names = _plain(only)
    if not isinstance(names, (str, list, type(None))):
        raise AnsibleFilterError(f"registry_for: `only` must be a name or a list of names, not {names!r}.")
    keys, groups, served = _plain(extra_keys or {}), _plain(allowed_groups or []), _plain(profiles)
    if not isinstance(keys, dict) or not isinstance(groups, list) or not isinstance(served, list):
        raise AnsibleFilterError(
            "registry_for: `extra_keys` must be a mapping, `allowed_groups` and `profiles` must be lists."
        )
    # `from None` below: Ansible appends the message of a cause to the sentence that already says it.
    try:
        return projection.registry_for(
            raw, str(role), today=today, only=names, extra_keys=keys, allowed_groups=groups, profiles=served
        )
    except LyceumError as exc:
        raise AnsibleFilterError(str(exc)) from None
    except (LookupError, TypeError, ValueError, AttributeError):
        # Imported here and below because every task's worker imports this file anew: the validator's libraries would
        # cost each use of the filter as much again as its work on 1,000 people.
        from ansible.module_utils.lyceum.registry import validate

        # Projecting checks nothing, which is what makes it quick: an invalid registry ends here, and is explained.
        wrong = validate.errors(validate.problems(raw, today=today))
        if not wrong:
            raise
        raise AnsibleFilterError(f"The registry is not valid (see ./lyceum validate): {wrong[0]}") from None


def registry_problems(registry: Any, inventory_dir: Any = None, severity: str = "error") -> list[str]:
    """Everything that is wrong with `lyceum_registry`, one line each.

    inventory_dir: folder whose group_vars/all holds the registry; with it each line begins with file and line number.
    severity: "error" (what must stop a run) or "warning".
    """
    from ansible.module_utils.lyceum.registry import load, validate

    raw = _raw(registry, "registry_problems")
    if severity not in (validate.ERROR, validate.WARNING):
        raise AnsibleFilterError(f"registry_problems: severity must be 'error' or 'warning', not {severity!r}.")
    found: list[validate.Problem] = []
    locate: Callable[[DataPath], str] | None = None
    loaded = load.read(str(inventory_dir)) if inventory_dir else None
    if loaded is not None and loaded.defined_in:
        found += loaded.problems
        # A section that came from elsewhere (-e, another inventory) must not be given the line numbers of these files.
        same = {section for section in loaded.raw if loaded.raw[section] == raw.get(section)}
        from_files = loaded.locate

        def locate(path: DataPath) -> str:
            return from_files(path) if path[0] in same else ""

    found += validate.problems(raw, today=_today(raw), locate=locate)
    return [str(problem) for problem in found if problem.severity == severity]


def _raw(registry: Any, caller: str) -> dict[str, Any]:
    if not isinstance(registry, Mapping) or "people" not in registry:
        raise AnsibleFilterError(
            f"{caller} works on the variable lyceum_registry: write `lyceum_registry | {caller}...`. "
            f"It got {type(registry).__name__.replace('_AnsibleLazyTemplate', '').lower()} without `people`."
        )
    plain = _plain(registry)
    # What no file sets has an empty default in group_vars/all/registry.yml and counts as not set.
    return {key: plain[key] for key in (*VARIABLES, "today") if plain.get(key) not in (None, {}, [], False)}


def _today(raw: Mapping[str, Any]) -> date:
    try:
        today = parse_date(raw.get("today"))
    except (TypeError, ValueError):
        raise AnsibleFilterError(f"lyceum_today must be a date as YYYY-MM-DD, not {raw['today']!r}.") from None
    if today is None:
        raise AnsibleFilterError("lyceum_registry.today is missing: use lyceum_registry as group_vars/all defines it.")
    return today


def _plain(value: Any) -> Any:
    """The value without Ansible's tags and lazy containers: converted once, each later access is ten times cheaper."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Mapping):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, bytes):
        return [_plain(item) for item in value]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, date):
        return value.isoformat()
    return value


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"registry_for": registry_for, "registry_problems": registry_problems}
