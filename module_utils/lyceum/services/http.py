# SPDX-License-Identifier: GPL-3.0-or-later
"""A pooled HTTP client for one service. Adapters see only `Transport`, which tests replace."""

from __future__ import annotations

import json
import ssl
import sys
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from time import time
from typing import Any, Protocol
from urllib.parse import urlsplit

from ..errors import LyceumError
from .errors import Ambiguous, NotReady, Permanent, ServiceError, Transient, Untrusted
from .secret import Secret

# httpx brings a program of its own along, whose libraries (where they are installed) take longer to load than all of
# ours together. It does without when it cannot be imported.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
import httpx  # noqa: E402  (after the line above)

# A repeated one of these does no harm (RFC 9110, 9.2.2), so that a lost answer needs no investigation.
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
WORDS = 300  # characters of an answer that are quoted in a message


@dataclass(frozen=True)
class Token:
    """`Authorization: <scheme> <token>`, or another header where scheme is empty."""

    secret: Secret
    scheme: str = "token"
    name: str = "Authorization"

    def header(self) -> tuple[str, str]:
        return self.name, f"{self.scheme} {self.secret.reveal()}" if self.scheme else self.secret.reveal()


@dataclass(frozen=True)
class Basic:
    """A login name and its password."""

    user: str
    secret: Secret

    def header(self) -> tuple[str, str]:
        return "Authorization", "Basic " + b64encode(f"{self.user}:{self.secret.reveal()}".encode()).decode()


Credentials = Token | Basic


@dataclass(frozen=True)
class Endpoint:
    """Where a service is and how to talk to it.

    base_url: without user and password; a path is put before every path asked for.
    ca_file: certificates to trust instead of the system's.
    connect_to: address, or address:port, to dial, while Host header and TLS name stay those of base_url.
    writers: connections in the pool.
    """

    base_url: str
    credentials: Credentials | None = None
    ca_file: Path | None = None
    connect_to: str = ""
    connect_s: float = 5.0
    write_s: float = 30.0
    read_s: float = 30.0
    writers: int = 8


@dataclass(frozen=True)
class Reply:
    """An answer, whatever its status. headers: names in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def json(self) -> Any:
        """The body's value. Raises Permanent when it is no JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise Permanent(f"the answer (status {self.status}) is not JSON: {self.words()!r}") from None

    def words(self) -> str:
        """The beginning of the body in one line, for messages."""
        text = " ".join(self.body[: 4 * WORDS].decode(errors="replace").split())
        return text if len(text) <= WORDS else text[:WORDS] + " ..."

    @property
    def retry_after(self) -> float | None:
        """Seconds the service asks to wait, whether it gave a number or a date."""
        value = self.headers.get("retry-after", "").strip()
        if value.isdigit():
            return float(value)
        try:
            return max(0.0, parsedate_to_datetime(value).timestamp() - time())
        except (TypeError, ValueError):
            return None


class Transport(Protocol):
    """One request, one reply of any status but a redirect. Raises NotReady, Transient, Ambiguous, Permanent, Untrusted.

    path: begins with a slash, below base_url. query: for the URL; never a secret. payload: is sent as JSON.
    credentials: instead of the endpoint's. read_s: instead of the endpoint's, for calls that take their time.
    Thread-safe.
    """

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int | bool] | None = None,
        payload: Any = None,
        headers: Mapping[str, str] | None = None,
        credentials: Credentials | None = None,
        read_s: float | None = None,
    ) -> Reply: ...


class HttpTransport:
    """`Transport` over httpx. Use as a context manager, or `close()` it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._client, self._base = _client(endpoint)
        self._timeouts: dict[float, httpx.Timeout] = {}

    def __enter__(self) -> HttpTransport:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    def __repr__(self) -> str:
        return f"HttpTransport({self.endpoint.base_url})"

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int | bool] | None = None,
        payload: Any = None,
        headers: Mapping[str, str] | None = None,
        credentials: Credentials | None = None,
        read_s: float | None = None,
    ) -> Reply:
        """See Transport."""
        what = f"{method} {self.endpoint.base_url.rstrip('/')}{path}"
        all_headers = {**(headers or {}), **_authorization(credentials or self.endpoint.credentials)}
        try:
            response = self._client.request(
                method,
                self._base + path,
                params=query,
                json=payload,
                headers=all_headers,
                timeout=self._timeout(read_s or self.endpoint.read_s),
                extensions={"sni_hostname": urlsplit(self.endpoint.base_url).hostname},
            )
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            # Not chained: what the library says about a bad header has the header's value in it.
            raise failure(method, what, exc) from None
        if response.status_code in REDIRECTS:
            target = urlsplit(response.headers.get("location", ""))
            place = f"{target.scheme}://{target.netloc}{target.path}" if target.netloc else target.path
            raise Permanent(f"{what}: redirected to {place}; set the base URL to where the service really is")
        return Reply(response.status_code, {k.lower(): v for k, v in response.headers.items()}, response.content)

    def _timeout(self, read_s: float) -> httpx.Timeout:
        if read_s not in self._timeouts:
            # No time-out of the pool: whoever waits for a connection waits for others whose calls do end.
            self._timeouts[read_s] = httpx.Timeout(
                connect=self.endpoint.connect_s, read=read_s, write=self.endpoint.write_s, pool=None
            )
        return self._timeouts[read_s]


def classify_connection(method: str, exc: httpx.HTTPError | httpx.InvalidURL) -> Callable[[str], ServiceError]:
    """The class of a failure without an answer.

    Before anything was sent: NotReady. Afterwards: Transient if repeating does no harm, else Ambiguous.
    """
    if isinstance(exc, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)):
        return Untrusted if _certificate_words(exc) else NotReady
    if isinstance(exc, (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError)):
        return Permanent
    return Transient if method in IDEMPOTENT else Ambiguous


def failure(method: str, what: str, exc: httpx.HTTPError | httpx.InvalidURL) -> ServiceError:
    """The error to raise for a failure without an answer, in words without secrets."""
    make = classify_connection(method, exc)
    if make is Untrusted:
        return make(f"{what}: its certificate does not hold ({_certificate_words(exc)}); set ca_file to the CA's file")
    if make is NotReady:
        return make(f"{what}: cannot connect ({str(exc) or type(exc).__name__})")
    if make is Permanent:
        return make(f"{what}: the request cannot be sent ({type(exc).__name__})")
    late = "no answer in time" if isinstance(exc, httpx.TimeoutException) else "the connection was lost"
    return make(f"{what}: {late} ({type(exc).__name__})")


def _certificate_words(exc: BaseException) -> str:
    """What is wrong with the certificate, if that is the reason."""
    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return cause.verify_message
        cause = cause.__cause__ or cause.__context__
    return ""


def _authorization(credentials: Credentials | None) -> dict[str, str]:
    if credentials is None:
        return {}
    name, value = credentials.header()
    if not value.isascii() or not value.isprintable():
        raise LyceumError(
            "a token has a line break or another character that no header can hold; look where it is kept"
        )
    return {name: value}


def _client(endpoint: Endpoint) -> tuple[httpx.Client, str]:
    """The client, and what to put before a path."""
    parts = urlsplit(endpoint.base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise LyceumError("the base URL of a service must be like https://git.example.org")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise LyceumError(f"the base URL at {parts.hostname} must have neither user, password, query nor fragment")
    base = endpoint.base_url.rstrip("/")
    if endpoint.connect_to:
        address = _dial(endpoint.connect_to, parts.port)
        base = f"{parts.scheme}://{address}{parts.path.rstrip('/')}"
    limits = httpx.Limits(max_connections=endpoint.writers, max_keepalive_connections=endpoint.writers)
    client = httpx.Client(
        transport=httpx.HTTPTransport(verify=_tls(endpoint, parts.scheme), limits=limits, trust_env=False),
        headers={"Host": parts.netloc, "Accept": "application/json", "User-Agent": "lyceum"},
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # a session nobody asked for is not kept
        follow_redirects=False,
        trust_env=False,
    )
    return client, base


def _dial(connect_to: str, port: int | None) -> str:
    """`connect_to` as the host and port of a URL."""
    if connect_to.count(":") > 1 and not connect_to.startswith("["):
        connect_to = f"[{connect_to}]"
    try:
        parts = urlsplit(f"//{connect_to}")
        named = parts.port
    except ValueError:
        parts, named = urlsplit("//"), None
    if not parts.hostname or parts.username is not None or parts.path:
        raise LyceumError(f"connect_to {connect_to!r} must be an address, or address:port")
    return f"{connect_to}:{port}" if named is None and port is not None else connect_to


def _tls(endpoint: Endpoint, scheme: str) -> ssl.SSLContext:
    if scheme == "http":
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # never used; reading the system's certificates takes time
    try:
        return ssl.create_default_context(cafile=endpoint.ca_file)
    except OSError as exc:
        raise LyceumError(f"read CA file {endpoint.ca_file}: {exc.strerror or exc}") from exc
