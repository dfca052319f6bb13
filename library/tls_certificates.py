#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: the keys and certificates of a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: tls_certificates
short_description: Make the keys and certificates of a host match one list
description:
  - Keeps C(key.pem) and C(fullchain.pem) of every certificate in C(/etc/lyceum/certificates/NAME).
  - Private keys are made on the host and never leave it. What the site's own authority has to sign is returned as
    RV(requests); called again with O(signed), the module checks and installs the answers.
  - Services that use a certificate are reloaded, also when an earlier run was killed before it came to that.
options:
  certificates:
    description: The certificates.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the certificate, and of its directory.
        type: str
        required: true
      state:
        description: Whether it exists.
        type: str
        choices: [present, absent]
        default: present
      subject_alt_names:
        description: Host names and addresses it is for. Needed unless O(certificates[].state=absent).
        type: list
        elements: str
        default: []
      source:
        description:
          - V(internal) is signed by the site's own authority; V(files) is given here, with its key.
          - V(acme) is copied from certbot's directory; until certbot has been there, a placeholder takes its place.
        type: str
        choices: [internal, files, acme]
        default: internal
      owner:
        description: Owner of the key.
        type: str
        default: root
      group:
        description: Group that may read the key.
        type: str
        default: root
      reload:
        description: Units to reload when it changes.
        type: list
        elements: str
        default: []
      key_content:
        description: The private key, with O(certificates[].source=files).
        type: str
      chain_content:
        description: The certificate and those above it, with O(certificates[].source=files).
        type: str
  authority:
    description: Certificate of the site's own authority.
    type: str
    default: ''
  signed:
    description: Answers to RV(requests), by name.
    type: dict
    default: {}
  renew_before_days:
    description: Days before its end at which an internal certificate is replaced.
    type: int
    default: 60
attributes:
  check_mode:
    support: full
    description: The plan is the same; nothing is written, and requests are empty.
  diff_mode:
    support: none
    description: Nobody reads certificates; the actions say what changes.
  idempotent:
    support: full
    description: A second run plans nothing.
author: Lyceum (@lyceum)
"""

EXAMPLES = r"""
- name: Ensure there is a certificate
  tls_certificates:
    certificates:
      - {name: gitea, subject_alt_names: [git.example.org], source: acme, reload: [nginx]}
"""

RETURN = r"""
actions:
  description: What was (in check mode, would be) done, one sentence each.
  returned: always
  type: list
  elements: str
  sample: ["make the private key of gitea"]
requests:
  description: Signing requests for the site's own authority.
  returned: always
  type: list
  elements: dict
  sample: [{name: gitea, csr: "-----BEGIN CERTIFICATE REQUEST-----", why: there is none}]
acme:
  description: Certificates that certbot should fetch.
  returned: always
  type: list
  elements: dict
  sample: [{name: gitea, why: there is none}]
certificates:
  description: What is installed.
  returned: always
  type: list
  elements: dict
  sample: [{name: gitea, source: acme, issuer: CN=R11, names: [git.example.org], not_after: "2027-01-31"}]
unmanaged:
  description: Certificates that are in no list.
  returned: always
  type: list
  elements: str
  sample: []
notes:
  description: Given certificates that end soon, and units to reload that the host does not have.
  returned: always
  type: list
  elements: str
  sample: []
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.web import certificates

CERTIFICATE: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "subject_alt_names": {"type": "list", "elements": "str", "default": []},
    "source": {"type": "str", "choices": ["internal", "files", "acme"], "default": "internal"},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
    "reload": {"type": "list", "elements": "str", "default": []},
    "key_content": {"type": "str", "no_log": True},
    "chain_content": {"type": "str"},
}
ARGUMENT_SPEC: dict[str, Any] = {
    "certificates": {"type": "list", "elements": "dict", "required": True, "options": CERTIFICATE},
    "authority": {"type": "str", "default": ""},
    "signed": {"type": "dict", "default": {}},
    "renew_before_days": {"type": "int", "default": 60},
}


def main() -> None:
    """Translate parameters to the core and its outcome back."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    params = module.params
    rules = certificates.Rules(time.time(), params["renew_before_days"], params["authority"], params["signed"])
    try:
        outcome = certificates.carry_out(params["certificates"], rules, check=module.check_mode)
    except LyceumError as exc:
        module.fail_json(msg=str(exc), **exc.details)
    else:
        result = certificates.result(outcome, rules, check=module.check_mode)
        if outcome.failures:
            module.fail_json(**result)
        module.exit_json(**result)


if __name__ == "__main__":
    main()
