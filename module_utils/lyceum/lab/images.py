# SPDX-License-Identifier: GPL-3.0-or-later
"""Root file systems of lab hosts: Debian made by mmdebstrap, imported as a container image, cached by its inputs."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import CommandError
from .engine import PATH, Engine, is_root, machine_lock, root_prefix, run, works

RECIPE = 1
"""Raised when the way an image is made changes in a manner that its other inputs do not show."""

# openssh refuses to share host keys between hosts that come from one image: each makes its own on first boot.
CUSTOMIZE = 'rm -f "$1"/etc/ssh/ssh_host_*'


@dataclass(frozen=True)
class Image:
    """What one image is made of. mirror: Debian archive URL, None for mmdebstrap's own choice."""

    release: str
    packages: tuple[str, ...]
    mirror: str | None

    @property
    def tag(self) -> str:
        """Name of the image; it contains a hash of everything that went in."""
        inputs = [RECIPE, CUSTOMIZE, self.release, sorted(self.packages), self.mirror]
        return f"lyceum-lab-{self.release}:{hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:12]}"


def exists(engine: Engine, image: Image) -> bool:
    """Whether the image is in the engine's store."""
    return works([*engine.argv, "image", "inspect", image.tag])


def build(engine: Engine, image: Image) -> bool:
    """Make the image; False if another lab of this machine made it while this one waited for its turn."""
    with machine_lock(image.tag.replace(":", "-")):
        if exists(engine, image):
            return False
        scratch = cache_dir() / f"build-{image.tag.replace(':', '-')}"
        # Rootless podman with unprivileged user namespaces needs no root; everything else does.
        prefix = root_prefix("mmdebstrap") if is_root() or engine.argv[0] == "sudo" or _sudo() else []
        # A build that was killed leaves its tree behind; the lock says that nobody uses it.
        run([*prefix, "rm", "-rf", "--one-file-system", str(scratch)])
        scratch.mkdir(parents=True)
        try:
            _bootstrap(engine, image, prefix, scratch)
        finally:
            run([*prefix, "rm", "-rf", "--one-file-system", str(scratch)])
    return True


def _sudo() -> bool:
    return works(["sudo", "-n", "true"])


def cache_dir() -> Path:
    """Folder in which things are made, and kept that no container engine keeps."""
    return Path("/var/cache/lyceum-lab") if is_root() else Path.home() / ".cache" / "lyceum-lab"


def _bootstrap(engine: Engine, image: Image, prefix: Sequence[str], scratch: Path) -> None:
    words = debstrap_words(
        image.release, "-", image.packages, image.mirror, scratch=scratch,
        more=["--quiet", "--variant=minbase", f"--customize-hook={CUSTOMIZE}"],
    )  # fmt: skip
    log = scratch / "log"
    with log.open("wb") as errors:
        tree = subprocess.Popen(
            [*prefix, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, "LC_ALL": "C"},
        )
        loaded = subprocess.run([*engine.argv, "import", "-"], stdin=tree.stdout, capture_output=True, check=False)
        if tree.stdout is not None:
            tree.stdout.close()  # if the import failed, mmdebstrap ends on the broken pipe instead of waiting
        status = tree.wait()
    # The import of a broken archive can succeed, so the name is given last.
    identity = loaded.stdout.decode().strip()
    if status or loaded.returncode:
        if identity:
            # Must not hide why it is needed; equal halves of two releases are one image, gone with the first.
            works([*engine.argv, "image", "rm", identity])
        words_of = [*log.read_text(errors="replace").splitlines()[-5:], *loaded.stderr.decode().splitlines()[-2:]]
        raise CommandError(f"Cannot make the image of Debian {image.release}: {' / '.join(words_of)}")
    engine.run("tag", identity, image.tag)


def debstrap_words(
    suite: str, target: str, packages: Sequence[str], mirror: str | None, *, scratch: Path, more: Sequence[str]
) -> list[str]:
    """Command that makes a Debian tree. target: a folder, or `-` for a tar archive. mirror: None for its own choice."""
    words = ["env", f"TMPDIR={scratch}", f"PATH={PATH}", "mmdebstrap", f"--include={','.join(packages)}"]
    return [*words, *more, suite, target, *([] if mirror is None else [mirror])]


def machine_mirror(apt: Path = Path("/etc/apt"), os_release: Path = Path("/etc/os-release")) -> str | None:
    """URL of the Debian archive this machine installs from, or None where it is not a Debian machine."""
    system = dict(
        line.split("=", 1) for line in os_release.read_text().splitlines() if "=" in line and not line.startswith("#")
    )
    if system.get("ID", "").strip('"') != "debian":
        return None
    codename = system.get("VERSION_CODENAME", "").strip('"')
    for uri, suites in _sources(apt):
        if codename in suites or "sid" in suites or "stable" in suites:
            return _resolve(uri)
    return None


def _sources(apt: Path) -> Iterator[tuple[str, list[str]]]:
    """(first URI, suites) of every enabled binary source in apt's configuration."""
    for path in sorted((apt / "sources.list.d").glob("*.sources")):
        for stanza in re.split(r"\n\s*\n", path.read_text()):
            fields = {
                key.strip().lower(): value.strip()
                for key, _, value in (
                    line.partition(":") for line in stanza.splitlines() if line[:1] not in ("#", " ", "\t", "")
                )
            }
            if "deb" in fields.get("types", "").split() and fields.get("enabled", "yes") != "no" and "uris" in fields:
                yield fields["uris"].split()[0], fields.get("suites", "").split()
    for path in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.list"))]:
        for line in path.read_text().splitlines() if path.exists() else []:
            match = re.match(r"deb\s+(?:\[[^]]*\]\s*)?(\S+)\s+(\S+)", line)
            if match:
                yield match.group(1), [match.group(2)]


def _resolve(uri: str) -> str:
    """Cloud images name a file with the list of mirrors; a chroot cannot see that file."""
    if uri.startswith("mirror+file:"):
        listed = Path(re.sub("^mirror\\+file:/*", "/", uri)).read_text().split()
        return listed[0]
    return uri
