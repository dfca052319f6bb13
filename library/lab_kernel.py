#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module: what lab hosts with a kernel of their own boot from."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lab_kernel
short_description: Fetch a user-mode Linux kernel and make the disks it boots from
description:
  - Fetches the first kernel of O(sources) that can be had into a folder of its own, with the libraries it needs;
    nothing of it is installed on this machine.
  - Makes one disk per Debian release with C(mmdebstrap). The names of kernels and disks contain a hash of their inputs,
    so what exists is never made again, and a change of an input gives a new one.
  - Fails where such hosts cannot be booted at all, for instance without root, and says so in the same words each time.
author: Lyceum contributors
options:
  sources:
    description: Where the kernel may come from, the best first.
    type: list
    elements: dict
    required: true
    suboptions:
      suite:
        description: Suite of the Debian archive.
        type: str
        required: true
      version:
        description: Version of the package C(user-mode-linux); empty takes the one that the suite has.
        type: str
        default: ""
  releases:
    description: Code names of Debian releases.
    type: list
    elements: str
    required: true
  packages:
    description: Debian packages on every disk.
    type: list
    elements: str
    required: true
  overlay:
    description: Folder whose files are laid over those of Debian.
    type: path
    required: true
  mirror:
    description:
      - URL of the Debian archive. Empty takes the one that apt on this machine uses, and where this is not a Debian
        machine the default of C(mmdebstrap).
    type: str
    default: ""
attributes:
  check_mode:
    description: Nothing is fetched or made; the result says what would be.
    support: full
  diff_mode:
    description: Shows kernel and disks before and after.
    support: full
  idempotent:
    description: A second run changes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Ensure kernel and disks exist
  lab_kernel:
    sources:
      - {suite: sid, version: 7.2um1}
      - {suite: trixie}
    releases: [trixie]
    packages: [systemd-sysv, openssh-server, python3, udev, quota]
    overlay: "{{ role_path }}/files/kernel"
  register: __lab_kernel
"""

RETURN = r"""
kernel:
  description: The kernel. Empty in check mode where there is none yet.
  returned: always
  type: dict
  sample: {tree: /var/cache/lyceum-lab/kernel-sid-0f3d1b2c4a5e, version: 7.2.7, quick: true}
disks:
  description: File of the first disk by release. Empty in check mode where there is no kernel yet.
  returned: always
  type: dict
  sample: {trixie: /var/cache/lyceum-lab/disk-trixie-9a8b7c6d5e4f}
actions:
  description: What was done, or would be in check mode, one sentence each.
  returned: always
  type: list
  elements: str
  sample: ["fetch user-mode-linux 7.2um1 from sid", "make the disk of Debian trixie"]
"""

import concurrent.futures
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.lab import engine, images, kernel
from ansible.module_utils.lyceum.lab.hosts import Action, result


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Fetch and make what is missing, the disks of all releases at once."""
    reason = kernel.obstacle()
    if reason is not None:
        raise kernel.unable(reason)
    mirror = params["mirror"] or images.machine_mirror()
    sources = [kernel.Source(item["suite"], item["version"], mirror) for item in params["sources"]]
    actions = []
    packages = kernel.missing_packages()
    if packages:
        actions.append(Action("install", "", f"install {', '.join(packages)}"))
        if not check:
            engine.install(packages)
    found = before = kernel.find(sources)
    failures: list[str] = []
    if found is None:
        actions.append(Action("fetch", "", f"fetch {sources[0]}"))
        if not check:
            source, failures = kernel.fetch(sources)
            found = kernel.inspect(source.tree)
            actions[-1] = Action("fetch", "", f"fetch {source}")
    disks = {
        release: kernel.Disk(release, tuple(params["packages"]), mirror, Path(params["overlay"]), found)
        for release in params["releases"]
        if found is not None
    }
    missing = [release for release in params["releases"] if release not in disks or not disks[release].path.exists()]
    actions += [Action("build", "", f"make the disk of Debian {release}") for release in missing]
    if not check:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            for job in [pool.submit(kernel.build, disks[release]) for release in missing]:
                job.result()
    return result(
        actions,
        kernel.describe(before, [release for release in params["releases"] if release not in missing]),
        kernel.describe(found, params["releases"]),
        kernel=kernel.as_dict(found),
        disks={release: str(disk.path) for release, disk in disks.items()},
        warnings=kernel.warnings(found, failures),
    )


def main() -> None:
    """Translate between Ansible and the core."""
    source = {"suite": {"type": "str", "required": True}, "version": {"type": "str", "default": ""}}
    module = AnsibleModule(
        argument_spec={
            "sources": {"type": "list", "elements": "dict", "required": True, "options": source},
            "releases": {"type": "list", "elements": "str", "required": True},
            "packages": {"type": "list", "elements": "str", "required": True},
            "overlay": {"type": "path", "required": True},
            "mirror": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    try:
        answer = run(module.params, module.check_mode)
        for text in answer.pop("warnings"):
            module.warn(text)
        module.exit_json(**answer)
    except LyceumError as exc:
        module.fail_json(msg=str(exc), **exc.details)


if __name__ == "__main__":
    main()
