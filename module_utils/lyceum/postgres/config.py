# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings and rules of a server: tried before they count, and taken back when the server does not come up with them.

Settings are tried by the server's own program on a copy of the whole configuration. For the rules there is no such
program: the server reads them where they lie, and says what is wrong without using them; they are put back then.
"""

from __future__ import annotations

import grp
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import CommandError, LyceumError
from ..files import write_all_atomically
from .connection import Server, Session, is_there, session

DROPIN = "conf.d/10-lyceum.conf"
HBA, IDENT = "pg_hba.conf", "pg_ident.conf"
MODE = 0o640
HEADER = "# Written by Lyceum (role postgres); changes by hand are lost.\n"
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
_RELOAD_SECONDS = 10


@dataclass(frozen=True)
class Desired:
    """directory: of the configuration. programs: of this version. unit: of systemd. group: who reads the files besides
    root."""

    directory: Path
    programs: Path
    unit: str
    server: Server
    files: Mapping[str, str]
    settings: tuple[str, ...]
    restart: bool = True
    group: str = "postgres"

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Desired:
        """Raises LyceumError for a setting that cannot be written down."""
        files = {DROPIN: render(params["settings"]), HBA: params["hba"], IDENT: params["ident"]}
        return cls(
            Path(params["directory"]),
            Path(params["programs"]),
            params["unit"],
            Server.from_params(params),
            files,
            tuple(params["settings"]),
            params["restart"],
            params["group"],
        )


@dataclass(frozen=True)
class Seen:
    """files: content by name, None where there is none. running: the server answers. stale: it has not read the files
    since they were changed. pending: settings that wait for a restart."""

    files: Mapping[str, str | None]
    access: tuple[str, ...] = ()
    running: bool = False
    stale: bool = False
    pending: tuple[str, ...] = ()
    checksums: bool | None = None
    version: int | None = None
    elsewhere: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Outcome:
    """after: what was found in the end; the same as before in check mode."""

    desired: Desired
    before: Seen
    after: Seen
    actions: list[str]


def render(settings: Mapping[str, Any]) -> str:
    """The drop-in. Raises LyceumError for a name or value that cannot be in it."""
    lines = []
    for name, value in settings.items():
        if not name.replace("_", "").replace(".", "").isalnum():
            raise LyceumError(f"postgres_settings: {name!r} is not the name of a setting")
        text = ("on" if value else "off") if isinstance(value, bool) else str(value)
        if not text.isprintable():
            raise LyceumError(f"postgres_settings: {name}: {text!r} has a control character in it")
        quoted = text.replace("\\", "\\\\").replace("'", "''")
        lines.append(f"{name} = '{quoted}'\n")
    return HEADER + "".join(lines)


def run(desired: Desired, *, check: bool) -> Outcome:
    """observe, plan, apply, verify. Raises LyceumError when the server refuses; the old files are back then."""
    before = observe(desired)
    actions = plan(desired, before)
    if not actions or check:
        return Outcome(desired, before, before, actions)
    return Outcome(desired, before, apply(desired, before), actions)


def observe(desired: Desired) -> Seen:
    files: dict[str, str | None] = {}
    wrong = []
    for name in desired.files:
        path = desired.directory / name
        try:
            files[name] = path.read_text(encoding="utf-8")
            info = path.stat()
        except FileNotFoundError:
            files[name] = None
            continue
        except OSError as exc:
            raise LyceumError(f"Cannot read {path}: {exc.strerror}") from exc
        if (info.st_uid, info.st_gid, info.st_mode & 0o7777) != (os.geteuid(), _gid(desired.group), MODE):
            wrong.append(name)
    if not is_there(desired.server):
        return Seen(files, tuple(wrong))
    with session(desired.server) as main:
        return _ask(desired, main, files, tuple(wrong))


def _ask(desired: Desired, main: Session, files: Mapping[str, str | None], wrong: tuple[str, ...]) -> Seen:
    ((checksums, version, loaded),) = main.query(
        "SELECT current_setting('data_checksums') = 'on', current_setting('server_version_num')::int,"
        " extract(epoch FROM pg_conf_load_time())::float8",
        {},
    )
    sources = main.query(
        "SELECT name, COALESCE(sourcefile, source), pending_restart FROM pg_settings"
        " WHERE pending_restart OR name = ANY(%(names)s)",
        {"names": [name.lower() for name in desired.settings]},
    )
    mine = str(desired.directory / DROPIN)
    changed = max((_mtime(desired.directory / name) for name in files), default=0.0)
    return Seen(
        files,
        wrong,
        running=True,
        stale=changed > loaded,
        pending=tuple(sorted(name for name, _source, pending in sources if pending)),
        checksums=checksums,
        version=version,
        elsewhere={
            name: source
            for name, source, pending in sources
            if source != mine and not pending and name in map(str.lower, desired.settings)
        },
    )


def plan(desired: Desired, seen: Seen) -> list[str]:
    """Sentences; none when all is as it should be."""
    actions = [
        f"{'change' if seen.files[name] is not None else 'create'} {desired.directory / name}"
        for name, content in desired.files.items()
        if seen.files[name] != content
    ]
    differing = {name for name, content in desired.files.items() if seen.files[name] != content}
    actions += [
        f"give {desired.directory / name} to root and {desired.group} alone"
        for name in seen.access
        if name not in differing
    ]
    if not seen.running:
        actions.append(f"start {desired.unit}")
    elif seen.stale and not actions:
        actions.append("have the server read its configuration: an earlier run was interrupted before that")
    if seen.pending and desired.restart:
        actions.append(f"restart {desired.unit}: {', '.join(seen.pending)} cannot be changed otherwise")
    return actions


def apply(desired: Desired, before: Seen) -> Seen:
    """Raises LyceumError; then the old files are back and the server runs with them, if it ran before."""
    try_settings(desired)
    try:
        # Settings first: what rules may say depends on them (no TLS, no rule for it).
        _write(desired, {DROPIN: desired.files[DROPIN]})
        if before.running:
            _reload(desired)
        _write(desired, desired.files)
        if before.running:
            _try_rules(desired)
            _reload(desired)
        else:
            # Not only `start`: it may run with another port.
            _systemctl("restart", desired.unit)
        after = observe(desired)
        if after.pending and desired.restart:
            _systemctl("restart", desired.unit)
            after = observe(desired)
        if not after.running:
            raise LyceumError(f"{desired.unit} was started, but there is no {desired.server.socket}")
    except LyceumError as exc:
        _back(desired, before)
        raise LyceumError(f"{exc}. The old configuration is back.") from exc
    return after


def _try_rules(desired: Desired) -> None:
    """Have the server read the rules without using them. Raises LyceumError with what is wrong."""
    views = {HBA: "pg_hba_file_rules", IDENT: "pg_ident_file_mappings"}
    with session(desired.server) as main:
        for name, view in views.items():
            if main.query("SELECT to_regclass(%(view)s) IS NULL", {"view": view})[0][0]:
                continue  # of the names of accounts there is none before PostgreSQL 15
            wrong = main.query(f"SELECT line_number, error FROM {view} WHERE error IS NOT NULL", {})
            if wrong:
                line, error = wrong[0]
                text = desired.files[name].splitlines()[line - 1]
                raise LyceumError(f"{desired.directory / name}, line {line} ({text}): {error}")


def _reload(desired: Desired) -> None:
    """Have the server read its files. Raises LyceumError when it does not."""
    with session(desired.server) as main:
        before = main.query("SELECT pg_conf_load_time()", {})
        main.run("SELECT pg_reload_conf()")
        deadline = time.monotonic() + _RELOAD_SECONDS
        while main.query("SELECT pg_conf_load_time()", {}) == before:
            if time.monotonic() > deadline:
                raise LyceumError(f"The server has not read its configuration within {_RELOAD_SECONDS} seconds")
            time.sleep(0.05)


def _back(desired: Desired, before: Seen) -> None:
    """The files as they were. A server that came up with them before does so again; if not, that is said first."""
    _write(desired, before.files)
    if not before.running:
        return
    try:
        with session(replace(desired.server, seconds=2)) as main:
            main.run("SELECT pg_reload_conf()")
    except LyceumError:
        _systemctl("restart", desired.unit)


def try_settings(desired: Desired) -> None:
    """Have the server's program read a copy of the configuration. Raises LyceumError with its words."""
    with tempfile.TemporaryDirectory(prefix="lyceum-postgres-") as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(desired.directory, copy, symlinks=False)
        (copy / DROPIN).parent.mkdir(exist_ok=True)
        (copy / DROPIN).write_text(desired.files[DROPIN], encoding="utf-8")
        done = subprocess.run(
            [f"{desired.programs}/postgres", "-C", "shared_buffers", f"--config-file={copy}/postgresql.conf"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=_ENVIRONMENT,
            cwd="/",
            check=False,
        )
        if done.returncode:
            said = _words(done.stderr).replace(str(copy), str(desired.directory))
            raise LyceumError(f"PostgreSQL refuses the settings: {said}. Nothing was changed.")


def _write(desired: Desired, files: Mapping[str, str | None]) -> None:
    for name, content in files.items():
        path = desired.directory / name
        try:
            if content is None:
                path.unlink(missing_ok=True)
                continue
            path.parent.mkdir(mode=0o755, exist_ok=True)
        except OSError as exc:
            raise LyceumError(f"Cannot write {path}: {exc.strerror}") from exc
        failures = write_all_atomically({path: content.encode()}, MODE, (-1, _gid(desired.group)))
        if failures:
            raise LyceumError(failures[path])


def _systemctl(verb: str, unit: str) -> None:
    """Raises CommandError with the last words of the unit's log."""
    done = _run(["systemctl", verb, unit])
    if done.returncode:
        log = _run(["journalctl", "--no-pager", "--output=cat", "--lines=20", f"--unit={unit}"]).stdout
        raise CommandError(f"systemctl {verb} {unit} failed: {_words(log) or _words(done.stderr)}")


def _run(argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=_ENVIRONMENT, check=False
        )
    except FileNotFoundError as exc:
        raise CommandError(f"{argv[0]} is not installed") from exc


def _words(text: str) -> str:
    """The lines that say what is wrong, or the last one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if any(level in line for level in ("FATAL:", "ERROR:", "LOG:  ", "Error:"))]
    return "; ".join((telling or lines[-1:])[-3:])


def _gid(group: str) -> int:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        return 0  # before the package is there: nobody has read anything yet


def _mtime(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def result(outcome: Outcome, *, with_diff: bool) -> dict[str, Any]:
    """The module's result."""
    desired, seen = outcome.desired, outcome.after
    conflicts = [
        f"PostgreSQL: {name} is set elsewhere ({source}), which wins: take it out there"
        for name, source in sorted(seen.elsewhere.items())
        if outcome.after is not outcome.before or not outcome.actions
    ]
    if seen.checksums is False:
        conflicts.append(
            "PostgreSQL: the cluster has no data checksums, so that what a disk spoils stays unnoticed;"
            " postgres_enable_checksums: true adds them while the server is stopped"
        )
    found: dict[str, Any] = {
        "changed": bool(outcome.actions),
        "actions": outcome.actions,
        "pending_restart": list(seen.pending),
        "data_checksums": seen.checksums,
        "version": seen.version,
        "lyceum": {"kind": "postgres", "results": {}, "unchanged": [], "unmanaged": [], "conflicts": conflicts},
    }
    if with_diff:
        found["diff"] = [
            {
                "before_header": str(desired.directory / name),
                "after_header": str(desired.directory / name),
                "before": outcome.before.files[name] or "",
                "after": content,
            }
            for name, content in desired.files.items()
            if outcome.before.files[name] != content
        ]
    return found
