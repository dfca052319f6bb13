# SPDX-License-Identifier: GPL-3.0-or-later
"""SCRAM-SHA-256 verifiers (RFC 5802, RFC 7677) as PostgreSQL keeps them, made here so that no server sees a password.

A verifier is a salted hash, but whoever has it can try passwords at leisure and can pose as the server: it is not
shown, nor logged.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import stringprep
import unicodedata
from dataclasses import dataclass

from ..errors import LyceumError

ITERATIONS = 4096  # the protocol's usual number; a verifier with another one that fits the password is kept
SALT_BYTES = 16
_KEY_BYTES = 32
_PATTERN = re.compile(r"SCRAM-SHA-256\$(\d{1,9}):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)")


@dataclass(frozen=True)
class Verifier:
    """What the server needs to check a password, and to prove that it has it."""

    iterations: int
    salt: bytes
    stored_key: bytes
    server_key: bytes

    def __str__(self) -> str:
        salt, stored, server = (
            base64.b64encode(part).decode() for part in (self.salt, self.stored_key, self.server_key)
        )
        return f"SCRAM-SHA-256${self.iterations}:{salt}${stored}:{server}"

    def __repr__(self) -> str:
        return "Verifier(...)"


def parse(text: str | None) -> Verifier | None:
    """A verifier in PostgreSQL's notation; None for anything else (no password, an md5 hash, a password in clear)."""
    match = _PATTERN.fullmatch(text or "")
    if match is None:
        return None
    try:
        salt, stored, server = (base64.b64decode(part, validate=True) for part in match.groups()[1:])
    except ValueError:
        return None
    if not salt or len(stored) != _KEY_BYTES or len(server) != _KEY_BYTES or int(match[1]) == 0:
        return None
    return Verifier(int(match[1]), salt, stored, server)


def derive(password: str, salt: bytes | None = None, iterations: int = ITERATIONS) -> Verifier:
    """The verifier of a password. Without a salt, with a new one."""
    salt = secrets.token_bytes(SALT_BYTES) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", prepared(password), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    return Verifier(iterations, salt, hashlib.sha256(client_key).digest(), hmac.digest(salted, b"Server Key", "sha256"))


def fits(password: str, verifier: Verifier | None) -> bool:
    """Whether the verifier is one of this password."""
    if verifier is None:
        return False
    mine = derive(password, verifier.salt, verifier.iterations)
    return hmac.compare_digest(mine.stored_key + mine.server_key, verifier.stored_key + verifier.server_key)


def prepared(password: str) -> bytes:
    """The password as SASLprep (RFC 4013) has it; as it is where that is not possible, which is what libpq does, too.

    Raises LyceumError for a password that no client could send.
    """
    if not password or "\0" in password:
        raise LyceumError("A password is empty or has a zero byte in it. Generate another one.")
    mapped = "".join(
        " " if stringprep.in_table_c12(char) else char for char in password if not stringprep.in_table_b1(char)
    )
    # The tables are those of Unicode 3.2, and so has to be the normal form.
    normal = unicodedata.ucd_3_2_0.normalize("NFKC", mapped)
    return (normal if normal and _allowed(normal) else password).encode()


_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
    stringprep.in_table_a1,
)


def _allowed(text: str) -> bool:
    if any(prohibited(char) for char in text for prohibited in _PROHIBITED):
        return False
    if not any(map(stringprep.in_table_d1, text)):
        return True
    # With letters written from right to left: no others beside them, and these first and last.
    return not any(map(stringprep.in_table_d2, text)) and all(map(stringprep.in_table_d1, (text[0], text[-1])))
