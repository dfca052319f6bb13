# SPDX-License-Identifier: GPL-3.0-or-later
"""People, containers and recorded outputs that the tests of this folder share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.module_utils.lyceum.containers.processes import TICKS, Container, Process
from ansible.module_utils.lyceum.containers.settings import Policy, Settings

DATA = Path(__file__).resolve().parents[2] / "data/podman"
VERSIONS = ("4.3.1", "5.4.2")
MINUTE, HOUR = 60.0, 3600.0


def policy(**limits: Any) -> Policy:
    return Policy.from_dict(
        {"name": "amartin", "uid": 2001, "gid": 2001, "home": "/home/amartin", "email": None, "limits": limits}
    )


def settings(folder: Path, **more: Any) -> Settings:
    """Settings whose files are all below a folder."""
    places = {key: str(folder / key) for key in ("policies", "state", "log", "images")}
    return Settings.from_dict({**places, **more})


def container(name: str = "web", *, since: float = 0, cpu: float = 0, uid: int = 2001) -> Container:
    """A container that started so many seconds after boot."""
    identity = name.encode().hex().ljust(64, "0")
    ticks = round(since * TICKS)
    process = Process(41, 40, "sleep", ticks, cpu)
    return Container(uid, identity, name, ticks, cpu, 41, (process,))
