# SPDX-License-Identifier: GPL-3.0-or-later
"""The account database: passwd(5), shadow(5), group(5), gshadow(5), subuid(5) and subgid(5) as one object.

It is read whole, edited in memory and written back whole: 10,000 accounts cost six files, not 10,000 `useradd`.
Lines that are not entries (comments, blank lines, NIS `+` lines, damaged lines) stay where they are, byte for byte.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import stat
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Union

from ..errors import CommandError, LyceumError
from ..files import flush_directory

# shadow-utils, glibc's lckpwdf(3) and systemd-sysusers all take a POSIX record lock on this file.
LOCK_FILE = ".pwd.lock"
# lckpwdf(3) gives up after 15 s; waiting longer than the other side does would only reverse who fails.
LOCK_SECONDS = 15.0

FIELDS = {"passwd": 7, "shadow": 9, "group": 4, "gshadow": 4, "subuid": 3, "subgid": 3}
# Modes of files that do not exist yet; existing files keep theirs.
NEW_FILE_MODES = {"passwd": 0o644, "shadow": 0o640, "group": 0o644, "gshadow": 0o640, "subuid": 0o644, "subgid": 0o644}

Entry = list[str]
Line = Union[Entry, str]


class Table:
    """One colon-separated file. `entries` maps a name to its first entry; several ranges of one name (subuid) stay.

    `damaged` has the first fields of lines that were meant as entries: a name in it must not be given a second line.
    """

    def __init__(self, kind: str, content: str) -> None:
        self.kind = kind
        self.lines: list[Line] = []
        self.entries: dict[str, Entry] = {}
        self.damaged: set[str] = set()
        # A last line without its line break is no difference: an unchanged file is never rewritten.
        self._original = content if content.endswith("\n") or not content else f"{content}\n"
        width = FIELDS[kind]
        # Not splitlines(): it also breaks at bytes that are part of UTF-8 letters once they are read as latin-1.
        for text in content.removesuffix("\n").split("\n") if content else []:
            fields = text.split(":")
            if not fields[0] or fields[0][0] in "#+-":
                self.lines.append(text)
                continue
            if len(fields) != width or not _numbers_are_numbers(kind, fields):
                self.damaged.add(fields[0])
                self.lines.append(text)
                continue
            self.lines.append(fields)
            self.entries.setdefault(fields[0], fields)

    def add(self, entry: Entry) -> None:
        """Append an entry. The caller has checked that the name is free."""
        self.lines.append(entry)
        self.entries.setdefault(entry[0], entry)

    def remove(self, names: set[str]) -> None:
        """Drop every entry of these names, duplicates included."""
        if not names & self.entries.keys():
            return
        self.lines = [line for line in self.lines if isinstance(line, str) or line[0] not in names]
        for name in names:
            self.entries.pop(name, None)

    def all_entries(self) -> Iterator[Entry]:
        """Every well-formed entry in file order, duplicates included."""
        return (line for line in self.lines if not isinstance(line, str))

    def render(self) -> str:
        return "".join(f"{line if isinstance(line, str) else ':'.join(line)}\n" for line in self.lines)

    @property
    def changed(self) -> bool:
        return self.render() != self._original


def _numbers_are_numbers(kind: str, fields: Entry) -> bool:
    if kind in ("shadow", "gshadow"):
        return True
    positions = {"passwd": (2, 3), "group": (2,), "subuid": (1, 2), "subgid": (1, 2)}[kind]
    return all(is_number(fields[position]) for position in positions)


def is_number(field: str) -> bool:
    """Whether a field is a number: ASCII digits only (str.isdigit() also takes a superscript 2), few enough for ids."""
    return field.isascii() and field.isdigit() and len(field) <= 10


def home_of(entry: Entry) -> str:
    """The home in a passwd entry as a path the system calls take: its bytes decoded, without slashes at the end."""
    return os.fsdecode(entry[5].encode("latin-1")).rstrip("/") or "/"


class Database:
    """The six files below `root`/etc. `load` needs no lock; `commit` must run inside `locked()`."""

    def __init__(self, tables: dict[str, Table], missing: set[str]) -> None:
        self.tables = tables
        self.missing = missing
        self.passwd = tables["passwd"]
        self.shadow = tables["shadow"]
        self.group = tables["group"]
        self.gshadow = tables["gshadow"]
        self.subuid = tables["subuid"]
        self.subgid = tables["subgid"]

    @classmethod
    def load(cls, root: Path) -> Database:
        """Read the files. A missing subuid, subgid or gshadow counts as empty; a missing passwd is an error.

        Raises LyceumError when passwd, group or shadow cannot be read.
        """
        tables: dict[str, Table] = {}
        missing: set[str] = set()
        for kind in FIELDS:
            path = root / "etc" / kind
            try:
                # latin-1 maps every byte to one character and back, so foreign encodings survive untouched.
                content = path.read_bytes().decode("latin-1")
            except FileNotFoundError:
                if kind in ("passwd", "group", "shadow"):
                    raise LyceumError(f"{path} does not exist: this host has no local account database") from None
                missing.add(kind)
                content = ""
            except OSError as exc:
                raise LyceumError(f"cannot read {path}: {exc.strerror}; the module must run as root") from exc
            tables[kind] = Table(kind, content)
        return cls(tables, missing)

    def commit(self, root: Path) -> list[str]:
        """Write the changed files and return their names. Every file appears whole or not at all.

        The new contents are written and flushed next to the old ones first. What is left is a handful of renames, done
        by a child in a session of its own: whoever kills this process (or its whole process group) between two of them
        cannot leave an account in passwd that is missing in shadow.
        Raises LyceumError when a file cannot be written; then nothing has changed.
        """
        pending: list[tuple[str, str]] = []
        changed: list[str] = []
        try:
            # shadow before passwd: should the machine itself die in between, no account exists without its lock field.
            for kind in ("gshadow", "group", "shadow", "passwd", "subuid", "subgid"):
                table = self.tables[kind]
                # A host without gshadow has decided against it; subuid and subgid are created when first needed.
                if not table.changed or (kind == "gshadow" and kind in self.missing):
                    continue
                path = root / "etc" / kind
                pending.append((_write_beside(path, table.render(), NEW_FILE_MODES[kind]), str(path)))
                changed.append(kind)
        except OSError as exc:
            for temporary, _target in pending:
                Path(temporary).unlink()
            raise LyceumError(f"cannot write {path}: {exc.strerror}; nothing was changed") from exc
        if pending:
            _rename_all(pending)
            _forget_cached_entries()
        return changed


def _write_beside(path: Path, content: str, new_mode: int) -> str:
    """Write `content` to a flushed temporary file in the directory of `path`, with its mode and owner."""
    temporary = f"{path}.lyceum"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(content.encode("latin-1"))
            try:
                old = path.stat()
                os.fchown(descriptor, old.st_uid, old.st_gid)
                os.fchmod(descriptor, stat.S_IMODE(old.st_mode))
            except FileNotFoundError:
                os.fchmod(descriptor, new_mode)
            handle.flush()
            os.fsync(descriptor)
    except OSError:
        os.unlink(temporary)
        raise
    return temporary


def _rename_all(pending: list[tuple[str, str]]) -> None:
    """Keep the old files as `passwd-` etc. (as shadow-utils does) and put the new ones in place, from a child."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        failure = b"unexpected end"
        try:
            os.close(read_end)
            os.setsid()
            signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
            for _temporary, target in pending:
                _keep_backup(target)
            for temporary, target in pending:
                os.rename(temporary, target)
            flush_directory(Path(pending[0][1]).parent)
            failure = b""
        except OSError as exc:
            failure = f"{exc.filename}: {exc.strerror}".encode()
        finally:
            with contextlib.suppress(OSError):  # the parent may be dead: the work is done all the same
                os.write(write_end, failure)
            os._exit(0 if not failure else 1)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as reader:
        message = reader.read()
    _pid, status = os.waitpid(child, 0)
    if status != 0:
        raise LyceumError(f"the account files could not be replaced: {message.decode(errors='replace')}")


def _keep_backup(target: str) -> None:
    backup = f"{target}-"
    temporary = f"{backup}.lyceum"
    if not os.path.exists(target):
        return
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    os.link(target, temporary)
    os.rename(temporary, backup)


def _forget_cached_entries() -> None:
    """Tell nscd and sssd, where installed, that the files changed; as shadow-utils does."""
    for program, arguments in (("/usr/sbin/nscd", ["-i", "passwd"]), ("/usr/sbin/sss_cache", ["-UG"])):
        if not os.path.exists(program):
            continue
        done = subprocess.run([program, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
        # nscd exits 1 when it is installed but not running: then there is no cache to forget.
        if done.returncode not in (0, 1):
            raise CommandError(
                f"{program} exited with {done.returncode}: {done.stderr.decode(errors='replace').strip()}"
            )


@contextlib.contextmanager
def locked(root: Path) -> Iterator[None]:
    """Hold the system's lock on the account files, as lckpwdf(3) does. The kernel frees it if this process dies.

    Raises LyceumError when somebody else holds it for longer than LOCK_SECONDS.
    """
    path = root / "etc" / LOCK_FILE
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise LyceumError(f"cannot open {path}: {exc.strerror}; the module must run as root") from exc
    # An open-file-description lock: it excludes record locks, and the child that renames inherits it, so that the lock
    # outlives a killed parent until the last rename. The layout is struct flock of fcntl(2); pid must be 0.
    request = struct.pack("hhqqi0q", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    try:
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, request)
                break
            except OSError as exc:
                if exc.errno not in (errno.EACCES, errno.EAGAIN):
                    raise
                if time.monotonic() > deadline:
                    raise LyceumError(
                        f"{path} is locked by another program for {LOCK_SECONDS:.0f} s (useradd, vipw, another run?);"
                        " run again when it has finished"
                    ) from exc
                time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)
