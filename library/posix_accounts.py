#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: the accounts of a host from one list."""

from __future__ import annotations

DOCUMENTATION = r"""
module: posix_accounts
short_description: Make all people and groups of a host match one list
description:
  - Takes the whole list of people and groups and makes the local account database, homes, lock and expiry state,
    memberships and subordinate ids match it, in one call for any number of people.
  - The account files are written under the system's lock and replaced atomically, so that a killed run leaves them
    consistent and the next run converges.
  - SSH keys are not handled here, see M(authorized_keys_dir).
options:
  people:
    description: The people. Whoever is not listed is left alone and, if O(complete=true), reported.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Login name, a lower case POSIX name of at most 32 characters.
        type: str
        required: true
      uid:
        description:
          - Numeric user id. An account of that name with another uid is a conflict, see O(people[].migrate_uid).
        type: int
        required: true
      gid:
        description: Primary group id. Defaults to the uid, with a group of the person's name.
        type: int
      gecos:
        description: Full name as shown by getent.
        type: str
        default: ''
      shell:
        description: Login shell while the person is present. Defaults to C(/bin/bash).
        type: str
      home:
        description: Home directory. Defaults to C(/home/<name>).
        type: str
      groups:
        description: The managed groups the person belongs to. Each must be in O(groups).
        type: list
        elements: str
        default: []
      state:
        description:
          - V(present) can log in.
          - V(suspended) keeps account and data; the account is expired and locked, its shell is nologin, its processes
            are ended and it does not linger.
          - V(absent) is ended likewise, then home, crontab, at jobs and mail are archived and deleted and the account
            is removed.
        type: str
        choices: [present, suspended, absent]
        default: present
      expires:
        description: Last day of access, as V(YYYY-MM-DD). The host itself refuses the person from the day after.
        type: str
      create:
        description: Whether to create the account if it does not exist.
        type: bool
        default: true
      migrate_uid:
        description: Whether an account with another uid is moved to O(people[].uid), with its files and ACL entries.
        type: bool
        default: false
  groups:
    description: The managed shared groups.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Group name.
        type: str
        required: true
      gid:
        description: Numeric group id.
        type: int
        required: true
      state:
        description: Whether the group exists.
        type: str
        choices: [present, absent]
        default: present
      extra_members:
        description: Accounts outside the list of people that belong to the group, such as C(www-data).
        type: list
        elements: str
        default: []
  complete:
    description:
      - Whether the lists are the whole registry. Then members of O(groups) who are not listed are removed and unknown
        accounts are reported.
      - V(false) touches only the people listed and leaves every other member where it is.
    type: bool
    default: true
  home_mode:
    description: Permission bits of homes, in octal.
    type: str
    default: '0700'
  skel:
    description: Directory that new homes are filled from.
    type: str
    default: /etc/skel
  archive_dir:
    description:
      - Where the data of removed people goes, as C(<name>-<uid>-<UTC time>.tar.zst) with a C(.sha256) beside it.
    type: str
    default: /var/backups/lyceum/homes
  keep_data:
    description: Whether the homes of removed people stay where they are, neither archived nor deleted.
    type: bool
    default: false
  subid_base:
    description: First subordinate id of the lowest uid of O(uid_ranges).
    type: int
    default: 524288
  subid_count:
    description: Subordinate ids per person; V(0) leaves subuid and subgid alone. Existing ranges are kept.
    type: int
    default: 65536
  uid_ranges:
    description: The uids the registry owns. Accounts in them that are not listed are reported.
    type: list
    elements: dict
    default: []
    suboptions:
      first:
        description: First uid.
        type: int
        required: true
      last:
        description: Last uid.
        type: int
        required: true
  max_removals:
    description: Refuse to remove or suspend more accounts than this in one run.
    type: int
    default: 10
  max_removals_percent:
    description: Refuse to remove or suspend more than this share of the accounts; up to three are always allowed.
    type: int
    default: 10
  allow_removals:
    description: People who do not count for O(max_removals) and O(max_removals_percent).
    type: list
    elements: str
    default: []
  protected:
    description: Accounts that must not be in O(people).
    type: list
    elements: str
    default: [root]
  search_paths:
    description:
      - Directory trees in which files of removed people are looked for (and reported), and in which files of people who
        move to another uid are handed over.
    type: list
    elements: str
    default: [/srv, /var/tmp, /tmp]
attributes:
  check_mode:
    support: full
    description: The plan is the same; nothing is written and no process is ended.
  diff_mode:
    support: full
    description: One diff per person. Passwords are shown as set, none or locked.
  idempotent:
    support: full
    description: A second run plans nothing.
author: Lyceum (@lyceum)
"""

EXAMPLES = r"""
- name: Ensure two people and their group
  posix_accounts:
    groups:
      - {name: vision, gid: 10001}
    people:
      - {name: amartin, uid: 2001, gecos: A. Martin, groups: [vision], expires: "2029-08-31"}
      - {name: fmoreau, uid: 2006, state: absent}

- name: Ensure one person, leaving everybody else alone
  posix_accounts:
    complete: false
    people:
      - {name: bchen, uid: 2002, gecos: B. Chen}
"""

RETURN = r"""
actions:
  description: What was (in check mode, would be) done, one sentence each.
  returned: always
  type: list
  elements: str
  sample: ["amartin: create account (uid 2001, gid 2001, shell /bin/bash)"]
lyceum:
  description:
    - Results by person for the run's table and audit log.
    - C(results) has C(result) (created, changed, suspended, removed, failed), C(actions) and C(error) by name.
  returned: always
  type: dict
  sample: {kind: accounts, results: {}, unchanged: [amartin], unmanaged: [], conflicts: []}
archives:
  description: Path of the archive of each removed person.
  returned: when somebody was removed
  type: dict
  sample: {fmoreau: /var/backups/lyceum/homes/fmoreau-2006-20261121T080000Z.tar.zst}
reports:
  description: Things to look into, such as files of removed people elsewhere.
  returned: always
  type: list
  elements: str
  sample: ["fmoreau (uid 2006) still owns 1 file(s) below /srv: /srv/data/fmoreau.csv"]
"""

import datetime
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lyceum.accounts import apply
from ansible.module_utils.lyceum.accounts.model import Desired
from ansible.module_utils.lyceum.accounts.report import module_result
from ansible.module_utils.lyceum.errors import ConflictError, LyceumError

ARGUMENT_SPEC: dict[str, Any] = {
    "people": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "uid": {"type": "int", "required": True},
            "gid": {"type": "int"},
            "gecos": {"type": "str", "default": ""},
            "shell": {"type": "str"},
            "home": {"type": "str"},
            "groups": {"type": "list", "elements": "str", "default": []},
            "state": {"type": "str", "choices": ["present", "suspended", "absent"], "default": "present"},
            "expires": {"type": "str"},
            "create": {"type": "bool", "default": True},
            "migrate_uid": {"type": "bool", "default": False},
        },
    },
    "groups": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "gid": {"type": "int", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "extra_members": {"type": "list", "elements": "str", "default": []},
        },
    },
    "complete": {"type": "bool", "default": True},
    "home_mode": {"type": "str", "default": "0700"},
    "skel": {"type": "str", "default": "/etc/skel"},
    "archive_dir": {"type": "str", "default": "/var/backups/lyceum/homes"},
    "keep_data": {"type": "bool", "default": False},
    "subid_base": {"type": "int", "default": 524288},
    "subid_count": {"type": "int", "default": 65536},
    "uid_ranges": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"first": {"type": "int", "required": True}, "last": {"type": "int", "required": True}},
    },
    "max_removals": {"type": "int", "default": 10},
    "max_removals_percent": {"type": "int", "default": 10},
    "allow_removals": {"type": "list", "elements": "str", "default": []},
    "protected": {"type": "list", "elements": "str", "default": ["root"]},
    "search_paths": {"type": "list", "elements": "str", "default": ["/srv", "/var/tmp", "/tmp"]},  # noqa: S108
}


def main() -> None:
    """Translate parameters to the core and its outcome back."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    try:
        desired = Desired.from_params(module.params)
        today = datetime.datetime.now(tz=datetime.timezone.utc).date()
        outcome = apply.run(desired, check=module.check_mode, today=today)
    except ConflictError as exc:
        lyceum = {"kind": "accounts", "results": {}, "unchanged": [], "unmanaged": [], **exc.details}
        module.fail_json(msg=str(exc), lyceum=lyceum)
    except LyceumError as exc:
        module.fail_json(msg=str(exc), **exc.details)
    else:
        result = module_result(outcome, with_diff=module._diff)
        if outcome.failures:
            module.fail_json(**result)
        module.exit_json(**result)


if __name__ == "__main__":
    main()
