# SPDX-License-Identifier: GPL-3.0-or-later
"""Many small root-owned files (settings, units, tools, one policy file for each person) made to match one list."""

from __future__ import annotations

import fnmatch
import grp
import os
import pwd
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import LyceumError
from .files import write_all_atomically


@dataclass(frozen=True)
class FileSpec:
    """One file as it should be. content None: it should not exist. person: whose it is, for the run's table.

    secret: its content never appears in a diff.
    """

    path: Path
    content: bytes | None
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    person: str = ""
    secret: bool = False


@dataclass(frozen=True)
class DirectorySpec:
    """One directory as it should be. Those above it and above files are made as 0755, whatever the umask."""

    path: Path
    mode: int = 0o755
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True)
class Desired:
    """exclusive: (directory, pattern of names) in which nothing else may exist."""

    files: tuple[FileSpec, ...]
    directories: tuple[DirectorySpec, ...] = ()
    exclusive: tuple[tuple[Path, str], ...] = ()

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Desired:
        """Build from the module's parameters. Raises LyceumError for a senseless path, mode, owner or group."""
        files = tuple(
            FileSpec(
                path=_path(entry["path"]),
                content=_content(entry),
                mode=_mode(entry),
                uid=_uid(entry["owner"]),
                gid=_gid(entry["group"]),
                person=entry["person"] or "",
                secret=entry["secret"],
            )
            for entry in params["files"]
        )
        paths = [spec.path for spec in files]
        twice = sorted({str(path) for path in paths if paths.count(path) > 1}) if len(set(paths)) < len(paths) else []
        if twice:
            raise LyceumError(f"files: {twice[0]} is listed twice; only one of the two can be what the file should be")
        directories = tuple(
            DirectorySpec(_path(entry["path"]), _mode(entry), _uid(entry["owner"]), _gid(entry["group"]))
            for entry in params["directories"]
        )
        exclusive = tuple((_path(entry["directory"]), entry["pattern"]) for entry in params["exclusive"])
        return cls(files, directories, exclusive)


@dataclass(frozen=True)
class Found:
    """What is at a path: kind (file | directory | other), and of a file its content."""

    kind: str
    mode: int
    uid: int
    gid: int
    content: bytes = b""


@dataclass(frozen=True)
class Action:
    """One step. spec None: the file at `path` is removed. secret: what is and was in it is nobody's business."""

    path: Path
    sentence: str
    spec: FileSpec | DirectorySpec | None
    before: Found | None = None
    person: str = ""
    secret: bool = False


@dataclass
class Outcome:
    """actions: the plan. failures: path -> why."""

    actions: list[Action]
    failures: dict[Path, str] = field(default_factory=dict)


def run(desired: Desired, *, check: bool) -> Outcome:
    """Observe, plan and, unless `check`, apply and read back. One failure never stops the others."""
    actions, refused = plan(desired, observe(desired))
    outcome = Outcome(actions, refused)
    if not check:
        apply(outcome)
        again, _ = plan(desired, observe(desired))
        for action in again:
            outcome.failures.setdefault(action.path, f"it was written, but still: {action.sentence}")
    return outcome


def observe(desired: Desired) -> dict[Path, Found]:
    """What is at every path in question, links not followed. Raises LyceumError when it cannot be read."""
    paths = {spec.path for spec in desired.files} | {spec.path for spec in desired.directories}
    for directory, pattern in desired.exclusive:
        if directory.is_dir():
            paths.update(path for path in directory.iterdir() if fnmatch.fnmatchcase(path.name, pattern))
    found = {}
    for path in paths:
        try:
            one = _look(path)
        except OSError as exc:
            raise LyceumError(f"cannot read {path}: {exc.strerror}") from exc
        if one is not None:
            found[path] = one
    return found


def plan(desired: Desired, found: Mapping[Path, Found]) -> tuple[list[Action], dict[Path, str]]:
    """Ordered steps from what was found to what is wanted, and the paths at which something stands in the way."""
    actions: list[Action] = []
    refused: dict[Path, str] = {}
    for directory in desired.directories:
        one = found.get(directory.path)
        if one is not None and one.kind != "directory":
            refused[directory.path] = f"{directory.path} is not a directory; look at it and move it away"
        elif one is None:
            actions.append(Action(directory.path, f"create directory {directory.path}", directory))
        elif (one.mode, one.uid, one.gid) != (directory.mode, directory.uid, directory.gid):
            actions.append(
                Action(directory.path, f"change {directory.path}: {_changes(one, directory)}", directory, one)
            )
    for spec in desired.files:
        one = found.get(spec.path)
        if one is not None and one.kind == "directory":
            refused[spec.path] = f"{spec.path} is a directory; look at it and move it away"
            continue
        action = _file_action(spec, one)
        if action is not None:
            actions.append(action)
    wanted = {spec.path for spec in desired.files}
    for folder, pattern in desired.exclusive:
        for path in sorted(found):
            inside = path.parent == folder and fnmatch.fnmatchcase(path.name, pattern)
            if inside and path not in wanted and found[path].kind != "directory":
                # Nobody says any more what was in it; its mode does.
                private = not found[path].mode & 0o004
                actions.append(Action(path, f"remove {path}", None, found[path], secret=private))
    return actions, refused


def _file_action(spec: FileSpec, one: Found | None) -> Action | None:
    sentence = _file_sentence(spec, one)
    kept = None if spec.content is None else spec
    return Action(spec.path, sentence, kept, one, spec.person, spec.secret) if sentence else None


def _file_sentence(spec: FileSpec, one: Found | None) -> str:
    """What is to be done about a file, "" for nothing."""
    if spec.content is None:
        return f"remove {spec.path}" if one is not None else ""
    if one is None:
        return f"create {spec.path}"
    if one.kind == "other":
        return f"replace {spec.path}, which is no plain file"
    if one.content != spec.content:
        return f"change {spec.path}"
    changes = _changes(one, spec)
    return f"change {spec.path}: {changes}" if changes else ""


def _changes(one: Found, spec: FileSpec | DirectorySpec) -> str:
    changes = []
    if one.mode != spec.mode:
        changes.append(f"mode {one.mode:04o} to {spec.mode:04o}")
    if (one.uid, one.gid) != (spec.uid, spec.gid):
        changes.append(f"owner {one.uid}:{one.gid} to {spec.uid}:{spec.gid}")
    return ", ".join(changes)


def apply(outcome: Outcome) -> None:
    """Carry out a plan: directories, then files (flushed together, each replaced in one step), then removals."""
    batches: dict[tuple[int, int, int, int], dict[Path, bytes]] = {}
    for action in outcome.actions:
        spec = action.spec
        try:
            if isinstance(spec, DirectorySpec):
                _make_parents(spec.path)
                spec.path.mkdir(mode=0o700, exist_ok=True)
                os.chown(spec.path, spec.uid, spec.gid, follow_symlinks=False)
                spec.path.chmod(spec.mode)
            elif isinstance(spec, FileSpec) and spec.content is not None:
                _make_parents(spec.path)
                device = spec.path.parent.stat().st_dev
                batches.setdefault((device, spec.mode, spec.uid, spec.gid), {})[spec.path] = spec.content
        except OSError as exc:
            outcome.failures[action.path] = f"cannot make {action.path}: {exc.strerror}"
    for (_device, mode, uid, gid), contents in batches.items():
        outcome.failures.update(write_all_atomically(contents, mode, (uid, gid)))
    for action in outcome.actions:
        if action.spec is None:
            try:
                action.path.unlink()
            except OSError as exc:
                outcome.failures[action.path] = f"cannot remove {action.path}: {exc.strerror}"


def _make_parents(path: Path) -> None:
    """Raises OSError."""
    for folder in reversed(path.parents):
        if not folder.exists():
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755)


def result(desired: Desired, outcome: Outcome, *, with_diff: bool) -> dict[str, Any]:
    """The module's return value, the same in check mode."""
    results: dict[str, dict[str, Any]] = {}
    for action in outcome.actions:
        if action.person:
            entry = results.setdefault(action.person, {"result": "changed", "actions": [], "error": None})
            entry["actions"].append(action.sentence)
    people = {spec.path: spec.person for spec in desired.files if spec.person}
    for path in people.keys() & outcome.failures.keys():
        entry = results.setdefault(people[path], {"actions": []})
        entry.update(result="failed", error=outcome.failures[path])
    found: dict[str, Any] = {
        "changed": bool(outcome.actions),
        "actions": [action.sentence for action in outcome.actions],
        "changed_paths": [str(action.path) for action in outcome.actions],
        "lyceum": {
            "kind": "files",
            "results": results,
            "unchanged": [name for name in dict.fromkeys(people.values()) if name not in results],
            "unmanaged": [],
            "conflicts": [],
        },
    }
    if outcome.failures:
        found["msg"] = "; ".join(outcome.failures[path] for path in sorted(outcome.failures))
    if with_diff:
        found["diff"] = [_diff(action) for action in outcome.actions]
    return found


def _diff(action: Action) -> dict[str, str]:
    spec = action.spec
    before = "" if action.before is None else action.before.content.decode(errors="replace")
    after = spec.content.decode(errors="replace") if isinstance(spec, FileSpec) and spec.content is not None else ""
    if before == after:  # only mode or owner, or a directory
        before, after = "", f"{action.sentence}\n"
    elif action.secret:
        before, after = before and "<old content>\n", after and "<new content>\n"
    header = str(action.path)
    return {"before_header": header, "after_header": header, "before": before, "after": after}


def _look(path: Path) -> Found | None:
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    owner = (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
    if stat.S_ISDIR(status.st_mode):
        return Found("directory", *owner)
    if not stat.S_ISREG(status.st_mode):
        return Found("other", *owner)
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as handle:
        return Found("file", *owner, handle.read())


def _path(text: str) -> Path:
    if not text.startswith("/") or ".." in text.split("/"):
        raise LyceumError(f"path {text!r} must be absolute and without dot-dot")
    return Path(text)


def _content(entry: Mapping[str, Any]) -> bytes | None:
    if entry["state"] == "absent":
        return None
    if entry["content"] is None:
        raise LyceumError(f"files: {entry['path']} needs `content`, or `state: absent`")
    return str(entry["content"]).encode()


def _mode(entry: Mapping[str, Any]) -> int:
    try:
        mode = int(entry["mode"], 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o7777:
        raise LyceumError(f"{entry['path']}: mode {entry['mode']!r} must be octal as text, such as '0644'")
    return mode


def _uid(name: str) -> int:
    try:
        return int(name) if name.isdigit() else pwd.getpwnam(name).pw_uid
    except KeyError:
        raise LyceumError(f"owner {name!r} has no account on this host") from None


def _gid(name: str) -> int:
    try:
        return int(name) if name.isdigit() else grp.getgrnam(name).gr_gid
    except KeyError:
        raise LyceumError(f"there is no group {name!r} on this host") from None
