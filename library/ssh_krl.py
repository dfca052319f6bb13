#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: the list of revoked SSH keys of a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ssh_krl
short_description: Revoke SSH keys and certificates without locking yourself out
description:
  - Makes a key revocation list for sshd's C(RevokedKeys) from the whole list of what is revoked.
  - The list is made aside and tried on the keys of administrators. sshd refuses everybody when it cannot read the list,
    so the one in place is only ever replaced by one that can be read.
options:
  path:
    description: The list. sshd reads it at every login.
    type: path
    required: true
  revoked:
    description:
      - What lets nobody in any more. Public keys, C(SHA256:...) fingerprints as ssh-keygen -l shows them, and of
        certificates C(serial:) with a number or a range, or C(id:) with the name the authority gave.
    type: list
    elements: str
    required: true
  ca_keys:
    description: Public keys of the authorities whose certificates O(revoked) is about.
    type: list
    elements: str
    default: []
  admins:
    description: Accounts that must keep at least one key with which sshd lets them in.
    type: list
    elements: str
    default: [root]
attributes:
  check_mode:
    support: full
    description: The list is made and tried just the same; it is not put in place.
  diff_mode:
    support: full
    description: What the list revokes, before and after.
  idempotent:
    support: full
    description: A list that says the same is not written again.
author: Lyceum (@lyceum)
"""

EXAMPLES = r"""
- name: Ensure the stolen laptop lets nobody in
  ssh_krl:
    path: /etc/ssh/revoked.krl
    revoked: ["SHA256:uNiVztksCsDhcc0u9e8BrYcIvdJ02V0BzUkcWiJcsqw"]
"""

RETURN = r"""
actions:
  description: What was (in check mode, would be) done.
  returned: always
  type: list
  elements: str
  sample: ["write /etc/ssh/revoked.krl"]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.sshd import revoked

ARGUMENT_SPEC: dict[str, Any] = {
    "path": {"type": "path", "required": True},
    "revoked": {"type": "list", "elements": "str", "required": True},
    "ca_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
    "admins": {"type": "list", "elements": "str", "default": ["root"]},
}


def run(params: dict[str, Any], *, check: bool) -> dict[str, Any]:
    """Make, compare, put in place. Raises LyceumError."""
    spec = revoked.RevokedSpec.from_params(params)
    made = revoked.build(spec)
    before, wanted = revoked.content(spec.path), revoked.content_of(made)
    changed = before != wanted or not revoked.is_ours_alone(spec.path)
    if changed and not check:
        revoked.install(spec, made)
        if revoked.content(spec.path) != wanted:
            raise LyceumError(f"{spec.path} was written, yet reads differently")
    return {
        "changed": changed,
        "actions": [f"write {spec.path}"] if changed else [],
        "diff": {
            "before_header": str(spec.path),
            "after_header": str(spec.path),
            "before": "".join(f"{line}\n" for line in before or ()),
            "after": "".join(f"{line}\n" for line in wanted or ()),
        },
    }


def main() -> None:
    """Translate parameters to the core and its result back."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    try:
        module.exit_json(**run(module.params, check=module.check_mode))
    except LyceumError as exc:
        module.fail_json(msg=str(exc), **exc.details)


if __name__ == "__main__":
    main()
