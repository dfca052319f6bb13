#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: the release of Gitea that runs on a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gitea_program
short_description: Run one release of Gitea, and come from another one with a way back
description:
  - Makes the tables of a new server and starts it.
  - To get from an older release to another, the server is stopped, its database and data are kept, the tables are
    brought up to date, and the server is started and has to recognise the bot. If anything of that fails, the old
    release runs again with what it had, and the module fails with the cause.
  - A run that was killed in between is completed by the next one.
options:
  release:
    description: The program file of the release that is to run.
    type: path
    required: true
  version:
    description: Its version, which the file has to confirm.
    type: str
    required: true
  restart:
    description: Whether what it reads when it starts has changed.
    type: bool
    default: false
  read_at_start:
    description: Files besides O(config) that it reads when it starts. One newer than the server means a restart.
    type: list
    elements: path
    default: [/etc/systemd/system/gitea.service]
  database:
    description: How libpq reaches its database, without a password. Empty for SQLite.
    type: str
    default: ''
  data:
    description: Directory of its data.
    type: path
    default: /var/lib/gitea
  backups:
    description: Directory below which database and data are kept before an upgrade.
    type: path
    default: /var/backups/lyceum/gitea
  backup_data:
    description: Whether the data is kept, too, and not only the database.
    type: bool
    default: true
  keep_backups:
    description: How many of these stay after an upgrade that went well.
    type: int
    default: 2
  bot:
    description: The account that the server has to recognise.
    type: str
    default: lyceum
  token_file:
    description: File with its token. Without it a new server only has to call itself healthy.
    type: path
    default: /etc/lyceum/gitea/token
  healthy_seconds:
    description: How long the server may take to become healthy.
    type: float
    default: 120
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
    description: The plan is the same; nothing is touched.
  diff_mode:
    support: none
    description: The actions say everything.
  idempotent:
    support: full
    description: A second run plans nothing.
author: Lyceum (@lyceum)
"""

EXAMPLES = r"""
- name: Ensure this release runs
  gitea_program:
    release: /usr/local/lib/lyceum/gitea/gitea-1.26.2-0123456789ab
    version: 1.26.2
    database: host=/run/postgresql dbname=gitea
"""

RETURN = r"""
actions:
  description: What was (in check mode, would be) done, one sentence each.
  returned: always
  type: list
  elements: str
  sample: ["keep database and data, and upgrade from Gitea 1.26.1 to 1.26.2"]
version:
  description: What the program says it is.
  returned: always
  type: str
  sample: 1.26.2
stand_in:
  description: Whether that is the stand-in of this project's tests and no Gitea.
  returned: always
  type: bool
  sample: false
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.gitea_host.program import Wanted, run

ARGUMENT_SPEC: dict[str, Any] = {
    "release": {"type": "path", "required": True},
    "version": {"type": "str", "required": True},
    "restart": {"type": "bool", "default": False},
    "read_at_start": {"type": "list", "elements": "path", "default": ["/etc/systemd/system/gitea.service"]},
    "database": {"type": "str", "default": ""},
    "data": {"type": "path", "default": "/var/lib/gitea"},
    "backups": {"type": "path", "default": "/var/backups/lyceum/gitea"},
    "backup_data": {"type": "bool", "default": True},
    "keep_backups": {"type": "int", "default": 2},
    "bot": {"type": "str", "default": "lyceum"},
    "token_file": {"type": "path", "default": "/etc/lyceum/gitea/token", "no_log": False},
    "healthy_seconds": {"type": "float", "default": 120},
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
        result = run(Wanted.from_params(module.params), check=module.check_mode)
    except LyceumError as exc:
        module.fail_json(msg=str(exc))
    else:
        module.exit_json(**result)


if __name__ == "__main__":
    main()
