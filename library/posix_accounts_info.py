#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: who has an account on a host, and when it was last used."""

from __future__ import annotations

DOCUMENTATION = r"""
module: posix_accounts_info
short_description: List accounts with last login, lock state and the use of their homes
description:
  - One read for all accounts. Last logins are the newest of lastlog, wtmp, lastlog2 and the journal, as far as the host
    has them.
options:
  names:
    description: Accounts to list whatever their uid.
    type: list
    elements: str
    default: []
  uid_ranges:
    description: Accounts with a uid in one of these ranges are listed too.
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
  usage:
    description: Whether to walk the homes for their size and newest file. Takes time where homes are large.
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
- name: Read who has an account in the registry's range
  posix_accounts_info:
    uid_ranges: [{first: 2001, last: 59999}]
    usage: true
  register: accounts
"""

RETURN = r"""
accounts:
  description: The accounts, sorted by name.
  returned: always
  type: list
  elements: dict
  sample:
    - {name: amartin, uid: 2001, gid: 2001, gecos: A. Martin, home: /home/amartin, shell: /bin/bash, groups: [vision],
       locked: false, expires: "2029-08-31", last_login: "2026-11-21T08:00:00Z", home_bytes: 20480,
       home_changed: "2026-11-20T17:00:00Z", home_error: null}
sources:
  description: Where last logins were read from.
  returned: always
  type: list
  elements: str
  sample: [/var/log/wtmp, journal]
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lyceum.accounts.activity import survey_accounts
from ansible.module_utils.lyceum.errors import LyceumError

ARGUMENT_SPEC: dict[str, Any] = {
    "names": {"type": "list", "elements": "str", "default": []},
    "uid_ranges": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"first": {"type": "int", "required": True}, "last": {"type": "int", "required": True}},
    },
    "usage": {"type": "bool", "default": False},
}


def main() -> None:
    """Translate parameters to the core and its result back."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    ranges = [(entry["first"], entry["last"]) for entry in module.params["uid_ranges"]]
    try:
        accounts, sources = survey_accounts(Path("/"), module.params["names"], ranges, usage=module.params["usage"])
    except LyceumError as exc:
        module.fail_json(msg=str(exc), **exc.details)
    else:
        module.exit_json(changed=False, accounts=accounts, sources=sources)


if __name__ == "__main__":
    main()
