#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: what people use of a PostgreSQL server."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_objects_info
short_description: Read sizes and sessions of the databases of a PostgreSQL server
description:
  - Reads databases with their owners, sizes and sessions, and how the server and its archive do. Changes nothing.
options:
  socket_directory:
    description: Directory of the server's socket.
    type: path
    default: /var/run/postgresql
  port:
    description: Port of the server, which is part of the socket's name.
    type: int
    default: 5432
  superuser:
    description: The server's superuser.
    type: str
    default: postgres
attributes:
  check_mode:
    support: full
    description: Reads only.
  diff_mode:
    support: none
    description: There is nothing to compare.
  idempotent:
    support: full
    description: Changes nothing.
author: Lyceum (@lyceum)
"""

EXAMPLES = r"""
- name: Ensure sizes are read
  postgres_objects_info:
  register: databases
"""

RETURN = r"""
server:
  description: The server as a whole. C(archive_fails) is true when the last attempt to archive the log failed.
  returned: always
  type: dict
  sample:
    version: "17.6"
    data_checksums: true
    ssl: true
    max_connections: 100
    checksum_failures: 0
    archived: 12
    archive_failures: 0
    archive_fails: false
databases:
  description: One record per database that is no template.
  returned: always
  type: list
  elements: dict
  sample: [{name: amartin, owner: amartin, bytes: 7700000, connection_limit: -1, sessions: 1}]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.postgres.connection import Server
from ansible.module_utils.lyceum.postgres.survey import survey

ARGUMENT_SPEC: dict[str, Any] = {
    "socket_directory": {"type": "path", "default": "/var/run/postgresql"},
    "port": {"type": "int", "default": 5432},
    "superuser": {"type": "str", "default": "postgres"},
}


def main() -> None:
    """Translate parameters to the core and what it found back."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    try:
        found = survey(Server.from_params(module.params))
    except LyceumError as exc:
        module.fail_json(msg=str(exc), **exc.details)
    else:
        module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
