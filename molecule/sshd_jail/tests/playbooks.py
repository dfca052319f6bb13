# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks as an administrator runs them, with other variables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[3]


IDENTITIES = "playbooks/identities.yml"


def play(
    host: str, playbook: str = IDENTITIES, *, tags: str = "all", **variables: Any
) -> subprocess.CompletedProcess[str]:
    """Run a playbook of the project on one host of the lab."""
    program = Path(sys.executable).with_name("ansible-playbook")
    where = ["-i", os.environ["MOLECULE_INVENTORY_FILE"], "--limit", host, "--tags", tags]
    return subprocess.run(
        [str(program), *where, "-e", json.dumps(variables, default=str), playbook],
        cwd=PROJECT, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


def succeeds(host: str, *, tags: str = "all", **variables: Any) -> None:
    done = play(host, tags=tags, **variables)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
