# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of third parties, each pinned by its sha256: got once, kept on the controller under that sum, never trusted."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from .errors import LyceumError

BLOCK = 1 << 20
STALL_SECONDS = 30  # without a byte, once an answer has begun
SUM = re.compile(r"[0-9a-f]{64}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


@dataclass(frozen=True)
class Artifact:
    """file: its name in a mirror. sha256: empty when nobody has said it. url: where upstream has it; may be empty."""

    name: str
    version: str
    file: str
    sha256: str
    url: str = ""
    required: bool = True

    @classmethod
    def from_params(cls, entry: Mapping[str, Any]) -> Artifact:
        """From the parameters of a module. LyceumError when they make no sense."""
        name, url = str(entry["name"]), str(entry.get("url") or "")
        file = str(entry.get("file") or url.rpartition("/")[2])
        sha256 = str(entry.get("sha256") or "").strip().lower()
        if not NAME.fullmatch(file):
            raise LyceumError(f"{name}: {file!r} is not the name of a file; say it in `file`")
        if url and urlsplit(url).scheme not in ("http", "https"):
            raise LyceumError(f"{name}: {url} must begin with https:// or http://")
        if sha256 and not SUM.fullmatch(sha256):
            raise LyceumError(f"{name}: {sha256!r} is not a sha256; it has 64 digits from 0 to 9 and a to f")
        return cls(name, str(entry["version"]), file, sha256, url, bool(entry.get("required", True)))

    @property
    def title(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True)
class Got:
    """Where a file lies on the controller and where it came from: cache, or the address or path it was read from."""

    path: Path
    source: str


class Cache:
    """Files by their sums. Two runs at once get a file only once."""

    def __init__(self, folder: Path, mirror: str = "", seconds: float = 5) -> None:
        self.folder, self.mirror, self.seconds = folder, mirror.rstrip("/"), seconds

    def path(self, artifact: Artifact) -> Path:
        return self.folder / artifact.sha256

    def obtain(self, artifact: Artifact) -> Got:
        """The file, from the cache, the mirror or upstream. LyceumError with one sentence that says why not."""
        if not artifact.sha256:
            raise LyceumError(
                f"{artifact.title} is not fetched, because nobody has said its sha256: write down the sum that its"
                f" makers publish for {artifact.file}, or that of the file in your mirror"
            )
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.path(artifact)
        with self._locked():
            if path.is_file() and sum_of(path) == artifact.sha256:
                return Got(path, "cache")
            return self._fetch(artifact, path)

    def _fetch(self, artifact: Artifact, path: Path) -> Got:
        failures = []
        for source in self.sources(artifact):
            try:
                self._take(source, artifact, path)
            except OSError as exc:
                failures.append(f"{source}: {words_of(exc)}")
            else:
                return Got(path, source)
        where = "; ".join(failures) or "there is neither a mirror nor an address of its makers"
        raise LyceumError(
            f"{artifact.title} cannot be had ({where}): put {artifact.file} into a directory, and name that directory"
            " in lyceum_artifact_mirror"
        )

    def sources(self, artifact: Artifact) -> list[str]:
        """Where to look, in this order."""
        mirrored = [f"{self.mirror}/{artifact.file}"] if self.mirror else []
        return [*mirrored, *([artifact.url] if artifact.url else [])]

    def _take(self, source: str, artifact: Artifact, path: Path) -> None:
        """Copy to the cache. OSError when it cannot be read; LyceumError when it is not the file wanted."""
        with self._opened(source) as stream, tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as copy:
            temporary = Path(copy.name)
            try:
                digest = hashlib.sha256()
                while block := stream.read(BLOCK):
                    digest.update(block)
                    copy.write(block)
                copy.flush()
                os.fsync(copy.fileno())
                if digest.hexdigest() != artifact.sha256:
                    raise LyceumError(
                        f"{artifact.title} at {source} is not the file that is wanted: its sha256 is"
                        f" {digest.hexdigest()}, and not {artifact.sha256}; nothing of it was used"
                    )
                temporary.replace(path)
            except BaseException:
                temporary.unlink()
                raise

    def _opened(self, source: str) -> BinaryIO:
        if urlsplit(source).scheme in ("http", "https"):
            return answered(source, self.seconds)
        return Path(source).open("rb")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def answered(url: str, seconds: float) -> BinaryIO:
    """The body of an answer that began within so many seconds, looking up the name included. OSError otherwise."""
    outcome: list[Any] = []

    def ask() -> None:
        try:
            outcome.append(urllib.request.urlopen(url, timeout=STALL_SECONDS))
        except (OSError, ValueError) as exc:
            outcome.append(exc)

    # A look-up of a name cannot be interrupted; a thread that hangs in one is left behind.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise TimeoutError(f"no answer within {seconds:g} s")
    if isinstance(outcome[0], OSError):
        raise outcome[0]
    if isinstance(outcome[0], Exception):
        raise OSError(str(outcome[0]))
    stream: BinaryIO = outcome[0]
    return stream


def words_of(exc: OSError) -> str:
    """Why, without the path, which the message has already."""
    if isinstance(exc, urllib.error.HTTPError):
        return f"the answer is {exc.code}"
    if isinstance(exc, urllib.error.URLError) and isinstance(exc.reason, OSError):
        return words_of(exc.reason)
    return exc.strerror or str(exc)


def sum_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def run(params: Mapping[str, Any], check: bool = False) -> dict[str, Any]:
    """What the module returns. A file that is required and cannot be had makes `msg`."""
    cache = Cache(Path(params["directory"]), params.get("mirror") or "", params.get("seconds") or 5)
    found: dict[str, Any] = {}
    actions: list[str] = []
    failures: list[str] = []
    missing: list[str] = []
    for artifact in [Artifact.from_params(entry) for entry in params["artifacts"]]:
        path = cache.path(artifact)
        if check and artifact.sha256 and not path.is_file() and cache.sources(artifact):
            found[artifact.name] = {"available": True, "path": str(path), "source": "", "reason": ""}
            actions.append(f"fetch {artifact.title}")
            continue
        try:
            got = cache.obtain(artifact)
        except LyceumError as exc:
            (failures if artifact.required else missing).append(str(exc))
            found[artifact.name] = {"available": False, "path": "", "source": "", "reason": str(exc)}
        else:
            found[artifact.name] = {"available": True, "path": str(got.path), "source": got.source, "reason": ""}
            actions += [f"fetch {artifact.title} from {got.source}"] if got.source != "cache" else []
    return {
        "changed": bool(actions),
        "actions": actions,
        "artifacts": found,
        "lyceum": {
            "kind": "artifacts",
            "results": {},
            "unchanged": [],
            "unmanaged": [],
            "conflicts": [],
            "not_enforced": missing,
        },
        **({"failed": True, "msg": "; ".join(failures)} if failures else {}),
    }
