# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys and certificates by the real openssl."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from ansible.module_utils.lyceum.errors import CommandError, LyceumError
from ansible.module_utils.lyceum.web import openssl

from .conftest import DAY, Authority

NAMES = ("DNS:a.example.org", "IP:10.0.0.1", "IP:2001:db8::1")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key.pem"
    path.write_text(openssl.new_key())
    return path


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("A.example.org", "DNS:a.example.org"),
        ("*.example.org", "DNS:*.example.org"),
        ("10.0.0.1", "IP:10.0.0.1"),
        ("2001:DB8:0::1", "IP:2001:db8::1"),
    ],
)
def test_alternative_names(text: str, name: str) -> None:
    assert openssl.alternative_name(text) == name


@pytest.mark.parametrize("text", ["", "a b", "a,DNS:b", "-a", "x/y", "a\nb"])
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(LyceumError, match="neither a host name nor an address"):
        openssl.alternative_name(text)


def test_a_certificate_says_what_it_was_made_for(key: Path) -> None:
    chain = openssl.self_signed(key, NAMES, 7)
    found = openssl.describe(f"text before\n{chain}{openssl.self_signed(key, ['DNS:other'], 1)}")
    assert found.names == NAMES
    assert found.issuer == "CN=a.example.org"
    assert found.public_key == openssl.public_key(key.read_text())
    assert found.public_key != openssl.public_key(openssl.new_key())
    assert abs(found.not_after - time.time() - 7 * DAY) < 60
    assert found.not_before <= time.time()
    assert found.fingerprint.count(":") == 31


def test_a_certificate_of_the_authority_is_trusted_and_no_other(key: Path, authority: Authority) -> None:
    signed = authority.sign(openssl.request(key, NAMES))
    assert openssl.describe(signed).names == NAMES
    assert openssl.why_untrusted(signed, authority.certificate) == ""
    other = openssl.why_untrusted(openssl.self_signed(key, NAMES, 7), authority.certificate)
    assert other == "it is not from this authority: self-signed certificate"
    assert openssl.why_untrusted(signed, openssl.self_signed(key, NAMES, 7)) != ""


def test_a_certificate_without_names(key: Path) -> None:
    words = ["req", "-x509", "-new", "-key", str(key), "-subj", "/CN=x"]
    assert openssl.describe(openssl.openssl(words, "")).names == ()


def test_what_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CommandError, match="cannot read the certificate: "):
        openssl.describe("nothing")
    with pytest.raises(CommandError, match="cannot read the private key: "):
        openssl.public_key("nothing")
    monkeypatch.setitem(openssl.ENVIRONMENT, "PATH", "/nowhere")
    with pytest.raises(CommandError, match="cannot make a private key: openssl is not installed"):
        openssl.new_key()


def test_an_encrypted_key_is_not_asked_for_its_password() -> None:
    words = ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-aes256", "-pass", "pass:unit-test"]
    encrypted = openssl.openssl(words, "")
    with pytest.raises(CommandError, match="cannot read the private key"):
        openssl.public_key(encrypted)
