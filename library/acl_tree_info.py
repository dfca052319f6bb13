#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: what shared directories are like on a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: acl_tree_info
short_description: Read owner, group, mode and ACLs of many directories, and how much is in them
description:
  - Looks at a list of paths in one call, without a process per directory and without following links.
options:
  paths:
    description: Absolute paths. Those that are missing are left out of the result.
    type: list
    elements: path
    required: true
  usage:
    description: Whether to walk the directories for the number and the size of what is in them.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: Nothing is ever changed.
  diff_mode:
    support: none
    description: Nothing is ever changed.
  idempotent:
    support: full
    description: Nothing is ever changed.
author: Lyceum (@lyceum)
"""

EXAMPLES = r"""
- name: Read how much is left of a project that ended
  acl_tree_info:
    paths: [/srv/projects/.gid/11007]
    usage: true
  register: sealed
"""

RETURN = r"""
directories:
  description:
    - One entry for each path that is there, in the order of the paths. C(files) (everything below it) and C(bytes) (the
      space it takes) are null without O(usage); C(error) says what could not be read.
  returned: always
  type: list
  elements: dict
  sample:
    - {path: /srv/projects/.gid/11007, kind: a directory, owner: root, group: root, mode: "0700", files: 12,
       bytes: 49152, acl: ["user::rwx", "group::---", "other::---"], default_acl: [], error: null}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lyceum.acl.info import describe
from ansible.module_utils.lyceum.acl.model import Names
from ansible.module_utils.lyceum.errors import LyceumError

ARGUMENT_SPEC: dict[str, Any] = {
    "paths": {"type": "list", "elements": "path", "required": True},
    "usage": {"type": "bool", "default": False},
}


def main() -> None:
    """Translate parameters to the core and its result back."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    try:
        directories = describe(module.params["paths"], Names(), usage=module.params["usage"])
    except LyceumError as exc:
        module.fail_json(msg=str(exc), **exc.details)
    else:
        module.exit_json(changed=False, directories=directories)


if __name__ == "__main__":
    main()
