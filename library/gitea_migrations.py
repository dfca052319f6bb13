#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: repositories imported into a Gitea from elsewhere."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gitea_migrations
short_description: Import repositories from GitHub, GitLab or any other address into a Gitea
description:
  - Begins the imports that are missing and looks how far the others are. An import can take hours; Gitea goes on when
    nobody waits, so that the module returns after O(wait_seconds) with what is still under way in RV(running). Call it
    again until that is empty; whatever was killed in between, nothing is imported twice.
  - What is there is not imported again. A repository of that name that comes from elsewhere is left alone and the
    module fails with it.
  - Tokens and passwords are sent to Gitea in the body of one call, and are neither in an address nor in the journal.
    Gitea keeps those of mirrors. It cannot be told another one later; delete the mirror and import it anew.
options:
  migrations:
    description: The repositories.
    type: list
    elements: dict
    required: true
    suboptions:
      owner:
        description: Person or organization that gets the repository.
        type: str
        required: true
      name:
        description: Name of the repository here.
        type: str
        required: true
      url:
        description: Address to clone from, without user name and password. Everybody who sees the repository sees it.
        type: str
        required: true
      service:
        description: What is at the address. From V(git) only the code comes, the wiki and large files.
        type: str
        choices: [git, github, gitlab, gitea, gogs, onedev, gitbucket, codebase]
        default: git
      username:
        description: User name there, for O(migrations[].password).
        type: str
        default: ''
      password:
        description: Password there.
        type: str
      token:
        description: Access token there, for V(github), V(gitlab) and V(gitea).
        type: str
      mirror:
        description: Whether the repository follows the other one from then on. It cannot be pushed to.
        type: bool
        default: false
      mirror_interval:
        description: How often a mirror is updated, such as V(8h) or V(10m).
        type: str
        default: 8h
      private:
        description: Whether only members see it.
        type: bool
        default: true
      description:
        description: What it is about, at first.
        type: str
        default: ''
      items:
        description: What comes with the code. A mirror has none of issues, labels, milestones, pull requests, releases.
        type: list
        elements: str
        choices: [wiki, lfs, issues, labels, milestones, pull_requests, releases]
        default: []
      person:
        description: For whose row in the run's table it counts.
        type: str
        default: ''
  wait_seconds:
    description: How long this call waits for imports to end. Other runs on the same Gitea wait meanwhile.
    type: int
    default: 60
  stalled_hours:
    description:
      - An import that is still empty after this time is taken for interrupted. Its empty rest is removed and it is
        begun again.
    type: float
    default: 24
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
    description: How many imports are begun at once.
    type: int
    default: 2
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
    description: What is begun, without tokens.
  idempotent:
    support: full
    description: A second run begins nothing.
author: Lyceum (@lyceum)
"""

EXAMPLES = r"""
- name: Ensure the code of the project is here
  gitea_migrations:
    url: https://git.example.org
    token: "{{ vault_gitea_token }}"
    state_dir: "{{ lyceum_state_dir }}"
    migrations:
      - owner: retina
        name: analysis
        url: https://github.com/example/analysis
        service: github
        token: "{{ vault_github_token }}"
        items: [issues, labels, milestones, pull_requests, releases, wiki]
      - {owner: retina, name: upstream, url: "https://gitlab.com/example/upstream.git", mirror: true}
  delegate_to: localhost
  register: imports
  until: imports is failed or imports.running | length == 0
  retries: 120
  delay: 30
"""

RETURN = r"""
actions:
  description: What was (in check mode, would be) begun, one sentence each.
  returned: always
  type: list
  elements: str
  sample: ["import https://github.com/example/analysis as retina/analysis"]
running:
  description: Imports that have not ended yet.
  returned: always
  type: list
  elements: str
  sample: [retina/analysis]
migrations:
  description: How far each is, as missing, running, stalled, done or foreign (something else is there).
  returned: always
  type: list
  elements: dict
  sample: [{name: retina/analysis, status: running}]
server:
  description: Version of the server as it says itself.
  returned: always
  type: str
  sample: 1.26.2
lyceum:
  description: Results by person for the run's table and audit log.
  returned: always
  type: dict
  sample: {kind: gitea_migrations, results: {}, unchanged: [], unmanaged: [], conflicts: []}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.services.gitea.connection import ARGUMENTS, session
from ansible.module_utils.lyceum.services.gitea.migrations import ITEMS, SERVICES, imports_from_params
from ansible.module_utils.lyceum.services.gitea.migrations_run import Times, run

ARGUMENT_SPEC: dict[str, Any] = {
    **ARGUMENTS,
    "writers": {"type": "int", "default": 2},
    "migrations": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "owner": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "url": {"type": "str", "required": True},
            "service": {"type": "str", "choices": list(SERVICES), "default": "git"},
            "username": {"type": "str", "default": ""},
            "password": {"type": "str", "no_log": True},
            "token": {"type": "str", "no_log": True},
            "mirror": {"type": "bool", "default": False},
            "mirror_interval": {"type": "str", "default": "8h"},
            "private": {"type": "bool", "default": True},
            "description": {"type": "str", "default": ""},
            "items": {"type": "list", "elements": "str", "choices": list(ITEMS), "default": []},
            "person": {"type": "str", "default": ""},
        },
    },
    "wait_seconds": {"type": "int", "default": 60},
    "stalled_hours": {"type": "float", "default": 24},
}


def main() -> None:
    """Translate parameters to the core and its outcome back."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    try:
        wanted = imports_from_params(module.params["migrations"])
        times = Times(wait_s=max(1, module.params["wait_seconds"]), stalled_s=module.params["stalled_hours"] * 3600)
        with session(module.params) as one:
            result = run(wanted, one, times, check=module.check_mode, with_diff=module._diff)
    except LyceumError as exc:
        module.fail_json(msg=str(exc), **exc.details)
    else:
        if "msg" in result:
            module.fail_json(**result)
        module.exit_json(**result)


if __name__ == "__main__":
    main()
