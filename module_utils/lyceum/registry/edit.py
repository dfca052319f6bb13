# SPDX-License-Identifier: GPL-3.0-or-later
"""Change the registry files of an inventory: checked as a whole before anything is written, written atomically.

An `Editor` reads the registry once, gathers changes in memory and writes them with `commit`. Nothing here contacts a
host: the hosts follow when a playbook runs.
"""

from __future__ import annotations

import difflib
import fcntl
import hashlib
import os
import stat
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from ..errors import ConflictError, LyceumError, RefusedError
from . import ids, sshkeys, validate
from .document import Document
from .load import COMMON
from .model import VARIABLES, Registry
from .problem import ERROR, Problem
from .suggest import did_you_mean

# The order in which keys of an entry are written, so that files edited by several people read alike.
KEY_ORDER: Mapping[str, tuple[str, ...]] = {
    "people": (
        "name", "uid", "gid", "full_name", "email", "affiliation", "groups", "ssh_keys", "access", "shell", "home",
        "aliases", "starts", "ends", "state", "reason", "migrate_uid", "services", "limits",
    ),
    "groups": ("name", "gid", "description", "state"),
    "projects": ("name", "gid", "description", "owner", "members", "limits", "starts", "ends", "state"),
}  # fmt: skip
# What a tombstone loses. The rest says who had the number, and what the roles still have to take away.
_DROPPED_FROM_TOMBSTONE = ("ssh_keys", "groups", "reason", "migrate_uid")
_SINGULAR = {"people": "person", "groups": "group", "projects": "project"}


@dataclass(frozen=True)
class Outcome:
    """diff: unified diff of all files ("" when nothing changes). files: the changed files, in the order written.
    warnings: warnings of the registry that the change brought. written: False for a dry run.
    """

    diff: str
    files: tuple[Path, ...]
    warnings: tuple[Problem, ...]
    written: bool


class Editor:
    """One change of one inventory's registry. LyceumError when its files cannot be read at all."""

    def __init__(self, inventory: Path, *, today: date) -> None:
        self.today = today
        self._folder = (inventory.parent if inventory.is_file() else inventory) / "group_vars"
        # Under the lock, so that data and bytes belong together although somebody else is editing too.
        with _locked({self._folder} if self._folder.is_dir() else set()):
            self.loaded, self.problems = validate.inventory(inventory, today=today)
            if self.loaded.broken:
                listed = [str(problem) for problem in self.problems]
                raise LyceumError("The registry cannot be read, so it cannot be edited:\n" + _bullets(listed))
            self._originals: dict[Path, bytes | None] = {file: file.read_bytes() for file in self.loaded.files}
        self._raw = deepcopy(self.loaded.raw)  # the data as it will be
        self._documents: dict[Path, Document] = {}

    # -- reading ---------------------------------------------------------------------------------------------------

    def entries(self, section: str) -> list[dict[str, Any]]:
        """The entries of people, groups or projects that are mappings, with the changes made so far."""
        found = self._raw.get(section)
        return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []

    def entry(self, section: str, name: str) -> dict[str, Any]:
        """The entry of this name. LyceumError with a suggestion when there is none."""
        names = [str(entry.get("name")) for entry in self.entries(section)]
        if name not in names:
            raise LyceumError(
                f"There is no {_SINGULAR[section]} {name!r} in the registry.{did_you_mean(name, names)} "
                f"`./lyceum list {section}` shows all."
            )
        return self.entries(section)[names.index(name)]

    def section_of(self, name: str) -> str:
        """`groups` or `projects`, whichever has an entry of this name; both are Unix groups on the hosts."""
        names = {
            section: [str(entry.get("name")) for entry in self.entries(section)] for section in ("groups", "projects")
        }
        for section, known in names.items():
            if name in known:
                return section
        known = [*names["groups"], *names["projects"]]
        raise LyceumError(
            f"There is no group or project {name!r} in the registry.{did_you_mean(name, known)} "
            "`./lyceum group list` shows all."
        )

    def next_id(self, kind: str) -> int:
        """The next free number of people, groups or projects. RefusedError while the registry has errors."""
        found = [str(problem) for problem in self.problems if problem.severity == ERROR]
        if found:
            raise RefusedError(
                "The next free id cannot be told while the registry has errors; correct them first:\n" + _bullets(found)
            )
        return ids.next_free(Registry.from_raw(self._raw, today=self.today), kind)

    # -- changing single values ------------------------------------------------------------------------------------

    def add(self, section: str, entry: Mapping[str, Any]) -> None:
        """Append an entry; keys with the value None are left out, the others are put in order."""
        order = KEY_ORDER[section]
        ordered = {key: entry[key] for key in order if entry.get(key) is not None}
        self._document(section).append((VARIABLES[section],), ordered, flow=section != "people")
        self._raw[section] = [*(self._raw.get(section) or []), _as_read(ordered)]

    def set(self, section: str, name: str, keys: Sequence[str], value: Any) -> None:
        """Set a key of an entry; `keys` may lead into nested mappings: ("limits", "home_gib")."""
        inner = self.entry(section, name)
        for depth, key in enumerate(keys[:-1], start=1):
            if not inner.get(key):
                for missing in reversed(keys[depth:]):
                    value = {missing: value}
                keys = keys[:depth]
                break
            inner = inner[key]
            if not isinstance(inner, dict):
                raise LyceumError(f"{name}: {key} holds a single value, so {'.'.join(keys)} cannot be set.")
        order = KEY_ORDER[section] if len(keys) == 1 else ()
        self._document(section).set((*self._path(section, name), *keys), value, order=order)
        inner[keys[-1]] = _as_read(value)

    def unset(self, section: str, name: str, keys: Sequence[str | int]) -> None:
        """Remove a key of an entry (or an item of a list in it), if it is there."""
        inner: Any = self.entry(section, name)
        for key in keys[:-1]:
            inner = inner.get(key) if isinstance(inner, dict) else None
        last: Any = keys[-1]
        if isinstance(inner, list) or (isinstance(inner, dict) and last in inner):
            self._document(section).delete((*self._path(section, name), *keys))
            del inner[last]

    def extend(self, section: str, name: str, key: str, values: Sequence[Any]) -> None:
        """Append values to a list of an entry, which is created where missing."""
        entry = self.entry(section, name)
        if not entry.get(key):
            self.set(section, name, (key,), list(values))
            return
        for value in values:
            self._document(section).append((*self._path(section, name), key), value)
            entry[key].append(value)

    # -- people ----------------------------------------------------------------------------------------------------

    def add_person(self, entry: Mapping[str, Any]) -> int:
        """Add a person, with the next free uid unless `entry` has one; returns the uid."""
        name = str(entry["name"])
        for known in self.entries("people"):
            if known.get("name") == name:
                again = (
                    "`./lyceum person resume` brings them back" if known.get("state") == "absent" else "`person modify`"
                )
                raise ConflictError(f"{name} is in the registry already (uid {known.get('uid')}): use {again}.")
        uid = entry.get("uid")
        uid = self.next_id("people") if uid is None else int(uid)
        self._refuse_known_keys(name, entry.get("ssh_keys") or [])
        self.add("people", {**entry, "uid": uid})
        return uid

    def suspend(self, name: str, reason: str | None) -> None:
        """No login anywhere from the next run on; all data stays."""
        person = self.entry("people", name)
        if person.get("state") == "absent":
            raise ConflictError(f"{name} is removed already (state absent), which is more than suspended.")
        self._set_unless_same("people", name, "state", "suspended")
        if reason:
            self._set_unless_same("people", name, "reason", reason)

    def resume(self, name: str) -> None:
        """Undo suspend or remove; a tombstone comes back with its uid, but without keys and groups."""
        if (self.entry("people", name).get("state") or "present") != "present":
            self.set("people", name, ("state",), "present")
            self.unset("people", name, ("reason",))

    def remove_person(self, name: str) -> None:
        """Turn the entry into a tombstone: the uid stays reserved; keys, memberships and exceptions from limits go.

        ConflictError when the person owns a project that is not absent: someone must take it over first.
        """
        self.entry("people", name)
        owned = [
            str(project.get("name"))
            for project in self.entries("projects")
            if project.get("owner") == name and project.get("state") != "absent" and not self._ended(project)
        ]
        if owned:
            steps = [f"./lyceum group modify {project} --owner LOGIN" for project in owned]
            raise ConflictError(
                f"{name} owns {', '.join(owned)}: a project without an owner has nobody who answers for its data. "
                "Name a new owner first (or remove the project: ./lyceum group remove NAME):\n" + _bullets(steps)
            )
        for project in self.entries("projects"):
            if name in (project.get("members") or {}):
                self.unset("projects", str(project["name"]), ("members", name))
        self._drop_exceptions(name)
        for key in _DROPPED_FROM_TOMBSTONE:
            self.unset("people", name, (key,))
        self._set_unless_same("people", name, "state", "absent")

    def _drop_exceptions(self, name: str) -> None:
        limits = self._raw.get("limits")
        exceptions = (limits.get("exceptions") if isinstance(limits, dict) else None) or []
        for position in range(len(exceptions) - 1, -1, -1):
            if isinstance(exceptions[position], dict) and exceptions[position].get("person") == name:
                self._document("limits").delete((VARIABLES["limits"], "exceptions", position))
                del exceptions[position]

    def _ended(self, project: Mapping[str, Any]) -> bool:
        ends = project.get("ends")
        return ends is not None and str(ends) < self.today.isoformat()

    # -- keys ------------------------------------------------------------------------------------------------------

    def keys_of(self, name: str) -> list[tuple[str, sshkeys.PublicKey | None]]:
        """(line, parsed key) of each of a person's keys; None where the line is not a valid key."""
        return [(str(line), _parsed(line)) for line in self.entry("people", name).get("ssh_keys") or []]

    def add_keys(self, name: str, lines: Sequence[str]) -> None:
        """Add public keys. ConflictError: one belongs to somebody already. SshKeyError: one is not acceptable."""
        person = self.entry("people", name)
        if person.get("state") == "absent":
            raise ConflictError(f"{name} is removed (state absent); `./lyceum person resume {name}` comes first.")
        self._refuse_known_keys(name, lines)
        self.extend("people", name, "ssh_keys", lines)

    def remove_keys(self, name: str, fingerprints: Sequence[str]) -> None:
        """Remove keys by SHA256 fingerprint. LyceumError naming those the person has, when one is unknown."""
        known = [key.fingerprint if key else "" for _, key in self.keys_of(name)]
        positions = []
        for fingerprint in fingerprints:
            wanted = fingerprint if fingerprint.startswith("SHA256:") else f"SHA256:{fingerprint}"
            if wanted not in known:
                listed = [found for found in known if found] or ["no key at all"]
                raise LyceumError(f"{name} has no key {wanted}. They have:\n{_bullets(listed)}")
            positions.append(known.index(wanted))
        for position in sorted(set(positions), reverse=True):
            self.unset("people", name, ("ssh_keys", position))

    def _refuse_known_keys(self, name: str, lines: Iterable[str]) -> None:
        owners: dict[str, str] = {}
        for person in self.entries("people"):
            for line in person.get("ssh_keys") or []:
                key = _parsed(line)
                if key is not None:
                    owners.setdefault(key.fingerprint, str(person.get("name")))
        for line in lines:
            key = sshkeys.parse(line)
            owner = owners.get(key.fingerprint)
            if owner == name:
                raise ConflictError(f"{name} has the key {key.fingerprint} already.")
            if owner is not None:
                raise ConflictError(
                    f"The key {key.fingerprint} belongs to {owner}: a key tells who logs in, so two people cannot "
                    f"share one. Ask {name} for a key of their own."
                )
            owners[key.fingerprint] = name

    # -- groups and projects ---------------------------------------------------------------------------------------

    def add_group(self, section: str, entry: Mapping[str, Any]) -> int:
        """Add a group or project, with the next free gid unless `entry` has one; returns the gid."""
        name = str(entry["name"])
        for kind in ("groups", "projects"):
            if any(known.get("name") == name for known in self.entries(kind)):
                raise ConflictError(f"There is a {_SINGULAR[kind]} {name} already; its gid is never given again.")
        gid = entry.get("gid")
        gid = self.next_id(section) if gid is None else int(gid)
        self.add(section, {**entry, "gid": gid})
        return gid

    def remove_group(self, name: str) -> None:
        """Turn a group or project into a tombstone (`state: absent`): nobody is in it, and the gid stays reserved."""
        section = self.section_of(name)
        if section == "groups":
            for person in self.entries("people"):
                if name in (person.get("groups") or []):
                    self._remove_from_group(str(person["name"]), name)
        self._set_unless_same(section, name, "state", "absent")

    def add_member(self, name: str, login: str, role: str | None) -> None:
        """Put a person into a group, or into a project with a role (read or write; default write)."""
        person = self.entry("people", login)
        if person.get("state") == "absent":
            raise ConflictError(f"{login} is removed (state absent) and cannot join {name}.")
        if self.section_of(name) == "groups":
            if role is not None:
                raise LyceumError(f"{name} is a group, and groups have no roles; leave out --role.")
            if name not in (person.get("groups") or []):
                self.extend("people", login, "groups", [name])
            return
        project = self.entry("projects", name)
        if project.get("owner") == login:
            raise ConflictError(f"{login} owns {name} and may write to it already.")
        if (project.get("members") or {}).get(login) != (role or "write"):
            self.set("projects", name, ("members", login), role or "write")

    def remove_member(self, name: str, login: str) -> None:
        """Take a person out of a group or project. LyceumError when they are not in it."""
        person = self.entry("people", login)
        section = self.section_of(name)
        if section == "groups" and name in (person.get("groups") or []):
            self._remove_from_group(login, name)
            return
        project = self.entry("projects", name) if section == "projects" else {}
        if project.get("owner") == login:
            raise ConflictError(
                f"{login} owns {name}. Name a new owner first: ./lyceum group modify {name} --owner LOGIN"
            )
        if login not in (project.get("members") or {}):
            raise LyceumError(f"{login} is not in {name}.")
        self.unset("projects", name, ("members", login))

    def _remove_from_group(self, login: str, name: str) -> None:
        position = [str(group) for group in self.entry("people", login)["groups"]].index(name)
        self.unset("people", login, ("groups", position))

    # -- writing ---------------------------------------------------------------------------------------------------

    def commit(self, *, dry_run: bool = False) -> Outcome:
        """Check the whole registry as it would be, then write the changed files one by one.

        Each file is old or new at any moment, also after a crash. With several files the order is such that the
        registry is valid in between.

        RefusedError: the change brings errors (all listed), or a file was changed by someone else meanwhile.
        LyceumError: a file cannot be written. Nothing is written in any of these cases, except that of several files
        those before the failing one are.
        """
        changed = {
            file: document.text.encode()
            for file, document in self._documents.items()
            if document.text.encode() != (self._originals[file] or b"")
        }
        new = self._new_problems(changed) if changed else []
        found = [str(problem) for problem in new if problem.severity == ERROR]
        if found:
            raise RefusedError("Nothing was written, because the registry would be wrong:\n" + _bullets(found))
        if changed and not dry_run:
            self._write(changed)
        return Outcome(
            diff="".join(self._diff(file, content) for file, content in changed.items()),
            files=tuple(changed),
            warnings=tuple(problem for problem in new if problem.severity != ERROR),
            written=bool(changed) and not dry_run,
        )

    def _new_problems(self, changed: Mapping[Path, bytes]) -> list[Problem]:
        """Problems of the registry with these contents that it does not have now, wherever their lines are."""
        with tempfile.TemporaryDirectory(prefix="lyceum-edit-") as scratch:
            for file, content in {**self._originals, **changed}.items():
                copy = Path(scratch) / "group_vars" / file.relative_to(self._folder)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(content or b"")
            shared = self._folder / "all" / COMMON
            if shared.exists():
                (Path(scratch) / "group_vars" / "all" / COMMON).symlink_to(shared.resolve())
            _, after = validate.inventory(Path(scratch), today=self.today)
        known = Counter(_identity(problem) for problem in self.problems)
        new = []
        for problem in after:
            known[_identity(problem)] -= 1
            if known[_identity(problem)] < 0:
                new.append(problem)
        return new

    def _write(self, changed: Mapping[Path, bytes]) -> None:
        with _locked({self._folder, *(file.resolve().parent for file in changed)}):
            for file, content in self._originals.items():
                if _digest(file) != (None if content is None else hashlib.sha256(content).digest()):
                    raise RefusedError(f"{file} was changed by someone else meanwhile; nothing was written. Try again.")
            for file, content in changed.items():
                replace_file(file, content)

    def _diff(self, file: Path, content: bytes) -> str:
        label = file.relative_to(self.loaded.inventory_dir)
        before = (self._originals[file] or b"").decode().splitlines(keepends=True)
        lines = difflib.unified_diff(before, content.decode().splitlines(keepends=True), f"a/{label}", f"b/{label}")
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)

    def _document(self, section: str) -> Document:
        file = self.loaded.defined_in.get(section)
        if file is None:
            folder = self._folder / "all"
            file = folder / f"{section}.yml" if folder.is_dir() else self.loaded.files[0]
        if file not in self._documents:
            content = self._originals.setdefault(file, None)
            try:
                text = "---\n" if content is None else content.decode()
            except UnicodeDecodeError as error:
                raise LyceumError(f"{file} is not UTF-8 text: {error}") from error
            self._documents[file] = Document(text, str(file))
        return self._documents[file]

    def _path(self, section: str, name: str) -> tuple[str, int]:
        self.entry(section, name)
        position = self._document(section).find(VARIABLES[section], name)
        if position is None:
            raise LyceumError(f"{name} is not written out as an entry of {VARIABLES[section]}; edit the file by hand.")
        return VARIABLES[section], position

    def _set_unless_same(self, section: str, name: str, key: str, value: Any) -> None:
        if self.entry(section, name).get(key) != value:
            self.set(section, name, (key,), value)


def replace_file(file: Path, content: bytes) -> None:
    """Give a file new content in one step, keeping its mode, owner and access list; a symlink stays one.

    A crash at any moment leaves the old or the new content. LyceumError when it cannot be written.
    """
    target = file.resolve()
    # Hidden, so that Ansible and the registry ignore what a crash leaves; one name, so that the next edit removes it.
    temporary = target.with_name(f".{target.name}.lyceum-new")
    try:
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                if target.exists():
                    _copy_ownership(target, stream.fileno())
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(target.parent)
    except OSError as error:
        raise LyceumError(f"{file} cannot be written and is unchanged: {error}") from error


def _copy_ownership(source: Path, descriptor: int) -> None:
    wanted, actual = source.stat(), os.fstat(descriptor)
    if (wanted.st_uid, wanted.st_gid) != (actual.st_uid, actual.st_gid):
        os.fchown(descriptor, wanted.st_uid, wanted.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(wanted.st_mode))
    for attribute in os.listxattr(source):
        if attribute == "system.posix_acl_access" or attribute.startswith("user."):
            os.setxattr(descriptor, attribute, os.getxattr(source, attribute))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _locked(folders: Iterable[Path]) -> Iterator[None]:
    """Hold an exclusive lock on each folder; the kernel releases it with the process, so none is ever left behind."""
    with ExitStack() as stack:
        for folder in sorted(folders):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


def _digest(file: Path) -> bytes | None:
    return hashlib.sha256(file.read_bytes()).digest() if file.exists() else None


def _identity(problem: Problem) -> tuple[str, ...]:
    """What makes two problems the same although lines moved."""
    return problem.severity, problem.path, problem.value, problem.message


def _as_read(value: Any) -> Any:
    """A copy of a value as the reader of the files would give it back: dates are text."""
    if isinstance(value, Mapping):
        return {key: _as_read(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_read(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value


def _parsed(line: Any) -> sshkeys.PublicKey | None:
    try:
        return sshkeys.parse(str(line))
    except sshkeys.SshKeyError:
        return None  # the validator reports it


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"  - {line}" for line in lines)
