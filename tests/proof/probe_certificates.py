# SPDX-License-Identifier: GPL-3.0-or-later
"""Root's side of the attacks on keys and certificates, sent to the host after probe.py, whose helpers it uses."""

# ruff: noqa: PTH123

from __future__ import annotations

import ipaddress
import ssl
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from probe import ACTIONS, account, as_person, run

CERTIFICATES = "/etc/lyceum/certificates"
STORE = "/etc/ssl/certs/ca-certificates.crt"


def certificate_keys(names, people):
    """Who of these people can read which key; also whether root can, so that a missing one is no success."""
    files = {name: f"{CERTIFICATES}/{name}/key.pem" for name in names}
    present = [name for name in people if account(name)]
    read = {}
    for person in present:
        for name in as_person(account(person), lambda: readable(files)):
            read.setdefault(name, []).append(person)
    return {"people": present, "root": readable(files), "read": read}


def readable(files):
    found = []
    for name, path in files.items():
        try:
            with open(path, "rb") as handle:
                handle.read(1)
        except (PermissionError, FileNotFoundError):
            continue
        found.append(name)
    return found


def certificate_verdict(name, hosts):
    """What a program of the host that trusts the usual authorities says about a certificate, for each name."""
    chain = f"{CERTIFICATES}/{name}/fullchain.pem"
    wrong = {}
    for host in hosts:
        option = "-verify_hostname" if not is_address(host) else "-verify_ip"
        asked = host.replace("*", "lyceum-proof")
        done = run(
            "openssl", "verify", "-purpose", "sslserver", "-CAfile", STORE, "-untrusted", chain, option, asked, chain
        )
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.startswith("error ")]
            wrong[host] = (lines or ["cannot be read"])[0]
    text = run("openssl", "x509", "-in", chain, "-noout", "-enddate").stdout.partition("=")[2].strip()
    days = (ssl.cert_time_to_seconds(text) - time.time()) / 86400 if text else -1
    return {"wrong": wrong, "days": days}


def is_address(text):
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


ACTIONS.update({f.__name__: f for f in (certificate_keys, certificate_verdict)})
