#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: the account that runs act as in a Gitea, and its token."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gitea_bot
short_description: Have an administrator of a Gitea for runs, with a token that works
description:
  - Proves the token by calls. Only one that is missing or that the server refuses is made anew, on the command line of
    Gitea; when the server does not answer, nothing is made.
  - The account has a random password that nobody learns. The token is in a file that only root reads.
options:
  name:
    description: Name of the account.
    type: str
    default: lyceum
  email:
    description: Its address.
    type: str
    required: true
  token_file:
    description: File with its token.
    type: path
    default: /etc/lyceum/gitea/token
  scopes:
    description: What the token may do.
    type: list
    elements: str
    default: [write:admin, write:organization, write:repository, write:user]
  program:
    description: Path by which everything calls Gitea; a link to one release.
    type: path
    default: /usr/local/bin/gitea
  config:
    description: Its app.ini.
    type: path
    default: /etc/gitea/app.ini
  user:
    description: The system user it runs as.
    type: str
    default: gitea
  home:
    description: Home of that user.
    type: path
    default: /var/lib/gitea
  socket:
    description: Unix socket on which the server listens.
    type: path
    default: /run/gitea/gitea.sock
  unit:
    description: Its systemd unit.
    type: str
    default: gitea.service
attributes:
  check_mode:
    support: full
    description: The token is proved; none is made.
  diff_mode:
    support: none
    description: Tokens are not shown.
  idempotent:
    support: full
    description: A token that works stays.
author: Lyceum (@lyceum)
"""

EXAMPLES = r"""
- name: Ensure there is an administrator for runs
  gitea_bot:
    email: lyceum@git.example.org
"""

RETURN = r"""
actions:
  description: What was (in check mode, would be) done, one sentence each.
  returned: always
  type: list
  elements: str
  sample: ["make a token for lyceum: there is none"]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.gitea_host.bot import Bot, run

ARGUMENT_SPEC: dict[str, Any] = {
    "name": {"type": "str", "default": "lyceum"},
    "email": {"type": "str", "required": True},
    "token_file": {"type": "path", "default": "/etc/lyceum/gitea/token", "no_log": False},
    "scopes": {
        "type": "list",
        "elements": "str",
        "default": ["write:admin", "write:organization", "write:repository", "write:user"],
    },
    "program": {"type": "path", "default": "/usr/local/bin/gitea"},
    "config": {"type": "path", "default": "/etc/gitea/app.ini"},
    "user": {"type": "str", "default": "gitea"},
    "home": {"type": "path", "default": "/var/lib/gitea"},
    "socket": {"type": "path", "default": "/run/gitea/gitea.sock"},
    "unit": {"type": "str", "default": "gitea.service"},
}


def main() -> None:
    """Translate parameters to the core and its outcome back."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    try:
        result = run(Bot.from_params(module.params), check=module.check_mode)
    except LyceumError as exc:
        module.fail_json(msg=str(exc))
    else:
        module.exit_json(**result)


if __name__ == "__main__":
    main()
