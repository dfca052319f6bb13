# SPDX-License-Identifier: GPL-3.0-or-later
"""What is off by default: certificates of people and hosts, revocation, jails without the host's network."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from target import Target

from playbooks import succeeds


def keygen(*words: str) -> None:
    subprocess.run(["ssh-keygen", "-q", *words], check=True)


@dataclass(frozen=True)
class Trust:
    """A host that trusts an authority, which has certified some keys. Each key is the private file."""

    target: Target
    folder: Path
    serials: dict[str, int]

    def login(self, name: str, key: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Log in as somebody with a certified key and nothing else."""
        # The way is that of anybody whose key is at hand; root's is not.
        words = [
            word for word in self.target.ssh_words("jweber") if not word.startswith(("-oIdentityFile=", "-oUser="))
        ]
        # Before all others: what ssh hears first is what counts.
        words[1:1] = [
            *options,
            f"-oUser={name}",
            f"-oIdentityFile={self.folder / key}",
            f"-oCertificateFile={self.folder / key}-cert.pub",
        ]
        return subprocess.run(
            [*words, "id -un"], capture_output=True, text=True, check=False, timeout=30,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip


@pytest.fixture(scope="module")
def trust(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trust]:
    folder = tmp_path_factory.mktemp("trust")
    keygen("-t", "ed25519", "-N", "", "-C", "authority", "-f", str(folder / "authority"))
    serials = {"jweber": 1, "ksato": 2, "mpatel": 3, "lrossi": 4, "stolen": 5}
    for key, serial in serials.items():
        keygen("-t", "ed25519", "-N", "", "-C", key, "-f", str(folder / key))
        principal = "jweber" if key == "stolen" else key
        keygen("-s", str(folder / "authority"), "-I", key, "-n", principal, "-z", str(serial), str(folder / key))
    (folder / "host.pub").write_text(target.host.file("/etc/ssh/ssh_host_ed25519_key.pub").content_string)
    keygen("-s", str(folder / "authority"), "-h", "-I", target.name, "-n", target.name, str(folder / "host.pub"))
    succeeds(
        target.name,
        tags="sshd_jail",
        sshd_jail_user_ca_keys=[(folder / "authority.pub").read_text().strip()],
        sshd_jail_principals={"root": ["operations"]},
        sshd_jail_host_certificates=[(folder / "host-cert.pub").read_text().strip()],
        sshd_jail_revoked=["serial: 5"],
        sshd_jail_network=False,
    )
    yield Trust(target, folder, serials)
    succeeds(target.name, tags="sshd_jail")


def test_a_certificate_lets_its_principal_in_and_nobody_else(trust: Trust) -> None:
    assert trust.login("jweber", "jweber").stdout == "jweber\n"
    for name in ("amartin", "root", "lrossi"):
        assert "Permission denied" in trust.login(name, "jweber").stderr


def test_profiles_hold_for_certificates_too(trust: Trust) -> None:
    assert "has no shell" in trust.login("lrossi", "lrossi").stderr
    assert "sftp connections only" in trust.login("ksato", "ksato").stdout
    assert "Permission denied" in trust.login("mpatel", "mpatel").stderr


def test_a_revoked_certificate_lets_nobody_in(trust: Trust) -> None:
    assert "Permission denied" in trust.login("jweber", "stolen").stderr


def test_the_host_shows_its_certificate(trust: Trust) -> None:
    """A client that has never seen the host, and trusts the authority alone."""
    known = trust.folder / "known_hosts"
    known.write_text(f"@cert-authority * {(trust.folder / 'authority.pub').read_text()}")
    options = [f"-oUserKnownHostsFile={known}", "-oStrictHostKeyChecking=yes", f"-oHostKeyAlias={trust.target.name}"]
    assert trust.login("jweber", "jweber", *options).stdout == "jweber\n"
    known.write_text("")
    assert "Host key verification failed" in trust.login("jweber", "jweber", *options).stderr


def test_a_jail_without_network_reaches_nothing(trust: Trust) -> None:
    address, port, _loopback = trust.target.sshd_address
    code = f"import socket; print(socket.create_connection(('{address}', {port}), 3).recv(4))"
    inside = trust.target.run_as("jweber", f'python3 -c "{code}"')
    assert inside.returncode != 0
    assert "OSError" in inside.stderr or "Error" in inside.stderr
    assert trust.target.run_as("amartin", f'python3 -c "{code}"').stdout == "b'SSH-'\n"
    words = trust.target.ssh_words("jweber", f"-W{address}:{port}")
    forwarded = subprocess.run(words, capture_output=True, text=True, check=False, timeout=20, input="\n")
    assert "SSH-2.0" not in forwarded.stdout


def test_what_is_switched_off_leaves_nothing(target: Target) -> None:
    """Runs after the others have given the host back."""
    succeeds(target.name, tags="sshd_jail")
    for path in ("/etc/ssh/lyceum_user_ca.pub", "/etc/ssh/lyceum_revoked.krl", "/etc/ssh/principals.d/jweber"):
        assert not target.host.file(path).exists
    effective = target.host.check_output("/usr/sbin/sshd -T -C user=jweber,host=x,addr=192.0.2.7").splitlines()
    assert {"trustedusercakeys none", "revokedkeys none", "allowtcpforwarding local"} <= set(effective)
