#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module: the container engine of the lab."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lab_engine
short_description: Find or start the container engine that carries a lab
description:
  - Uses a Docker or Podman that already answers.
  - Otherwise installs C(docker.io) with apt and starts it, as a systemd service where systemd runs and as a process
    of its own elsewhere. Missing C(mmdebstrap), which makes the images, is installed with it.
  - Creates the network of the lab, which is also its claim on the engine.
  - With O(state=absent), removes the network and stops the engine, but only one that a lab started itself and that
    nothing else uses any more.
author: Lyceum contributors
options:
  state:
    description: Whether the lab has an engine and a network.
    type: str
    choices: [present, absent]
    default: present
  engine:
    description:
      - Which engine to use. V(auto) takes the first that answers, Docker before Podman, and from then on the one that
        this lab was made on.
    type: str
    choices: [auto, docker, podman]
    default: auto
  state_dir:
    description: Folder of the lab on this machine. The names of all its objects contain a hash of this path.
    type: path
    required: true
attributes:
  check_mode:
    description: Nothing is installed, started or created; the result says what would be.
    support: full
  diff_mode:
    description: Shows the engine and the network before and after.
    support: full
  idempotent:
    description: A second run changes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Ensure a container engine carries the lab
  lab_engine:
    state_dir: "{{ lyceum_state_dir }}/lab"
  register: __lab_engine
"""

RETURN = r"""
engine:
  description: How to reach the engine; empty in check mode where there is none yet, and after O(state=absent).
  returned: always
  type: dict
  sample: {kind: docker, argv: [docker]}
actions:
  description: What was done, or would be in check mode, one sentence each.
  returned: always
  type: list
  elements: str
  sample: ["install docker.io, mmdebstrap", "start docker", "create the network lyceum-1a2b3c4d"]
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.lab import engine as engines
from ansible.module_utils.lyceum.lab.hosts import Action, result


def present(choice: str, state_dir: Path, check: bool) -> dict[str, Any]:
    """Make sure that an engine answers and has the lab's network."""
    instance = engines.instance_id(state_dir)
    network = engines.network_name(instance)
    choice = engines.remembered(choice, state_dir)
    actions = []
    # One lab at a time: another may be about to stop the engine that this one has just found.
    with engines.machine_lock("engine"):
        found = before = engines.find(choice)
        packages = engines.missing_packages(choice, found)
        if packages:
            actions.append(Action("install", "", f"install {', '.join(packages)}"))
            if not check:
                engines.install(packages)
                # Some packages start their daemon themselves.
                found = found or engines.find(choice)
        if found is None:
            actions.append(Action("start", "", f"start {'docker' if choice == 'auto' else choice}"))
            if not check:
                found = engines.start(choice, state_dir.parent / "logs" / "dockerd.log")
        had_network = found is not None and engines.has_network(found, instance)
        if not had_network:
            actions.append(Action("network", "", f"create the network {network}"))
            if found is not None and not check:
                engines.create_network(found, instance)
        if found is not None and not check:
            engines.remember(found.kind, state_dir)
    return result(
        actions,
        f"engine: {before.kind if before else 'none'}\nnetwork: {network if had_network else 'none'}\n",
        f"engine: {found.kind if found else 'docker' if choice == 'auto' else choice}\nnetwork: {network}\n",
        engine={"kind": found.kind, "argv": list(found.argv)} if found else {},
    )


def absent(choice: str, state_dir: Path, check: bool) -> dict[str, Any]:
    """Remove the lab's network and stop an engine that was started for labs only."""
    instance = engines.instance_id(state_dir)
    network = engines.network_name(instance)
    choice = engines.remembered(choice, state_dir)
    actions = []
    had_network = False
    with engines.machine_lock("engine"):
        found = engines.find(choice)
        if found is not None:
            had_network = engines.has_network(found, instance)
            stop = engines.may_stop(instance)
            if had_network:
                actions.append(Action("network", "", f"remove the network {network}"))
                if not check:
                    engines.remove_network(found, instance)
            if stop:
                actions.append(Action("stop", "", "stop docker, which a lab had started"))
                if not check:
                    engines.stop()
    before = f"network: {network}\n" if had_network else "network: none\n"
    return result(actions, before, "network: none\n", engine={})


def main() -> None:
    """Translate between Ansible and the core."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "engine": {"type": "str", "choices": ["auto", "docker", "podman"], "default": "auto"},
            "state_dir": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    step = present if module.params["state"] == "present" else absent
    try:
        module.exit_json(**step(module.params["engine"], Path(module.params["state_dir"]), module.check_mode))
    except LyceumError as exc:
        module.fail_json(msg=str(exc), **exc.details)


if __name__ == "__main__":
    main()
