# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of revoked keys, made by the real ssh-keygen, never shuts out an administrator."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import CommandError, LyceumError, RefusedError
from ansible.module_utils.lyceum.sshd import dropin, revoked

from .conftest import Keys, Sshd


@pytest.fixture
def admin(sshd: Sshd, keys: Keys) -> Path:
    """The file of keys by which root is let in."""
    path = sshd.root / "authorized_keys.d/root"
    path.parent.mkdir()
    path.write_text(f"# break glass\n{keys.public('root')}\n")
    sshd.main.write_text(f"{sshd.main.read_text()}AuthorizedKeysFile {path.parent}/%u none\n")
    return path


def spec(
    path: Path, entries: list[str], *, ca: list[str] | None = None, admins: list[str] | None = None
) -> revoked.RevokedSpec:
    params: dict[str, Any] = {"path": str(path), "revoked": entries, "ca_keys": ca or [], "admins": admins or []}
    return revoked.RevokedSpec.from_params(params)


def refuses(krl: Path, key: Path) -> bool:
    return (
        subprocess.run(["ssh-keygen", "-Q", "-f", str(krl), str(key)], capture_output=True, check=False).returncode != 0
    )


def test_keys_and_fingerprints_are_revoked(tmp_path: Path, keys: Keys) -> None:
    one = spec(tmp_path / "krl", [keys.public("stolen"), keys.fingerprint("lost")])
    revoked.install(one, revoked.build(one))
    assert [refuses(one.path, keys.path(name)) for name in ("stolen", "lost", "good")] == [True, True, False]
    assert revoked.is_ours_alone(one.path)


def test_certificates_of_every_authority(tmp_path: Path, keys: Keys) -> None:
    entries = ["serial: 7", "id: id of carol"]
    one = spec(tmp_path / "krl", entries, ca=[keys.public("ca"), keys.public("other-ca")])
    revoked.install(one, revoked.build(one))
    certificates = {
        "alice": keys.certificate("ca", "alice", 7),
        "bob": keys.certificate("ca", "bob", 8),
        "carol": keys.certificate("other-ca", "carol", 9),
    }
    assert {name: refuses(one.path, path) for name, path in certificates.items()} == {
        "alice": True,
        "bob": False,
        "carol": True,
    }


def test_the_same_list_is_the_same_content(tmp_path: Path, keys: Keys) -> None:
    one = spec(tmp_path / "krl", [keys.public("stolen")])
    revoked.install(one, revoked.build(one))
    again = revoked.build(one)
    assert revoked.content_of(again) == revoked.content(one.path) != []
    assert revoked.content_of(revoked.build(spec(one.path, [keys.public("other")]))) != revoked.content(one.path)


def test_an_empty_list_revokes_nothing(tmp_path: Path, keys: Keys) -> None:
    one = spec(tmp_path / "krl", [])
    revoked.install(one, revoked.build(one))
    assert not refuses(one.path, keys.path("good"))
    assert revoked.content(one.path) == []


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("laptop", "revoked: 'laptop' is neither a public key, nor"),
        ("SHA256:short", "is neither a public key"),
        ("serial:", "is neither a public key"),
        ("ssh-ed25519 AAAA\nkey: x", "is neither a public key"),
        ("serial: 7", r"revoked: serial: 7 is about certificates, but ca_keys names no authority"),
    ],
)
def test_senseless_entries(tmp_path: Path, entry: str, message: str) -> None:
    with pytest.raises(LyceumError, match=message):
        spec(tmp_path / "krl", [entry])


def test_the_last_key_of_an_admin_is_never_revoked(tmp_path: Path, keys: Keys, admin: Path) -> None:
    with pytest.raises(RefusedError, match=r"^the list revokes every key of root, who could not log in any more"):
        revoked.build(spec(tmp_path / "krl", [keys.public("root")], admins=["root"]))
    with pytest.raises(RefusedError, match="every key of root"):
        revoked.build(spec(tmp_path / "krl", [keys.fingerprint("root")], admins=["root"]))


def test_one_of_two_keys_of_an_admin_can_be(tmp_path: Path, keys: Keys, admin: Path) -> None:
    admin.write_text(f'{keys.public("root")}\nfrom="192.0.2.0/24",command="a b" {keys.public("second")}\n')
    assert revoked.build(spec(tmp_path / "krl", [keys.public("root")], admins=["root"]))
    with pytest.raises(RefusedError, match="every key of root"):
        revoked.build(spec(tmp_path / "krl", [keys.public("root"), keys.public("second")], admins=["root"]))


def test_an_admin_without_keys_is_not_asked_about(tmp_path: Path, keys: Keys, admin: Path) -> None:
    admin.write_text("# none\n")
    assert revoked.build(spec(tmp_path / "krl", [keys.public("root")], admins=["root"]))


def test_a_broken_list_is_replaced(tmp_path: Path, keys: Keys) -> None:
    path = tmp_path / "krl"
    assert revoked.content(path) is None
    path.write_bytes(b"SSHKRL\n\0torn")
    assert revoked.content(path) is None


def test_a_key_that_ssh_keygen_does_not_take(tmp_path: Path) -> None:
    one = revoked.RevokedSpec(tmp_path / "krl", ("key: ssh-ed25519 AAAA",), (), (), ())
    with pytest.raises(CommandError, match=r"^cannot make the list of revoked keys: "):
        revoked.build(one)


def test_without_ssh_keygen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CommandError, match="ssh-keygen is not installed"):
        revoked.build(spec(tmp_path / "krl", []))


def test_where_sshd_looks_for_keys(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = {"authorizedkeysfile": ".ssh/%u /etc/%%/%u none %h/more"}
    monkeypatch.setattr(dropin, "effective", lambda account: lines)
    home = Path("~root").expanduser()
    assert revoked._key_files("root") == [home / ".ssh/root", Path("/etc/%/root"), home / "more"]
