# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys: what is accepted is what ssh-keygen sees, and what must never be installed is refused in its own words."""

from __future__ import annotations

import pytest
from ansible.module_utils.lyceum.registry import sshkeys

from . import samples


@pytest.mark.parametrize("line", samples.FINGERPRINTS, ids=lambda line: line.split()[0])
def test_fingerprint_is_that_of_ssh_keygen(line: str) -> None:
    assert sshkeys.parse(line).fingerprint == samples.FINGERPRINTS[line]


@pytest.mark.parametrize(
    ("line", "bits"),
    [
        (samples.ED25519_1, 256),
        (samples.SK_ED25519, 256),
        (samples.ECDSA_256, 256),
        (samples.ECDSA_521, 521),
        (samples.RSA_3072, 3072),
    ],
)
def test_size(line: str, bits: int) -> None:
    assert sshkeys.parse(line).bits == bits


def test_parts_of_a_line() -> None:
    key = sshkeys.parse(samples.ED25519_1)
    assert (key.type, key.comment, key.options) == ("ssh-ed25519", "key1", ())
    assert key.line == samples.ED25519_1


@pytest.mark.parametrize(
    ("options", "parsed"),
    [
        ("restrict", ("restrict",)),
        ('from="192.0.2.0/24,!192.0.2.9"', ('from="192.0.2.0/24,!192.0.2.9"',)),
        ('no-pty,from="a b\\"c",No-X11-forwarding', ("no-pty", 'from="a b\\"c"', "No-X11-forwarding")),
    ],
)
def test_options_are_preserved(options: str, parsed: tuple[str, ...]) -> None:
    key = sshkeys.parse(f"{options} {samples.ED25519_1}")
    assert key.options == parsed
    assert key.line == f"{options} {samples.ED25519_1}"
    assert key.fingerprint == samples.FINGERPRINTS[samples.ED25519_1]


@pytest.mark.parametrize(
    "options",
    [
        'command="/bin/sh"',
        'environment="LD_PRELOAD=/tmp/x"',
        "cert-authority",
        "cert-authority,no-pty",
        'restrict,command="x"',
        'principals="root"',
        'permitopen="*:*"',
        'tunnel="0"',
        "no-touch-required",
        'from="unclosed',
        "no-pty,",
        "no-pty,,restrict",
    ],
)
def test_options_that_change_a_login_are_refused(options: str) -> None:
    with pytest.raises(sshkeys.SshKeyError):
        sshkeys.parse(f"{options} {samples.ED25519_1}")


def test_refused_option_is_named() -> None:
    with pytest.raises(sshkeys.SshKeyError, match="the option 'command' is not allowed in the registry"):
        sshkeys.parse(f'command="x" {samples.ED25519_1}')


TYPE, BLOB, _ = samples.ED25519_1.split()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("hello", "does not begin with a key type"),
        (BLOB, "does not begin with a key type"),
        (f"{BLOB} {BLOB}", "does not begin with a key type"),
        ("hello world", "does not begin with a key type"),
        (TYPE, "the key data is damaged or incomplete"),
        (f"{TYPE} {BLOB[:-8]}", "the key data is damaged or incomplete"),
        (f"{TYPE} {BLOB[:-2]}!!", "the key data is damaged or incomplete"),
        (f"ecdsa-sha2-nistp256 {BLOB}", "the key data is damaged or incomplete"),
        (f"{samples.ED25519_1}\n{samples.ED25519_2}", "is not exactly one line"),
        (f"{samples.ED25519_1}\u2028x", "is not exactly one line"),
        (f"{samples.ED25519_1} \x1b[2J", "contains control characters"),
        (samples.RSA_2048, "RSA with 2048 bits is outside 3072 to 16384"),
        (samples.CERTIFICATE, "this is a certificate, not a public key"),
        (f"ssh-dss {BLOB}", "DSA keys are broken and no longer accepted"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "this is a private key"),
        ("b3BlbnNzaC1rZXktdjEAAAAABG5vbmU", "this is a private key"),
        ("PuTTY-User-Key-File-3: ssh-ed25519", "this is a private key"),
        ("---- BEGIN SSH2 PUBLIC KEY ----", "this is not the one-line OpenSSH format"),
    ],
)
def test_refused(line: str, message: str) -> None:
    with pytest.raises(sshkeys.SshKeyError) as caught:
        sshkeys.parse(line)
    assert str(caught.value) == message
    assert caught.value.remedy


def test_carriage_return_at_the_end_is_harmless() -> None:
    assert sshkeys.parse(f"{samples.ED25519_1}\r\n") == sshkeys.parse(samples.ED25519_1)


def test_file_with_comments_blank_lines_and_crlf() -> None:
    text = f"# laptop\r\n{samples.ED25519_1}\r\n\r\n{samples.RSA_3072}\r\n"
    assert [key.type for key in sshkeys.parse_many(text)] == ["ssh-ed25519", "ssh-rsa"]


def test_file_names_the_bad_line() -> None:
    with pytest.raises(sshkeys.SshKeyError, match=r"^line 2: RSA with 2048 bits"):
        sshkeys.parse_many(f"{samples.ED25519_1}\n{samples.RSA_2048}\n")


def test_file_that_is_a_private_key() -> None:
    with pytest.raises(sshkeys.SshKeyError, match=r"^this is a private key"):
        sshkeys.parse_many("-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----\n")


@pytest.mark.parametrize(
    ("line", "public"),
    [
        (samples.ED25519_1, True),
        ("ssh-ed25519 AAAA", True),
        ("MIIEvQIBADANBgkq", False),
        ("ssh-rsa PRIVATE KEY", False),
    ],
)
def test_only_what_looks_public_is_shown(line: str, public: bool) -> None:
    assert sshkeys.is_public(line) is public
