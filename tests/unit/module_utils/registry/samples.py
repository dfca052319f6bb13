# SPDX-License-Identifier: GPL-3.0-or-later
"""A small valid registry and public keys whose private halves were never kept, for the tests in this folder."""

from __future__ import annotations

from copy import deepcopy
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from ansible.module_utils.lyceum.registry.model import VARIABLES

TODAY = date(2026, 10, 1)

ED25519_1 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIP/7YuR+KWV/34nWUN2zwlxApFDe5b7ggvGJAStd6Z7+ key1"
ED25519_2 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIABz8fFl/KtdUvP7ha8EIT432t3i5uVq1h0/2gjA34tg key2"
ED25519_3 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILIlNMYUIsf3WZP89lhmlRc9ojBXLl9131oM31ocgdgc key3"
ECDSA_256 = (
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBA8nozpKjztIp766BVR/M5SXz8yE"
    "IfHpcAbktT1dbPkf+JQHStr9P58bod5SELf7fz7bsdAse1in74GDOeWzbHI= ecdsab256"
)
ECDSA_521 = (
    "ecdsa-sha2-nistp521 AAAAE2VjZHNhLXNoYTItbmlzdHA1MjEAAAAIbmlzdHA1MjEAAACFBACRsFd2nvQ+wcMTrTqWSC6LEXLo"
    "16EqJzZUj/1E+IPlzADy9hE7t0gGWYcRwGirE8KFrZroUany6bY40iOUQjyiswEJYYu8RGj+TlgMTDLDw8AEyLHu98r6JGlgQPCr"
    "nkjWD8OYBS1HUJbVCX3IManFB9mZVtpz6Va8FH4T7S1zddIykg== ecdsab521"
)
RSA_3072 = (
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQDS56L+uADWyfUIbKH6W/yU7gk7CJKZgy1kol5z/S+xOzXtHzIpIZ95Eo5KEG40"
    "jYGlAySMpdzAOV5b7fnzUqoGnI5Nah8odIOYMBMJhNJu6l7g/wfXWKK3A627UjIDZ5NdfXTJ9XQFQyWPf4pJw+nss214V7G7Y22x"
    "VXMaGn1JHARsLG0pr2Yip5qS/mpfNqOhbz5JT0CPLdj9RMhXVs0ZOq7tMi2xVrxVEUNWCpiUMUlSpMqqlkh4uPRQHYHLmGIjDZ3i"
    "74wjXNcdNH5QtvGxvI048hT2CBmJQ9PjXZ10JXr475WkhXCVr4eZ+RHH7T0rTts8xPFTozfq/LrqTW1s9Mw+VGYK76uR6dHOejVx"
    "7i86SpBbIHxLxPaV5bDzVrufLjNp6J0MGAdkXXm+tW7Pov33aNhh0d4+pbO9I9gw8MIIegQaPpQAI4uHS8lB1eFvaquGbiccCVSb"
    "PgMXoqPRxZ5UO+vBRQ/q3yvzNn/ywNf7LG9YdzEbxBhiEBqMPtk= rsab3072"
)
RSA_2048 = (
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQDeZ+2QAHtcnmwFNbqsfYlCPAO5Umbn63HlX5Oi4EqpIa2G3RlTPE/fZSOAmPmc"
    "Q5722HCQQB7zADjb2yCu789trfW2hiN4A6oCh2miOFnLB++Yd6rmhDrrSWhXvX9aJkikmUqEmNNE8kQFgcdxEr5l80IxzDR7mIJz"
    "dXKpQTgdWwruggCLd+Th51n6xT+JypUyErrLX7pNdA5pA0O8Aq/P45kyxNvxcQOgIDqxUNM4oUxoRZTkJ1uqiZiayZKekj1JdHzh"
    "2hRxtz/PNHPpO2GktyA2w50rvq/HA+a6vck8GkjbeTT6AYL3pkvX1VBEZ8CdgdPO3w5Zxl4exF1HIHkP rsab2048"
)
SK_ED25519 = (
    "sk-ssh-ed25519@openssh.com "
    "AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAILIlNMYUIsf3WZP89lhmlRc9ojBXLl9131oM31ocgdgcAAAABHNzaDo="
    " token"
)
CERTIFICATE = (
    "ssh-ed25519-cert-v01@openssh.com AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29tAAAAIFvmsvd3Ag00CB7"
    "lYXVR0jWfmziuo3GuSWTT/78Mk+vvAAAAIABz8fFl/KtdUvP7ha8EIT432t3i5uVq1h0/2gjA34tgAAAAAAAAAAAAAAABAAAAAXg"
    "AAAAAAAAAAAAAAAD//////////wAAAAAAAACCAAAAFXBlcm1pdC1YMTEtZm9yd2FyZGluZwAAAAAAAAAXcGVybWl0LWFnZW50LWZ"
    "vcndhcmRpbmcAAAAAAAAAFnBlcm1pdC1wb3J0LWZvcndhcmRpbmcAAAAAAAAACnBlcm1pdC1wdHkAAAAAAAAADnBlcm1pdC11c2V"
    "yLXJjAAAAAAAAAAAAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIP/7YuR+KWV/34nWUN2zwlxApFDe5b7ggvGJAStd6Z7+AAAAUwAAAAt"
    "zc2gtZWQyNTUxOQAAAEDqyWo6JjGYau0+VjbjMXkZh4jtNMtxKK2UHwGvgU1kGaPdBwmEWEq+RegNs5ZDETtFQHu78MavGiWCj6T"
    "3DJQA key2"
)
# As `ssh-keygen -l` prints them.
FINGERPRINTS = {
    ED25519_1: "SHA256:yXrSjXaDnWviA31JB+ER+DUghd2OwEMUYTLGdri5C+E",
    ECDSA_256: "SHA256:6OFBSKrepr+xwmP0U1/qJINrYrUcIgWAAc09N5c47To",
    ECDSA_521: "SHA256:/b6EFZLX4mfbq8TzCCLzJlWOVQGoghg+y7QAzU4sHOE",
    RSA_3072: "SHA256:pE2C7li1bDVVtUKa+xgx46idKfQXn5JmtpWQkza/TyU",
    SK_ED25519: "SHA256:Q/yzftxgXkrJhgYFFURva08BYWAU7/uH7DZfBTQyYo8",
}

_RAW: dict[str, Any] = {
    "people": [
        {
            "name": "amartin",
            "uid": 2001,
            "full_name": "Alice Martin",
            "email": "amartin@example.org",
            "affiliation": "researcher",
            "groups": ["vision"],
            "ssh_keys": [ED25519_1],
            "aliases": ["a.martin@ad.example.org"],
            "services": {"gitea": {}},
            "limits": {"home_gib": 200},
        },
        {
            "name": "bchen",
            "uid": 2002,
            "affiliation": "student",
            "ssh_keys": [ED25519_2],
            "starts": "2026-01-01",
            "ends": "2027-08-31",
        },
        {"name": "dlopez", "uid": 2003, "affiliation": "researcher", "groups": ["nlp"], "access": "git"},
        {"name": "ehansen", "uid": 2004, "affiliation": "staff", "ssh_keys": [ED25519_3], "state": "suspended"},
        {"name": "fmoreau", "uid": 2005, "state": "absent"},
    ],
    "groups": [{"name": "vision", "gid": 10001}, {"name": "nlp", "gid": 10002, "description": "Language"}],
    "projects": [
        {
            "name": "retina",
            "gid": 11001,
            "owner": "amartin",
            "members": {"bchen": "write", "dlopez": "read"},
            "limits": {"storage_gib": 500, "gpu_slices": 2},
            "ends": "2027-12-31",
        },
        {"name": "old", "gid": 11002, "owner": "amartin", "members": {"bchen": "write"}, "ends": "2025-12-31"},
    ],
    "limits": {
        "defaults": {
            "cpu_cores": 4,
            "cpu_weight": 100,
            "io_weight": 100,
            "memory_gib": 8,
            "gpu_slices": 1,
            "storage_gib": 100,
        },
        "affiliations": {"student": {"memory_gib": 4}, "researcher": {"gpu_slices": None}},
        "exceptions": [
            {
                "person": "bchen",
                "limits": {"gpu_slices": 4},
                "reason": "paper deadline",
                "approved_by": "amartin",
                "expires": "2026-12-01",
            }
        ],
    },
    "id_ranges": {
        "people": {"first": 2001, "last": 9999},
        "groups": {"first": 10001, "last": 10999},
        "projects": {"first": 11001, "last": 19999},
    },
    "classify": {
        "rules": [{"pattern": "^[0-9]+@", "affiliation": "student"}],
        "overrides": {"a.martin@ad.example.org": "researcher"},
        "archived": ["old.one"],
        "default": "guest",
    },
    "affiliations": {"guest": {"access": "sftp"}},
}


def registry(**sections: Any) -> dict[str, Any]:
    """A fresh copy of the valid registry, with whole sections replaced (None: removed)."""
    raw = {**deepcopy(_RAW), **sections}
    return {section: value for section, value in raw.items() if section not in sections or value is not None}


def write(folder: Path, files: dict[str, str]) -> Path:
    """An inventory with these files in group_vars/all."""
    target = folder / "group_vars" / "all"
    target.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (target / name).write_text(text, encoding="utf-8")
    return folder


def as_files(raw: dict[str, Any]) -> dict[str, str]:
    """The registry as the text of one file for each section."""
    return {f"{section}.yml": yaml.safe_dump({VARIABLES[section]: raw[section]}, sort_keys=False) for section in raw}
