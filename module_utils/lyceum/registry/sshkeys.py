# SPDX-License-Identifier: GPL-3.0-or-later
"""SSH public keys as they stand in the registry: parsed, fingerprinted, and refused when weak or dangerous."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from ..errors import LyceumError

MIN_RSA_BITS = 3072
# Beyond this OpenSSH itself refuses, and verifying would be a way to burn CPU.
MAX_RSA_BITS = 16384
NEW_KEY = "Make a new one: ssh-keygen -t ed25519"

# Wire name -> size in bits (RSA: read from the key).
KEY_TYPES = {
    "ssh-ed25519": 256,
    "sk-ssh-ed25519@openssh.com": 256,
    "ecdsa-sha2-nistp256": 256,
    "ecdsa-sha2-nistp384": 384,
    "ecdsa-sha2-nistp521": 521,
    "sk-ecdsa-sha2-nistp256@openssh.com": 256,
    "ssh-rsa": 0,
}

# Options a person may have in front of a key. They only narrow what the key can do (or take back part of `restrict`).
# Everything else (command, environment, cert-authority, principals, permitopen, tunnel, ...) changes what a login *is*
# and belongs to the role that serves the person's access profile.
ALLOWED_OPTIONS = frozenset(
    {
        "from",
        "expiry-time",
        "restrict",
        "verify-required",
        "pty",
        "no-pty",
        "agent-forwarding",
        "no-agent-forwarding",
        "port-forwarding",
        "no-port-forwarding",
        "x11-forwarding",
        "no-x11-forwarding",
        "user-rc",
        "no-user-rc",
    }
)

# One option: a name, and perhaps a quoted value in which \" stands for a quote.
_OPTION = re.compile(r'([A-Za-z][A-Za-z0-9-]{1,30})(?:="((?:[^"\\]|\\.)*)")?(?=[ ,])')


class SshKeyError(LyceumError):
    """A line that must not become an authorized key. The message says what is wrong; `remedy` says what to do."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


@dataclass(frozen=True)
class PublicKey:
    type: str
    bits: int
    fingerprint: str  # "SHA256:...", as printed by ssh-keygen -l
    comment: str
    options: tuple[str, ...]  # as written, e.g. 'from="192.0.2.0/24"'
    blob: str  # base64

    @property
    def line(self) -> str:
        """The line for an authorized_keys file, without a newline."""
        parts = (",".join(self.options), self.type, self.blob, self.comment)
        return " ".join(part for part in parts if part)


def is_private(text: str) -> bool:
    """Whether the text holds (a part of) a private key, which must never be shown, logged or stored."""
    # The last one is what the base64 body of an OpenSSH private key begins with.
    return any(mark in text for mark in ("PRIVATE KEY", "PuTTY-User-Key-File", "b3BlbnNzaC1rZXktdjE"))


def is_public(line: str) -> bool:
    """Whether the line begins like a public key, so that it may be shown in a message."""
    return not is_private(line) and _is_key(line.strip())


def parse_many(text: str) -> list[PublicKey]:
    """The keys of a file, one per line (CRLF or LF); blank lines and # comments are skipped.

    SshKeyError names the line.
    """
    keys = []
    if is_private(text):
        parse(text)  # raises: the lines of a private key would only give puzzling messages one by one
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                keys.append(parse(line))
            except SshKeyError as exc:
                raise SshKeyError(f"line {number}: {exc}", exc.remedy) from exc
    return keys


@lru_cache(maxsize=50_000)
def parse(line: str) -> PublicKey:
    """One key: `[options] type base64 [comment]`. SshKeyError for anything that must not be installed."""
    text = line.strip()
    if is_private(text):
        raise SshKeyError("this is a private key", "Treat it as leaked: make a new pair and give the .pub file only.")
    if text.startswith(("---- BEGIN SSH2 PUBLIC KEY", "-----BEGIN")):
        raise SshKeyError("this is not the one-line OpenSSH format", "Convert it with: ssh-keygen -i -f FILE")
    if len(text.splitlines()) != 1:
        raise SshKeyError(
            "is not exactly one line" if text else "is empty", "Give every key its own list entry, on one line."
        )
    if any(not char.isprintable() and char != "\t" for char in text):
        raise SshKeyError("contains control characters", "Copy the line of the .pub file again.")
    options, rest = _split_options(text)
    key_type, _, tail = rest.partition(" ")
    blob, _, comment = tail.strip().partition(" ")
    _check_type(key_type)
    bits, wire = _check_blob(key_type, blob)
    digest = base64.b64encode(hashlib.sha256(wire).digest()).decode().rstrip("=")
    return PublicKey(key_type, bits, f"SHA256:{digest}", comment.strip(), options, blob)


def _split_options(text: str) -> tuple[tuple[str, ...], str]:
    """(options, the rest beginning with the key type)."""
    text = text.replace("\t", " ")
    options: list[str] = []
    position = 0
    while not _is_key(text[position:]):
        match = _OPTION.match(text, position)
        rest = text[match.end() + 1 :].lstrip() if match else ""
        # One unknown word in front of anything but a key is a wrong key type rather than an option.
        if match is None or (not options and match[2] is None and text[match.end()] == " " and not _is_key(rest)):
            break
        if match[1].lower() not in ALLOWED_OPTIONS:
            raise SshKeyError(
                f"the option {match[1]!r} is not allowed in the registry",
                f"Remove it; allowed are {', '.join(sorted(ALLOWED_OPTIONS))}.",
            )
        options.append(match[0])
        if text[match.end()] == " ":
            return tuple(options), rest
        position = match.end() + 1
    if options:
        raise SshKeyError(
            "the options in front of the key cannot be read", 'Write them as in from="192.0.2.0/24",no-pty.'
        )
    return (), text


def _is_key(text: str) -> bool:
    return _looks_like_type(text.partition(" ")[0])


def _looks_like_type(word: str) -> bool:
    return word in KEY_TYPES or word.startswith(("ssh-", "ecdsa-sha2-", "sk-"))


def _check_type(key_type: str) -> None:
    if key_type in KEY_TYPES:
        return
    if key_type == "ssh-dss":
        raise SshKeyError("DSA keys are broken and no longer accepted", NEW_KEY)
    if "-cert-v" in key_type:
        raise SshKeyError("this is a certificate, not a public key", "Give the .pub file without -cert in its name.")
    raise SshKeyError(
        "does not begin with a key type" if key_type else "is empty",
        "Paste the whole line of the .pub file; it begins with ssh-ed25519, sk-..., ecdsa-... or ssh-rsa.",
    )


def _check_blob(key_type: str, blob: str) -> tuple[int, bytes]:
    """(bits, decoded blob)."""
    broken = SshKeyError("the key data is damaged or incomplete", "Copy the whole line of the .pub file again.")
    try:
        wire = base64.b64decode(blob, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise broken from exc
    if not blob or wire[4 : 4 + len(key_type)] != key_type.encode() or wire[:4] != len(key_type).to_bytes(4, "big"):
        raise broken
    if len(wire) > MAX_RSA_BITS // 8 + 1024:
        raise SshKeyError(f"is larger than {MAX_RSA_BITS} bits", NEW_KEY)
    try:
        key = load_ssh_public_key(f"{key_type} {blob}".encode())
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise broken from exc
    bits = KEY_TYPES[key_type]
    if isinstance(key, RSAPublicKey):
        bits = key.key_size
        if not MIN_RSA_BITS <= bits <= MAX_RSA_BITS:
            raise SshKeyError(
                f"RSA with {bits} bits is outside {MIN_RSA_BITS} to {MAX_RSA_BITS}",
                NEW_KEY,
            )
    return bits, wire
