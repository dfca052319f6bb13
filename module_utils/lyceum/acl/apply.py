# SPDX-License-Identifier: GPL-3.0-or-later
"""Carry out a plan, directory by directory, and read back whether it took effect."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from dataclasses import dataclass, field, replace

from ..errors import LyceumError
from . import contents, posix
from .model import Directory, Link, Names, Spec, Wanted
from .observe import MISSING, Found, Parents, observe, open_directory, rule_of
from .plan import NO_ACLS, Change, Plan, plan

NOBODY_ELSE = 0o700


@dataclass
class Outcome:
    """plan: what was to be done. failures: path -> why not (the plan's problems among them).

    inside: path -> what came of the files and directories in it.
    """

    plan: Plan
    failures: dict[str, str] = field(default_factory=dict)
    inside: dict[str, contents.Counts] = field(default_factory=dict)


def run(spec: Spec, names: Names, *, check: bool) -> Outcome:
    """observe, plan, apply, verify. One path's failure never stops the others."""
    with Parents() as parents:
        todo = plan(spec, observe(spec.wanted, spec.folders, parents), names)
        outcome = Outcome(todo, dict(todo.problems))
        for path, change in todo.changes.items():
            if change.found.inside is not None:
                outcome.inside[path] = change.found.inside
        if check:
            return outcome
        outcome.failures.update({path: f"{path}: left alone until {why}" for path, why in todo.waiting.items()})
        for path, change in todo.changes.items():
            _carry_out(path, change, parents, outcome)
        for path, target in todo.stale.items():
            _remove_link(path, target, parents, outcome)
        _verify(spec, names, parents, outcome)
        return outcome


def _carry_out(path: str, change: Change, parents: Parents, outcome: Outcome) -> None:
    try:
        parent, name = parents.of(path)
        if isinstance(change.wanted, Link):
            _write_link(parent, name, change.wanted, change.found)
        else:
            _write_directory(parent, name, change.wanted, change.found, outcome)
    except posix.NoAclError:
        outcome.failures[path] = f"{path}: {NO_ACLS}"
    except LyceumError as exc:
        outcome.failures[path] = str(exc)
    except OSError as exc:
        why = exc.strerror
        if exc.errno in (errno.ENOSPC, errno.E2BIG):
            why = f"{why}; an ACL of this size may not fit the file system: name a group instead of many people"
        outcome.failures[path] = f"cannot change {path}: {why}"


def _write_link(parent: int, name: str, wanted: Link, found: Found) -> None:
    if found.kind == MISSING:
        os.symlink(wanted.target, name, dir_fd=parent)
        return
    temporary = f".{name}.lyceum"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary, dir_fd=parent)
    os.symlink(wanted.target, temporary, dir_fd=parent)
    os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)


def _remove_link(path: str, target: str, parents: Parents, outcome: Outcome) -> None:
    try:
        parent, name = parents.of(path)
        if os.readlink(name, dir_fd=parent) == target:
            os.unlink(name, dir_fd=parent)
    except (OSError, LyceumError) as exc:
        outcome.failures[path] = f"cannot remove {path}: {exc}"


def _write_directory(parent: int, name: str, wanted: Directory, found: Found, outcome: Outcome) -> None:
    if found.kind == MISSING:
        os.mkdir(name, NOBODY_ELSE, dir_fd=parent)
    opened = open_directory(parent, name, wanted.path)
    try:
        now = os.fstat(opened)
        if found.kind != MISSING and (now.st_dev, now.st_ino) != found.identity:
            raise LyceumError(f"{wanted.path} was replaced while it was being changed; run again")
        own(opened, wanted, now)
        if found.inside is not None:
            outcome.inside[wanted.path] = contents.mend(opened, wanted.path, rule_of(wanted))
    finally:
        os.close(opened)


def own(opened: int, wanted: Directory, now: os.stat_result) -> None:
    """Give an open directory its owner, group, mode and ACLs. A kill in between leaves it closed, never too open."""
    if (now.st_uid, now.st_gid) != (wanted.owner, wanted.group):
        # Takes all power from the old ACL, too, whose group entry would otherwise be the new group's for a moment.
        os.fchmod(opened, NOBODY_ELSE)
        os.fchown(opened, wanted.owner, wanted.group)
    if posix.extended(wanted.access) or wanted.default or _has_acl(opened):
        posix.write(opened, posix.DEFAULT, wanted.default)
        posix.write(opened, posix.ACCESS, wanted.access)
    if stat.S_IMODE(os.fstat(opened).st_mode) != wanted.mode:
        os.fchmod(opened, wanted.mode)


def _has_acl(opened: int) -> bool:
    try:
        return any(posix.raw(opened, attribute) for attribute in posix.ATTRIBUTES)
    except posix.NoAclError:
        return False


def _verify(spec: Spec, names: Names, parents: Parents, outcome: Outcome) -> None:
    """Read back what was changed; what is in a directory was judged while it was mended."""
    again = [wanted for path, wanted in _by_path(spec).items() if path in outcome.plan.changes]
    left = plan(Spec(tuple(again), (), {}, {}), observe(again, (), parents), names)
    for path, inside in outcome.inside.items():
        if inside.wrong > inside.mended:
            outcome.failures.setdefault(path, f"{path}: {_not_mended(inside)}")
    for path, problem in left.problems.items():
        outcome.failures.setdefault(path, problem)
    for path in left.changes:
        outcome.failures.setdefault(path, f"{path}: written, yet still different")


def _by_path(spec: Spec) -> dict[str, Wanted]:
    return {
        wanted.path: replace(wanted, recurse=False) if isinstance(wanted, Directory) else wanted
        for wanted in spec.wanted
    }


def _not_mended(inside: contents.Counts) -> str:
    return f"{inside.wrong - inside.mended} of {inside.wrong} in it could not be changed: {'; '.join(inside.examples)}"
