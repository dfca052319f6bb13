#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: the organizations of a Gitea from one list."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gitea_organizations
short_description: Make the organizations, teams and repositories of a Gitea match one list of projects
description:
  - Each project is an organization with the teams C(Owners), C(write) and C(read), which reach all its repositories.
    Members of C(write) may also make new ones. Members and rights of these teams are exactly those of the list.
  - Organizations, teams and repositories that are not listed are left alone and reported.
  - People must have their accounts already, see M(gitea_people). Runs on the controller, over Gitea's API, with the
    same journal.
options:
  organizations:
    description: The organizations.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the organization.
        type: str
        required: true
      full_name:
        description: Name as shown on the site. Without it nobody manages it.
        type: str
      description:
        description: What it is about.
        type: str
        default: ''
      visibility:
        description: Who sees that it exists; V(limited) are those who are signed in.
        type: str
        choices: [public, limited, private]
        default: private
      state:
        description:
          - V(archived) makes all repositories read-only, takes everybody out of the teams and hides the organization.
            What was archived that way is opened again when the project is V(present) again.
          - V(absent) is the same; an organization without repositories is deleted.
        type: str
        choices: [present, archived, absent]
        default: present
      reason:
        description: Why it is archived. Only for people who read the list.
        type: str
        default: ''
      owner:
        description: The only member of C(Owners). Without one it is the bot.
        type: str
        default: ''
      write:
        description: Members of the team C(write).
        type: list
        elements: str
        default: []
      read:
        description: Members of the team C(read).
        type: list
        elements: str
        default: []
      repositories:
        description: Repositories that exist. They are made empty; see M(gitea_migrations) for importing.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: Name of the repository.
            type: str
            required: true
          description:
            description: What it is about.
            type: str
            default: ''
          private:
            description: Whether only members see it. A fork is as private as what it was forked from.
            type: bool
            default: true
          default_branch:
            description: The branch that is shown. Changed only to one that exists, or in an empty repository.
            type: str
            default: main
          protected:
            description:
              - Whether the default branch can be neither rewritten nor deleted. Pushing to it remains possible, and a
                stricter rule made by the owners stays. V(false) makes no rule and takes none away.
            type: bool
            default: true
          archived:
            description: Whether the repository is read-only. A mirror cannot be.
            type: bool
            default: false
  only:
    description: One person. Nobody else comes into a team or leaves one. Without it the list is the whole registry, and
      other organizations are reported as unmanaged.
    type: str
    default: ''
  purge:
    description: Absent organizations whose repositories are deleted with them.
    type: list
    elements: str
    default: []
  protected:
    description: Organizations that are not reported.
    type: list
    elements: str
    default: []
  max_removals:
    description: Refuse to archive or delete more organizations than this in one run.
    type: int
    default: 10
  max_removals_percent:
    description: Refuse to archive or delete more than this share of the organizations; up to three are always allowed.
    type: int
    default: 10
  allow_removals:
    description: Organizations that do not count for O(max_removals) and O(max_removals_percent).
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
    description: How many organizations are worked on at once. V(2) for a Gitea on SQLite.
    type: int
    default: 8
  deadline_seconds:
    description: What is not done by then is left for the next run.
    type: int
    default: 3600
  on_failure:
    description:
      - V(keep) leaves what was done where something failed; the next run goes on from there.
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
    description: One diff for each organization.
  idempotent:
    support: full
    description: A second run plans nothing.
author: Lyceum (@lyceum)
"""

EXAMPLES = r"""
- name: Ensure the organizations of the projects in Gitea
  gitea_organizations:
    url: https://git.example.org
    token: "{{ vault_gitea_token }}"
    state_dir: "{{ lyceum_state_dir }}"
    organizations:
      - name: retina
        owner: amartin
        write: [amartin, bchen]
        read: [dlopez]
        repositories: [{name: analysis, description: Everything we compute}]
      - {name: speech, state: archived}
  delegate_to: localhost
"""

RETURN = r"""
actions:
  description: What was (in check mode, would be) done, one sentence each.
  returned: always
  type: list
  elements: str
  sample: ["create organization retina (private)", "bchen: into team write of retina"]
deferred:
  description: For whom something was left for the next run, because the server did not answer.
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
    - Results by person (memberships) for the run's table and audit log. C(not_enforced) is what the server cannot be
      held to.
  returned: always
  type: dict
  sample: {kind: gitea_organizations, results: {}, unchanged: [], unmanaged: [retina/notes], conflicts: []}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.services.gitea.connection import ARGUMENTS, session
from ansible.module_utils.lyceum.services.gitea.organizations import Wanted
from ansible.module_utils.lyceum.services.gitea.organizations_run import run

NAMES: dict[str, Any] = {"type": "list", "elements": "str", "default": []}
ARGUMENT_SPEC: dict[str, Any] = {
    **ARGUMENTS,
    "organizations": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "full_name": {"type": "str"},
            "description": {"type": "str", "default": ""},
            "visibility": {"type": "str", "choices": ["public", "limited", "private"], "default": "private"},
            "state": {"type": "str", "choices": ["present", "archived", "absent"], "default": "present"},
            "reason": {"type": "str", "default": ""},
            "owner": {"type": "str", "default": ""},
            "write": NAMES,
            "read": NAMES,
            "repositories": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "description": {"type": "str", "default": ""},
                    "private": {"type": "bool", "default": True},
                    "default_branch": {"type": "str", "default": "main"},
                    "protected": {"type": "bool", "default": True},
                    "archived": {"type": "bool", "default": False},
                },
            },
        },
    },
    "only": {"type": "str", "default": ""},
    "purge": NAMES,
    "protected": NAMES,
    "max_removals": {"type": "int", "default": 10},
    "max_removals_percent": {"type": "int", "default": 10},
    "allow_removals": NAMES,
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
