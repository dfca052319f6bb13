# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys and certificates through the program `openssl` of the host. Keys reach it by standard input, never as words."""

from __future__ import annotations

import ipaddress
import re
import ssl
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import CommandError, LyceumError

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
FIRST = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
PUBLIC_KEY = re.compile(r"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", re.DOTALL)
# What `openssl verify` says before its last line, which only says that it failed.
REASON = re.compile(r"error \d+ at \d+ depth lookup: ?(.*)")
NAMES = re.compile(r"X509v3 Subject Alternative Name:.*\n\s+(.*)")


@dataclass(frozen=True)
class Description:
    """What a certificate says. names: `DNS:...` and `IP:...`, sorted. Times in seconds since 1970."""

    names: tuple[str, ...]
    issuer: str
    not_before: float
    not_after: float
    fingerprint: str
    public_key: str


def openssl(arguments: Sequence[str], complaint: str, stdin: str = "") -> str:
    """Run openssl. Raises CommandError with its words, in which no key is ever."""
    try:
        done = subprocess.run(
            ["openssl", *arguments], input=stdin, capture_output=True, text=True, check=False, env=ENVIRONMENT
        )
    except FileNotFoundError:
        raise CommandError(f"{complaint}: openssl is not installed") from None
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        reasons = [found[1] for found in map(REASON.match, lines) if found]
        raise CommandError(f"{complaint}: {(reasons or lines or [f'exit status {done.returncode}'])[-1]}")
    return done.stdout


def alternative_name(text: str) -> str:
    """A host name or an address as certificates write it. Raises LyceumError."""
    try:
        return f"IP:{ipaddress.ip_address(text)}"
    except ValueError:
        name = text.lower()
        if not re.fullmatch(r"(\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?", name):
            raise LyceumError(f"{text!r} is neither a host name nor an address") from None
        return f"DNS:{name}"


def new_key() -> str:
    """A private key on the curve P-256, which every client knows."""
    words = ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
    return openssl(words, "cannot make a private key")


def _subject(names: Sequence[str]) -> list[str]:
    first = names[0].partition(":")[2][:64]
    return ["-subj", f"/CN={first}", "-addext", f"subjectAltName={','.join(names)}"]


def request(key: Path, names: Sequence[str]) -> str:
    """A certificate signing request for these names."""
    words = ["req", "-new", "-key", str(key), *_subject(names), "-addext", "extendedKeyUsage=serverAuth"]
    return openssl(words, "cannot make a certificate signing request")


def self_signed(key: Path, names: Sequence[str], days: int) -> str:
    """A certificate that nobody trusts, for servers that do not start without one."""
    words = ["req", "-new", "-x509", "-key", str(key), "-days", str(days), *_subject(names)]
    return openssl(words, "cannot make a certificate")


def describe(chain: str) -> Description:
    """What the first certificate of a chain says. Raises CommandError when there is none."""
    first = FIRST.search(chain)
    words = ["x509", "-noout", "-startdate", "-enddate", "-issuer", "-nameopt", "RFC2253", "-fingerprint", "-sha256",
             "-ext", "subjectAltName", "-pubkey"]  # fmt: skip
    text = openssl(words, "cannot read the certificate", first[0] if first else chain)
    fields = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith(" "))
    named = NAMES.search(text)
    key = PUBLIC_KEY.search(text)
    return Description(
        names=tuple(sorted(_name(entry) for entry in named[1].split(","))) if named else (),
        issuer=fields.get("issuer", "").strip(),
        not_before=ssl.cert_time_to_seconds(fields["notBefore"]),
        not_after=ssl.cert_time_to_seconds(fields["notAfter"]),
        fingerprint=fields.get("sha256 Fingerprint", fields.get("SHA256 Fingerprint", "")),
        public_key=key[0] if key else "",
    )


def _name(entry: str) -> str:
    kind, _colon, value = entry.strip().partition(":")
    return f"IP:{ipaddress.ip_address(value)}" if kind == "IP Address" else f"{kind}:{value.lower()}"


def public_key(key: str) -> str:
    """The public half of a private key. Raises CommandError for a key that is damaged or encrypted."""
    # Without -passin, openssl would ask for the password of an encrypted key on the terminal.
    text = openssl(["pkey", "-pubout", "-passin", "pass:"], "cannot read the private key", key)
    return text.strip()


def why_untrusted(chain: str, authority: str) -> str:
    """Why a certificate does not come from this authority; empty when it does."""
    first = FIRST.search(chain)
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(authority)
        file.flush()
        words = ["verify", "-no-CAfile", "-no-CApath", "-CAfile", file.name]
        try:
            openssl(words, "it is not from this authority", first[0] if first else chain)
        except CommandError as exc:
            return str(exc)
    return ""
