# SPDX-License-Identifier: GPL-3.0-or-later
"""Who goes on running after logging out: a file per person in /var/lib/systemd/linger, which logind looks at each time.

With the policy `running` that is who has a container that runs, and nobody else, whoever made the file; logind waits
long enough after a logout for a container to be seen (UserStopDelaySec, set by the role). With any other policy, and of
people without a policy file, the files are the role's affair.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import session
from .podman import ENVIRONMENT
from .processes import Container
from .settings import Policy, Settings

LINGER = Path("/var/lib/systemd/linger")
RUNTIME = Path("/run/user")
START_SECONDS = 60


def care(settings: Settings, policies: Mapping[int, Policy], running: Sequence[Container]) -> list[str]:
    """Bring lingering and sessions in line. Returns what went wrong, as sentences."""
    problems = []
    busy = {container.uid for container in running}
    for uid, policy in policies.items() if settings.linger == "running" else ():
        file = LINGER / policy.name
        try:
            if uid not in busy:
                file.unlink(missing_ok=True)
            elif not file.exists():
                LINGER.mkdir(mode=0o755, exist_ok=True)
                file.touch(mode=0o644)
        except OSError as exc:
            problems.append(f"{policy.name}: {exc.filename}: {exc.strerror}")
    return problems + make_ready(list(policies))


def make_ready(uids: Sequence[int]) -> list[str]:
    """Begin the sessions of people who were logged in before the role came: theirs were not made ready."""
    waiting = [
        uid for uid in uids if (RUNTIME / str(uid) / "systemd").is_dir() and not session.directory_of(uid).is_dir()
    ]
    if not waiting:
        return []
    problems = _systemctl("start", *(f"lyceum-containers-session@{uid}.service" for uid in waiting))
    for uid in waiting:
        problems += _systemctl("--user", f"--machine={uid}@.host", "start", "podman.socket")
    return problems


def _systemctl(*words: str) -> list[str]:
    argv = ["systemctl", *words]
    try:
        done = subprocess.run(argv, capture_output=True, timeout=START_SECONDS, env=ENVIRONMENT, check=False)
    except (OSError, subprocess.TimeoutExpired) as exc:
        return [f"{' '.join(argv)}: {exc}"]
    return [f"{' '.join(argv)}: {done.stderr.decode(errors='replace').strip()[-300:]}"] if done.returncode else []
