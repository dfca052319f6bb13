#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: nobody is in a group that is as good as root."""

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_group
short_description: Find, and if asked remove, members of groups that are as good as root
description:
  - Who may talk to a root Docker daemon is root on the host. This names everybody in such a group who is no admin.
  - With O(policy=remove) they are taken out; sessions that have begun keep the group until they end.
options:
  groups:
    description: Names of the groups. Those that do not exist are fine.
    type: list
    elements: str
    default: [docker]
  admins:
    description: Login names that may be in them.
    type: list
    elements: str
    default: []
  person:
    description: Look at nobody but this person. Empty for everybody.
    type: str
    default: ''
  policy:
    description: Whether others are only reported or taken out. Nobody's primary group is changed.
    type: str
    choices: [report, remove]
    default: report
attributes:
  check_mode:
    support: full
    description: The plan is the same; nobody is taken out.
  diff_mode:
    support: full
    description: The memberships before and after.
  idempotent:
    support: full
    description: A second run plans nothing.
author: Lyceum (@lyceum)
"""

EXAMPLES = r"""
- name: Ensure nobody but the admins can reach a root Docker daemon
  docker_group:
    admins: [amartin]
    policy: remove
"""

RETURN = r"""
drift:
  description: Who is in a group without being an admin, one sentence each, before the module took anybody out.
  returned: always
  type: list
  elements: str
  sample: ["group docker is as good as root: bchen is a member and is no admin of the registry"]
actions:
  description: What was (in check mode, would be) done, one sentence each.
  returned: always
  type: list
  elements: str
  sample: ["take bchen out of group docker"]
lyceum:
  description: Results by person for the run's table and audit log.
  returned: always
  type: dict
  sample: {kind: docker group, results: {}, unchanged: [], unmanaged: [], conflicts: []}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lyceum.containers import docker_group
from ansible.module_utils.lyceum.errors import LyceumError

ARGUMENT_SPEC: dict[str, Any] = {
    "groups": {"type": "list", "elements": "str", "default": ["docker"]},
    "admins": {"type": "list", "elements": "str", "default": []},
    "person": {"type": "str", "default": ""},
    "policy": {"type": "str", "choices": ["report", "remove"], "default": "report"},
}


def run(params: dict[str, Any], *, check: bool, with_diff: bool) -> dict[str, Any]:
    """observe, plan, apply, verify."""
    drift = _observe(params)
    todo = docker_group.removable(drift) if params["policy"] == "remove" else []
    failures: dict[str, str] = {}
    if todo and not check:
        for item in todo:
            try:
                docker_group.remove(item)
            except LyceumError as exc:
                failures[item.name] = str(exc)
        left = set(_observe(params))
        for item in todo:
            if item in left:
                failures.setdefault(item.name, f"still in group {item.group}")
    return _result(drift, todo, failures, with_diff=with_diff)


def _observe(params: dict[str, Any]) -> list[docker_group.Membership]:
    found = docker_group.observe(params["groups"], params["admins"])
    return [item for item in found if params["person"] in ("", item.name)]


def _result(
    drift: list[docker_group.Membership],
    todo: list[docker_group.Membership],
    failures: dict[str, str],
    *,
    with_diff: bool,
) -> dict[str, Any]:
    result: dict[str, Any] = {
        "changed": bool(todo),
        "drift": [item.sentence for item in drift],
        "actions": [f"take {item.name} out of group {item.group}" for item in todo],
        "lyceum": {
            "kind": "docker group",
            "results": {
                item.name: {
                    "result": "failed" if item.name in failures else "changed",
                    "actions": [f"take {one.name} out of group {one.group}" for one in todo if one.name == item.name],
                    "error": failures.get(item.name),
                }
                for item in todo
            },
            "unchanged": [],
            "unmanaged": [item.sentence for item in drift if item not in todo],
            "conflicts": [],
        },
    }
    if failures:
        result["msg"] = "; ".join(f"{name}: {error}" for name, error in sorted(failures.items()))
        result["failed"] = True
    if with_diff:
        before = "".join(f"{item.group}: {item.name}\n" for item in drift)
        after = "".join(f"{item.group}: {item.name}\n" for item in drift if item not in todo)
        result["diff"] = {"before": before, "after": after}
    return result


def main() -> None:
    """Translate parameters to the core and its result back."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    result = run(module.params, check=module.check_mode, with_diff=module._diff)
    if result.pop("failed", False):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
