# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the host: after certbot has renewed a certificate, its copy is replaced and those who use it read it."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from ..errors import LyceumError
from .certificates import Outcome, Places, Rules, carry_out

SETTINGS = Path("/etc/lyceum/certificates.json")


def deploy(settings: Path, environment: Mapping[str, str], places: Places | None = None) -> Outcome:
    """Bring up to date what certbot says it has renewed, or everything fetched. Raises LyceumError."""
    try:
        entries = json.loads(settings.read_text(encoding="utf-8"))["certificates"]
    except (OSError, ValueError, KeyError) as exc:
        raise LyceumError(f"cannot read {settings}: {exc}; run Ansible again") from exc
    lineage = Path(environment.get("RENEWED_LINEAGE", "")).name
    renewed = [entry for entry in entries if lineage in ("", entry["name"])]
    return carry_out(renewed, Rules(now=time.time()), check=False, places=places)


def main() -> int:
    """Exit status 1, and what went wrong, for certbot's log."""
    try:
        outcome = deploy(SETTINGS, os.environ)
    except LyceumError as exc:
        print(exc, file=sys.stderr)
        return 1
    for name, why in sorted(outcome.failures.items()):
        print(f"certificate {name}: {why}", file=sys.stderr)
    for decision in outcome.decisions:
        for sentence in decision.sentences():
            print(sentence)
    return 1 if outcome.failures else 0
