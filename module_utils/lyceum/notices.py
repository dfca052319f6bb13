# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell a person something: kept until withdrawn and shown at login, on open terminals once, by mail if asked.

A notice is a file /var/lib/lyceum/notices/<uid>/<source>, readable by its person only. Everybody who tells has a source
of its own (storage, purge, containers ...) and one notice per person, which it replaces or withdraws. A text that stays
the same is not repeated: write what will still be true at the next look ("more than 90 %", not "91.3 %").
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import stat
import subprocess
import unicodedata
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

from .errors import CommandError, LyceumError
from .files import write_atomically

NOTICES = Path("/var/lib/lyceum/notices")
# Terminals of logins over the network and in tmux, and those of the machine's own consoles.
TERMINALS = ((Path("/dev/pts"), "[0-9]*"), (Path("/dev"), "tty[1-9]*"))
SENDMAIL = "/usr/sbin/sendmail"
MAIL_SECONDS = 30
MOST_CHARACTERS = 64 * 1024
MOST_TERMINAL_LINES = 15

SOURCE = re.compile(r"[a-z][a-z0-9_-]{0,63}")
ADDRESS = re.compile(r"[A-Za-z0-9_.+%=][A-Za-z0-9_.+%=-]*@[A-Za-z0-9.-]+")


@dataclass(frozen=True)
class Recipient:
    """Whom to tell. email: where mail goes, None if the person has no address."""

    name: str
    uid: int
    gid: int
    email: str | None = None


def post(recipient: Recipient, source: str, text: str | None, *, mail: bool = False) -> bool:
    """Make `text` the one notice of this source to this person; None withdraws it. Returns whether that was a change.

    A new text also goes to the person's terminals, and by mail if asked. Mail that could not be handed over is tried
    again at the next call with the same text. Raises LyceumError.
    """
    if not SOURCE.fullmatch(source):
        raise LyceumError(f"{source!r} cannot be the source of a notice: lower case letters, digits, _ and - only")
    directory = NOTICES / str(recipient.uid)
    path, unsent = directory / source, directory / f".{source}.unsent"
    wanted = None if text is None else sanitise(text)
    try:
        if wanted is None:
            return _withdraw(path, unsent)
        _make_directory(directory, recipient.gid)
        changed = _current(path) != wanted
        if changed:
            unsent.touch(mode=0o600)
            write_atomically(path, wanted.encode(), 0o640)
        # Also when the text is old: a run that was killed here may have left the file to root's group.
        os.chown(path, 0, recipient.gid)
    except OSError as exc:
        raise LyceumError(f"cannot keep the notice {source} for {recipient.name}: {exc}") from exc
    if changed:
        _write_to_terminals(recipient, source, wanted)
    if unsent.exists():
        if mail and recipient.email:
            _mail(recipient, source, wanted)
        unsent.unlink()
    return changed


def forget(uid: int) -> bool:
    """Remove every notice of a person who is gone. Returns whether there was any. Raises LyceumError."""
    try:
        shutil.rmtree(NOTICES / str(uid))
    except FileNotFoundError:
        return False
    except OSError as exc:
        raise LyceumError(f"cannot remove the notices of uid {uid}: {exc}") from exc
    return True


def pending(uid: int) -> dict[str, str]:
    """The open notices of a person, by source. Empty where they cannot be read: they are the person's own affair."""
    with contextlib.suppress(OSError):
        paths = sorted(path for path in (NOTICES / str(uid)).iterdir() if not path.name.startswith("."))
        return {path.name: text for path in paths if (text := _current(path)) is not None}
    return {}


def sanitise(text: str) -> str:
    """Plain lines: nothing that a terminal obeys, hides or turns around (file names can hold anything)."""
    lines = text.strip().replace("\t", " ").split("\n")
    plain = "\n".join(
        "".join("?" if unicodedata.category(letter).startswith("C") else letter for letter in line).rstrip()
        for line in lines
    )
    if len(plain) > MOST_CHARACTERS:
        plain = f"{plain[:MOST_CHARACTERS].rstrip()}\n[...]"
    return f"{plain}\n"


def _current(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def _withdraw(path: Path, unsent: Path) -> bool:
    unsent.unlink(missing_ok=True)
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def _make_directory(directory: Path, gid: int) -> None:
    """Modes do not depend on the umask of whoever calls first."""
    for parent, mode in ((NOTICES.parent, 0o755), (NOTICES, 0o711)):  # who is told something is nobody else's affair
        if not parent.is_dir():
            parent.mkdir(parents=True)
            parent.chmod(mode)
    directory.mkdir(mode=0o700, exist_ok=True)
    info = directory.lstat()
    if (info.st_uid, info.st_gid) != (0, gid):
        os.chown(directory, 0, gid)
    if stat.S_IMODE(info.st_mode) != 0o750:
        directory.chmod(0o750)


def _write_to_terminals(recipient: Recipient, source: str, text: str) -> None:
    """Show it on every terminal that belongs to the person and takes messages (mesg y).

    Whose terminal it is, is asked of the opened file: a number under /dev/pts may have changed hands since it was
    listed. A terminal that is stopped (Ctrl-S) or full loses the message rather than holding up the caller.
    """
    lines = text.rstrip("\n").split("\n")
    if len(lines) > MOST_TERMINAL_LINES:
        lines = [*lines[:MOST_TERMINAL_LINES], f"[... {len(lines) - MOST_TERMINAL_LINES} more lines: lyceum-limits]"]
    # \r: programs that draw the whole screen have switched off the terminal's own carriage return.
    message = "\r\n".join(["", f"--- {socket.gethostname()}: notice ({source})", *lines, "---", ""]).encode()
    for folder, pattern in TERMINALS:
        for path in folder.glob(pattern):
            # It may vanish at any moment, with its login; the notice itself is on disk.
            with contextlib.suppress(OSError):
                if path.lstat().st_uid == recipient.uid:
                    _write_to_terminal(path, recipient.uid, message)


def _write_to_terminal(path: Path, uid: int, message: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        info = os.fstat(descriptor)
        if info.st_uid == uid and info.st_mode & stat.S_IWGRP and os.isatty(descriptor):
            os.write(descriptor, message)
    finally:
        os.close(descriptor)


def _mail(recipient: Recipient, source: str, text: str) -> None:
    if recipient.email is None or not ADDRESS.fullmatch(recipient.email):
        raise LyceumError(f"no mail to {recipient.name} about {source}: {recipient.email!r} is not an address")
    message = EmailMessage()
    message["To"] = recipient.email
    message["Subject"] = f"[{socket.gethostname()}] {text.splitlines()[0][:120]}"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    try:
        done = subprocess.run(
            [SENDMAIL, "-i", "--", recipient.email],
            input=message.as_bytes(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
            timeout=MAIL_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise CommandError(f"no mail to {recipient.name} about {source}: {SENDMAIL}: {exc}") from exc
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip()[-300:]
        raise CommandError(f"no mail to {recipient.name} about {source}: {SENDMAIL} exited {done.returncode}: {words}")
