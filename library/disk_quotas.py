#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: all disk quotas of a host from one list."""

from __future__ import annotations

DOCUMENTATION = r"""
module: disk_quotas
short_description: Make the disk quotas of people, groups and projects match one list
description:
  - Takes the whole list of quotas on any number of ext4 and XFS file systems. All quotas of a file system are read in
    one process and changed in one more, for any number of people.
  - Users' and groups' limits of the same id on one file system add up, because the kernel counts all their files there
    together. Something unlimited among them makes the sum unlimited, which is then in RV(not_enforced).
  - A project quota limits what is in a directory, whoever owns it. The directory is given the project and passes it on
    to what is made in it.
  - The owner of a file may move it to another project (C(chattr -p)), so that a project quota alone binds only those
    who let it; give people a user quota on the same file system, too.
options:
  quotas:
    description: The quotas.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description:
          - For users and groups anything on the file system, also something that does not exist yet.
          - For projects the directory whose contents count. It may be missing, and is then in RV(left_out).
        type: str
        required: true
      kind:
        description: Whose quota it is.
        type: str
        choices: [user, group, project]
        required: true
      id:
        description: The uid, gid or project id.
        type: int
        required: true
      name:
        description: What it is called in messages; for projects also in O(projid).
        type: str
        required: true
      person:
        description: Login name of whom the quota is about; the result is then listed for this person.
        type: str
      hard_gib:
        description:
          - GiB that can be used at most, V(unlimited), or V(0) for nothing at all. Without it space is left as it is.
        type: raw
      soft_gib:
        description: GiB from which on the grace time runs. Without it O(soft_percent) of O(quotas[].hard_gib).
        type: raw
      hard_files:
        description: Files and folders that there can be at most, as O(quotas[].hard_gib).
        type: raw
      soft_files:
        description: Files and folders from which on the grace time runs, as O(quotas[].soft_gib).
        type: raw
      secondary:
        description:
          - Whether another quota of the list limits the same more tightly, so that nothing is said if this one is lost
            in a sum with something unlimited.
        type: bool
        default: false
      state:
        description: V(absent) takes the limits away, as for people and projects that are gone.
        type: str
        choices: [present, absent]
        default: present
  soft_percent:
    description: Soft limit in percent of the hard limit where none is given. V(100) makes soft limits meaningless.
    type: int
    default: 90
  grace_days:
    description: How long somebody may stay over a soft limit before it stops them. Left as it is without it.
    type: float
  complete:
    description: Whether the list is the whole registry. Then limits of unknown ids in O(id_ranges) are reported.
    type: bool
    default: true
  id_ranges:
    description: The ids that the registry owns.
    type: list
    elements: dict
    default: []
    suboptions:
      kind:
        description: Kind of id.
        type: str
        choices: [user, group, project]
        required: true
      first:
        description: First id.
        type: int
        required: true
      last:
        description: Last id.
        type: int
        required: true
  recurse:
    description:
      - Whether what is in projects' directories already is made to count, too. Walks through all of them.
      - Without it only what is made from now on counts.
    type: bool
    default: false
  when_unsupported:
    description:
      - What to do about file systems that do not enforce quotas.
      - V(fail) sets all other quotas, then fails and says what to do.
      - V(report) lists them in RV(not_enforced).
    type: str
    choices: [fail, report]
    default: fail
  projid:
    description: The file that names projects. Lines of other ids are kept.
    type: path
    default: /etc/projid
  return_usage:
    description: Whether to return RV(quotas).
    type: bool
    default: true
attributes:
  check_mode:
    support: full
    description: The plan is the same; nothing is written.
  diff_mode:
    support: full
    description: One diff for each quota, and one for the names of projects.
  idempotent:
    support: full
    description: A second run plans nothing.
author: Lyceum (@lyceum)
"""

EXAMPLES = r"""
- name: Ensure the limits of a person and of a project
  disk_quotas:
    grace_days: 7
    quotas:
      - {path: /home, kind: user, id: 2001, name: home, person: amartin, hard_gib: 200, hard_files: 1000000}
      - {path: /srv/projects/.gid/11001, kind: project, id: 11001, name: retina, hard_gib: 500}
      - {path: /home, kind: user, id: 2006, name: home, person: fmoreau, state: absent}
"""

RETURN = r"""
actions:
  description: What was (in check mode, would be) done, one sentence each.
  returned: always
  type: list
  elements: str
  sample: ["amartin on /home (home): space unlimited -> 200 GiB (soft 180 GiB)"]
lyceum:
  description: Results by person for the run's table and audit log.
  returned: always
  type: dict
  sample: {kind: quotas, results: {}, unchanged: [amartin], unmanaged: [], conflicts: [], not_enforced: []}
not_enforced:
  description: Limits that stop nobody, for each file system and cause, with the remedy.
  returned: always
  type: list
  elements: dict
  sample:
    - filesystem: /home
      kinds: [user]
      reason: "/home (ext4 on /dev/sdb1): they are off. Remedy: ..."
      quotas: [amartin on /home (home)]
      people: [amartin]
quotas:
  description: The quotas of the list as they are now, with what is used. A limit of null is none.
  returned: always
  type: list
  elements: dict
  sample:
    - filesystem: /home
      kind: user
      id: 2001
      name: home
      person: amartin
      used_bytes: 4096
      soft_bytes: 193273528320
      hard_bytes: 214748364800
      space_ends: null
      used_files: 1
      soft_files: 900000
      hard_files: 1000000
      files_ends: null
      enforced: true
left_out:
  description: Directories of projects that do not exist yet, and what a walk with O(recurse=true) did not look at.
  returned: always
  type: list
  elements: str
  sample: ["/srv/scratch/amartin/mnt: something is mounted there; left alone"]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.quota import apply
from ansible.module_utils.lyceum.quota.model import KINDS
from ansible.module_utils.lyceum.quota.plan import Spec
from ansible.module_utils.lyceum.quota.report import module_result

ARGUMENT_SPEC: dict[str, Any] = {
    "quotas": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "path": {"type": "str", "required": True},
            "kind": {"type": "str", "choices": list(KINDS), "required": True},
            "id": {"type": "int", "required": True},
            "name": {"type": "str", "required": True},
            "person": {"type": "str"},
            "hard_gib": {"type": "raw"},
            "soft_gib": {"type": "raw"},
            "hard_files": {"type": "raw"},
            "soft_files": {"type": "raw"},
            "secondary": {"type": "bool", "default": False},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
    },
    "soft_percent": {"type": "int", "default": 90},
    "grace_days": {"type": "float"},
    "complete": {"type": "bool", "default": True},
    "id_ranges": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "kind": {"type": "str", "choices": list(KINDS), "required": True},
            "first": {"type": "int", "required": True},
            "last": {"type": "int", "required": True},
        },
    },
    "recurse": {"type": "bool", "default": False},
    "when_unsupported": {"type": "str", "choices": ["fail", "report"], "default": "fail"},
    "projid": {"type": "path", "default": "/etc/projid"},
    "return_usage": {"type": "bool", "default": True},
}


def main() -> None:
    """Translate parameters to the core and its outcome back."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    try:
        outcome = apply.run(Spec.from_params(module.params), check=module.check_mode)
    except LyceumError as exc:
        module.fail_json(msg=str(exc), **exc.details)
    else:
        result = module_result(outcome, with_diff=module._diff, with_usage=module.params["return_usage"])
        if result.pop("failed", False):
            module.fail_json(**result)
        module.exit_json(**result)


if __name__ == "__main__":
    main()
