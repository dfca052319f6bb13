#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: one drop-in of sshd_config, with a way back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: sshd_dropin
short_description: Install a drop-in of sshd_config that cannot lock you out
description:
  - Tests the whole configuration with the new drop-in (C(sshd -t)) and its effective values for named users
    (C(sshd -T -C)) before anything is changed.
  - Then installs it, reloads sshd, and lets a timer on the host take it back unless the module is called again with
    O(state=confirmed) over a new connection (commit-confirm, as on network devices).
options:
  path:
    description:
      - The drop-in, a C(.conf) file in C(/etc/ssh/sshd_config.d). The first value of an option wins, so C(00-) is best.
    type: str
    required: true
  content:
    description: The whole file.
    type: str
  state:
    description:
      - V(present) and V(absent) install or remove the file.
      - V(confirmed) keeps what was installed before and stops the timer.
    type: str
    choices: [present, absent, confirmed]
    default: present
  blocks:
    description:
      - Lines in files of C(/etc/pam.d) without which the drop-in would not mean what it says, one block for a file.
      - They are put in place before it, taken back with it, and removed with O(state=absent).
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: A file in C(/etc/pam.d).
        type: str
        required: true
      text:
        description: The lines; they stand between two marks.
        type: str
        required: true
      anchor:
        description: Pattern of the line that they follow; without such a line the module fails.
        type: str
        required: true
      before:
        description: Put them before that line instead.
        type: bool
        default: false
      strip:
        description: Pattern removed from every other line of the file.
        type: str
      optional:
        description: A missing file is fine.
        type: bool
        default: false
  expect:
    description: Effective options that must hold for users, compared as C(sshd -T) prints them.
    type: list
    elements: dict
    default: []
    suboptions:
      user:
        description: Login name.
        type: str
        required: true
      options:
        description: Option in any case, and the exact value.
        type: dict
        required: true
  service:
    description: The systemd unit of sshd.
    type: str
    default: ssh
  confirm_seconds:
    description: Seconds until an unconfirmed change is taken back; V(0) installs for good at once.
    type: int
    default: 60
attributes:
  check_mode:
    support: full
    description: The candidate is validated just the same; nothing is installed.
  diff_mode:
    support: full
    description: The file before and after.
  idempotent:
    support: full
    description: An equal file is not touched and sshd not reloaded.
author: Lyceum (@lyceum)
"""

EXAMPLES = r"""
- name: Ensure that sshd reads keys only from the directory root owns
  sshd_dropin:
    path: /etc/ssh/sshd_config.d/00-lyceum-keys.conf
    content: |
      AuthorizedKeysFile /etc/ssh/authorized_keys.d/%u
    expect:
      - {user: root, options: {authorizedkeysfile: /etc/ssh/authorized_keys.d/%u}}
  register: dropin

- name: Ensure that the change stays, now that a new connection has worked
  sshd_dropin:
    path: /etc/ssh/sshd_config.d/00-lyceum-keys.conf
    state: confirmed
  when: dropin.pending_confirmation
"""

RETURN = r"""
actions:
  description: What was (in check mode, would be) done.
  returned: always
  type: list
  elements: str
  sample: ["install /etc/ssh/sshd_config.d/00-lyceum-keys.conf and reload ssh"]
pending_confirmation:
  description: Whether the host will take the change back unless it is confirmed.
  returned: always
  type: bool
  sample: true
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.sshd import dropin

ARGUMENT_SPEC: dict[str, Any] = {
    "path": {"type": "str", "required": True},
    "content": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "absent", "confirmed"], "default": "present"},
    "blocks": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "str", "required": True},
            "text": {"type": "str", "required": True},
            "anchor": {"type": "str", "required": True},
            "before": {"type": "bool", "default": False},
            "strip": {"type": "str"},
            "optional": {"type": "bool", "default": False},
        },
    },
    "expect": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"user": {"type": "str", "required": True}, "options": {"type": "dict", "required": True}},
    },
    "service": {"type": "str", "default": "ssh"},
    "confirm_seconds": {"type": "int", "default": 60},
}


def run(params: dict[str, Any], *, check: bool) -> dict[str, Any]:
    """Install, remove or confirm. Raises LyceumError."""
    spec = dropin.DropinSpec.from_params(params)
    if params["state"] == "confirmed":
        return _confirm(spec, check=check)
    files = dropin.wanted(spec)
    # Also when the files are equal: what is around them may have changed what they mean.
    dropin.validate(spec)
    changed = {path: texts for path, texts in files.items() if texts[0] != texts[1]}
    if changed and not check:
        dropin.install(spec, files)
        for path in changed:
            if dropin.read(path) != files[path][1]:
                raise LyceumError(f"{path} was written, yet reads differently")
    diffs = [_diff(path, *texts) for path, texts in changed.items()]
    return {
        "changed": bool(changed),
        "actions": [f"{_verb(*texts)} {path} and reload {spec.service}" for path, texts in changed.items()],
        "pending_confirmation": dropin.pending(spec.path),
        "diff": diffs if len(diffs) > 1 else diffs[0] if diffs else _diff(spec.path, *files[spec.path]),
    }


def _verb(old: str | None, new: str | None) -> str:
    return "remove" if new is None else "install" if old is None else "update"


def _diff(path: Path, old: str | None, new: str | None) -> dict[str, str]:
    return {"before_header": str(path), "after_header": str(path), "before": old or "", "after": new or ""}


def _confirm(spec: dropin.DropinSpec, *, check: bool) -> dict[str, Any]:
    waiting = dropin.pending(spec.path)
    if waiting and not check:
        dropin.disarm_revert(spec.path)
    return {
        "changed": waiting,
        "actions": [f"keep {spec.path}"] if waiting else [],
        "pending_confirmation": waiting and check,
    }


def main() -> None:
    """Translate parameters to the core and its result back."""
    module = AnsibleModule(
        argument_spec=ARGUMENT_SPEC, required_if=[("state", "present", ["content"])], supports_check_mode=True
    )
    try:
        module.exit_json(**run(module.params, check=module.check_mode))
    except LyceumError as exc:
        module.fail_json(msg=str(exc), **exc.details)


if __name__ == "__main__":
    main()
