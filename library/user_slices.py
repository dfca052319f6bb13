#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: the limits of all people's slices from one list."""

from __future__ import annotations

DOCUMENTATION = r"""
module: user_slices
short_description: Limit what people use of a host, from one list
description:
  - Takes everybody's limits and makes one drop-in of each person's slice (C(user-<uid>.slice)), one for people without
    an entry (C(user-.slice)) and one for each account that must never be limited, above all root.
  - Reloads systemd once if a file changed, then reads back from systemd and from the kernel what live slices have.
  - What everything a person runs is counted in is the slice, so the limits hold for all logins of a person together.
options:
  people:
    description: Everybody, also when O(only) names one person, because people of an affiliation share CPUs.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Login name, for messages and the table of the run.
        type: str
        required: true
      uid:
        description: Numeric user id; slices have its name.
        type: int
        required: true
      affiliation:
        description: People of the same affiliation share the CPUs of O(people[].affiliation_cpu_cores).
        type: str
        default: ''
      state:
        description: Only who is V(present) has a drop-in. A uid used again must not inherit limits.
        type: str
        choices: [present, suspended, absent]
        default: present
      limits:
        description:
          - V(cpu_cores), V(cpu_weight), V(memory_gib), V(memory_swap_gib), V(tasks), V(io_weight).
          - A key that is absent is left alone, null is unlimited. V(0) is allowed for V(memory_swap_gib) only - without
            any memory, task or CPU time nobody could log in to find out why.
        type: dict
        default: {}
      affiliation_cpu_cores:
        description:
          - Cap of all people of the affiliation together, as a set of CPUs that they share. Whole CPUs, rounded up.
          - Needs cgroup v2 with the controller cpuset; elsewhere it is listed in RV(not_effective).
        type: float
  only:
    description: Name of one person, whose drop-in alone is touched. Empty means that the list is complete - drop-ins of
      Lyceum for other uids are removed, and defaults and exempted accounts are seen to.
    type: str
    default: ''
  defaults:
    description: Limits, as in O(people[].limits), of people who log in without being in the list, such as accounts of a
      directory. Empty gives them none.
    type: dict
    default: {}
  exempt:
    description: Names of accounts that nothing limits, whatever else is said. root always is one.
    type: list
    elements: str
    default: []
  exempt_below:
    description: Accounts with a lower uid that can log in are exempt too. They are the system's.
    type: int
    default: 1000
  memory_high_percent:
    description: Where MemoryHigh lies, in percent of MemoryMax. There the kernel slows down instead of killing. V(100)
      sets none.
    type: float
    default: 95
  memory_swap_percent:
    description: Swap of people whose limits have V(memory_gib), but not V(memory_swap_gib), in percent of the memory.
    type: float
    default: 10
  when_over:
    description:
      - What to do with somebody who uses more memory (page cache not counted) than a lowered limit allows.
      - V(defer) sets MemoryHigh now, which presses the use down, leaves MemoryMax as it is and reports it in
        RV(pending); a later run completes it.
      - V(apply) sets MemoryMax at once. The kernel then ends processes, which is said in RV(pending).
    type: str
    choices: [apply, defer]
    default: defer
attributes:
  check_mode:
    support: full
    description: The plan is the same; nothing is written.
  diff_mode:
    support: full
    description: Every drop-in before and after.
  idempotent:
    support: full
    description: Equal files are not touched and systemd not reloaded.
author: Lyceum (@lyceum)
"""

EXAMPLES = r"""
- name: Ensure the limits of two people
  user_slices:
    people:
      - {name: amartin, uid: 2001, limits: {cpu_cores: 4, cpu_weight: 200, memory_gib: 16, tasks: 4096}}
      - {name: bchen, uid: 2002, limits: {cpu_cores: 1.5, memory_gib: 4, memory_swap_gib: 0, tasks: null}}
    defaults: {memory_gib: 2, tasks: 1024}
    exempt: [backup]

- name: Ensure that all students together use two CPUs at most
  user_slices:
    people:
      - {name: bchen, uid: 2002, affiliation: student, affiliation_cpu_cores: 2, limits: {memory_gib: 4}}
      - {name: hkim, uid: 2007, affiliation: student, affiliation_cpu_cores: 2, limits: {memory_gib: 4}}
"""

RETURN = r"""
actions:
  description: What was (in check mode, would be) done, one sentence each.
  returned: always
  type: list
  elements: str
  sample: ["bchen: MemoryMax 2G -> 512M"]
lyceum:
  description:
    - Results by person for the run's table and audit log.
    - C(conflicts) names drop-ins of others that override limits.
  returned: always
  type: dict
  sample: {kind: slices, results: {}, unchanged: [amartin], unmanaged: [], conflicts: []}
pending:
  description: Limits that wait for somebody to use less memory, or (O(when_over=apply)) that end processes.
  returned: always
  type: list
  elements: str
  sample: ["bchen: MemoryMax stays unlimited until less than 512M is in use (now 812M)"]
not_effective:
  description: Limits that are asked for and that this kernel cannot enforce, with the reason.
  returned: always
  type: list
  elements: str
  sample: ["MemoryHigh: cgroup v1 (hybrid): systemd sets nothing for it there"]
layout:
  description: How control groups are mounted - V(unified) (version 2), V(hybrid), V(legacy) or V(none).
  returned: always
  type: str
  sample: unified
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.slices import apply
from ansible.module_utils.lyceum.slices.plan import Desired
from ansible.module_utils.lyceum.slices.report import module_result

ARGUMENT_SPEC: dict[str, Any] = {
    "people": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "uid": {"type": "int", "required": True},
            "affiliation": {"type": "str", "default": ""},
            "state": {"type": "str", "choices": ["present", "suspended", "absent"], "default": "present"},
            "limits": {"type": "dict", "default": {}},
            "affiliation_cpu_cores": {"type": "float"},
        },
    },
    "only": {"type": "str", "default": ""},
    "defaults": {"type": "dict", "default": {}},
    "exempt": {"type": "list", "elements": "str", "default": []},
    "exempt_below": {"type": "int", "default": 1000},
    "memory_high_percent": {"type": "float", "default": 95},
    "memory_swap_percent": {"type": "float", "default": 10},
    "when_over": {"type": "str", "choices": ["apply", "defer"], "default": "defer"},
}


def main() -> None:
    """Translate parameters to the core and its outcome back."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    try:
        outcome = apply.run(Desired.from_params(module.params), check=module.check_mode)
        result = module_result(outcome, with_diff=module._diff)
    except LyceumError as exc:
        module.fail_json(msg=str(exc), **exc.details)
    else:
        if result.pop("failed", False):
            module.fail_json(**result)
        module.exit_json(**result)


if __name__ == "__main__":
    main()
