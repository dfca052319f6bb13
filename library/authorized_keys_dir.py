#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: the root-owned directory of authorized keys."""

from __future__ import annotations

DOCUMENTATION = r"""
module: authorized_keys_dir
short_description: Own the authorized keys of all people in one directory
description:
  - Makes a directory of root-owned files, one per person, hold exactly the keys of the list, in one call.
  - sshd has to read it with C(AuthorizedKeysFile /etc/ssh/authorized_keys.d/%u), see M(sshd_dropin).
options:
  directory:
    description: The directory.
    type: str
    default: /etc/ssh/authorized_keys.d
  people:
    description: The people and their keys.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Login name.
        type: str
        required: true
      ssh_keys:
        description: Lines of authorized_keys(5), each one key. An empty list takes every key away.
        type: list
        elements: str
        default: []
  complete:
    description: Whether files of people who are not listed are removed (except those in O(keep)).
    type: bool
    default: true
  keep:
    description: Accounts that must never be left without a key, such as the one Ansible connects as.
    type: list
    elements: str
    default: []
  adopt:
    description: Accounts that get the keys of their own ~/.ssh/authorized_keys if they have no file here yet;
      kept like O(keep).
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
    description: The plan is the same; nothing is written.
  diff_mode:
    support: full
    description: One diff per person, with fingerprints.
  idempotent:
    support: full
    description: A second run plans nothing.
author: Lyceum (@lyceum)
"""

EXAMPLES = r"""
- name: Ensure the keys of two people, and those of root as they are
  authorized_keys_dir:
    adopt: [root]
    keep: [root]
    people:
      - name: amartin
        ssh_keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJpoOp+ye4SBK6rPlFQEnF5hH6UPv2qD4W7eAnUXmoKq laptop"]
      - {name: fmoreau, ssh_keys: []}
"""

RETURN = r"""
actions:
  description: What was (in check mode, would be) done, one sentence each, keys by fingerprint.
  returned: always
  type: list
  elements: str
  sample: ["amartin: add key SHA256:ElCdD+s1PeGUeVuuwdo5WqnZbLUDNyoSQHL0JkFIjNA ssh-ed25519 laptop"]
lyceum:
  description: Results by person for the run's table and audit log.
  returned: always
  type: dict
  sample: {kind: keys, results: {}, unchanged: [amartin], unmanaged: [], conflicts: []}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.sshd import keys

ARGUMENT_SPEC: dict[str, Any] = {
    "directory": {"type": "str", "default": "/etc/ssh/authorized_keys.d"},
    "people": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            # Public keys: the word "key" makes Ansible think of secrets.
            "ssh_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
        },
    },
    "complete": {"type": "bool", "default": True},
    "keep": {"type": "list", "elements": "str", "default": []},
    "adopt": {"type": "list", "elements": "str", "default": []},
}


def run(params: dict[str, Any], *, check: bool, with_diff: bool) -> dict[str, Any]:
    """observe, plan, apply, verify. Raises LyceumError."""
    spec = keys.KeysSpec.from_params(params)
    todo = keys.plan(spec, keys.observe(spec))
    failures: dict[str, str] = {}
    if todo.changed and not check:
        failures = keys.apply(spec, todo)
        left = keys.plan(spec, keys.observe(spec))
        failures.update({name: "written, yet still different" for name in left.changes if name not in failures})
    return _result(todo, failures, with_diff=with_diff)


def _result(todo: keys.KeysPlan, failures: dict[str, str], *, with_diff: bool) -> dict[str, Any]:
    actions = ["make the directory root's, mode 0755"] if todo.make_directory else []
    actions += [f"{change.name}: {action}" for change in todo.changes.values() for action in change.actions]
    result: dict[str, Any] = {
        "changed": todo.changed,
        "actions": actions,
        "lyceum": {
            "kind": "keys",
            "results": {
                change.name: {
                    "result": "failed" if change.name in failures else "changed",
                    "actions": change.actions,
                    "error": failures.get(change.name),
                }
                for change in todo.changes.values()
            },
            "unchanged": todo.unchanged,
            "unmanaged": [
                f"account {name} has keys in its home, where sshd does not look; if it needs them: accounts_admins"
                for name in todo.shut_out
            ],
            "conflicts": [],
        },
    }
    if failures:
        result["msg"] = "; ".join(f"{name}: {error}" for name, error in sorted(failures.items()))
        result["failed"] = True
    if with_diff:
        result["diff"] = [
            {
                "before_header": change.name,
                "after_header": change.name,
                "before": "".join(f"{keys.fingerprint(line)}\n" for line in change.before),
                "after": "".join(f"{keys.fingerprint(line)}\n" for line in change.after),
            }
            for change in todo.changes.values()
        ]
    return result


def main() -> None:
    """Translate parameters to the core and its result back."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    try:
        result = run(module.params, check=module.check_mode, with_diff=module._diff)
    except LyceumError as exc:
        module.fail_json(msg=str(exc), **exc.details)
    else:
        if result.pop("failed", False):
            module.fail_json(**result)
        module.exit_json(**result)


if __name__ == "__main__":
    main()
