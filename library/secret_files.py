#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: secrets that a service invents on its host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: secret_files
short_description: Make secrets on the host that are never made again
description:
  - Makes each file with random content, once. What is there is kept, whatever is in it; owner and mode are put right.
  - Nobody learns the content, neither the controller nor a log. An empty file is an error and is not filled.
options:
  files:
    description: The files. Their directories exist already.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Absolute path.
        type: path
        required: true
      form:
        description: How the random bytes are written.
        type: str
        choices: [hex, base64url]
        default: base64url
      bytes:
        description: How many random bytes.
        type: int
        default: 32
      mode:
        description: Permission bits, in octal; none for others.
        type: str
        default: '0640'
      owner:
        description: Owner, by name.
        type: str
        default: root
      group:
        description: Group, by name.
        type: str
        default: root
attributes:
  check_mode:
    support: full
    description: The plan is the same; nothing is made.
  diff_mode:
    support: none
    description: Secrets are not shown.
  idempotent:
    support: full
    description: A second run makes nothing.
author: Lyceum (@lyceum)
"""

EXAMPLES = r"""
- name: Ensure the key is there
  secret_files:
    files:
      - {path: /etc/gitea/secrets/secret_key, form: hex, group: gitea}
"""

RETURN = r"""
actions:
  description: What was (in check mode, would be) done, one sentence each.
  returned: always
  type: list
  elements: str
  sample: ["make /etc/gitea/secrets/secret_key"]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.secret_files import run

ARGUMENT_SPEC: dict[str, Any] = {
    "files": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "path": {"type": "path", "required": True},
            "form": {"type": "str", "choices": ["hex", "base64url"], "default": "base64url"},
            "bytes": {"type": "int", "default": 32},
            "mode": {"type": "str", "default": "0640"},
            "owner": {"type": "str", "default": "root"},
            "group": {"type": "str", "default": "root"},
        },
    },
}


def main() -> None:
    """Translate parameters to the core and its outcome back."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    try:
        result = run(module.params, check=module.check_mode)
    except LyceumError as exc:
        module.fail_json(msg=str(exc))
    else:
        module.exit_json(**result)


if __name__ == "__main__":
    main()
