#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: many small files from one list."""

from __future__ import annotations

DOCUMENTATION = r"""
module: managed_files
short_description: Make many small files match one list
description:
  - Takes the content of all files of a role (settings, systemd units, tools, one policy file per person) in one call.
  - Each file is replaced in one step once all new ones are on the disk; a killed run leaves every file old or new.
  - Meant for root-owned directories. Links at a listed path are replaced, never followed.
options:
  files:
    description: The files.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path.
        type: str
        required: true
      content:
        description: The whole content. Needed unless O(files[].state=absent).
        type: str
      mode:
        description: Permission bits, in octal.
        type: str
        default: '0644'
      owner:
        description: Owner, by name or number.
        type: str
        default: root
      group:
        description: Group, by name or number.
        type: str
        default: root
      state:
        description: Whether the file exists.
        type: str
        choices: [present, absent]
        default: present
      person:
        description: Login name of whom the file is about; the result is then listed for this person.
        type: str
      secret:
        description: Keep the content out of diffs. Such a task needs C(no_log), too; logs have what it was called with.
        type: bool
        default: false
  directories:
    description: Directories to make first. Those above them and above files are made with mode 0755.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path.
        type: str
        required: true
      mode:
        description: Permission bits, in octal.
        type: str
        default: '0755'
      owner:
        description: Owner, by name or number.
        type: str
        default: root
      group:
        description: Group, by name or number.
        type: str
        default: root
  exclusive:
    description: Where nothing but O(files) may exist; other files that match are removed, directories are left alone.
      A diff shows the content of a removed file if everybody could read it.
    type: list
    elements: dict
    default: []
    suboptions:
      directory:
        description: Absolute path.
        type: str
        required: true
      pattern:
        description: Shell pattern of file names.
        type: str
        default: '*'
attributes:
  check_mode:
    support: full
    description: The plan is the same; nothing is written.
  diff_mode:
    support: full
    description: One diff per file; the content of secret files is left out.
  idempotent:
    support: full
    description: A second run plans nothing.
author: Lyceum (@lyceum)
"""

EXAMPLES = r"""
- name: Ensure the tool and its settings
  managed_files:
    directories:
      - {path: /etc/lyceum/containers.d, mode: '0700'}
    files:
      - {path: /etc/lyceum/containers.d/amartin.json, content: '{"containers": 2}', mode: '0600', person: amartin}
      - {path: /etc/cron.d/old-limits, state: absent}
    exclusive:
      - {directory: /etc/lyceum/containers.d, pattern: '*.json'}
"""

RETURN = r"""
actions:
  description: What was (in check mode, would be) done, one sentence each.
  returned: always
  type: list
  elements: str
  sample: ["create /etc/lyceum/containers.d/amartin.json"]
changed_paths:
  description: The paths concerned, to decide what has to be reloaded.
  returned: always
  type: list
  elements: str
  sample: [/etc/lyceum/containers.d/amartin.json]
lyceum:
  description: Results by person, for the run's table and audit log.
  returned: always
  type: dict
  sample: {kind: files, results: {}, unchanged: [amartin], unmanaged: [], conflicts: []}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lyceum import managed_files
from ansible.module_utils.lyceum.errors import LyceumError

ARGUMENT_SPEC: dict[str, Any] = {
    "files": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "str", "required": True},
            "content": {"type": "str", "no_log": False},
            "mode": {"type": "str", "default": "0644"},
            "owner": {"type": "str", "default": "root"},
            "group": {"type": "str", "default": "root"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "person": {"type": "str"},
            "secret": {"type": "bool", "default": False, "no_log": False},
        },
    },
    "directories": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "str", "required": True},
            "mode": {"type": "str", "default": "0755"},
            "owner": {"type": "str", "default": "root"},
            "group": {"type": "str", "default": "root"},
        },
    },
    "exclusive": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"directory": {"type": "str", "required": True}, "pattern": {"type": "str", "default": "*"}},
    },
}


def main() -> None:
    """Translate parameters to the core and its outcome back."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    try:
        desired = managed_files.Desired.from_params(module.params)
        outcome = managed_files.run(desired, check=module.check_mode)
    except LyceumError as exc:
        module.fail_json(msg=str(exc), **exc.details)
    else:
        result = managed_files.result(desired, outcome, with_diff=module._diff)
        if outcome.failures:
            module.fail_json(**result)
        module.exit_json(**result)


if __name__ == "__main__":
    main()
