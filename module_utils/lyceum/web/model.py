# SPDX-License-Identifier: GPL-3.0-or-later
"""Sites and the settings around them as they should be. Whatever is written into nginx's files is checked here."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from ..errors import LyceumError

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
HOST_NAME = re.compile(rf"(?:\*\.)?{LABEL}(?:\.{LABEL})*")
HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
# What ends or starts something in nginx's language; in a header, also what would be a variable.
UNSAFE_IN_HEADER = re.compile(r'["\\$\n\r]')
SAFE_PATH = re.compile(r"/[A-Za-z0-9._~/-]*")

# Sent by every site unless it says otherwise. A policy on content is the application's own business.
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "strict-origin-when-cross-origin",
}


@dataclass(frozen=True)
class Upstream:
    """Where a site's requests go. address: as in nginx's `server`. by_name: resolved while nginx runs."""

    scheme: str
    address: str
    by_name: bool = False


@dataclass(frozen=True)
class RateLimit:
    """How many requests one address may make; as many as `burst` more are let through at once."""

    rate: str
    burst: int


@dataclass(frozen=True)
class Settings:
    """What is the same for all sites of a host."""

    http_port: int = 80
    https_port: int = 443
    tls_profile: str = "intermediate"
    hsts_seconds: int = 63072000
    worker_connections: int = 4096
    resolvers: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    challenge_directory: str = "/var/lib/lyceum/acme"
    directives: str = ""

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Settings:
        """Build from the module's `settings`. Raises LyceumError."""
        directory = str(params["challenge_directory"])
        if not SAFE_PATH.fullmatch(directory):
            raise LyceumError(f"challenge_directory {directory!r} must be a plain absolute path")
        ports = params["http_port"], params["https_port"]
        if not all(0 < port < 65536 for port in ports) or ports[0] == ports[1]:
            raise LyceumError(f"http_port {ports[0]} and https_port {ports[1]} must be two ports from 1 to 65535")
        return cls(
            http_port=ports[0],
            https_port=ports[1],
            tls_profile=params["tls_profile"],
            hsts_seconds=params["hsts_seconds"],
            worker_connections=params["worker_connections"],
            resolvers=tuple(_address(text, "resolvers") for text in params["resolvers"]),
            trusted_proxies=_networks(params["trusted_proxies"], "trusted_proxies"),
            challenge_directory=directory,
            directives=params["directives"],
        )


@dataclass(frozen=True)
class Site:
    """One service as the network sees it."""

    name: str
    server_names: tuple[str, ...]
    certificate: str
    upstream: Upstream
    max_body_mib: int = 10
    websocket: bool = False
    buffering: bool = True
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    denied_paths: tuple[str, ...] = ()
    rate_limit: RateLimit | None = None
    headers: tuple[tuple[str, str], ...] = tuple(HEADERS.items())
    read_timeout_s: int = 60
    directives: str = ""

    @classmethod
    def from_params(cls, entry: Mapping[str, Any], settings: Settings) -> Site:
        """Build from one entry of the module's `sites`. Raises LyceumError that names what is wrong."""
        names = tuple(name.lower() for name in entry["server_names"])
        if not names:
            raise LyceumError("server_names is empty; say under which host names it is reached")
        for name in names:
            if not HOST_NAME.fullmatch(name):
                raise LyceumError(f"server name {name!r} is no host name")
        certificate = entry["certificate"] or entry["name"]
        if not NAME.fullmatch(certificate):
            raise LyceumError(f"certificate {certificate!r} is no name of a certificate (letters, digits, - and _)")
        for path in entry["denied_paths"]:
            if not SAFE_PATH.fullmatch(path):
                raise LyceumError(f"denied path {path!r} must begin with / and be plain")
        if entry["max_body_mib"] < 0 or entry["read_timeout_s"] < 1:
            raise LyceumError("max_body_mib must be 0 (no limit) or more, read_timeout_s 1 or more")
        return cls(
            name=entry["name"],
            server_names=names,
            certificate=certificate,
            upstream=upstream_from(entry["upstream"] or "", settings),
            max_body_mib=entry["max_body_mib"],
            websocket=entry["websocket"],
            buffering=entry["buffering"],
            allow=_networks(entry["allow"], "allow"),
            deny=_networks(entry["deny"], "deny"),
            denied_paths=tuple(entry["denied_paths"]),
            rate_limit=_rate_limit(entry["rate_limit"]),
            headers=_headers(entry["headers"]),
            read_timeout_s=entry["read_timeout_s"],
            directives=entry["directives"],
        )


@dataclass(frozen=True)
class Wish:
    """Everything that was asked for. refused: name -> why this one site cannot be made."""

    sites: dict[str, Site]
    absent: tuple[str, ...]
    refused: dict[str, str]


def read_sites(entries: Iterable[Mapping[str, Any]], settings: Settings) -> Wish:
    """The module's `sites`. A senseless entry refuses that entry only; LyceumError for a name that is no file name."""
    sites: dict[str, Site] = {}
    absent: list[str] = []
    refused: dict[str, str] = {}
    taken: dict[str, str] = {}
    seen = set()
    for entry in entries:
        name = str(entry["name"])
        if not NAME.fullmatch(name):
            raise LyceumError(f"site name {name!r} must be lower case letters, digits, - and _")
        if name in seen:
            raise LyceumError(f"site {name} is listed twice; give one of the two another name")
        seen.add(name)
        if entry["state"] == "absent":
            absent.append(name)
            continue
        try:
            site = Site.from_params(entry, settings)
            for server_name in site.server_names:
                if server_name in taken:
                    raise LyceumError(f"server name {server_name} is already that of site {taken[server_name]}")
        except LyceumError as exc:
            refused[name] = str(exc)
        else:
            sites[name] = site
            taken.update(dict.fromkeys(site.server_names, name))
    return Wish(sites, tuple(absent), refused)


def upstream_from(text: str, settings: Settings) -> Upstream:
    """http(s)://host:port or unix:/path. Raises LyceumError."""
    socket = text.removeprefix("http://")
    if socket.startswith("unix:"):
        path = socket.removeprefix("unix:")
        if not SAFE_PATH.fullmatch(path) or ".." in PurePosixPath(path).parts:
            raise LyceumError(f"upstream {text!r}: after unix: comes a plain absolute path")
        return Upstream("http", f"unix:{path}")
    remedy = f"upstream {text!r} must be http://HOST:PORT, https://HOST:PORT or unix:/PATH"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError as exc:
        raise LyceumError(remedy) from exc
    if parts.scheme not in ("http", "https") or not host or parts.path.strip("/") or parts.query or parts.username:
        raise LyceumError(remedy)
    port = port or {"http": 80, "https": 443}[parts.scheme]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        if not HOST_NAME.fullmatch(host):
            raise LyceumError(remedy) from None
        by_name = host != "localhost"
        if by_name and not settings.resolvers:
            # nginx would look it up once, when it starts, and not start at all when that fails.
            raise LyceumError(
                f"upstream {text!r} is a name, which has to be looked up while nginx runs: write the addresses of DNS"
                " servers into nginx_resolvers, or an address here"
            ) from None
        return Upstream(parts.scheme, f"{host}:{port}", by_name)
    return Upstream(parts.scheme, f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}")


def _rate_limit(entry: Mapping[str, Any] | None) -> RateLimit | None:
    if not entry:
        return None
    per_second, burst = float(entry["requests_per_second"]), int(entry["burst"])
    if per_second * 60 < 1 or burst < 0:
        raise LyceumError("rate_limit: at least one request per minute, and a burst of 0 or more")
    whole = per_second.is_integer()
    return RateLimit(f"{per_second:.0f}r/s" if whole else f"{per_second * 60:.0f}r/m", burst)


def _headers(own: Mapping[str, Any] | None) -> tuple[tuple[str, str], ...]:
    """The usual headers with the site's own over them; None leaves one to the application."""
    merged = {**HEADERS, **(own or {})}
    for name, value in merged.items():
        if not HEADER.fullmatch(name):
            raise LyceumError(f"header {name!r} is no name of a header")
        if value is not None and UNSAFE_IN_HEADER.search(str(value)):
            raise LyceumError(f"header {name}: its value has a quote, a backslash, a $ or a line break in it")
    return tuple((name, str(value)) for name, value in merged.items() if value is not None)


def _networks(texts: Iterable[str], what: str) -> tuple[str, ...]:
    try:
        return tuple(str(ipaddress.ip_network(text)) for text in texts)
    except ValueError as exc:
        raise LyceumError(f"{what}: {exc}") from exc


def _address(text: str, what: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError as exc:
        raise LyceumError(f"{what}: {exc}") from exc
    return f"[{address}]" if address.version == 6 else str(address)
