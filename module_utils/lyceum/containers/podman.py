# SPDX-License-Identifier: GPL-3.0-or-later
"""Run podman as a person and inside the person's own slice, bounded in time and output; its answers are not trusted.

Through a transient unit of systemd, which takes on the person's ids, caps it with everything else of that person, and
kills whatever is left when its time is over: with settings of their own, people decide what their podman starts.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import selectors
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import CommandError
from .settings import Policy

PODMAN = "/usr/bin/podman"
MOST_BYTES = 4 * 1024 * 1024
EXTRA_SECONDS = 10
# Of cgroup v1 podman says on every call that it is old; people know.
QUIET = {"PODMAN_IGNORE_CGROUPSV1_WARNING": "1"}
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "HOME": "/root", **QUIET}
SAVED = "localhost/lyceum-saved"

_numbers = itertools.count()


@dataclass(frozen=True)
class Stopped:
    """A container that does not run, as its person's podman tells."""

    identity: str
    name: str
    ended: float
    keep: bool


def words_as(policy: Policy, words: Sequence[str], seconds: float) -> list[str]:
    """The command line that runs `podman <words>` as a person."""
    runtime = f"/run/user/{policy.uid}"
    return [
        "systemd-run", "--quiet", "--collect", "--pipe", "--wait",
        f"--unit=lyceum-podman-{policy.uid}-{os.getpid()}-{next(_numbers)}",
        f"--slice=user-{policy.uid}.slice", f"--uid={policy.uid}", f"--gid={policy.gid}",
        f"--property=RuntimeMaxSec={seconds:g}", "--property=TimeoutStopSec=5", "--property=WorkingDirectory=/",
        f"--setenv=HOME={policy.home}", f"--setenv=USER={policy.name}", f"--setenv=LOGNAME={policy.name}",
        f"--setenv=XDG_RUNTIME_DIR={runtime}", f"--setenv=DBUS_SESSION_BUS_ADDRESS=unix:path={runtime}/bus",
        *(f"--setenv={name}={value}" for name, value in QUIET.items()), "--", PODMAN, *words,
    ]  # fmt: skip


def run(policy: Policy, words: Sequence[str], seconds: float) -> bytes:
    """Run `podman <words>` as a person; return its output. Raises CommandError."""
    what = f"podman {' '.join(words)} as {policy.name}"
    status, output, complaint = bounded(words_as(policy, words, seconds), seconds + EXTRA_SECONDS)
    if status is None:
        raise CommandError(f"{what}: {complaint}")
    if status:
        raise CommandError(f"{what} ended with {status}: {_last_words(complaint)}")
    return output


def bounded(argv: Sequence[str], seconds: float) -> tuple[int | None, bytes, str]:
    """Run a program for so long at most and take so much of its output: status, output, what it said as an error.

    Status None: it was killed; the third value says why.
    """
    deadline = time.monotonic() + seconds
    taken = {stream: bytearray() for stream in (1, 2)}
    why = ""
    with contextlib.ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        ends = {}
        for stream in taken:
            reader, ends[stream] = os.pipe()
            stack.callback(os.close, reader)
            selector.register(reader, selectors.EVENT_READ, stream)
        try:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=ends[1], stderr=ends[2], env=ENVIRONMENT)
        except OSError as exc:
            return None, b"", f"cannot run {argv[0]}: {exc.strerror}"
        finally:
            for end in ends.values():
                os.close(end)
        while selector.get_map() and not why:
            left = deadline - time.monotonic()
            for key, _events in selector.select(max(left, 0)):
                block = os.read(key.fd, 65536)
                taken[key.data] += block
                if not block:
                    selector.unregister(key.fd)
            if left <= 0:
                why = f"did not end within {seconds:g} s"
            elif sum(map(len, taken.values())) > MOST_BYTES:
                why = f"wrote more than {MOST_BYTES} bytes"
        if why:
            process.kill()
        status = process.wait()
    return (None, b"", why) if why else (status, bytes(taken[1]), taken[2].decode(errors="replace"))


def _last_words(text: str) -> str:
    """The last line, without what a terminal would obey."""
    lines = [line for line in text.splitlines() if line.strip()]
    return re.sub(r"[^ -~]", "?", lines[-1])[-300:] if lines else "no message"


def stop(policy: Policy, identity: str, grace: int) -> None:
    """SIGTERM, and SIGKILL after so many seconds; the container stays. Raises CommandError."""
    run(policy, ["stop", "--time", str(grace), identity], grace + 20)


def update(policy: Policy, identity: str) -> None:
    """Give a running container the memory and cores that its person may use for one. Raises CommandError."""
    words = ["update"]
    if policy.memory_bytes is not None:
        # Without the second, podman refuses a memory limit above an older limit of memory and swap together.
        words += ["--memory", f"{policy.memory_bytes}b", "--memory-swap", f"{policy.memory_bytes}b"]
    if policy.cpu_cores is not None:
        words += ["--cpus", f"{policy.cpu_cores:g}"]
    run(policy, [*words, identity], 30)


def stopped(policy: Policy) -> list[Stopped]:
    """All containers of a person that do not run. Raises CommandError, also for an answer that makes no sense."""
    states = [f"--filter=status={state}" for state in ("exited", "stopped", "created")]
    answer = run(policy, ["ps", "--all", "--no-trunc", *states, "--format", "json"], 30)
    try:
        return [parse_stopped(entry) for entry in json.loads(answer)]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as exc:
        raise CommandError(f"podman ps as {policy.name} gave a senseless answer: {type(exc).__name__}: {exc}") from exc


def parse_stopped(entry: dict[str, Any]) -> Stopped:
    """One entry of `podman ps --format json`. Raises what a senseless one raises."""
    identity = str(entry["Id"])
    if not re.fullmatch(r"[0-9a-f]{64}", identity):
        raise ValueError("an id that is none")
    name = str((entry.get("Names") or [identity[:12]])[0])
    # One that was made and never started has an end before 1970.
    ended = max(float(entry["ExitedAt"]), float(entry["Created"]))
    labels = entry.get("Labels") or {}
    return Stopped(identity, name, ended, str(labels.get("lyceum.keep", "")).lower() in ("1", "true", "yes"))


def saved_name(name: str, at: time.struct_time) -> str:
    """The image a container is saved as."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "container"
    return f"{SAVED}/{plain}:{time.strftime('%Y%m%dt%H%M%S', at)}"


def save_and_remove(policy: Policy, container: Stopped, image: str) -> None:
    """Commit a container's files to an image, see that the image is there, and only then remove the container.

    Volumes stay. Raises CommandError; then the container is untouched.
    """
    made = run(policy, ["commit", "--quiet", container.identity, image], 600).decode(errors="replace").strip()
    found = run(policy, ["image", "inspect", "--format", "{{.Id}}", image], 30).decode(errors="replace").strip()
    if not re.fullmatch(r"(sha256:)?[0-9a-f]{64}", made) or made.split(":")[-1] != found.split(":")[-1]:
        raise CommandError(f"podman commit as {policy.name} made {made[:80]!r}, but {image} is {found[:80]!r}")
    run(policy, ["rm", container.identity], 60)


def has_storage(storage: Path) -> bool:
    """Whether there may be containers, without asking podman: an empty list is `[]`."""
    try:
        return (storage / "overlay-containers/containers.json").lstat().st_size > len("[]")
    except OSError:
        return False
