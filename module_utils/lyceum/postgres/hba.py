# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_hba.conf and pg_ident.conf: who may try to log in from where, and how. The first rule that fits decides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..errors import LyceumError

HEADER = "# Written by Lyceum (role postgres); changes by hand are lost. The first rule that fits decides.\n"
MAP = "admin"
# Never: trust, password and md5, which let in without a password, show it on the wire or keep it badly.
METHODS = ("reject", "peer", "scram-sha-256", "cert", "gss", "ldap", "radius", "pam")
TYPES = ("local", "hostssl", "hostgssenc")
# What is a word of its own in these columns and must not be put in quotes.
_WORDS = frozenset({"all", "sameuser", "samerole", "replication"})


def hba(networks: Iterable[str], rules: Iterable[Mapping[str, Any]], superuser: str = "postgres") -> str:
    """The whole file. networks: from where TLS with a SCRAM password is let in. rules: further ones, tried before.

    Raises LyceumError for a rule that would open what is to stay closed.
    """
    lines = [
        ("local", "all", superuser, "", "peer", f"map={MAP}"),
        ("local", "replication", superuser, "", "peer", f"map={MAP}"),
        # The superuser is the machine's admin: never over the network, whatever is allowed further down.
        ("host", "all", superuser, "all", "reject", ""),
        ("host", "replication", superuser, "all", "reject", ""),
        *map(_rule, rules),
        ("local", "all", "all", "", "peer", ""),
        *(("hostssl", "all", "all", network, "scram-sha-256", "") for network in networks),
    ]
    return HEADER + "".join(" ".join(word for word in line if word) + "\n" for line in lines)


def ident(superuser: str = "postgres") -> str:
    """Which accounts of the system are the superuser."""
    return HEADER + "".join(f"{MAP} {account} {superuser}\n" for account in dict.fromkeys(("root", superuser)))


def _rule(rule: Mapping[str, Any]) -> tuple[str, str, str, str, str, str]:
    kind, method = rule.get("type", "hostssl"), rule.get("method", "scram-sha-256")
    where = f"postgres_hba_rules: {rule}"
    if kind not in TYPES:
        raise LyceumError(f"{where}: the type is one of {', '.join(TYPES)}; without TLS there is no other way in")
    if method not in METHODS:
        raise LyceumError(f"{where}: the method is one of {', '.join(METHODS)}")
    address = rule.get("address") or ""
    if (kind == "local") != (address == ""):
        raise LyceumError(f"{where}: {'no address goes with local' if address else 'the address is missing'}")
    unknown = set(rule) - {"type", "databases", "users", "address", "method", "options"}
    if unknown:
        raise LyceumError(f"{where}: unknown: {', '.join(sorted(unknown))}")
    options = rule.get("options") or {}
    return (
        kind,
        _names(rule.get("databases") or ["all"], where),
        _names(rule.get("users") or ["all"], where),
        _quoted(address, where) if address else "",
        method,
        " ".join(_quoted(f"{key}={value}", where) for key, value in options.items()),
    )


def _names(names: Sequence[str], where: str) -> str:
    return ",".join(name if name in _WORDS else _quoted(name, where) for name in names)


def _quoted(text: str, where: str) -> str:
    if '"' in text or not text.isprintable():
        raise LyceumError(f"{where}: {text!r} has a quote or a control character in it")
    plain = text.replace("_", "").replace("-", "").replace(".", "").replace("/", "").replace(":", "")
    return text if plain.isalnum() and text not in _WORDS else f'"{text}"'
