#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: end what confined people started before they were."""

from __future__ import annotations

DOCUMENTATION = r"""
module: confined_people
short_description: End what people started before they became confined
description:
  - Somebody whose access becomes less than a shell may still have shells, tmux sessions or containers from before. They
    are ended once, when the profile of the person on this host changes; later runs leave the person alone.
  - To be called when accounts and sshd already confine, so that nothing new can be started outside.
options:
  people:
    description: People with less than a shell on this host.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Login name.
        type: str
        required: true
      uid:
        description: Numeric id.
        type: int
        required: true
      access:
        description: The profile the person has instead.
        type: str
        required: true
        choices: [none, git, sftp, rsync, jail]
  free:
    description:
      - Names of people with a full shell, or without a login. They are noted as no longer confined, so that what they
        start until they are confined again is ended then.
    type: list
    elements: str
    default: []
  complete:
    description: Whether nobody but O(people) is confined; O(free) need not be given then.
    type: bool
    default: true
  directory:
    description: Where it is noted as what a person is confined.
    type: path
    default: /var/lib/lyceum/sshd_jail
attributes:
  check_mode:
    support: full
    description: The plan is the same; nothing is ended.
  diff_mode:
    support: full
    description: What is noted about each person, before and after.
  idempotent:
    support: full
    description: Nobody is disturbed twice for one change of profile.
author: Lyceum (@lyceum)
"""

EXAMPLES = r"""
- name: Ensure that nothing runs outside from before
  confined_people:
    people:
      - {name: jweber, uid: 2009, access: jail}
"""

RETURN = r"""
actions:
  description: What was (in check mode, would be) done.
  returned: always
  type: list
  elements: str
  sample: ["jweber: end 3 process(es) from before", "jweber: confine as jail"]
lyceum:
  description: Results by person, for the run's table and audit log.
  returned: always
  type: dict
  sample: {kind: logins, results: {}, unchanged: [jweber], unmanaged: [], conflicts: []}
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.sshd import confined

ARGUMENT_SPEC: dict[str, Any] = {
    "people": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "uid": {"type": "int", "required": True},
            "access": {"type": "str", "required": True, "choices": ["none", "git", "sftp", "rsync", "jail"]},
        },
    },
    "free": {"type": "list", "elements": "str", "default": []},
    "complete": {"type": "bool", "default": True},
    "directory": {"type": "path", "default": "/var/lib/lyceum/sshd_jail"},
}


def run(params: dict[str, Any], *, check: bool) -> dict[str, Any]:
    """Observe, plan, apply. Raises LyceumError."""
    people = {
        entry["name"]: confined.Confined(entry["name"], entry["uid"], entry["access"]) for entry in params["people"]
    }
    directory = Path(params["directory"])
    noted = confined.notes(directory)
    spans = confined.subordinate_ids()
    running = confined.running(people, spans)
    changes = confined.plan(people, params["free"], noted, running, complete=params["complete"])
    failures = {} if check or not changes else confined.apply(directory, changes, spans)
    after = {**noted, **{name: change.profile for name, change in changes.items()}}
    return {
        **confined.result(people, changes, failures),
        "diff": {
            "before_header": str(directory),
            "after_header": str(directory),
            "before": "".join(f"{name} {noted[name]}\n" for name in sorted(noted)),
            "after": "".join(f"{name} {after[name]}\n" for name in sorted(after) if after[name] is not None),
        },
    }


def main() -> None:
    """Translate parameters to the core and its result back."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    try:
        result = run(module.params, check=module.check_mode)
    except LyceumError as exc:
        module.fail_json(msg=str(exc), **exc.details)
    else:
        failed = {name: item["error"] for name, item in result["lyceum"]["results"].items() if item["error"]}
        if failed:
            module.fail_json(msg="; ".join(f"{name}: {why}" for name, why in failed.items()), **result)
        module.exit_json(**result)


if __name__ == "__main__":
    main()
