# SPDX-License-Identifier: GPL-3.0-or-later
"""What the site's own authority signs, and what it refuses. On the controller; pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import LyceumError
from .openssl import alternative_name

# Object identifiers of what a request may ask for beside its names: what a web server's certificate is good for.
SUBJECT_ALT_NAME, EXTENDED_KEY_USAGE = "2.5.29.17", "2.5.29.37"
SERVER = {"TLS Web Server Authentication", "serverAuth"}


def problems(
    certificates: Iterable[Mapping[str, Any]], *, authority: bool, agreed: bool, only_for: Iterable[str]
) -> list[str]:
    """One sentence for each certificate that cannot be had as it is written down."""
    found, seen = [], set()
    limits = list(only_for)
    for entry in certificates:
        name = entry.get("name", "without a name")
        if name in seen:
            found.append(f"Certificate {name} is listed twice.")
        seen.add(name)
        source = entry.get("source", "internal")
        if entry.get("state", "present") == "absent":
            continue
        if source == "internal" and not authority:
            found.append(
                f"Certificate {name} is to be signed by the site's own authority: certificates_authority is false."
            )
        if source == "acme" and not agreed:
            found.append(
                f"Certificate {name} comes by ACME: say certificates_acme_agree_tos: true if you agree to the terms of"
                " certificates_acme_server."
            )
        if source == "internal" and limits:
            outside = [text for text in entry.get("subject_alt_names", []) if not within(text, limits)]
            found += [
                f"Certificate {name} is for {text}, which certificates_authority_only_for does not allow."
                for text in outside
            ]
    return found


def within(name: str, limits: Iterable[str]) -> bool:
    """Whether a host name or an address is in one of these domains and networks."""
    kind, _colon, value = alternative_name(name).partition(":")
    for limit in limits:
        try:
            network = ipaddress.ip_network(limit)
        except ValueError:
            domain = limit.lower().lstrip(".")
            if kind == "DNS" and (value == domain or value.endswith(f".{domain}")):
                return True
        else:
            if kind == "IP" and ipaddress.ip_address(value) in network:
                return True
    return False


def constraints(only_for: Iterable[str]) -> list[str]:
    """What an authority may sign for, as its certificate says it. Raises LyceumError.

    A kind that a certificate does not mention is without limit: where only domains are allowed, or only networks, the
    other kind gets an entry that is of no use.
    """
    found, kinds = [], set()
    for limit in only_for:
        try:
            network = ipaddress.ip_network(limit)
        except ValueError:
            kind, _colon, value = alternative_name(limit.lstrip(".")).partition(":")
            if value.startswith("*."):
                raise LyceumError(f"{limit!r}: write the domain alone, which stands for all names below it") from None
            found.append(f"DNS:{value}")
        else:
            kind = "IP"
            found.append(f"IP:{network}")
        kinds.add(kind)
    if found and "IP" not in kinds:
        found += ["IP:192.0.2.0/32", "IP:2001:db8::/128"]
    if found and "DNS" not in kinds:
        found.append("DNS:invalid")
    return found


def refusals(asked: Iterable[Mapping[str, Any]], certificates: Iterable[Mapping[str, Any]]) -> list[str]:
    """Why requests of a host are not signed: they ask for something else than what is written down.

    asked: results of openssl_csr_info, each with its `item`, {name: ...}.
    """
    wanted = {entry["name"]: entry for entry in certificates}
    found = []
    for request in asked:
        name = request["item"]["name"]
        entry = wanted.get(name)
        if entry is None or entry.get("source", "internal") != "internal":
            found.append(f"The host asks for a certificate {name} that is not in the list.")
            continue
        names = {alternative_name(text) for text in entry["subject_alt_names"]}
        asked_for = {
            text if text.startswith("IP:") else text.lower().replace("dns:", "DNS:")
            for text in request["subject_alt_name"]
        }
        extensions = set(request["extensions_by_oid"]) - {SUBJECT_ALT_NAME, EXTENDED_KEY_USAGE}
        if asked_for != names:
            found.append(
                f"For {name} the host asks for {', '.join(sorted(asked_for))}, not {', '.join(sorted(names))}."
            )
        elif not request["signature_valid"]:
            found.append(f"The request for {name} is not signed by the key it is for.")
        elif extensions or not set(request["extended_key_usage"] or []) <= SERVER:
            found.append(f"For {name} the host asks for more than a server's certificate.")
        elif request["basic_constraints"]:
            found.append(f"For {name} the host asks to become an authority itself.")
    return found
