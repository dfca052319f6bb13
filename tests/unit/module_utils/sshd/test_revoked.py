# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of revoked keys: ssh-keygen makes it, and nobody who has to get in is on it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import CommandError, LyceumError, RefusedError
from ansible.module_utils.lyceum.sshd import revoked

from .conftest import Sshd
from .test_keys import DESKTOP, ECDSA, LAPTOP, RSA, needs_root, needs_ssh_keygen

AUTHORITY, OTHER_AUTHORITY = LAPTOP, DESKTOP


def spec(path: Path, entries: list[str], **params: Any) -> revoked.RevokedSpec:
    return revoked.RevokedSpec.from_params(
        {"path": str(path), "revoked": entries, "ca_keys": [], "admins": [], **params}
    )


def fingerprint(folder: Path, key: str) -> str:
    (folder / "shown.pub").write_text(f"{key}\n")
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-f", str(folder / "shown.pub")], capture_output=True, text=True, check=True
    )
    return shown.stdout.split()[1]


def is_revoked(folder: Path, krl: bytes, key: str) -> bool:
    """What ssh-keygen says about a key: exit status 1 when it is on the list."""
    (folder / "asked.krl").write_bytes(krl)
    (folder / "asked.pub").write_text(f"{key}\n")
    asked = subprocess.run(
        ["ssh-keygen", "-Q", "-f", str(folder / "asked.krl"), str(folder / "asked.pub")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ("REVOKED" in asked.stdout) == (asked.returncode == 1), asked
    return asked.returncode == 1


@pytest.fixture
def admin(sshd: Sshd) -> Path:
    """The authorized keys of root."""
    keys = sshd.root / "keys"
    keys.mkdir()
    sshd.main.write_text(f"AuthorizedKeysFile none {keys}/%u {keys}/no-such\n")
    return keys / "root"


# --- parameters


def test_each_kind_of_entry(tmp_path: Path) -> None:
    hashed = "SHA256:" + "a" * 43
    one = spec(tmp_path / "krl", [f" {LAPTOP}\n", hashed, "serial:7", "id:  amartin"], ca_keys=[f"{AUTHORITY}\n"])
    assert one.keys == (f"key: {LAPTOP}", f"hash: {hashed}")
    assert one.certificates == ("serial: 7", "id: amartin")
    assert one.authorities == (AUTHORITY,)


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "amartin",
        "SHA256:short",
        "SHA256:" + "a" * 44,
        "MD5:00:11",
        "ssh-ed25519 AAAA",
        "serial:",
        f"{LAPTOP}\n{DESKTOP}",
        "serial: 1\nid: x",
    ],
)
def test_anything_else_is_refused(tmp_path: Path, entry: str) -> None:
    with pytest.raises(LyceumError) as raised:
        spec(tmp_path / "krl", [entry], ca_keys=[AUTHORITY])
    assert str(raised.value) == (
        f'revoked: {entry[:60]!r} is neither a public key, nor "SHA256:..." as ssh-keygen -l shows it, nor'
        ' "serial: 7" or "id: NAME" of a certificate'
    )


def test_certificates_without_an_authority_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LyceumError) as raised:
        spec(tmp_path / "krl", ["id: amartin"])
    assert str(raised.value) == "revoked: id: amartin is about certificates, but ca_keys names no authority"


# --- the list


@needs_ssh_keygen
def test_the_list_revokes_what_is_listed_and_nothing_else(tmp_path: Path) -> None:
    krl = revoked.build(spec(tmp_path / "krl", [LAPTOP, fingerprint(tmp_path, RSA)]))
    assert [is_revoked(tmp_path, krl, key) for key in (LAPTOP, RSA, DESKTOP, ECDSA)] == [True, True, False, False]


@needs_ssh_keygen
def test_an_empty_list_is_one_that_sshd_can_read(tmp_path: Path) -> None:
    krl = revoked.build(spec(tmp_path / "krl", []))
    assert revoked.content_of(krl) == []
    assert not is_revoked(tmp_path, krl, LAPTOP)


@needs_ssh_keygen
def test_certificates_are_revoked_for_every_authority(tmp_path: Path) -> None:
    one = spec(tmp_path / "krl", ["serial: 7", "serial: 10-12", "id: amartin"], ca_keys=[AUTHORITY, OTHER_AUTHORITY])
    content = revoked.content_of(revoked.build(one))
    assert content is not None
    for authority in (AUTHORITY, OTHER_AUTHORITY):
        assert f"# CA key ssh-ed25519 {fingerprint(tmp_path, authority)}" in content
    assert {line: content.count(line) for line in ("serial: 7", "serial: 10-12", "id: amartin")} == {
        "serial: 7": 2,
        "serial: 10-12": 2,
        "id: amartin": 2,
    }


@needs_ssh_keygen
def test_what_ssh_keygen_refuses_is_said_in_its_words(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r'^cannot make the list of revoked keys: .*: invalid serial "seven"$'):
        revoked.build(spec(tmp_path / "krl", ["serial: seven"], ca_keys=[AUTHORITY]))


def test_a_host_without_ssh_keygen_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CommandError) as raised:
        revoked.build(spec(tmp_path / "krl", [LAPTOP]))
    assert str(raised.value) == "cannot make the list of revoked keys: ssh-keygen is not installed"


@needs_ssh_keygen
def test_lists_are_compared_by_what_they_say(tmp_path: Path) -> None:
    """Two lists made at different times differ in bytes, and a file in another order says the same."""
    first = revoked.build(spec(tmp_path / "krl", [LAPTOP, RSA]))
    second = revoked.build(spec(tmp_path / "krl", [RSA, LAPTOP]))
    less = revoked.build(spec(tmp_path / "krl", [RSA]))
    assert revoked.content_of(first) == revoked.content_of(second) != revoked.content_of(less)
    assert len(revoked.content_of(first) or []) == 2


@needs_ssh_keygen
def test_a_list_that_is_missing_or_broken_has_no_content(tmp_path: Path) -> None:
    broken = tmp_path / "krl"
    assert revoked.content(broken) is None
    broken.write_text("not a list")
    assert revoked.content(broken) is None


# --- administrators


@needs_ssh_keygen
@pytest.mark.parametrize(
    "line", [LAPTOP, f"restrict {LAPTOP}", f'from="10.0.0.0/8",command="echo a b" {LAPTOP}', f"# mine\n{LAPTOP}"]
)
def test_the_last_key_of_an_administrator_cannot_be_revoked(admin: Path, tmp_path: Path, line: str) -> None:
    admin.write_text(f"{line}\n")
    with pytest.raises(RefusedError) as raised:
        revoked.build(spec(tmp_path / "krl", [fingerprint(tmp_path, LAPTOP)], admins=["root"]))
    assert str(raised.value) == (
        "the list revokes every key of root, who could not log in any more; nothing was changed. Give root another key"
        " first, or take one off the list"
    )


@needs_ssh_keygen
@pytest.mark.parametrize("second", [DESKTOP, f"restrict {RSA}", f'command="echo a b" {ECDSA}'])
def test_one_key_of_several_can_be(admin: Path, tmp_path: Path, second: str) -> None:
    admin.write_text(f"{LAPTOP}\n{second}\n")
    assert is_revoked(tmp_path, revoked.build(spec(tmp_path / "krl", [LAPTOP], admins=["root"])), LAPTOP)


@needs_ssh_keygen
def test_an_administrator_without_keys_has_none_to_lose(admin: Path, tmp_path: Path) -> None:
    assert not admin.exists()
    assert is_revoked(tmp_path, revoked.build(spec(tmp_path / "krl", [LAPTOP], admins=["root"])), LAPTOP)


@needs_ssh_keygen
def test_keys_are_looked_for_where_sshd_does(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is not absolute lies below the home, and %h is the home itself."""
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    monkeypatch.setattr(os.path, "expanduser", {"~admin": str(home)}.__getitem__)
    for number, name in enumerate((".ssh/keys", "%h/.ssh/keys", f"{home}/.ssh/%%keys")):
        (home / ".ssh" / ("%keys" if "%%" in name else "keys")).write_text(LAPTOP)
        sshd.main.write_text(f"AuthorizedKeysFile {name}\n")
        with pytest.raises(RefusedError, match="revokes every key of admin"):
            revoked.build(spec(tmp_path / f"krl{number}", [LAPTOP], admins=["admin"]))
        for path in (home / ".ssh").iterdir():
            path.unlink()


# --- in place


@needs_root
@needs_ssh_keygen
def test_installed_for_root_alone_to_write(tmp_path: Path) -> None:
    one = spec(tmp_path / "krl", [LAPTOP])
    made = revoked.build(one)
    revoked.install(one, made)
    assert revoked.is_ours_alone(one.path)
    assert revoked.content(one.path) == revoked.content_of(made)
    one.path.chmod(0o664)
    assert not revoked.is_ours_alone(one.path)
    one.path.chmod(0o644)
    os.chown(one.path, 2001, 0)
    assert not revoked.is_ours_alone(one.path)
