# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory of authorized keys: one root-owned file per person, exactly the keys of the registry.

sshd reads `AuthorizedKeysFile /etc/ssh/authorized_keys.d/%u` as the person who logs in, so the files are world-readable
(public keys are public) and writable by root only: nobody can add a key, or keep one after leaving.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import pwd
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import LyceumError, RefusedError
from ..files import write_all_atomically

FILE_MODE = 0o644
DIRECTORY_MODE = 0o755


@dataclass(frozen=True)
class KeysSpec:
    """What the directory should hold.

    keep: names whose files are never removed or emptied. adopt: names among them whose file is made from their own
    ~/.ssh/authorized_keys when there is none yet.
    """

    directory: Path
    people: Mapping[str, tuple[str, ...]]
    complete: bool
    keep: frozenset[str]
    adopt: frozenset[str]

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> KeysSpec:
        """Build from the module's parameters. Raises LyceumError on a name given twice or that is no file name."""
        people: dict[str, tuple[str, ...]] = {}
        for entry in params["people"]:
            name = entry["name"]
            if name in people:
                raise LyceumError(f"people: {name} is given twice")
            if not name or "/" in name or name.startswith("."):
                raise LyceumError(f"people: {name!r} cannot be the name of a file of keys")
            people[name] = tuple(line for key in entry["ssh_keys"] if (line := _one_line(name, key)))
        return cls(
            directory=Path(params["directory"]),
            people=people,
            complete=params["complete"],
            keep=frozenset(params["keep"]) | frozenset(params["adopt"]),
            adopt=frozenset(params["adopt"]),
        )


@dataclass(frozen=True)
class KeyFile:
    """One file as it is: content, owner and mode."""

    content: str
    uid: int
    gid: int
    mode: int


@dataclass(frozen=True)
class ObservedKeys:
    """The directory as it is: owner, group and mode, or None when it is missing.

    homes: adoptable files by name. shut_out: accounts outside the list whose keys only lie in their homes.
    """

    directory: tuple[int, int, int] | None
    files: dict[str, KeyFile]
    strangers: tuple[str, ...]
    homes: dict[str, str]
    shut_out: tuple[str, ...] = ()


@dataclass
class FileChange:
    """One file to write (content) or to remove (None)."""

    name: str
    content: str | None
    actions: list[str]
    before: list[str]
    after: list[str]


@dataclass
class KeysPlan:
    """All changes, by the name of the file. shut_out: see ObservedKeys."""

    make_directory: bool
    changes: dict[str, FileChange] = field(default_factory=dict)
    unchanged: list[str] = field(default_factory=list)
    shut_out: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        return self.make_directory or bool(self.changes)


def fingerprint(line: str) -> str:
    """`SHA256:... type comment` of an authorized_keys line (options are skipped), as ssh-keygen -l shows it.

    A line that has no readable key is shown as it stands, so that it can be found.
    """
    words = line.split()
    for position, word in enumerate(words[:-1]):
        try:
            blob = base64.b64decode(words[position + 1], validate=True)
        except (binascii.Error, ValueError):
            continue
        kind = word.encode("utf-8", "surrogateescape")
        # The key names its own type: a length of four bytes, then the type.
        if kind and blob.startswith(len(kind).to_bytes(4, "big") + kind):
            digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
            return _printable(" ".join([f"SHA256:{digest}", *words[position:][:1], *words[position + 2 :]]))
    return _printable(line)


def is_key(line: str) -> bool:
    """Whether sshd can read a public key from the line: only such a line lets anybody in."""
    # A line that has no key is shown as it stands, and may itself be somebody's note of a fingerprint.
    return not line.startswith(("#", "SHA256:")) and fingerprint(line).startswith("SHA256:")


def _printable(line: str) -> str:
    """Bytes that are not UTF-8, shown as the replacement character: results travel as JSON."""
    return line.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def observe(spec: KeysSpec) -> ObservedKeys:
    """Read the directory once. Raises LyceumError when something in it is not a plain file."""
    try:
        info = os.lstat(spec.directory)
    except FileNotFoundError:
        return ObservedKeys(None, {}, (), _adoptable(spec, set()), _shut_out(spec, set()))
    if not stat.S_ISDIR(info.st_mode):
        raise LyceumError(f"{spec.directory} is not a directory; move it away")
    files: dict[str, KeyFile] = {}
    strangers = []
    with os.scandir(spec.directory) as entries:
        for entry in entries:
            # A temporary file of a killed run, or anything else sshd would never read for a login name.
            if entry.name.startswith("."):
                strangers.append(entry.name)
                continue
            status = entry.stat(follow_symlinks=False)
            if not stat.S_ISREG(status.st_mode):
                raise LyceumError(f"{entry.path} is not a plain file; remove it")
            if spec.complete or entry.name in spec.people or entry.name in spec.keep:
                content = _read(Path(entry.path))
                files[entry.name] = KeyFile(content, status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))
    directory = (info.st_uid, info.st_gid, stat.S_IMODE(info.st_mode))
    known = set(files)
    return ObservedKeys(directory, files, tuple(sorted(strangers)), _adoptable(spec, known), _shut_out(spec, known))


def plan(spec: KeysSpec, observed: ObservedKeys) -> KeysPlan:
    """Compare. Raises RefusedError when a kept account would be left without any key."""
    result = KeysPlan(make_directory=observed.directory != (0, 0, DIRECTORY_MODE), shut_out=observed.shut_out)
    wanted: dict[str, list[str]] = {name: list(keys) for name, keys in spec.people.items()}
    for name, content in observed.homes.items():
        # The file is the user's own and may be a link to anything; what is made of it can be read by everybody.
        wanted.setdefault(name, [line for line in _key_lines(content) if is_key(line)])
    for name in sorted(spec.keep):
        have = wanted.get(name, _key_lines(observed.files[name].content) if name in observed.files else [])
        if not any(is_key(line) for line in have):
            raise RefusedError(
                f"{name} would be left without a key in {spec.directory} and could not log in any more; nothing was"
                f" changed. Give {name} a key in accounts_admins, or put one into ~{name}/.ssh/authorized_keys to adopt"
            )
    for name, lines in wanted.items():
        _plan_file(result, name, lines, observed.files.get(name))
    for name in sorted(observed.files.keys() - wanted.keys()):
        if name in spec.keep:
            _plan_kept(result, name, observed.files[name])
        elif spec.complete:
            old = _key_lines(observed.files[name].content)
            result.changes[name] = FileChange(name, None, [_sentence("remove", line) for line in old], old, [])
            result.changes[name].actions.append("remove the file: not in the registry")
    for name in observed.strangers:
        result.changes[name] = FileChange(name, None, ["remove the file: not a file of keys"], [], [])
    return result


def apply(spec: KeysSpec, todo: KeysPlan) -> dict[str, str]:
    """Write and remove files; returns what failed, by name. Raises LyceumError when the directory cannot be made.

    Removals come first: a run that dies half-way has taken away access rather than given it.
    """
    if todo.make_directory:
        try:
            spec.directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
            os.chown(spec.directory, 0, 0)
            spec.directory.chmod(DIRECTORY_MODE)
        except OSError as exc:
            raise LyceumError(f"cannot make {spec.directory}: {exc.strerror}") from exc
    failures = {}
    contents = {}
    for change in todo.changes.values():
        path = spec.directory / change.name
        if change.content is not None:
            contents[path] = change.content.encode("utf-8", "surrogateescape")
            continue
        try:
            path.unlink()
        except OSError as exc:
            failures[change.name] = f"cannot remove {path}: {exc.strerror}"
    failures.update({path.name: why for path, why in write_all_atomically(contents, FILE_MODE).items()})
    return failures


def _one_line(name: str, key: str) -> str:
    line = key.strip()
    if "\n" in line or "\r" in line:
        raise LyceumError(f"people: {name}: one ssh_keys entry holds several lines; write one key per entry")
    if "\0" in line or line.startswith("#"):
        raise LyceumError(f"people: {name}: ssh_keys entry {line[:40]!r} is not a key")
    return line


def _shut_out(spec: KeysSpec, known: set[str]) -> tuple[str, ...]:
    """Accounts of others (a backup, a second admin) whose keys lie in their home, where sshd does not look any more."""
    if not spec.complete:
        return ()
    found = []
    for account in pwd.getpwall():
        if account.pw_name in known or account.pw_name in spec.people or account.pw_name in spec.keep:
            continue
        try:
            size = Path(account.pw_dir, ".ssh", "authorized_keys").stat().st_size
        except OSError:
            continue
        if size:
            found.append(account.pw_name)
    return tuple(sorted(found))


def _adoptable(spec: KeysSpec, known: set[str]) -> dict[str, str]:
    """The ~/.ssh/authorized_keys of accounts to take over that have no file of their own yet and no listed keys."""
    found = {}
    for name in sorted(spec.adopt - known - set(spec.people)):
        try:
            path = Path(pwd.getpwnam(name).pw_dir, ".ssh", "authorized_keys")
            found[name] = _read(path)
        except (KeyError, FileNotFoundError, NotADirectoryError):
            continue
        except OSError as exc:
            raise LyceumError(f"cannot read {path}: {exc.strerror}") from exc
    return found


def _read(path: Path) -> str:
    """The content with every byte kept: Path.read_text() would translate line ends."""
    return path.read_bytes().decode("utf-8", "surrogateescape")


def _key_lines(content: str) -> list[str]:
    # Not splitlines(): sshd knows one line end, and a comment may have any other character in it.
    return [line.strip() for line in content.split("\n") if line.strip() and not line.lstrip().startswith("#")]


def _plan_file(result: KeysPlan, name: str, lines: list[str], old: KeyFile | None) -> None:
    content = "".join(f"{line}\n" for line in lines)
    if not lines:
        # No file is as good as an empty one, and says more clearly that the person has no key.
        if old is None:
            result.unchanged.append(name)
        else:
            before = _key_lines(old.content)
            actions = [_sentence("remove", line) for line in before] or ["remove the empty file"]
            result.changes[name] = FileChange(name, None, actions, before, [])
        return
    before = _key_lines(old.content) if old else []
    actions = [_sentence("remove", line) for line in before if line not in lines]
    actions += [_sentence("add", line) for line in lines if line not in before]
    if old is not None and (old.uid, old.gid, old.mode) != (0, 0, FILE_MODE):
        actions.append(_owner_sentence(old))
    if old is not None and not actions and old.content != content:
        actions.append("rewrite the file: order or comments differ")
    if actions:
        result.changes[name] = FileChange(name, content, actions, before, lines)
    else:
        result.unchanged.append(name)


def _plan_kept(result: KeysPlan, name: str, old: KeyFile) -> None:
    """A file that is kept keeps its content; others must not be able to write to it (sshd would ignore it, too)."""
    if (old.uid, old.gid, old.mode) == (0, 0, FILE_MODE):
        return
    lines = _key_lines(old.content)
    result.changes[name] = FileChange(name, old.content, [_owner_sentence(old)], lines, lines)


def _owner_sentence(old: KeyFile) -> str:
    return f"owner {old.uid}:{old.gid} mode {old.mode:04o} -> 0:0 {FILE_MODE:04o}"


def _sentence(verb: str, line: str) -> str:
    return f"{verb} key {fingerprint(line)}"
