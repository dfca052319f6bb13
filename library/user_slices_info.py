#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: what people use of a host, and their limits."""

from __future__ import annotations

DOCUMENTATION = r"""
module: user_slices_info
short_description: Read limits and use of all people's slices
description:
  - Reads the limits in force, the use of slices that are live, the totals that the host remembers of slices that are
    not, and processes of people that run outside their slice.
  - Changes nothing.
options:
  first_uid:
    description: Accounts with a lower uid are not people.
    type: int
    default: 1000
  state:
    description: Where the tool of the host keeps the totals.
    type: str
    default: /var/lib/lyceum/slices/state.json
attributes:
  check_mode:
    support: full
    description: Reads only.
  diff_mode:
    support: none
    description: There is nothing to compare.
  idempotent:
    support: full
    description: Changes nothing.
author: Lyceum (@lyceum)
"""

EXAMPLES = r"""
- name: Ensure use and limits are read
  user_slices_info:
    first_uid: 2001
  register: slices
"""

RETURN = r"""
people:
  description:
    - One record per person. Sizes in bytes, C(CPUQuota) in ten-thousandths of a core, times in microseconds.
    - C(limits) are those of the kernel while the slice is C(live), otherwise those of the unit file; null is unlimited.
    - C(pending) waits for less memory to be in use. C(outside) counts processes that no limit of the person holds for.
  returned: always
  type: list
  elements: dict
  sample:
    - name: bchen
      uid: 2002
      live: true
      limits: {MemoryMax: 536870912, TasksMax: 256}
      pending: {}
      memory: 104857600
      swap: 0
      tasks: 12
      peak: 530579456
      peak_at: 1795262400.0
      since: 1795176000.0
      totals: {cpu_microseconds: 1500000, throttled_microseconds: 0, oom_kills: 1, tasks_refused: 0}
      outside: [{group: /system.slice/cron.service, processes: 1}]
layout:
  description: How control groups are mounted - V(unified) (version 2), V(hybrid), V(legacy) or V(none).
  returned: always
  type: str
  sample: unified
not_effective:
  description: Limits that this kernel cannot enforce, with the reason.
  returned: always
  type: list
  elements: str
  sample: ["MemoryHigh: cgroup v1 (hybrid): systemd sets nothing for it there"]
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.slices.survey import survey

ARGUMENT_SPEC: dict[str, Any] = {
    "first_uid": {"type": "int", "default": 1000},
    "state": {"type": "str", "default": "/var/lib/lyceum/slices/state.json"},
}


def main() -> None:
    """Translate parameters to the core and what it found back."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    try:
        found = survey(module.params["first_uid"], Path(module.params["state"]))
    except LyceumError as exc:
        module.fail_json(msg=str(exc), **exc.details)
    else:
        module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
