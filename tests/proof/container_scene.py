# SPDX-License-Identifier: GPL-3.0-or-later
"""Two people with a container each, as the proofs of test_containers*.py find them, and how they are left afterwards.

Everything has the name or the label of the proof; nothing of anybody's own is touched, not even by an attack. Images
are a tree of a few empty folders into which the host's own programs are mounted, so that no registry is needed.
"""

from __future__ import annotations

import io
import shlex
import subprocess
import tarfile
from dataclasses import dataclass
from typing import Any

from target import Target

ROLE = "containers"
NAME = "lyceum-proof"
IMAGE = "localhost/lyceum-proof:1"
SHARED = "localhost/lyceum-proof-shared:1"
LABEL = "lyceum-proof=1"
FOLDERS = ("usr", "etc", "tmp", "proc", "sys", "dev", "run", "root", "var", "host")
LINKS = ("bin", "sbin", "lib", "lib64")
FILES = {"etc/passwd": "root:x:0:0:root:/root:/bin/sh\n", "etc/group": "root:x:0:\n"}
# Programs of the host; without a network, because most attacks need none.
RUN = f"--label {LABEL} --network none -v /usr:/usr:ro"
WARNING = "export PODMAN_IGNORE_CGROUPSV1_WARNING=1"


def tree(note: str = "") -> bytes:
    """The tar of the image. note: what makes it another one than without."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in FOLDERS:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            tar.addfile(entry)
        for name in LINKS:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, f"usr/{name}"
            tar.addfile(entry)
        for name, content in {**FILES, "etc/note": note}.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content.encode()))
    return buffer.getvalue()


@dataclass
class Scene:
    """victim and attacker: each has a container of the proof that sleeps. containers: its id, by person."""

    target: Target
    victim: str
    attacker: str
    containers: dict[str, str]

    def sh(self, name: str, script: str, timeout: int = 60) -> subprocess.CompletedProcess[str]:
        """Run a script as somebody over a login of their own."""
        return self.target.run_as(name, "sh", stdin=f"{WARNING}\n{script}\n", timeout=timeout)

    def inside(self, name: str, options: str, command: str, timeout: int = 60) -> subprocess.CompletedProcess[str]:
        """Run a shell command in a new container of somebody, which is gone afterwards."""
        script = f"exec podman run --rm {RUN} {options} {IMAGE} sh -c {shlex.quote(command)}"
        return self.sh(name, script, timeout)

    def probe(self, action: str, **parameters: Any) -> Any:
        return self.target.probe(action, role=ROLE, timeout=150, **parameters)

    def uid(self, name: str) -> int:
        return int(self.target.people[name]["uid"])

    def family(self, name: str) -> dict[str, Any]:
        """The processes of somebody's container."""
        return dict(self.probe("family", identity=self.containers[name]))

    def runs(self, name: str) -> bool:
        """Whether somebody's container runs, as its own person sees it."""
        done = self.sh(name, f"podman container inspect --format '{{{{.State.Running}}}}' {self.containers[name]}")
        return done.stdout.strip() == "true"

    def begin(self, name: str) -> str:
        """Make somebody's image and container anew; return why it could not be done."""
        script = f"""
set -e
podman rm --force --time 0 $(podman ps --all --quiet --filter label={LABEL}) > /dev/null 2>&1 || true
dd bs=1M iflag=fullblock 2> /dev/null | podman import --change 'LABEL {LABEL}' - {IMAGE} > /dev/null
podman run --detach --name {NAME} {RUN} {IMAGE} sleep 3600
"""
        words = [*self.target.ssh_words(name), f"{WARNING}; sh -c {shlex.quote(script)}"]
        done = subprocess.run(words, input=tree(), capture_output=True, timeout=120, check=False)
        lines = done.stdout.decode().split()
        if done.returncode or not lines:
            return f"{name} cannot run a container: {done.stderr.decode(errors='replace').strip()[-200:]}"
        self.containers[name] = lines[-1]
        return ""

    def end(self, name: str) -> None:
        self.sh(
            name,
            f"podman rm --force --time 0 $(podman ps --all --quiet --filter label={LABEL})\n"
            f"podman image rm --force $(podman images --quiet --filter label={LABEL} --filter readonly=false)",
            timeout=120,
        )
