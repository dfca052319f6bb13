# SPDX-License-Identifier: GPL-3.0-or-later
"""End what people have running: logind sessions, lingering user managers and every process with one of their ids."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

from .observe import ATJOBS, CRONTABS, LINGER, MAIL, process_ids

# Long enough for an editor to save its recovery file, short enough for an onboarding run.
TERM_SECONDS = 3.0
KILL_SECONDS = 10.0
POLL_SECONDS = 0.05
USERS = Path("/run/systemd/users")


def end_sessions(people: dict[str, tuple[int, list[tuple[int, int]]]]) -> dict[str, str]:
    """End everything that runs as these people. people: name -> (uid, [(first, count)] of subordinate ids).

    Returns what went wrong, by name: processes that survive SIGKILL.
    """
    _stop_lingering(people)
    complaints = [_terminate(uid) for uid, _spans in people.values() if (USERS / str(uid)).exists()]
    _signal_until_gone(people, signal.SIGTERM, TERM_SECONDS)
    remaining = _signal_until_gone(people, signal.SIGKILL, KILL_SECONDS)
    # logind fails for whoever logs out at that moment: only what is left running tells whether something is wrong.
    logind = "".join(f"; {complaint}" for complaint in complaints if complaint and remaining)
    return {
        name: f"process(es) {', '.join(map(str, pids))} survive SIGKILL{logind}" for name, pids in remaining.items()
    }


def clear_schedule(root: Path, name: str, uid: int, keep_mail: bool) -> None:
    """Delete the crontab, the at jobs and (unless keep_mail) the mail spool of a person who leaves."""
    (root / CRONTABS / name).unlink(missing_ok=True)
    with contextlib.suppress(FileNotFoundError):
        for path in (root / ATJOBS).iterdir():
            if not path.name.startswith(".") and path.lstat().st_uid == uid:
                path.unlink()
    if not keep_mail:
        (root / MAIL / name).unlink(missing_ok=True)


def _terminate(uid: int) -> str | None:
    """Ask logind to end the sessions and the user manager; return what it complains about."""
    done = subprocess.run(
        ["loginctl", "terminate-user", str(uid)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
    )
    words = done.stderr.decode(errors="replace").strip()
    return f"loginctl terminate-user {uid} exited with {done.returncode}: {words}" if done.returncode else None


def _stop_lingering(people: dict[str, tuple[int, list[tuple[int, int]]]]) -> None:
    for name in people:
        Path("/", LINGER, name).unlink(missing_ok=True)


def _signal_until_gone(
    people: dict[str, tuple[int, list[tuple[int, int]]]], number: signal.Signals, seconds: float
) -> dict[str, list[int]]:
    """Send the signal to whatever is left until nothing is or the time is over. Returns the survivors by name."""
    deadline = time.monotonic() + seconds
    signalled: set[int] = set()
    while True:
        remaining = _remaining(people)
        if not remaining or time.monotonic() > deadline:
            return remaining
        for pids in remaining.values():
            for pid in pids:
                # Once each for SIGTERM (a handler may be at work); SIGKILL also reaches what was forked meanwhile.
                if pid not in signalled or number == signal.SIGKILL:
                    signalled.add(pid)
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)
        time.sleep(POLL_SECONDS)


def _remaining(people: dict[str, tuple[int, list[tuple[int, int]]]]) -> dict[str, list[int]]:
    result: dict[str, list[int]] = {}
    running = process_ids(
        [uid for uid, _spans in people.values()], [span for _uid, spans in people.values() for span in spans]
    )
    for name, (uid, spans) in people.items():
        pids = [
            pid for one, own in running.items() for pid in own if one == uid or any(f <= one < f + c for f, c in spans)
        ]
        if pids:
            result[name] = sorted(set(pids))
    return result
