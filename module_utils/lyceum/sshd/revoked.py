# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of revoked keys and certificates that sshd reads (RevokedKeys), as ssh-keygen makes it.

sshd refuses every key when it cannot read the list, and the list can name an administrator's key: so a new one is made
aside, read back, tried on the administrators' keys, and only then put in place.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import CommandError, LyceumError, RefusedError
from ..files import write_atomically
from . import dropin
from .keys import is_key

MODE = 0o644
FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
OF_CERTIFICATES = re.compile(r"(serial|id):\s*(\S.*)")
# What differs between two lists with the same content.
ABOUT_THE_LIST = re.compile(r"#\s*(KRL version|Generated at|KRL comment)")


@dataclass(frozen=True)
class RevokedSpec:
    """keys: lines of ssh-keygen's specification about keys. certificates: those about certificates of every authority.

    admins: accounts that must not lose their last key.
    """

    path: Path
    keys: tuple[str, ...]
    certificates: tuple[str, ...]
    authorities: tuple[str, ...]
    admins: tuple[str, ...]

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> RevokedSpec:
        """Build from the module's parameters. Raises LyceumError for what is neither a key nor a known reference."""
        keys, certificates = [], []
        for entry in (str(entry).strip() for entry in params["revoked"]):
            about = OF_CERTIFICATES.fullmatch(entry)
            if about:
                certificates.append(f"{about[1]}: {about[2]}")
            elif FINGERPRINT.fullmatch(entry):
                keys.append(f"hash: {entry}")
            elif "\n" not in entry and is_key(entry):
                keys.append(f"key: {entry}")
            else:
                raise LyceumError(
                    f'revoked: {entry[:60]!r} is neither a public key, nor "SHA256:..." as ssh-keygen -l shows it, nor'
                    ' "serial: 7" or "id: NAME" of a certificate'
                )
        authorities = tuple(key.strip() for key in params["ca_keys"])
        if certificates and not authorities:
            raise LyceumError(f"revoked: {certificates[0]} is about certificates, but ca_keys names no authority")
        return cls(Path(params["path"]), tuple(keys), tuple(certificates), authorities, tuple(params["admins"]))


def build(spec: RevokedSpec) -> bytes:
    """Make the list and read it back. Raises LyceumError; RefusedError when an administrator would be shut out."""
    with tempfile.TemporaryDirectory(prefix="lyceum-krl-") as name:
        folder = Path(name)
        krl = folder / "krl"
        _add(folder, krl, spec.keys, None)
        for authority in spec.authorities if spec.certificates else ():
            _add(folder, krl, spec.certificates, authority)
        for admin in spec.admins:
            _keep(folder, krl, admin)
        return krl.read_bytes()


def _add(folder: Path, krl: Path, lines: Iterable[str], authority: str | None) -> None:
    specification, public = folder / "specification", folder / "authority.pub"
    specification.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    words = ["-k", *(["-u"] if krl.exists() else []), "-f", str(krl)]
    if authority is not None:
        public.write_text(f"{authority}\n", encoding="utf-8")
        words += ["-s", str(public)]
    _keygen([*words, str(specification)], "cannot make the list of revoked keys")


def _keep(folder: Path, krl: Path, admin: str) -> None:
    """Raises RefusedError when the list names every key by which sshd lets the account in."""
    keys = [line for path in _key_files(admin) for line in _lines(path) if is_key(line)]
    one = folder / "key.pub"
    for key in keys:
        one.write_text(f"{_without_options(key)}\n", encoding="utf-8")
        done = subprocess.run(
            ["ssh-keygen", "-Q", "-f", str(krl), str(one)], capture_output=True, text=True, check=False, env=_clean()
        )
        if done.returncode == 0:
            return
    if keys:
        raise RefusedError(
            f"the list revokes every key of {admin}, who could not log in any more; nothing was changed. Give {admin}"
            " another key first, or take one off the list"
        )


def _key_files(account: str) -> list[Path]:
    """Where sshd looks for the keys of an account."""
    effective = dropin.effective(account)
    home = os.path.expanduser(f"~{account}")  # noqa: PTH111  (Path raises for an account that does not exist)
    names = effective.get("authorizedkeysfile", "").split()
    values = {"%u": account, "%h": home, "%%": "%"}
    found = [re.sub("%[uh%]", lambda match: values[match[0]], name) for name in names if name != "none"]
    return [Path(home, name) for name in found]


def _lines(path: Path) -> list[str]:
    return [line.strip() for line in (dropin.read(path) or "").split("\n")]


def _without_options(line: str) -> str:
    """The type and the key of an authorized_keys line."""
    words = line.split()
    for position in range(len(words) - 1):
        if is_key(" ".join(words[position : position + 2])) and not words[position].startswith('"'):
            return " ".join(words[position : position + 2])
    return line


def content(path: Path) -> list[str] | None:
    """What a list revokes, as ssh-keygen prints it; None when there is none, or none that can be read."""
    if not path.exists():
        return None
    try:
        printed = _keygen(["-Q", "-l", "-f", str(path)], f"cannot read {path}")
    except CommandError:
        return None
    return sorted(line for line in printed.splitlines() if line.strip() and not ABOUT_THE_LIST.match(line))


def content_of(krl: bytes) -> list[str] | None:
    """The same of a list that is not in place yet."""
    with tempfile.NamedTemporaryFile(prefix="lyceum-krl-") as made:
        made.write(krl)
        made.flush()
        return content(Path(made.name))


def is_ours_alone(path: Path) -> bool:
    """Whether nobody but root can write the list, and everybody read it."""
    info = path.stat()
    return (info.st_uid, info.st_mode & 0o7777) == (os.geteuid(), MODE)


def install(spec: RevokedSpec, wanted: bytes) -> None:
    """sshd reads the list at every login: no reload is needed. Raises LyceumError."""
    write_atomically(spec.path, wanted, MODE)


def _keygen(arguments: list[str], complaint: str) -> str:
    try:
        done = subprocess.run(["ssh-keygen", *arguments], capture_output=True, text=True, check=False, env=_clean())
    except FileNotFoundError as exc:
        raise CommandError(f"{complaint}: ssh-keygen is not installed") from exc
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip().splitlines() or [f"exit status {done.returncode}"]
        raise CommandError(f"{complaint}: {words[-1]}")
    return done.stdout


def _clean() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C"}
