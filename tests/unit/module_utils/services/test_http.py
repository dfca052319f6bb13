# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP client against real sockets: what is sent, what a failure means, and that nothing secret is ever shown."""

from __future__ import annotations

import datetime
import json
import socket
import ssl
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.services.errors import (
    Ambiguous,
    NotReady,
    Permanent,
    ServiceError,
    Transient,
    Untrusted,
)
from ansible.module_utils.lyceum.services.http import (
    Basic,
    Endpoint,
    HttpTransport,
    Reply,
    Token,
    classify_connection,
)
from ansible.module_utils.lyceum.services.secret import Secret
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

TOKEN = "0123456789abcdef"  # noqa: S105


class Server:
    """Answers with what was asked for it in the path, and remembers the requests."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.requests: list[dict[str, Any]] = []
        self.connections: set[Any] = set()
        self.release = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                server.connections.add(self.client_address)
                server.requests.append(
                    {"method": self.command, "path": self.path, "headers": dict(self.headers), "body": body.decode()}
                )
                if "/hangs" in self.path:
                    server.release.wait(10)
                if "/closes" in self.path:
                    self.close_connection = True
                    return
                moved = "/moved" in self.path
                self.send_response(302 if moved else 201)
                if moved:
                    self.send_header("Location", f"https://elsewhere.example.org/login?token={TOKEN}")
                self.send_header("Set-Cookie", "session=1")
                self.send_header("Content-Length", "12")
                self.end_headers()
                self.wfile.write(b'{"id": "ok"}')

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = answer  # noqa: N815

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """A client that hangs up is what some tests are about."""

        self.http = Quiet(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        if context is not None:
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.port = self.http.server_address[1]
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def stop(self) -> None:
        self.release.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


def transport(server: Server, **more: Any) -> HttpTransport:
    return HttpTransport(Endpoint(**{"base_url": f"http://127.0.0.1:{server.port}/api", **more}))


def test_a_request_carries_what_it_should_and_the_reply_comes_back(server: Server) -> None:
    with transport(server, credentials=Token(Secret(TOKEN))) as client:
        reply = client.request("POST", "/users", query={"page": 2, "all": True}, payload={"n": 1}, headers={"X-A": "b"})
    assert (reply.status, reply.json(), reply.headers["set-cookie"]) == (201, {"id": "ok"}, "session=1")
    [request] = server.requests
    assert (request["method"], request["path"], json.loads(request["body"])) == (
        "POST",
        "/api/users?page=2&all=true",
        {"n": 1},
    )
    wanted = {"Host": f"127.0.0.1:{server.port}", "Authorization": f"token {TOKEN}", "X-A": "b", "User-Agent": "lyceum"}
    assert wanted.items() <= request["headers"].items()


def test_credentials_of_a_call_replace_those_of_the_service(server: Server) -> None:
    with transport(server, credentials=Token(Secret(TOKEN), scheme="", name="X-Token")) as client:
        client.request("GET", "/a", credentials=Basic("bot", Secret("pass:word")))
        client.request("GET", "/b")
    first, second = (request["headers"] for request in server.requests)
    assert first["Authorization"] == "Basic Ym90OnBhc3M6d29yZA=="
    assert (second["X-Token"], second.get("Authorization")) == (TOKEN, None)


def test_connections_are_reused_and_cookies_are_not(server: Server) -> None:
    with transport(server) as client:
        for _ in range(5):
            client.request("GET", "/x")
    assert len(server.connections) == 1
    assert [request["headers"].get("Cookie") for request in server.requests] == [None] * 5


def test_no_more_connections_than_writers(server: Server) -> None:
    with transport(server, writers=3) as client:
        threads = [threading.Thread(target=client.request, args=("GET", f"/{n}")) for n in range(30)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(server.requests) == 30
    assert len(server.connections) <= 3


def test_proxies_of_the_environment_are_not_used(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with transport(server) as client:
        assert client.request("GET", "/x").status == 201


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nobody_at_home_means_that_nothing_was_sent(method: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with HttpTransport(Endpoint(url)) as client, pytest.raises(NotReady) as caught:
            client.request(method, "/users")
    assert str(caught.value) == f"{method} {url}/users: cannot connect ([Errno 111] Connection refused)"


@pytest.mark.parametrize(
    ("method", "kind"),
    [("POST", Ambiguous), ("PATCH", Ambiguous), ("GET", Transient), ("PUT", Transient), ("DELETE", Transient)],
)
def test_an_answer_that_never_comes_is_unclear_unless_repeating_does_no_harm(
    server: Server, method: str, kind: type[ServiceError]
) -> None:
    with transport(server) as client:
        with pytest.raises(kind, match=rf"{method} http://127.0.0.1:\d+/api/hangs: no answer in time \(ReadTimeout\)"):
            client.request(method, "/hangs", read_s=0.05)
        with pytest.raises(kind, match=r"/api/closes: the connection was lost \(RemoteProtocolError\)"):
            client.request(method, "/closes", query={"clone_token": TOKEN})
    assert [request["path"].split("?")[0] for request in server.requests] == ["/api/hangs", "/api/closes"]


REQUEST = httpx.Request("POST", "http://x")


@pytest.mark.parametrize(
    ("exc", "kind"),
    [
        (httpx.ConnectTimeout("x"), NotReady),
        (httpx.ConnectError("x"), NotReady),
        (httpx.PoolTimeout("x"), NotReady),
        (httpx.WriteTimeout("x"), Ambiguous),
        (httpx.WriteError("x"), Ambiguous),
        (httpx.ReadError("x"), Ambiguous),
        (httpx.DecodingError("x", request=REQUEST), Ambiguous),
        (httpx.LocalProtocolError("x"), Permanent),
        (httpx.UnsupportedProtocol("x"), Permanent),
        (httpx.InvalidURL("x"), Permanent),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else type(value).__name__,
)
def test_failures_without_an_answer(exc: httpx.HTTPError | httpx.InvalidURL, kind: type[ServiceError]) -> None:
    assert classify_connection("POST", exc) is kind


def test_a_redirect_is_a_wrong_address_and_gets_no_credentials(server: Server) -> None:
    with transport(server) as client, pytest.raises(Permanent) as caught:
        client.request("POST", "/moved")
    assert str(caught.value) == (
        f"POST http://127.0.0.1:{server.port}/api/moved: redirected to https://elsewhere.example.org/login;"
        " set the base URL to where the service really is"
    )


def test_a_token_that_no_header_can_hold_is_not_shown(server: Server) -> None:
    for text in (f"{TOKEN}\n", f"{TOKEN}ü", f"{TOKEN}\x00"):
        with transport(server, credentials=Token(Secret(text))) as client, pytest.raises(LyceumError) as caught:
            client.request("GET", "/x")
        assert TOKEN not in "".join(traceback.format_exception(caught.value))
    assert server.requests == []


def test_a_header_that_cannot_be_sent_is_not_shown_either(server: Server) -> None:
    with transport(server) as client, pytest.raises(Permanent) as caught:
        client.request("GET", "/x", headers={"X-Otp": f"{TOKEN}\r\nX: y"})
    assert TOKEN not in "".join(traceback.format_exception(caught.value))


def test_nothing_shows_the_credentials(server: Server) -> None:
    with transport(server, credentials=Basic("bot", Secret(TOKEN))) as client:
        assert TOKEN not in f"{client!r} {client.endpoint!r} {client.endpoint.credentials!r}"


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        (Endpoint("git.example.org"), "the base URL of a service must be like https://git.example.org"),
        (Endpoint("ftp://git.example.org"), "the base URL of a service must be like https://git.example.org"),
        (
            Endpoint(f"https://bot:{TOKEN}@git.example.org"),
            "the base URL at git.example.org must have neither user, password, query nor fragment",
        ),
        (
            Endpoint(f"https://git.example.org/?token={TOKEN}"),
            "the base URL at git.example.org must have neither user, password, query nor fragment",
        ),
        (
            Endpoint("https://git.example.org", connect_to="http://x"),
            "connect_to 'http://x' must be an address, or address:port",
        ),
        (
            Endpoint("https://git.example.org", connect_to="x:y"),
            "connect_to 'x:y' must be an address, or address:port",
        ),
        (
            Endpoint("https://git.example.org", ca_file=Path("/nowhere/ca.pem")),
            "read CA file /nowhere/ca.pem: No such file or directory",
        ),
    ],
)
def test_endpoints_that_make_no_sense(endpoint: Endpoint, message: str) -> None:
    with pytest.raises(LyceumError) as caught:
        HttpTransport(endpoint)
    assert str(caught.value) == message


# TLS, and dialling elsewhere than the name says


def certificate(folder: Path, names: list[str]) -> tuple[ssl.SSLContext, Path]:
    """A server's context with a self-signed certificate, and the file to trust it by."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.timezone.utc)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "lab")])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "ca.pem", folder / "key.pem"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return context, public


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[Callable[[list[str]], tuple[Server, Path]]]:
    servers = []

    def make(names: list[str]) -> tuple[Server, Path]:
        context, ca_file = certificate(tmp_path, names)
        servers.append(Server(context))
        return servers[-1], ca_file

    yield make
    for server in servers:
        server.stop()


Make = Callable[[list[str]], tuple[Server, Path]]


def test_another_address_is_dialled_while_the_names_stay(secure: Make) -> None:
    server, ca_file = secure(["git.example.org"])
    where = f"127.0.0.1:{server.port}"
    with HttpTransport(Endpoint("https://git.example.org/sub/", ca_file=ca_file, connect_to=where)) as client:
        client.request("GET", "/users", credentials=Token(Secret(TOKEN)))
    assert [(request["path"], request["headers"]["Host"]) for request in server.requests] == [
        ("/sub/users", "git.example.org")
    ]


def test_connect_to_without_a_port_keeps_that_of_the_url(secure: Make) -> None:
    server, ca_file = secure(["git.example.org"])
    url = f"https://git.example.org:{server.port}"
    with HttpTransport(Endpoint(url, ca_file=ca_file, connect_to="127.0.0.1")) as client:
        client.request("GET", "/users")
    assert server.requests[0]["headers"]["Host"] == f"git.example.org:{server.port}"


def test_a_stranger_is_not_talked_to_and_gets_no_token(secure: Make, tmp_path: Path) -> None:
    server, ca_file = secure(["other.example.org"])
    where = f"127.0.0.1:{server.port}"
    for trusted in (ca_file, None):
        endpoint = Endpoint(
            "https://git.example.org", Token(Secret(TOKEN)), ca_file=trusted, connect_to=where, connect_s=2
        )
        with HttpTransport(endpoint) as client, pytest.raises(Untrusted) as caught:
            client.request("POST", "/users")
        assert str(caught.value).startswith("POST https://git.example.org/users: its certificate does not hold (")
        assert str(caught.value).endswith("); set ca_file to the CA's file")
    assert server.requests == []


def test_an_ipv6_address_can_be_dialled() -> None:
    with HttpTransport(Endpoint("http://git.example.org:1", connect_to="::1")) as client, pytest.raises(NotReady):
        client.request("GET", "/")


# Replies


@pytest.mark.parametrize(
    ("value", "seconds"), [("7", 7.0), ("", None), ("soon", None), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0)]
)
def test_retry_after(value: str, seconds: float | None) -> None:
    assert Reply(429, {"retry-after": value}).retry_after == seconds


def test_retry_after_as_a_date() -> None:
    then = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=60)
    seconds = Reply(503, {"retry-after": format_datetime(then, usegmt=True)}).retry_after
    assert seconds is not None
    assert 55 < seconds <= 60
    assert Reply(503).retry_after is None


def test_a_body_that_is_no_json_is_said_shortened() -> None:
    with pytest.raises(Permanent) as caught:
        Reply(502, {}, b"<html>\n  " + b"x" * 1000).json()
    assert str(caught.value) == f"the answer (status 502) is not JSON: '<html> {'x' * 293} ...'"


def test_nothing_is_loaded_that_only_the_program_of_httpx_needs() -> None:
    program = "import sys, lyceum.services.http; sys.exit({'click', 'rich', 'pygments'} & sys.modules.keys() or 0)"
    core = Path(sys.modules[LyceumError.__module__].__file__ or "").parents[1]
    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": str(core)}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
