# SPDX-License-Identifier: GPL-3.0-or-later
"""One release of Gitea running on this host, and the way from another one: with a backup, and back when it fails.

What is under way is written down before the program changes, so that a run that was killed is completed by the next.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..errors import LyceumError, RefusedError
from ..files import flush_directory, write_atomically
from .backup import Backups
from .host import Host, is_stand_in, numbers, version_of


@dataclass(frozen=True)
class Wanted:
    """release: the program file of that release; host.program is to be a link to it. state: of an upgrade under way."""

    host: Host
    release: Path
    version: str
    state: Path
    token: Path
    bot: str
    backups: Backups
    restart: bool = False
    keep: int = 2
    seconds: float = 120

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Wanted:
        host = Host.from_params(params)
        database = params.get("database") or ""
        backups = Backups(host, Path(params["backups"]), Path(params["data"]), database, bool(params["backup_data"]))
        return cls(
            host=host,
            release=Path(params["release"]),
            version=params["version"],
            state=Path(params["backups"]) / "upgrade.json",
            token=Path(params["token_file"]),
            bot=params["bot"],
            backups=backups,
            restart=bool(params.get("restart")) or is_stale(host, [host.config, *map(Path, params["read_at_start"])]),
            keep=params["keep_backups"],
            seconds=params["healthy_seconds"],
        )


@dataclass
class Seen:
    """current: the release that the link leads to, or None. pending: an upgrade that was not completed."""

    current: Path | None
    current_version: str
    release_there: bool
    active: bool
    pending: dict[str, str] = field(default_factory=dict)


def is_stale(host: Host, paths: Sequence[Path]) -> bool:
    """Whether the server runs with what these files had before: a run was killed between writing and restarting."""
    started = host.started()
    return started > 0 and any(path.exists() and int(path.stat().st_mtime) > started for path in paths)


def observe(wanted: Wanted) -> Seen:
    link = wanted.host.program
    if link.exists() and not link.is_symlink():
        raise RefusedError(f"{link} is a file of somebody else's and no link of this role: move it away first")
    current = link.resolve() if link.is_symlink() and link.exists() else None
    return Seen(
        current=current,
        current_version=version_of(current) if current else "",
        release_there=wanted.release.exists(),
        active=wanted.host.is_active(),
        pending=json.loads(wanted.state.read_text()) if wanted.state.exists() else {},
    )


def plan(wanted: Wanted, seen: Seen) -> list[str]:
    """What would be done, one sentence each. RefusedError where it must not be."""
    if seen.pending:
        if str(wanted.release) == seen.pending["from"]:
            return [f"take back the upgrade from {wanted.version} that was interrupted"]
        return [f"complete the upgrade from {seen.pending['from_version']} to {wanted.version} that was interrupted"]
    if seen.current is None:
        return [f"make the tables of Gitea {wanted.version} and start it"]
    if seen.current != wanted.release.resolve():
        if numbers(wanted.version) < numbers(seen.current_version):
            raise RefusedError(
                f"Gitea {seen.current_version} runs here, and {wanted.version} is older: it could not read the"
                f" database. Put back a backup of that release by hand, see {wanted.backups.folder}"
            )
        kept = "database and data" if wanted.backups.with_data or not wanted.backups.database else "the database"
        return [f"keep {kept}, and upgrade from Gitea {seen.current_version} to {wanted.version}"]
    if not seen.active:
        return [f"start {wanted.host.unit}"]
    return [f"restart {wanted.host.unit}"] if wanted.restart else []


def run(wanted: Wanted, *, check: bool) -> dict[str, Any]:
    """What the module returns."""
    seen = observe(wanted)
    actions = plan(wanted, seen)
    if not check:
        _check_release(wanted)
        if seen.pending and str(wanted.release) == seen.pending["from"]:
            _restore(wanted, seen.pending)
        elif seen.pending:
            _upgrade(wanted, seen.pending)
        elif seen.current is None:
            _first(wanted)
        elif seen.current != wanted.release.resolve():
            _upgrade(wanted, _prepare(wanted, seen))
        elif not seen.active or wanted.restart:
            wanted.host.systemctl("daemon-reload")
            wanted.host.systemctl("restart")
            wanted.host.wait(token_of(wanted), wanted.bot, wanted.seconds)
    version = version_of(wanted.release) if seen.release_there else wanted.version
    return {"changed": bool(actions), "actions": actions, "version": version, "stand_in": is_stand_in(version)}


def _check_release(wanted: Wanted) -> None:
    said = version_of(wanted.release)
    if said.split("+")[0] != wanted.version:
        raise LyceumError(f"{wanted.release} says that it is Gitea {said}, and not {wanted.version}")


def _first(wanted: Wanted) -> None:
    """The link stays away until the tables are there, so that a run that was killed starts over."""
    host = Host(**{**vars(wanted.host), "program": wanted.release})
    host.gitea("migrate", seconds=3600, quote=True)
    _link(wanted.host.program, wanted.release)
    wanted.host.systemctl("restart")
    wanted.host.wait("", wanted.bot, wanted.seconds)


def _prepare(wanted: Wanted, seen: Seen) -> dict[str, str]:
    """Stop the server and keep what it has; it goes on as before if that fails."""
    known = token_of(wanted)
    if known and seen.active and wanted.host.problem(known, wanted.bot):
        known = ""  # it does not know the bot now either: that alone shall not turn the upgrade back
    wanted.host.systemctl("stop")
    try:
        now = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        place = wanted.backups.make(f"{now}-{seen.current_version}")
        pending = {
            "from": str(seen.current),
            "from_version": seen.current_version,
            "backup": str(place),
            "proves": "token" if known else "",
        }
        write_atomically(wanted.state, json.dumps(pending).encode(), 0o600)
    except BaseException:
        wanted.host.systemctl("start")
        raise
    return pending


def _upgrade(wanted: Wanted, pending: Mapping[str, str]) -> None:
    """From a server that is stopped and kept, or an upgrade that was killed anywhere."""
    token = token_of(wanted) if pending["proves"] else ""
    wanted.host.systemctl("stop")
    try:
        _link(wanted.host.program, wanted.release)
        wanted.host.gitea("migrate", seconds=4 * 3600, quote=True)
        wanted.host.systemctl("start")
        wanted.host.wait(token, wanted.bot, wanted.seconds)
    except LyceumError as exc:
        _back(wanted, pending, exc)
    wanted.state.unlink()
    flush_directory(wanted.state.parent)
    wanted.backups.prune(wanted.keep)


def _back(wanted: Wanted, pending: Mapping[str, str], cause: LyceumError) -> None:
    """The release of before, with what it had. Always raises."""
    title = f"Gitea {wanted.version} did not come up ({cause})"
    try:
        _restore(wanted, pending)
    except LyceumError as exc:
        raise LyceumError(
            f"{title}, and going back to {pending['from_version']} failed too: {exc}. What there was before is in"
            f" {pending['backup']}"
        ) from exc
    wanted.backups.prune(max(1, wanted.keep))  # every try keeps everything, and runs may try again by themselves
    raise LyceumError(
        f"{title}. Gitea {pending['from_version']} runs again with everything it had, which is also in"
        f" {pending['backup']}. Set gitea_version back until the cause is known"
    ) from cause


def _restore(wanted: Wanted, pending: Mapping[str, str]) -> None:
    wanted.host.systemctl("stop")
    wanted.backups.put_back(Path(pending["backup"]))
    _link(wanted.host.program, Path(pending["from"]))
    wanted.host.systemctl("start")
    wanted.host.wait(token_of(wanted) if pending["proves"] else "", wanted.bot, wanted.seconds)
    wanted.state.unlink()


def _link(link: Path, target: Path) -> None:
    """Another release in one step."""
    temporary = link.with_name(f".{link.name}.lyceum")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(link)
    flush_directory(link.parent)


def token_of(wanted: Wanted) -> str:
    return wanted.token.read_text().strip() if wanted.token.exists() else ""
