# SPDX-License-Identifier: GPL-3.0-or-later
"""Homes: made from skel in one rename, archived and verified before they are deleted."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import stat
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from ..errors import CommandError, LyceumError, RefusedError
from ..files import flush_directory

CHUNK = 1 << 20
PARENT_MODE = 0o755
MOUNTINFO = Path("/proc/self/mountinfo")


@dataclass(frozen=True)
class SkelItem:
    """One entry of the skeleton: path relative to it, its mode, and the content or link target (None: directory)."""

    path: str
    mode: int
    content: bytes | None = None
    link: str | None = None


class Skeleton:
    """The skeleton directory, read once for all new homes."""

    def __init__(self, root: Path, skel: str) -> None:
        """Raises LyceumError when a file of the skeleton cannot be read. A missing skeleton is an empty one."""
        self.items: list[SkelItem] = []
        top = root / skel.lstrip("/")
        for folder, directories, files in os.walk(top):
            directories.sort()
            for name in [*directories, *sorted(files)]:
                path = Path(folder, name)
                self.items.append(self._item(path, str(path.relative_to(top))))

    @staticmethod
    def _item(path: Path, relative: str) -> SkelItem:
        info = path.lstat()
        mode = stat.S_IMODE(info.st_mode)
        if stat.S_ISLNK(info.st_mode):
            return SkelItem(relative, mode, link=str(path.readlink()))
        if stat.S_ISDIR(info.st_mode):
            return SkelItem(relative, mode)
        if stat.S_ISREG(info.st_mode):
            return SkelItem(relative, mode, content=path.read_bytes())
        raise LyceumError(f"{path} in the skeleton is neither a file, a directory nor a symlink; remove it")


def create(root: Path, home: str, owner: tuple[int, int], mode: int, skeleton: Skeleton) -> None:
    """Make a home under a temporary name and rename it into place, so that a home is complete or not there.

    owner: (uid, gid). Raises LyceumError naming the path.
    """
    final = _below(root, home)
    building = _aside(root, home, "new")
    try:
        _make_parents(final)
        os.mkdir(building, 0o700)
        for item in skeleton.items:
            path = f"{building}/{item.path}"
            if item.link is not None:
                os.symlink(item.link, path)
                os.lchown(path, *owner)
                continue
            if item.content is None:
                os.mkdir(path)
            else:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                try:
                    _write_all(descriptor, item.content)
                finally:
                    os.close(descriptor)
            os.chown(path, *owner)
            os.chmod(path, item.mode)
        os.chown(building, *owner)
        os.chmod(building, mode)
        os.rename(building, final)
    except OSError as exc:
        raise LyceumError(f"cannot create home {home}: {exc.filename}: {exc.strerror}") from exc


def repair(root: Path, home: str, owner: tuple[int, int], mode: int) -> None:
    """Set owner and mode of the home itself, never of what is in it. Raises LyceumError naming the path."""
    try:
        descriptor = os.open(_below(root, home), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            os.fchown(descriptor, *owner)
            os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)
    except OSError as exc:
        raise LyceumError(f"cannot repair home {home}: {exc.strerror}") from exc


def move(root: Path, old: str, new: str) -> None:
    """Rename a home. Raises LyceumError when the new place is on another file system or cannot be written."""
    try:
        _make_parents(_below(root, new))
        os.rename(_below(root, old), _below(root, new))
    except OSError as exc:
        raise LyceumError(
            f"cannot move {old} to {new}: {exc.strerror}; move the files by hand (rsync -aHAX) and run again"
        ) from exc


def archive(root: Path, name: str, uid: int, paths: list[str], directory: str, moment: float) -> str:
    """Pack `paths` (absolute) into DIRECTORY/<name>-<uid>-<UTC time>.tar.zst with a .sha256 beside it; return its path.

    The archive is complete only when it was read back with the same checksum *and* tar found every file in it equal to
    the one on disk. Raises LyceumError or CommandError otherwise, and then leaves no archive of that name.
    """
    target_directory = Path(_below(root, directory))
    target_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    stamp = f"{name}-{uid}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(moment))}"
    for abandoned in target_directory.glob(f".{name}-{uid}-*.partial"):
        abandoned.unlink()
    # A run killed after its archive was complete is repeated at once, maybe within the same second.
    candidates = (target_directory / f"{stamp}{f'-{number}' if number else ''}.tar.zst" for number in itertools.count())
    final = next(path for path in candidates if not path.exists())
    partial = final.with_name(f".{final.name}.partial")
    checksum = final.with_name(f"{final.name}.sha256")
    members = [path.lstrip("/") for path in paths]
    try:
        written = _pack(root, members, partial)
        _expect(_sha256(partial) == written, f"{partial}: what was read back is not what was written")
        _tar(
            ["--compare", "--file", str(partial), "--directory", str(root)],
            f"the archive of {name} differs from the files",
        )
        _write_durably(checksum, f"{written}  {final.name}\n")
        partial.rename(final)
        flush_directory(target_directory)
    except BaseException:
        partial.unlink(missing_ok=True)
        if not final.exists():
            checksum.unlink(missing_ok=True)
        raise
    return str(final)


def put_aside(root: Path, home: str, uid: int) -> str:
    """Rename an archived home so that nothing uses it any more; return the new path. Raises RefusedError, LyceumError.

    A home that does not belong to the person is never deleted: somebody may have pointed the account elsewhere.
    """
    path = _below(root, home)
    info = os.lstat(path)
    if info.st_uid != uid or not stat.S_ISDIR(info.st_mode):
        raise RefusedError(
            f"home {home} belongs to uid {info.st_uid}, not to {uid}: it was archived, delete it by hand"
        )
    refuse_mounts(root, home)
    aside = _aside(root, home, "removed")
    delete_tree(Path(aside))
    try:
        os.rename(path, aside)
    except OSError as exc:
        raise LyceumError(f"cannot put {home} aside: {exc.strerror}") from exc
    return aside


def refuse_mounts(root: Path, home: str) -> None:
    """Raises RefusedError when something is mounted on the home or inside: tar leaves it out, deleting would not."""
    mounted = _mounts_in(_below(root, home))
    if mounted:
        raise RefusedError(f"{mounted[0]} is a mount point; unmount it (its data is not archived) and run again")


def delete_tree(path: Path) -> None:
    """Delete a directory tree if it is there, never through symlinks or mounts. Raises LyceumError naming what resists.

    By rm(1): shutil.rmtree() needs a stack frame per level, and anybody can make a thousand of those.
    """
    mounted = _mounts_in(str(path))
    if mounted:
        raise LyceumError(f"cannot delete {path}: {mounted[0]} is a mount point; unmount it")
    done = subprocess.run(
        ["rm", "--recursive", "--force", "--one-file-system", "--", str(path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
    )
    if done.returncode != 0:
        raise LyceumError(f"cannot delete {path}: {done.stderr.decode(errors='replace').strip()[-500:]}")


def name_of_aside(path: Path) -> str:
    """The last part of the home that was put aside, or was being made, under this path."""
    return path.name[len(".lyceum-") :].rpartition(".")[0]


def _below(root: Path, path: str) -> str:
    return path if str(root) == "/" else f"{root}{path}"


def _mounts_in(path: str) -> list[str]:
    """Mount points at or below a path, from proc(5) mountinfo, where blanks are written in octal."""
    real = os.path.realpath(path)
    points = [
        re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), line.split()[4])
        for line in MOUNTINFO.read_bytes().splitlines()
    ]
    return [
        point for point in sorted(map(os.fsdecode, points)) if point == real or point.startswith(f"{real.rstrip('/')}/")
    ]


def _make_parents(path: str) -> None:
    """Make the directories above a path, open to everybody whatever the umask: people must reach their homes."""
    parent = os.path.dirname(path)
    if os.path.isdir(parent):
        return
    _make_parents(parent)
    os.mkdir(parent)
    os.chmod(parent, PARENT_MODE)


def _aside(root: Path, home: str, kind: str) -> str:
    path = _below(root, home)
    return f"{os.path.dirname(path)}/.lyceum-{os.path.basename(path)}.{kind}"


def _write_all(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]


def _pack(root: Path, members: list[str], partial: Path) -> str:
    """Run tar into `partial`, flushed to disk; return the SHA-256 of what was written."""
    digest = hashlib.sha256()
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    command = [*_TAR, "--create", "--file", "-", "--directory", str(root), "--", *members]
    # The complaints go to a file: a pipe nobody reads while the archive flows would fill up and stop tar.
    with os.fdopen(descriptor, "w+b") as handle, tempfile.TemporaryFile() as complaints:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints) as tar:
            while chunk := os.read(tar.stdout.fileno(), CHUNK) if tar.stdout else b"":
                digest.update(chunk)
                handle.write(chunk)
        complaints.seek(0)
        words = complaints.read().decode(errors="replace").strip()
        handle.flush()
        os.fsync(descriptor)
    if tar.returncode != 0:
        raise CommandError(f"tar exited with {tar.returncode} while archiving {', '.join(members)}: {words[-500:]}")
    return digest.hexdigest()


_TAR = ["tar", "--zstd", "--acls", "--xattrs", "--xattrs-include=*", "--numeric-owner", "--sparse", "--one-file-system"]


def _tar(arguments: list[str], complaint: str) -> None:
    done = subprocess.run([*_TAR, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        raise CommandError(f"{complaint}: {done.stdout.decode(errors='replace').strip()[-500:]}; nothing was deleted")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        # Read what is on the disk, not what the page cache still remembers of the writing.
        os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        while chunk := handle.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _expect(condition: bool, message: str) -> None:
    if not condition:
        raise LyceumError(message)


def _write_durably(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(descriptor)
