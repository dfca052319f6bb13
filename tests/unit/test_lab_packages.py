# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts with a kernel of their own cannot install anything: what roles install is on their disks."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ROLES = ROOT / "roles"
# Groups of the inventory are the roles of its hosts.
GROUPS = yaml.safe_load((ROOT / "inventories/lab_kernel/hosts.yml").read_text())


def packages(role: str) -> set[str]:
    """Debian packages in the lists of a role, as Debian 13 has them."""
    found: dict[str, list[str]] = {}
    for name in ("defaults/main.yml", "vars/main.yml", "vars/Debian_13.yml"):
        path = ROLES / role / name
        for key, value in (yaml.safe_load(path.read_text()) or {} if path.exists() else {}).items():
            # Names of Python packages that are sent to hosts end in `host_packages`.
            if key.endswith("_packages") and not key.endswith("_host_packages") and isinstance(value, list):
                found[key] = value
    return {package for packages in found.values() for package in packages}


@pytest.mark.parametrize("role", sorted(set(GROUPS) - {"lab"}))
def test_what_a_role_installs_is_on_the_disks_of_the_lab(role: str) -> None:
    assert packages(role) <= packages("lab")


def test_lists_of_packages_are_found() -> None:
    assert {"zstd", "acl"} <= packages("accounts")
    assert {"systemd-sysv", "quota"} <= packages("lab")
