#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: the people of a Gitea from one list."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gitea_people
short_description: Make the accounts and SSH keys of a Gitea match one list of people
description:
  - Takes the whole list of people. All accounts are read page by page and the keys of those listed several at a time,
    so that a thousand people take seconds. Runs on the controller, over Gitea's API.
  - Everything that is sent is written to a journal first. A run that was killed is resumed by the next one, which looks
    up what had happened. What fails for one person does not stop the others; the module then fails with everything in
    it.
  - Accounts that exist are adopted. Accounts that are not listed are left alone and reported.
  - Whose account is whose is remembered by uid, so that another name in the list renames the account. Gitea does not
    say how many repositories somebody may own; what was set is remembered, too.
options:
  people:
    description: The people.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the account.
        type: str
        required: true
      uid:
        description: Numeric user id, by which a person is recognised under another name.
        type: int
        required: true
      full_name:
        description: Full name as shown on the site.
        type: str
        default: ''
      email:
        description: Primary address. Required of whoever is present.
        type: str
        default: ''
      state:
        description:
          - V(present) can sign in.
          - V(suspended) is made inactive and may not log in; SSH keys and access tokens are removed and remembered.
            Repositories and memberships stay. On return the keys listed are put back.
          - V(absent) is shut out likewise; the repositories go to the heir, then the account leaves its organizations
            and is deleted. Without an heir, who owns repositories keeps the account, shut.
          - A suspended or absent person without an account gets none.
        type: str
        choices: [present, suspended, absent]
        default: present
      reason:
        description: Why somebody is suspended. Only for people who read the list.
        type: str
        default: ''
      admin:
        description: Whether the person administers the site.
        type: bool
        default: false
      restricted:
        description: Whether the person sees only what they are a member of.
        type: bool
        default: false
      max_repositories:
        description: How many repositories the person may own. Without it as many as the server allows.
        type: int
      visibility:
        description: Who sees the profile; V(limited) are those who are signed in.
        type: str
        choices: [public, limited, private]
        default: limited
      heir:
        description: Person or organization that gets the repositories when the person is absent.
        type: str
      ssh_keys:
        description:
          - Lines of public keys. They are told apart by fingerprint; the comment becomes the title.
          - A key with the options C(from), C(expiry-time) or C(verify-required) is left out and reported, because Gitea
            would let it in regardless.
        type: list
        elements: str
        default: []
  complete:
    description:
      - Whether the list is the whole registry. Then other accounts are reported as unmanaged.
      - With V(false) and up to ten people only these are read.
    type: bool
    default: true
  exclusive_keys:
    description: Whether keys that are not listed are removed from people who are present.
    type: bool
    default: true
  default_heir:
    description: Who gets the repositories of absent people without an heir.
    type: str
    default: ''
  purge:
    description: Absent people whose repositories are deleted with the account.
    type: list
    elements: str
    default: []
  passwords:
    description:
      - First passwords by name, used only when an account is created. Whoever has none gets a random one that nobody
        knows, for signing in by SSH key until the person asks for another.
    type: dict
    default: {}
  must_change_password:
    description: Whether passwords of O(passwords) must be changed at the first login.
    type: bool
    default: true
  protected:
    description: Accounts that are never touched nor reported. The bot's own account is always one of them.
    type: list
    elements: str
    default: []
  max_removals:
    description: Refuse to delete or shut more accounts than this in one run.
    type: int
    default: 10
  max_removals_percent:
    description: Refuse to delete or shut more than this share of the accounts; up to three are always allowed.
    type: int
    default: 10
  allow_removals:
    description: People who do not count for O(max_removals) and O(max_removals_percent).
    type: list
    elements: str
    default: []
  url:
    description: Address of the site.
    type: str
    required: true
  token:
    description:
      - Access token of an administrator, with the scopes C(write:admin), C(write:user), C(write:organization) and
        C(write:repository).
    type: str
    required: true
  ca_file:
    description: Certificates to trust instead of the system's.
    type: path
  connect_to:
    description: Address, or address:port, to connect to instead of the host of O(url).
    type: str
    default: ''
  state_dir:
    description: Directory on the controller in which the journal is kept.
    type: path
    required: true
  writers:
    description: How many people are worked on at once. V(2) for a Gitea on SQLite.
    type: int
    default: 8
  deadline_seconds:
    description: What is not done by then is left for the next run.
    type: int
    default: 3600
  on_failure:
    description:
      - V(keep) leaves what was done for somebody for whom something failed; the next run goes on from there.
      - V(rollback_person) takes it back, as far as this run did it.
    type: str
    choices: [keep, rollback_person]
    default: keep
attributes:
  check_mode:
    support: full
    description: The plan is the same; nothing is sent that changes anything.
  diff_mode:
    support: full
    description: One diff for each person. Passwords and tokens are unknown to it.
  idempotent:
    support: full
    description: A second run plans nothing.
author: Lyceum (@lyceum)
"""

EXAMPLES = r"""
- name: Ensure the people of the registry in Gitea
  gitea_people:
    url: https://git.example.org
    token: "{{ vault_gitea_token }}"
    state_dir: "{{ lyceum_state_dir }}"
    people:
      - name: amartin
        uid: 2001
        full_name: A. Martin
        email: amartin@example.org
        ssh_keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB laptop"]
      - {name: fmoreau, uid: 2006, state: absent, heir: retina}
  delegate_to: localhost
"""

RETURN = r"""
actions:
  description: What was (in check mode, would be) done, one sentence each.
  returned: always
  type: list
  elements: str
  sample: ["amartin: create account amartin (amartin@example.org, limited)"]
deferred:
  description: People for whom something was left for the next run, because the server did not answer.
  returned: always
  type: list
  elements: str
  sample: []
server:
  description: Version of the server as it says itself.
  returned: always
  type: str
  sample: 1.26.2
lyceum:
  description:
    - Results by person for the run's table and audit log. C(not_enforced) is what the server cannot be held to.
  returned: always
  type: dict
  sample: {kind: gitea, results: {}, unchanged: [amartin], unmanaged: [], conflicts: [], not_enforced: []}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.services.gitea.connection import ARGUMENTS, session
from ansible.module_utils.lyceum.services.gitea.people import Wanted
from ansible.module_utils.lyceum.services.gitea.people_run import run

ARGUMENT_SPEC: dict[str, Any] = {
    **ARGUMENTS,
    "people": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "uid": {"type": "int", "required": True},
            "full_name": {"type": "str", "default": ""},
            "email": {"type": "str", "default": ""},
            "state": {"type": "str", "choices": ["present", "suspended", "absent"], "default": "present"},
            "reason": {"type": "str", "default": ""},
            "admin": {"type": "bool", "default": False},
            "restricted": {"type": "bool", "default": False},
            "max_repositories": {"type": "int"},
            "visibility": {"type": "str", "choices": ["public", "limited", "private"], "default": "limited"},
            "heir": {"type": "str"},
            "ssh_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
        },
    },
    "complete": {"type": "bool", "default": True},
    "exclusive_keys": {"type": "bool", "default": True, "no_log": False},
    "default_heir": {"type": "str", "default": ""},
    "purge": {"type": "list", "elements": "str", "default": []},
    "passwords": {"type": "dict", "default": {}, "no_log": True},
    "must_change_password": {"type": "bool", "default": True, "no_log": False},
    "protected": {"type": "list", "elements": "str", "default": []},
    "max_removals": {"type": "int", "default": 10},
    "max_removals_percent": {"type": "int", "default": 10},
    "allow_removals": {"type": "list", "elements": "str", "default": []},
}


def main() -> None:
    """Translate parameters to the core and its outcome back."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    try:
        wanted = Wanted.from_params(module.params)
        with session(module.params) as one:
            result = run(wanted, one, check=module.check_mode, with_diff=module._diff)
    except LyceumError as exc:
        module.fail_json(msg=str(exc), **exc.details)
    else:
        if "msg" in result:
            module.fail_json(**result)
        module.exit_json(**result)


if __name__ == "__main__":
    main()
