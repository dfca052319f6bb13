#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: shared directories with their whole permissions."""

from __future__ import annotations

DOCUMENTATION = r"""
module: acl_tree
short_description: Own owner, group, mode and the whole ACL of many directories
description:
  - Makes a list of directories and links exist with exactly these permissions, in one call and without a process per
    directory. Entries of an ACL that are not listed are removed; the mask is the one that is given, or computed.
  - Never deletes data and never follows a link. What is unexpected at a path is left alone and told; the others go on.
  - What is in a directory is only looked at where O(entries[].recurse) asks for it.
options:
  entries:
    description: The directories and links, in any order. Parents that are not listed must exist.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Absolute path. None of its parents may be a link.
        type: path
        required: true
      state:
        description:
          - V(present) makes it so.
          - V(sealed) gives a directory to root alone (mode 0700, no ACL) and touches nothing in it.
        type: str
        choices: [present, sealed]
        default: present
      create:
        description: Whether to make it when it is missing.
        type: bool
        default: true
      owner:
        description: Account or uid.
        type: str
        default: root
      group:
        description: Group or gid.
        type: str
        default: root
      mode:
        description: Octal mode with special bits, quoted. Required for a directory. Its digits are the permissions of
          owner, group and others in the ACL, too.
        type: str
      acl:
        description:
          - Further entries of the access ACL, such as C(user:amartin:rwx) or C(group:retina:r-x), with names or ids;
            C(X) counts as C(x).
          - The mask is computed (all that is granted to groups and named users) unless C(mask::rwx) is given.
        type: list
        elements: str
      default_acl:
        description: The same for the default ACL, which new files inherit; owner, group and others as in
          O(entries[].mode) unless given as C(user::), C(group::), C(other::). Without this option there is none.
        type: list
        elements: str
      recurse:
        description:
          - Also give what is in the directory what it hands down, the group, the default ACL and the setgid bit for
            directories. What the owner of a file may do with it, others get as far as the ACL entitles them.
          - Files that are right are not touched. Other file systems are not entered. Without a default ACL, the mode of
            the directory is what is handed down.
        type: bool
        default: false
      target:
        description: Makes the entry a symbolic link to this target. A link that points out of the directory which the
          target is in is somebody else's and left alone.
        type: str
      person:
        description: Whose it is, for the run's table. The directory of a person is left alone when it belongs to
          neither them nor root.
        type: str
  folders:
    description: Directories in which everything should be listed in O(entries). What is not is reported as unmanaged.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The directory.
        type: path
        required: true
      links:
        description: Links to something in this directory (as their target has it) which are not listed are removed.
        type: str
attributes:
  check_mode:
    support: full
    description: The plan is the same; nothing is written. Names that nobody has yet are no failure.
  diff_mode:
    support: full
    description: One diff per path, as getfacl shows a directory.
  idempotent:
    support: full
    description: A second run plans nothing.
author: Lyceum (@lyceum)
"""

EXAMPLES = r"""
- name: Ensure a project that amartin reads and its group writes
  acl_tree:
    entries:
      - {path: /srv/projects, mode: "0711"}
      - path: /srv/projects/.gid
        mode: "0711"
      - path: /srv/projects/.gid/11001
        group: retina
        mode: "2770"
        acl: ["user:amartin:r-x"]
        default_acl: ["user:amartin:r-x"]
      - {path: /srv/projects/retina, target: .gid/11001}
    folders:
      - {path: /srv/projects, links: .gid}

- name: Ensure a scratch directory, and that nobody gets into that of somebody who left
  acl_tree:
    entries:
      - {path: /srv/scratch/amartin, owner: amartin, group: amartin, mode: "0700", person: amartin}
      - {path: /srv/scratch/fmoreau, state: sealed, create: false, person: fmoreau}
"""

RETURN = r"""
actions:
  description: What was (in check mode, would be) done, one sentence each.
  returned: always
  type: list
  elements: str
  sample: ["/srv/projects/.gid/11001: ACL: remove user:dlopez:rwx, add user:dlopez:r-x"]
changed_paths:
  description: The paths that differed.
  returned: always
  type: list
  elements: str
  sample: [/srv/projects/.gid/11001]
inside:
  description: For each directory with O(entries[].recurse), how many files and directories in it were looked at, were
    wrong, were mended and were left, with some examples of the latter.
  returned: always
  type: dict
  sample: {/srv/readonly: {looked_at: 120, wrong: 3, mended: 3, left: 0, examples: []}}
lyceum:
  description: Results by person for the run's table and audit log; unmanaged are the unlisted entries of O(folders).
  returned: always
  type: dict
  sample: {kind: directories, results: {}, unchanged: [amartin], unmanaged: [], conflicts: []}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lyceum.acl import apply, model, report
from ansible.module_utils.lyceum.errors import LyceumError

ARGUMENT_SPEC: dict[str, Any] = {
    "entries": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "path": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["present", "sealed"], "default": "present"},
            "create": {"type": "bool", "default": True},
            "owner": {"type": "str", "default": "root"},
            "group": {"type": "str", "default": "root"},
            "mode": {"type": "str"},
            "acl": {"type": "list", "elements": "str"},
            "default_acl": {"type": "list", "elements": "str"},
            "recurse": {"type": "bool", "default": False},
            "target": {"type": "str"},
            "person": {"type": "str"},
        },
    },
    "folders": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"path": {"type": "path", "required": True}, "links": {"type": "str"}},
    },
}


def main() -> None:
    """Translate parameters to the core and its outcome back."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    try:
        names = model.Names()
        spec = model.spec_from_params(module.params, names)
        outcome = apply.run(spec, names, check=module.check_mode)
        result = report.module_result(spec, outcome, with_diff=module._diff)
    except LyceumError as exc:
        module.fail_json(msg=str(exc), **exc.details)
    else:
        if result.pop("failed", False):
            module.fail_json(**result)
        module.exit_json(**result)


if __name__ == "__main__":
    main()
