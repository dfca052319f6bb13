#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: roles and databases of a PostgreSQL server from one list."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_objects
short_description: Make roles, memberships, databases and grants of a PostgreSQL server match one list
description:
  - Takes everybody in one call. All that PostgreSQL can do in a transaction is one transaction; what fails for one role
    is undone for that role, and the others go on. Databases are made afterwards, closed, and opened once strangers
    cannot connect. What is there in the end is read back and compared.
  - Connects over the Unix socket as the server's superuser, by C(peer) authentication. Needs psycopg2 on the host.
  - Managed roles have no powers (superuser, createdb, ...) and only the memberships that are listed; only the owner and
    who is listed may connect to a managed database.
  - Passwords never reach the server; what it gets are SCRAM-SHA-256 verifiers, and those are kept out of its log. A
    verifier that fits the password is left alone.
  - Roles and databases that are not listed are reported and left alone.
options:
  roles:
    description: Roles of people, projects and services.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the role.
        type: str
        required: true
      kind:
        description: Who is behind it. The role of a V(project) cannot log in; its O(roles[].members) act as it.
        type: str
        choices: [person, project, service]
        default: person
      state:
        description:
          - V(suspended) may not log in, and sessions are ended. Nobody who has no role yet gets one.
          - V(absent) passes on what it owns, in every database, and is dropped. In the database of a project the
            project inherits, everywhere else O(estate).
        type: str
        choices: [present, suspended, absent]
        default: present
      reason:
        description: Why it is in this state, for messages.
        type: str
        default: ''
      connection_limit:
        description: Sessions at the same time; V(-1) is no limit.
        type: int
        default: -1
      verifier:
        description: SCRAM-SHA-256 verifier of a password. Without it and without O(roles[].password) the password is
          left as it is, so that people may set their own; an md5 hash is removed.
        type: str
      password:
        description: Password, from which the verifier is made here.
        type: str
      members:
        description: Its members, all of them.
        type: list
        elements: str
        default: []
      member_of:
        description: Roles it is a member of besides, such as V(pg_monitor).
        type: list
        elements: str
        default: []
  databases:
    description: Databases. The one of somebody absent is kept, closed, unless O(drop_databases) names it.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the database.
        type: str
        required: true
      owner:
        description: One of O(roles). If it is a project's, its members act as it in this database.
        type: str
        required: true
      readers:
        description: One of O(roles) that may connect and read whatever the owner makes. A C(REVOKE) of a single table
          is kept.
        type: str
      connect:
        description: Further roles that may connect.
        type: list
        elements: str
        default: []
      connection_limit:
        description: Sessions at the same time; V(-1) is no limit.
        type: int
        default: -1
      state:
        description: V(absent) together with its owner.
        type: str
        choices: [present, absent]
        default: present
      locale:
        description: Locale of a new database. Others than C depend on the C library, an upgrade of which may spoil
          indexes.
        type: str
        default: C.UTF-8
  only:
    description: One person. Other people are left alone; projects and services in the lists are not.
    type: str
    default: ''
  estate:
    description: The role that owns what people leave behind. It cannot log in and is made when it is needed.
    type: str
    default: lyceum_estate
  closed_databases:
    description: Databases of the server itself to which nobody else may connect.
    type: list
    elements: str
    default: [postgres, template1]
  drop_databases:
    description: Databases of absent owners that are dropped with everything in them.
    type: list
    elements: str
    default: []
  max_removals:
    description: Refuse to remove or suspend more roles than this at once.
    type: int
    default: 10
  allow_removals:
    description: Roles that do not count for O(max_removals).
    type: list
    elements: str
    default: []
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
    description: The plan is the same; nothing is written. On a host without a server everything would be new; of one
      that does not run nothing is known, which is reported as a conflict.
  diff_mode:
    support: full
    description: One diff per role, with its database; no passwords or verifiers.
  idempotent:
    support: full
    description: A second run plans nothing.
author: Lyceum (@lyceum)
"""

EXAMPLES = r"""
- name: Ensure two people have databases, and a project that one writes and one reads
  postgres_objects:
    roles:
      - {name: amartin, connection_limit: 10}
      - {name: dlopez, state: suspended, reason: on leave}
      - {name: retina, kind: project, members: [amartin]}
      - {name: retina_read, kind: project, members: []}
    databases:
      - {name: amartin, owner: amartin}
      - {name: dlopez, owner: dlopez}
      - {name: retina, owner: retina, readers: retina_read}

- name: Ensure a service has a database
  postgres_objects:
    roles:
      - {name: gitea, kind: service, password: "{{ vault_gitea_database_password }}"}
    databases:
      - {name: gitea, owner: gitea}
"""

RETURN = r"""
actions:
  description: What was (in check mode, would be) done, one sentence each.
  returned: always
  type: list
  elements: str
  sample: ["amartin: create the database amartin", "dlopez: may not log in any more: on leave"]
lyceum:
  description: Results by person for the run's table and audit log.
  returned: always
  type: dict
  sample: {kind: databases, results: {}, unchanged: [amartin], unmanaged: [role webapp], conflicts: []}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.postgres import apply, connection, report
from ansible.module_utils.lyceum.postgres.model import Desired

ARGUMENT_SPEC: dict[str, Any] = {
    "roles": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "kind": {"type": "str", "choices": ["person", "project", "service"], "default": "person"},
            "state": {"type": "str", "choices": ["present", "suspended", "absent"], "default": "present"},
            "reason": {"type": "str", "default": ""},
            "connection_limit": {"type": "int", "default": -1},
            "verifier": {"type": "str", "no_log": True},
            "password": {"type": "str", "no_log": True},
            "members": {"type": "list", "elements": "str", "default": []},
            "member_of": {"type": "list", "elements": "str", "default": []},
        },
    },
    "databases": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "owner": {"type": "str", "required": True},
            "readers": {"type": "str"},
            "connect": {"type": "list", "elements": "str", "default": []},
            "connection_limit": {"type": "int", "default": -1},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "locale": {"type": "str", "default": "C.UTF-8"},
        },
    },
    "only": {"type": "str", "default": ""},
    "estate": {"type": "str", "default": "lyceum_estate"},
    "closed_databases": {"type": "list", "elements": "str", "default": ["postgres", "template1"]},
    "drop_databases": {"type": "list", "elements": "str", "default": []},
    "max_removals": {"type": "int", "default": 10},
    "allow_removals": {"type": "list", "elements": "str", "default": []},
    "socket_directory": {"type": "path", "default": "/var/run/postgresql"},
    "port": {"type": "int", "default": 5432},
    "superuser": {"type": "str", "default": "postgres"},
}


def main() -> None:
    """Translate parameters to the core and its outcome back."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    try:
        desired = Desired.from_params(module.params)
        outcome = apply.run(desired, connection.Server.from_params(module.params), check=module.check_mode)
        result = report.module_result(outcome, with_diff=module._diff)
    except LyceumError as exc:
        module.fail_json(msg=str(exc), **exc.details)
    else:
        if result.pop("failed", False):
            module.fail_json(**result)
        module.exit_json(**result)


if __name__ == "__main__":
    main()
