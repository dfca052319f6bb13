#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module: the images of lab hosts."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lab_image
short_description: Make the images that lab hosts boot from
description:
  - Makes one image per Debian release with C(mmdebstrap) and imports it into the container engine.
  - The name of an image contains a hash of its inputs, so an image that exists is never made again, and a change
    of an input gives a new one. Several releases are made at the same time.
author: Lyceum contributors
options:
  engine:
    description: The RV(lab_engine#module:engine) that the M(lab_engine) module returned. Empty only in check mode.
    type: dict
    required: true
  releases:
    description: Code names of Debian releases.
    type: list
    elements: str
    required: true
  packages:
    description: Debian packages in every image.
    type: list
    elements: str
    required: true
  mirror:
    description:
      - URL of the Debian archive. Empty takes the one that apt on this machine uses, and where this is not a Debian
        machine the default of C(mmdebstrap).
    type: str
    default: ""
attributes:
  check_mode:
    description: Nothing is made; the result says what would be.
    support: full
  diff_mode:
    description: Shows the images before and after.
    support: full
  idempotent:
    description: A second run changes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Ensure the images of the lab exist
  lab_image:
    engine: "{{ __lab_engine.engine }}"
    releases: [bookworm, trixie]
    packages: [systemd-sysv, openssh-server, python3]
  register: __lab_image
"""

RETURN = r"""
images:
  description: Image name by release.
  returned: always
  type: dict
  sample: {bookworm: "lyceum-lab-bookworm:0f3d1b2c4a5e"}
actions:
  description: What was done, or would be in check mode, one sentence each.
  returned: always
  type: list
  elements: str
  sample: ["make the image lyceum-lab-bookworm:0f3d1b2c4a5e"]
"""

import concurrent.futures
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.lab import images
from ansible.module_utils.lyceum.lab.engine import Engine
from ansible.module_utils.lyceum.lab.hosts import Action, result


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Make the missing images, all releases at once."""
    engine = Engine(params["engine"]["kind"], tuple(params["engine"]["argv"])) if params["engine"] else None
    mirror = params["mirror"] or images.machine_mirror()
    wanted = [images.Image(release, tuple(params["packages"]), mirror) for release in params["releases"]]
    missing = [image for image in wanted if engine is None or not images.exists(engine, image)]
    if engine is not None and not check:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            jobs = [pool.submit(images.build, engine, image) for image in missing]
        for job in jobs:
            job.result()
    return result(
        [Action("build", "", f"make the image {image.tag}") for image in missing],
        "".join(f"{image.tag}\n" for image in wanted if image not in missing),
        "".join(f"{image.tag}\n" for image in wanted),
        images={image.release: image.tag for image in wanted},
    )


def main() -> None:
    """Translate between Ansible and the core."""
    module = AnsibleModule(
        argument_spec={
            "engine": {"type": "dict", "required": True},
            "releases": {"type": "list", "elements": "str", "required": True},
            "packages": {"type": "list", "elements": "str", "required": True},
            "mirror": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**run(module.params, module.check_mode))
    except LyceumError as exc:
        module.fail_json(msg=str(exc), **exc.details)


if __name__ == "__main__":
    main()
