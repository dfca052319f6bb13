#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: everything that nginx serves on a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: nginx_sites
short_description: Make nginx serve a list of sites, none of which can take the others down
description:
  - Owns C(nginx.conf) and one file per site in C(/etc/nginx/lyceum-sites). Every site is a reverse proxy with TLS;
    plain HTTP is redirected, names that are in no site are refused.
  - All changes are tested with C(nginx -t) in a copy. A site that breaks it stays as it was, a new one is left out, all
    others are changed, and the module fails with the name of that site and nginx's words.
  - A reload counts only when nginx has started workers with the new configuration; otherwise the old files come back.
  - Sites that are left out of the list go on being served and are returned as RV(unmanaged).
options:
  sites:
    description: The sites.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the site, and of its file.
        type: str
        required: true
      state:
        description: Whether it is served.
        type: str
        choices: [present, absent]
        default: present
      server_names:
        description: Host names under which it is reached.
        type: list
        elements: str
        default: []
      certificate:
        description: Directory in C(/etc/lyceum/certificates) with C(fullchain.pem) and C(key.pem); else the name.
        type: str
      upstream:
        description: C(http://HOST:PORT), C(https://HOST:PORT) or C(unix:/PATH). Needed unless O(sites[].state=absent).
        type: str
      max_body_mib:
        description: Largest request in MiB; V(0) is unlimited.
        type: int
        default: 10
      websocket:
        description: Whether connections may be upgraded.
        type: bool
        default: false
      buffering:
        description: Whether nginx keeps requests and answers until they are complete; V(false) for large files.
        type: bool
        default: true
      allow:
        description: Networks that may come in; all others may not. Empty allows everybody.
        type: list
        elements: str
        default: []
      deny:
        description: Networks that may not, judged before O(sites[].allow).
        type: list
        elements: str
        default: []
      denied_paths:
        description: Paths answered with 404, with all below them, such as C(/metrics).
        type: list
        elements: str
        default: []
      rate_limit:
        description: Requests of one address; more are answered with 429.
        type: dict
        suboptions:
          requests_per_second:
            description: Lasting rate; may be below one.
            type: float
            required: true
          burst:
            description: How many more are let through at once.
            type: int
            default: 20
      headers:
        description: Headers of every answer, over the usual security headers; V(null) leaves one to the application.
        type: dict
        default: {}
      read_timeout_s:
        description: Seconds nginx waits for the application.
        type: int
        default: 60
      directives:
        description: Further lines of the site's server block, as nginx takes them.
        type: str
        default: ''
  settings:
    description: What is the same for all sites.
    type: dict
    suboptions:
      http_port:
        description: Port of plain HTTP.
        type: int
        default: 80
      https_port:
        description: Port of HTTPS.
        type: int
        default: 443
      tls_profile:
        description: Profile of Mozilla's recommendations.
        type: str
        choices: [intermediate, modern]
        default: intermediate
      hsts_seconds:
        description: How long browsers remember to come by HTTPS only; V(0) does not ask them to.
        type: int
        default: 63072000
      worker_connections:
        description: Connections of one worker.
        type: int
        default: 4096
      resolvers:
        description: Addresses of DNS servers, for upstreams that are names.
        type: list
        elements: str
        default: []
      trusted_proxies:
        description: Networks of proxies before this one whose C(X-Forwarded-For) is believed.
        type: list
        elements: str
        default: []
      challenge_directory:
        description: Where the answers to an ACME server's questions are put.
        type: str
        default: /var/lib/lyceum/acme
      directives:
        description: Further lines of the http block.
        type: str
        default: ''
  replace_foreign_sites:
    description: Whether sites in C(/etc/nginx/sites-enabled) may stop being served when C(nginx.conf) is taken over.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: The candidate is tested just the same. A site whose certificate is not there yet is not.
  diff_mode:
    support: full
    description: One diff per file.
  idempotent:
    support: full
    description: A second run plans nothing.
author: Lyceum (@lyceum)
"""

EXAMPLES = r"""
- name: Ensure the sites are served
  nginx_sites:
    sites:
      - name: gitea
        server_names: [git.example.org]
        upstream: unix:/run/gitea/gitea.sock
        max_body_mib: 512
        rate_limit: {requests_per_second: 20, burst: 100}
      - {name: wiki, state: absent}
"""

RETURN = r"""
actions:
  description: What was (in check mode, would be) done, one sentence each.
  returned: always
  type: list
  elements: str
  sample: ["create /etc/nginx/lyceum-sites/gitea.conf", "load the configuration"]
sites:
  description: Sites that are served as they should be.
  returned: always
  type: list
  elements: str
  sample: [gitea]
failures:
  description: Sites that are not, and why.
  returned: always
  type: dict
  sample: {wiki: "server_names is empty; say under which host names it is reached"}
unmanaged:
  description: Sites that are served and in no list.
  returned: always
  type: list
  elements: str
  sample: [old]
notes:
  description: What could not be tested, and why.
  returned: always
  type: list
  elements: str
  sample: []
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.web import model, sites

SITE: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "server_names": {"type": "list", "elements": "str", "default": []},
    "certificate": {"type": "str"},
    "upstream": {"type": "str"},
    "max_body_mib": {"type": "int", "default": 10},
    "websocket": {"type": "bool", "default": False},
    "buffering": {"type": "bool", "default": True},
    "allow": {"type": "list", "elements": "str", "default": []},
    "deny": {"type": "list", "elements": "str", "default": []},
    "denied_paths": {"type": "list", "elements": "str", "default": []},
    "rate_limit": {
        "type": "dict",
        "options": {
            "requests_per_second": {"type": "float", "required": True},
            "burst": {"type": "int", "default": 20},
        },
    },
    "headers": {"type": "dict", "default": {}},
    "read_timeout_s": {"type": "int", "default": 60},
    "directives": {"type": "str", "default": ""},
}
SETTINGS: dict[str, Any] = {
    "http_port": {"type": "int", "default": 80},
    "https_port": {"type": "int", "default": 443},
    "tls_profile": {"type": "str", "choices": ["intermediate", "modern"], "default": "intermediate"},
    "hsts_seconds": {"type": "int", "default": 63072000},
    "worker_connections": {"type": "int", "default": 4096},
    "resolvers": {"type": "list", "elements": "str", "default": []},
    "trusted_proxies": {"type": "list", "elements": "str", "default": []},
    "challenge_directory": {"type": "str", "default": "/var/lib/lyceum/acme"},
    "directives": {"type": "str", "default": ""},
}
ARGUMENT_SPEC: dict[str, Any] = {
    "sites": {"type": "list", "elements": "dict", "required": True, "options": SITE},
    "settings": {"type": "dict", "options": SETTINGS, "apply_defaults": True},
    "replace_foreign_sites": {"type": "bool", "default": False},
}


def main() -> None:
    """Translate parameters to the core and its outcome back."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    try:
        settings = model.Settings.from_params(module.params["settings"])
        wish = model.read_sites(module.params["sites"], settings)
        outcome = sites.carry_out(
            wish, settings, check=module.check_mode, replace_foreign=module.params["replace_foreign_sites"]
        )
    except LyceumError as exc:
        module.fail_json(msg=str(exc), **exc.details)
    else:
        result = sites.result(outcome, wish, with_diff=module._diff)
        if outcome.failures:
            module.fail_json(**result)
        module.exit_json(**result)


if __name__ == "__main__":
    main()
