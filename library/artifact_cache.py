#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: pinned files of third parties on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: artifact_cache
short_description: Have pinned files of third parties on the controller
description:
  - Looks for each file in the cache, then in the mirror, then where its makers publish it, and keeps it in the
    cache under its sha256. A file with another sum is never kept.
  - Runs on the controller; hosts need no way to the Internet.
options:
  artifacts:
    description: The files.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: What it is, for messages and for the result.
        type: str
        required: true
      version:
        description: Its version, for messages.
        type: str
        required: true
      sha256:
        description: Its sum. Without one nothing is fetched.
        type: str
        default: ''
      url:
        description: Where its makers publish it. Empty, it is only looked for in the mirror.
        type: str
        default: ''
      file:
        description: Name of the file in the mirror. Without it the last part of O(artifacts[].url).
        type: str
        default: ''
      required:
        description: Whether the module fails without it. Otherwise it is reported and the run goes on.
        type: bool
        default: true
  mirror:
    description: Directory on the controller, or URL, below which the files are.
    type: str
    default: ''
  directory:
    description: The cache.
    type: path
    required: true
  seconds:
    description: How long an address may take to begin its answer.
    type: float
    default: 5
attributes:
  check_mode:
    support: full
    description: Nothing is fetched; a file that would be looked for counts as available.
  diff_mode:
    support: none
    description: Files of third parties are not shown.
  idempotent:
    support: full
    description: What is in the cache is not fetched again.
author: Lyceum (@lyceum)
"""

EXAMPLES = r"""
- name: Ensure the program is at hand
  artifact_cache:
    mirror: /srv/mirror
    directory: "{{ lyceum_state_dir }}/artifacts"
    artifacts:
      - name: gitea
        version: 1.26.2
        url: https://dl.gitea.com/gitea/1.26.2/gitea-1.26.2-linux-amd64
        sha256: "{{ gitea_sha256 }}"
        required: false
  delegate_to: localhost
  register: artifacts
"""

RETURN = r"""
actions:
  description: What was (in check mode, would be) fetched, and from where.
  returned: always
  type: list
  elements: str
  sample: ["fetch gitea 1.26.2 from /srv/mirror/gitea-1.26.2-linux-amd64"]
artifacts:
  description: By name, whether it is there, where, where it came from, and otherwise why not.
  returned: always
  type: dict
  sample: {gitea: {available: true, path: /srv/lyceum/artifacts/0123, source: cache, reason: ''}}
lyceum:
  description: For the run's table; C(not_enforced) says which files that are not required cannot be had.
  returned: always
  type: dict
  sample: {kind: artifacts, results: {}, unchanged: [], unmanaged: [], conflicts: [], not_enforced: []}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lyceum.artifacts import run
from ansible.module_utils.lyceum.errors import LyceumError

ARGUMENT_SPEC: dict[str, Any] = {
    "artifacts": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "version": {"type": "str", "required": True},
            "sha256": {"type": "str", "default": ""},
            "url": {"type": "str", "default": ""},
            "file": {"type": "str", "default": ""},
            "required": {"type": "bool", "default": True},
        },
    },
    "mirror": {"type": "str", "default": ""},
    "directory": {"type": "path", "required": True},
    "seconds": {"type": "float", "default": 5},
}


def main() -> None:
    """Translate parameters to the core and its outcome back."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    try:
        result = run(module.params, check=module.check_mode)
    except (LyceumError, OSError) as exc:
        module.fail_json(msg=str(exc))
    else:
        if "msg" in result:
            module.fail_json(**result)
        module.exit_json(**result)


if __name__ == "__main__":
    main()
