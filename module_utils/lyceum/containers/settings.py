# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role wrote for the host tools: /etc/lyceum/containers.json and one policy file for each person."""

from __future__ import annotations

import json
import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import LyceumError
from ..notices import Recipient

SETTINGS = Path("/etc/lyceum/containers.json")


@dataclass(frozen=True)
class Policy:
    """One person and what their containers may use. A limit of None is not set: unlimited, or nobody manages it."""

    name: str
    uid: int
    gid: int
    home: Path
    email: str | None = None
    containers: int | None = None
    memory_bytes: int | None = None
    cpu_cores: float | None = None
    idle_seconds: float | None = None
    runtime_seconds: float | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Policy:
        """Build from a policy file. Raises LyceumError naming what is missing or senseless."""
        try:
            limits = {key: _number(key, value) for key, value in data.get("limits", {}).items()}
            memory, idle, hours = (limits.get(key) for key in ("container_memory_gib", "idle_minutes", "runtime_hours"))
            most = limits.get("containers")
            return cls(
                name=str(data["name"]),
                uid=int(data["uid"]),
                gid=int(data["gid"]),
                home=Path(data["home"]),
                email=data.get("email") or None,
                containers=None if most is None else int(most),
                memory_bytes=None if memory is None else int(memory * 1024**3),
                cpu_cores=limits.get("container_cpu_cores"),
                idle_seconds=None if idle is None else idle * 60,
                runtime_seconds=None if hours is None else hours * 3600,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            raise LyceumError(f"not a policy: {type(exc).__name__}: {exc}") from exc

    @property
    def recipient(self) -> Recipient:
        """Whom to tell."""
        return Recipient(self.name, self.uid, self.gid, self.email)


def _number(key: str, value: Any) -> float | None:
    """A limit. bool is an int in Python, and text such as "2h" was once read as seconds elsewhere: neither is taken."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        raise ValueError(f"{key} is {value!r}, not a number from 0 on")
    return float(value)


@dataclass(frozen=True)
class Settings:
    """How the host tools work. Times in seconds."""

    policies: Path = Path("/etc/lyceum/containers.d")
    state: Path = Path("/var/lib/lyceum/containers")
    log: Path = Path("/var/log/lyceum/containers.log")
    textfile: Path | None = None
    images: Path = Path("/var/lib/lyceum/images")
    storage: Path | None = None
    source: str = "containers"
    period_seconds: float = 60
    grace_seconds: float = 900
    stop_seconds: int = 30
    idle_cpu_percent: float = 2
    keep_days: float | None = None
    images_keep_days: float | None = None
    linger: str | tuple[str, ...] = "nobody"
    mail: bool = False

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Settings:
        """Build from the settings file. Raises LyceumError naming an unknown key."""
        unknown = sorted(set(data) - set(cls.__dataclass_fields__))
        if unknown:
            raise LyceumError(f"unknown setting {unknown[0]!r}")
        values = dict(data)
        for key in ("policies", "state", "log", "textfile", "images", "storage"):
            if values.get(key):
                values[key] = Path(values[key])
            else:
                values.pop(key, None)
        if isinstance(values.get("linger"), list):
            values["linger"] = tuple(values["linger"])
        return cls(**values)

    def storage_of(self, policy: Policy) -> Path:
        """Where a person's images and containers are."""
        if self.storage:
            return self.storage / policy.name
        return policy.home / ".local/share/containers/storage"


def load_settings(path: Path) -> Settings:
    """Read the settings. Raises LyceumError naming the file."""
    try:
        return Settings.from_dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError, LyceumError) as exc:
        raise LyceumError(f"cannot use {path}: {exc}") from exc


def load_policies(directory: Path, only: str | None = None) -> tuple[dict[int, Policy], list[str]]:
    """All policies by uid, and what is wrong with the others: one bad file must not hold up everybody else."""
    policies: dict[int, Policy] = {}
    problems = []
    for path in sorted(directory.glob("*.json")):
        if only is not None and path.stem != only:
            continue
        try:
            policy = Policy.from_dict(json.loads(path.read_text()))
            if policy.name != path.stem:
                raise LyceumError(f"is about {policy.name}")
            policies[policy.uid] = policy
        except (OSError, ValueError, LyceumError) as exc:
            problems.append(f"{path}: {exc}")
    return policies, problems


def policy_of(directory: Path, uid: int) -> Policy | None:
    """The policy of one person, found without reading those of all the others; None if there is none."""
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        return None
    policies, problems = load_policies(directory, only=name)
    if problems:
        raise LyceumError(problems[0])
    return policies.get(uid)
