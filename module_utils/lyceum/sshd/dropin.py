# SPDX-License-Identifier: GPL-3.0-or-later
"""One drop-in of sshd_config: validated with everything around it, installed, and taken back unless confirmed.

Three nets against locking the administrator out: the *whole* candidate configuration must pass `sshd -t`; its effective
values for named users (`sshd -T -C`) must be the expected ones; and after the reload a timer on the host restores the
old file unless somebody who came in over a *new* connection confirms.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import CommandError, LyceumError, RefusedError
from ..files import write_atomically
from . import blocks

SSHD = "/usr/sbin/sshd"
MAIN_CONFIG = Path("/etc/ssh/sshd_config")
PRIVILEGE_SEPARATION = Path("/run/sshd")
STATE_DIRECTORY = Path("/run/lyceum-sshd")
REVERT_UNIT = "lyceum-sshd-revert"
MODE = 0o644
INCLUDE = re.compile(r"(\s*include(?:\s+|\s*=\s*))(.*)\Z", re.IGNORECASE)


@dataclass(frozen=True)
class Expectation:
    """What `sshd -T -C user=USER,host=HOST,addr=ADDR` must say: options in lower case -> value."""

    user: str
    options: Mapping[str, str]
    addr: str = "127.0.0.1"
    host: str = "localhost"


@dataclass(frozen=True)
class DropinSpec:
    """The drop-in as wanted. content None removes it. confirm_seconds 0: no commit-confirm.

    blocks: lines in PAM's files without which the drop-in would not mean what it says; they come and go with it.
    """

    path: Path
    content: str | None
    expect: tuple[Expectation, ...]
    service: str
    confirm_seconds: int
    blocks: tuple[blocks.Block, ...] = ()

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> DropinSpec:
        """Build from the module's parameters. Raises LyceumError for a path outside sshd_config.d."""
        path = Path(params["path"])
        if path.parent != MAIN_CONFIG.with_name("sshd_config.d") or path.suffix != ".conf":
            raise LyceumError(f"path {path} must be a .conf file in {MAIN_CONFIG.with_name('sshd_config.d')}")
        expect = tuple(
            Expectation(entry["user"], {key.lower(): _as_sshd(value) for key, value in entry["options"].items()})
            for entry in params["expect"]
        )
        content = None if params["state"] == "absent" else params["content"]
        lines = tuple(blocks.Block.from_params(block) for block in params.get("blocks", ()))
        if len({block.path for block in lines}) < len(lines):
            raise LyceumError("blocks: a file can have one block only")
        return cls(path, content, expect, params["service"], params["confirm_seconds"], lines)


def read(path: Path) -> str | None:
    """The file's content with every byte kept, None when there is none. Raises LyceumError when it cannot be read."""
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise LyceumError(f"cannot read {path}: {exc.strerror}") from exc


def wanted(spec: DropinSpec) -> dict[Path, tuple[str | None, str | None]]:
    """path -> (as it is, as it should be) of the drop-in and of every file that gets a block. Raises LyceumError."""
    files = {spec.path: (read(spec.path), spec.content)}
    for block in spec.blocks:
        old = read(block.path)
        files[block.path] = (
            old,
            blocks.apply(block, old, f"lyceum {spec.path.stem}", present=spec.content is not None),
        )
    return files


def validate(spec: DropinSpec) -> None:
    """Test the candidate with the rest of the configuration, in a copy. Raises RefusedError with sshd's own words.

    The copy differs from the real thing only in where Include looks, so what passes here is what will be loaded.
    """
    main_config = read(MAIN_CONFIG)
    if main_config is None:
        raise RefusedError(f"{MAIN_CONFIG} does not exist; install the OpenSSH server first")
    with tempfile.TemporaryDirectory(prefix="lyceum-sshd-") as name:
        copy = Path(name)
        dropins = copy / "sshd_config.d"
        directory = spec.path.parent
        try:
            if directory.is_dir():
                shutil.copytree(directory, dropins)
            else:
                dropins.mkdir()
        except OSError as exc:  # such as a link to a file that is gone; shutil.Error lists them all
            raise LyceumError(f"cannot copy {directory}: {exc}") from exc
        candidate = dropins / spec.path.name
        candidate.unlink(missing_ok=True)
        if spec.content is not None:
            candidate.write_bytes(spec.content.encode("utf-8", "surrogateescape"))
        text, found = _with_includes_of(main_config, directory, dropins)
        if not found:
            raise RefusedError(
                f"{MAIN_CONFIG} does not include {directory}/*.conf, so drop-ins have no effect;"
                f" put 'Include {directory}/*.conf' at its top"
            )
        main = copy / "sshd_config"
        main.write_bytes(text.encode("utf-8", "surrogateescape"))
        _sshd(["-t", "-f", str(main)], f"sshd refuses the configuration with {spec.path.name}; nothing was changed")
        for expectation in spec.expect:
            _check_effective(str(main), expectation)


def _with_includes_of(text: str, directory: Path, copy: Path) -> tuple[str, bool]:
    """The configuration with every Include of a file in `directory` looking into `copy`, and whether there was one.

    sshd takes relative names as relative to where sshd_config is, whatever the name of the file it was given.
    """
    found = False
    lines = text.split("\n")
    for number, line in enumerate(lines):
        include = INCLUDE.match(line)
        if not include:
            continue
        names = include[2].split()
        for position, name in enumerate(names):
            path = MAIN_CONFIG.parent / name.strip('"')
            if path.parent == directory:
                found = True
                names[position] = str(copy / path.name)
        lines[number] = include[1] + " ".join(names)
    return "\n".join(lines), found


def _as_sshd(value: Any) -> str:
    """A YAML value as `sshd -T` prints it: yes and no are booleans in YAML."""
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def install(spec: DropinSpec, files: Mapping[Path, tuple[str | None, str | None]]) -> None:
    """Put the files in place (see `wanted`), arm the way back, reload sshd. Raises LyceumError; the old ones are back.

    The drop-in comes last: it may rely on the others.
    """
    waiting = pending(spec.path)
    order = [path for path in files if path != spec.path] + [spec.path]
    try:
        if spec.confirm_seconds:
            arm_revert(spec, {path: old for path, (old, _new) in files.items()})
        elif waiting:
            disarm_revert(spec.path)
        for path in order:
            _put(path, files[path][1])
        _sshd(["-t"], f"sshd refuses the configuration once {spec.path.name} is in place; the old one is back")
        reload(spec.service)
    except LyceumError:
        for path in reversed(order):
            _put(path, files[path][0])
        # An old file that was itself still waiting for its confirmation goes on waiting.
        if not waiting:
            disarm_revert(spec.path)
        raise


def arm_revert(spec: DropinSpec, old: Mapping[Path, str | None]) -> None:
    """Start a timer on the host that puts the old files back and reloads sshd. Raises LyceumError.

    What is taken back to is the last state that was confirmed: a change on top of a waiting one keeps its way back.
    """
    saved = STATE_DIRECTORY / f"{spec.path.name}.saved"
    waiting = pending(spec.path)
    disarm_revert(spec.path)
    try:
        for directory in (STATE_DIRECTORY, saved):
            directory.mkdir(mode=0o700, exist_ok=True)
        if not waiting:
            for state in saved.iterdir():
                state.unlink()
    except OSError as exc:
        raise LyceumError(f"cannot use {STATE_DIRECTORY}: {exc.strerror}; nothing was changed") from exc
    steps = []
    for path, content in old.items():
        kept, nothing = (saved / f"{path.parent.name}.{path.name}.{kind}" for kind in ("kept", "none"))
        if not (kept.exists() or nothing.exists()):
            state = nothing if content is None else kept
            write_atomically(state, (content or "").encode("utf-8", "surrogateescape"), 0o600)
        quoted = shlex.quote(str(path))
        steps.append(f"rm -f {quoted}" if nothing.exists() else f"cp {shlex.quote(str(kept))} {quoted}")
    waits = _pending_file(spec.path)
    script = f"{' && '.join(steps)} && systemctl reload {shlex.quote(spec.service)}; rm -f {shlex.quote(str(waits))}"
    _run(
        [
            "systemd-run",
            f"--unit={_unit(spec.path)}",
            f"--on-active={spec.confirm_seconds}s",
            "--timer-property=AccuracySec=1s",
            f"--description=Take back {spec.path.name} unless it is confirmed",
            "/bin/sh",
            "-c",
            script,
        ],
        "cannot arm the way back, so nothing was changed",
    )
    write_atomically(waits, f"{spec.path}\n".encode(), 0o600)


def pending(path: Path) -> bool:
    """Whether an installed drop-in still waits for its confirmation."""
    return read(_pending_file(path)) == f"{path}\n"


def disarm_revert(path: Path) -> None:
    """Stop the timer of a drop-in. Raises CommandError when systemd refuses; a timer that is not there is fine."""
    _pending_file(path).unlink(missing_ok=True)
    for unit in (f"{_unit(path)}.timer", f"{_unit(path)}.service"):
        if _is_active(unit):
            _run(["systemctl", "stop", unit], f"cannot stop {unit}")
    subprocess.run(
        ["systemctl", "reset-failed", f"{_unit(path)}.service"], stderr=subprocess.DEVNULL, check=False
    )  # only needed after a failed revert; otherwise there is nothing to reset


def _pending_file(path: Path) -> Path:
    return STATE_DIRECTORY / f"{path.name}.pending"


def _unit(path: Path) -> str:
    """One timer per drop-in: confirming one must not keep another."""
    return f"{REVERT_UNIT}-{re.sub(r'[^A-Za-z0-9_.-]', '_', path.stem)}"


def _is_active(unit: str) -> bool:
    try:
        return subprocess.run(["systemctl", "is-active", "--quiet", unit], check=False).returncode == 0
    except FileNotFoundError as exc:
        raise CommandError(f"cannot ask for {unit}: systemctl is not installed") from exc


def reload(service: str) -> None:
    """Reload sshd where it runs; with socket activation every connection reads the new configuration by itself."""
    if _is_active(service):
        _run(["systemctl", "reload", service], f"cannot reload {service}")


def _put(path: Path, content: str | None) -> None:
    try:
        if content is None:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(mode=0o755, exist_ok=True)
    except OSError as exc:
        raise LyceumError(f"cannot change {path}: {exc.strerror}") from exc
    write_atomically(path, content.encode("utf-8", "surrogateescape"), MODE)


def effective(
    user: str, *, config: str | None = None, host: str = "localhost", addr: str = "127.0.0.1"
) -> dict[str, str]:
    """What applies to a user who comes from there: options as `sshd -T` prints them, the first line of each.

    config: another file than sshd_config. Raises RefusedError.
    """
    words = ["-T", "-C", f"user={user},host={host},addr={addr}", *(["-f", config] if config else [])]
    found: dict[str, str] = {}
    for line in _sshd(words, f"sshd cannot tell what applies to {user}").splitlines():
        key, _space, value = line.partition(" ")
        found.setdefault(key, value)
    return found


def _check_effective(config: str, expectation: Expectation) -> None:
    found = effective(expectation.user, config=config, host=expectation.host, addr=expectation.addr)
    for key, wanted in expectation.options.items():
        if found.get(key) != wanted:
            raise RefusedError(
                f"with this drop-in, {key} for {expectation.user} would be {found.get(key, 'unset')!r}, not"
                f" {wanted!r}; nothing was changed. The first value wins: an earlier file in sshd_config.d or the top"
                " of sshd_config sets it"
            )


def _sshd(arguments: list[str], complaint: str) -> str:
    # sshd wants its absolute path, and its privilege separation directory even for a test.
    PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
    try:
        return _run([SSHD, *arguments], complaint)
    except CommandError as exc:
        raise RefusedError(str(exc)) from exc


def _run(command: list[str], complaint: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as exc:
        raise CommandError(f"{complaint}: {command[0]} is not installed") from exc
    if done.returncode != 0:
        raise CommandError(f"{complaint}: {(done.stderr or done.stdout).strip() or f'exit status {done.returncode}'}")
    return done.stdout
