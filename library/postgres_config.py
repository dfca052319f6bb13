#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: settings and login rules of a PostgreSQL server."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_config
short_description: Own the settings and login rules of a PostgreSQL server
description:
  - Writes C(conf.d/10-lyceum.conf), C(pg_hba.conf) and C(pg_ident.conf) of a cluster as a whole.
  - Settings are tried on a copy by the server's own program before anything is written. Rules are put where they belong
    and read by the server, which says what is wrong before it uses them; then the old ones are put back.
  - The server reads its configuration again. It is restarted where a setting needs that; if it does not come up, the
    old configuration is put back and the server started with it.
  - Settings that are overridden elsewhere, and missing data checksums, are reported as conflicts.
options:
  directory:
    description: Directory of the configuration.
    type: path
    required: true
  programs:
    description: Directory of the programs of this version.
    type: path
    required: true
  unit:
    description: Unit of systemd.
    type: str
    required: true
  settings:
    description: Name and value of each setting.
    type: dict
    required: true
  hba:
    description: Content of C(pg_hba.conf).
    type: str
    required: true
  ident:
    description: Content of C(pg_ident.conf).
    type: str
    required: true
  restart:
    description: Whether to restart the server where a setting needs that. Otherwise RV(pending_restart) has its name.
    type: bool
    default: true
  group:
    description: Who may read the files besides root.
    type: str
    default: postgres
  socket_directory:
    description: Directory of the server's socket.
    type: path
    default: /var/run/postgresql
  port:
    description: Port of the server as it runs, which is part of the socket's name.
    type: int
    default: 5432
  superuser:
    description: The server's superuser.
    type: str
    default: postgres
attributes:
  check_mode:
    support: full
    description: Files are compared; nothing is tried or written.
  diff_mode:
    support: full
    description: One diff per file.
  idempotent:
    support: full
    description: Equal files are left alone and nothing is reloaded.
author: Lyceum (@lyceum)
"""

EXAMPLES = r"""
- name: Ensure the server has its settings and rules
  postgres_config:
    directory: /etc/postgresql/17/main
    programs: /usr/lib/postgresql/17/bin
    unit: postgresql@17-main.service
    settings: {shared_buffers: 512MB, ssl: true}
    hba: |
      local all postgres peer
      hostssl all all 10.0.0.0/8 scram-sha-256
    ident: ""
"""

RETURN = r"""
actions:
  description: What was (in check mode, would be) done, one sentence each.
  returned: always
  type: list
  elements: str
  sample: ["change /etc/postgresql/17/main/pg_hba.conf"]
pending_restart:
  description: Settings that have no effect until the server is restarted.
  returned: always
  type: list
  elements: str
  sample: [shared_buffers]
data_checksums:
  description: Whether the cluster has them; null when there is no server to ask.
  returned: always
  type: bool
  sample: true
version:
  description: Version of the server as a number; null when there is none to ask.
  returned: always
  type: int
  sample: 170006
lyceum:
  description: Only C(conflicts), for the end of the run.
  returned: always
  type: dict
  sample: {kind: postgres, results: {}, unchanged: [], unmanaged: [], conflicts: []}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.postgres import config

ARGUMENT_SPEC: dict[str, Any] = {
    "directory": {"type": "path", "required": True},
    "programs": {"type": "path", "required": True},
    "unit": {"type": "str", "required": True},
    "settings": {"type": "dict", "required": True},
    "hba": {"type": "str", "required": True},
    "ident": {"type": "str", "required": True},
    "restart": {"type": "bool", "default": True},
    "group": {"type": "str", "default": "postgres"},
    "socket_directory": {"type": "path", "default": "/var/run/postgresql"},
    "port": {"type": "int", "default": 5432},
    "superuser": {"type": "str", "default": "postgres"},
}


def main() -> None:
    """Translate parameters to the core and its outcome back."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    try:
        outcome = config.run(config.Desired.from_params(module.params), check=module.check_mode)
    except LyceumError as exc:
        module.fail_json(msg=str(exc), **exc.details)
    else:
        module.exit_json(**config.result(outcome, with_diff=module._diff))


if __name__ == "__main__":
    main()
