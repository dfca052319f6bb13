#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module: the booted hosts of the lab."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lab_hosts
short_description: Boot lab hosts that are reached over SSH
description:
  - Takes the whole list of hosts. Each runs systemd and sshd, as a container that is published on 127.0.0.1, or on a
    kernel of its own behind a network device between this machine and the host alone.
  - Hosts that are as they should be are left alone. A host whose definition changed, or whose creation was
    interrupted, is made anew. Hosts of this lab that are not in the list are removed.
  - Makes a key for the controller and one throw-away key per person, and writes C(ssh_config) and C(known_hosts) into
    O(state_dir). Host keys are known before the first connection, so none ever trusts an unseen key.
author: Lyceum contributors
options:
  state:
    description: Whether the lab exists. V(absent) removes all its hosts and everything in O(state_dir).
    type: str
    choices: [present, absent]
    default: present
  engine:
    description:
      - The RV(lab_engine#module:engine) that the M(lab_engine) module returned. Empty only in check mode and with
        O(state=absent), which then looks for one itself.
    type: dict
    default: {}
  state_dir:
    description: Folder of the lab on this machine. The names of all its objects contain a hash of this path.
    type: path
    required: true
  hosts:
    description: All hosts of the lab.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the host.
        type: str
        required: true
      release:
        description: Debian release to boot, a key of O(images).
        type: str
        required: true
      kernel:
        description:
          - V(shared) boots a container, on the kernel of this machine. V(own) boots a user-mode Linux kernel, which can
            what the machine's may not (disk quotas, cgroup v2, auditd, all sysctls, a real reboot), and takes seconds.
        type: str
        choices: [shared, own]
        default: shared
  images:
    description: The RV(lab_image#module:images) that the M(lab_image) module returned, for hosts that are containers.
    type: dict
    default: {}
  kernel:
    description: The RV(lab_kernel#module:kernel) that the M(lab_kernel) module returned, for the other hosts.
    type: dict
    default: {}
  disks:
    description: The RV(lab_kernel#module:disks) that the M(lab_kernel) module returned.
    type: dict
    default: {}
  memory_mib:
    description: Memory in MiB of each host with a kernel of its own. It is taken as the host uses it.
    type: int
    default: 1536
  people:
    description: Names of the people who get a throw-away key in C(keys/) of O(state_dir).
    type: list
    elements: str
    default: []
  init:
    description: Program that a host runs as its first process. Required with O(state=present).
    type: path
  seed:
    description: POSIX shell script that runs as root once on every new host, after its first boot.
    type: path
attributes:
  check_mode:
    description: Nothing is created, started or removed; the result says what would be.
    support: full
  diff_mode:
    description: Shows the hosts before and after.
    support: full
  idempotent:
    description: A second run changes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Ensure the hosts of the lab are booted
  lab_hosts:
    engine: "{{ __lab_engine.engine }}"
    state_dir: "{{ lyceum_state_dir }}/lab"
    init: "{{ role_path }}/files/lab-init"
    hosts:
      - {name: lab-debian12, release: bookworm}
    images: "{{ __lab_image.images }}"
    people: [amartin, bchen]

- name: Ensure the lab is gone
  lab_hosts:
    state: absent
    state_dir: "{{ lyceum_state_dir }}/lab"
"""

RETURN = r"""
hosts:
  description: The finished hosts, with an identity, address, port, public host key, and where to connect from.
  returned: always
  type: dict
  sample:
    lab-debian12: {identity: 4f5e6d, address: 127.0.0.1, port: 21234, host_key: ssh-ed25519 AAAA, source: ""}
ssh_config:
  description: File for C(ssh -F) that reaches every host by its name.
  returned: always
  type: str
  sample: /home/admin/lyceum/.lyceum/lab/ssh_config
actions:
  description: What was done, or would be in check mode, one sentence each.
  returned: always
  type: list
  elements: str
  sample: ["make 3 keys", "create lab-debian12 from lyceum-lab-bookworm:0f3d1b2c4a5e"]
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.lab import hosts as core
from ansible.module_utils.lyceum.lab.containers import Containers
from ansible.module_utils.lyceum.lab.engine import Engine, find, instance_id, machine_lock
from ansible.module_utils.lyceum.lab.kernel import Kernel
from ansible.module_utils.lyceum.lab.usermode import UserModeHosts


def lab_of(params: dict[str, Any]) -> tuple[core.Lab, Containers, UserModeHosts]:
    """The lab that the parameters describe, and both ways to have hosts."""
    folder = Path(params["state_dir"])
    instance = instance_id(folder)
    seed = Path(params["seed"]).read_text() if params["seed"] else ""
    engine = Engine(params["engine"]["kind"], tuple(params["engine"]["argv"])) if params["engine"] else None
    found = params["kernel"]
    kernel = Kernel(Path(found["tree"]), found["version"], found["quick"]) if found else None
    lab = core.Lab(folder, {})
    containers = Containers(
        engine, instance, lab.key, Path(params["init"]).read_bytes() if params["init"] else b"", seed
    )
    machines = UserModeHosts(folder, instance, lab.key, kernel, params["memory_mib"], seed)
    lab.backends = {core.SHARED: containers, core.OWN: machines}
    return lab, containers, machines


def present(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Boot what is missing and verify every host by a login."""
    lab, containers, machines = lab_of(params)
    keys = lab.missing_keys(params["people"])
    if not check:
        lab.make_keys(keys)
    hosts = [
        machines.wanted(item["name"], params["disks"].get(item["release"], ""))
        if item["kernel"] == core.OWN
        else containers.wanted(item["name"], params["images"][item["release"]])
        for item in params["hosts"]
    ]
    observed = lab.observe()
    actions = core.plan(hosts, observed, lab.records())
    if not actions and lab.stale_files():
        actions = [core.Action("files", "", "write ssh_config and known_hosts")]
    if not check:
        lab.apply(actions, hosts)
        lab.verify(hosts)
    made = [core.Action("keys", "", f"make {len(keys)} key{'s' if len(keys) > 1 else ''}")] if keys else []
    return core.result(
        [*made, *actions],
        core.describe(observed),
        core.describe_wanted(hosts),
        hosts={name: asdict(record) for name, record in lab.records().items()},
        ssh_config=str(lab.ssh_config),
    )


def absent(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Remove every host of the lab and its files."""
    lab, containers, _machines = lab_of(params)
    if containers.engine is None:
        containers.engine = find("auto")
    observed = lab.observe()
    actions = core.plan([], observed, {})
    if not check:
        lab.apply(actions, [])
        lab.destroy_files()
    return core.result(actions, core.describe(observed), "", hosts={}, ssh_config=str(lab.ssh_config))


def main() -> None:
    """Translate between Ansible and the core."""
    host = {
        "name": {"type": "str", "required": True},
        "release": {"type": "str", "required": True},
        "kernel": {"type": "str", "choices": [core.SHARED, core.OWN], "default": core.SHARED},
    }
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "engine": {"type": "dict", "default": {}},
            "state_dir": {"type": "path", "required": True},
            "hosts": {"type": "list", "elements": "dict", "default": [], "options": host},
            "images": {"type": "dict", "default": {}},
            "kernel": {"type": "dict", "default": {}},
            "disks": {"type": "dict", "default": {}},
            "memory_mib": {"type": "int", "default": 1536},
            "people": {"type": "list", "elements": "str", "default": [], "no_log": False},
            "init": {"type": "path"},
            "seed": {"type": "path"},
        },
        required_if=[("state", "present", ["init"])],
        supports_check_mode=True,
    )
    step = present if module.params["state"] == "present" else absent
    try:
        # An interrupted Ansible leaves its module running for a while; what it still makes must be seen by the next.
        with machine_lock(f"hosts-{instance_id(Path(module.params['state_dir']))}"):
            module.exit_json(**step(module.params, module.check_mode))
    except LyceumError as exc:
        module.fail_json(msg=str(exc), **exc.details)


if __name__ == "__main__":
    main()
