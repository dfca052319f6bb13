# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be written into nginx's files, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.web import model
from ansible.module_utils.lyceum.web.model import RateLimit, Settings, Upstream

from .conftest import site

RESOLVING = Settings(resolvers=("192.0.2.53",))
SETTINGS: dict[str, Any] = {
    "http_port": 80, "https_port": 443, "tls_profile": "intermediate", "hsts_seconds": 1, "worker_connections": 9,
    "resolvers": ["192.0.2.53", "2001:db8::53"], "trusted_proxies": ["10.0.0.0/8"], "challenge_directory": "/srv/acme",
    "directives": "",
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "upstream"),
    [
        ("http://127.0.0.1:3000", Upstream("http", "127.0.0.1:3000")),
        ("http://localhost", Upstream("http", "localhost:80")),
        ("https://[2001:db8::1]/", Upstream("https", "[2001:db8::1]:443")),
        ("unix:/run/gitea/gitea.sock", Upstream("http", "unix:/run/gitea/gitea.sock")),
        ("http://unix:/run/a.sock", Upstream("http", "unix:/run/a.sock")),
        ("https://git.example.org:8443", Upstream("https", "git.example.org:8443", by_name=True)),
    ],
)
def test_upstreams(text: str, upstream: Upstream) -> None:
    assert model.upstream_from(text, RESOLVING) == upstream


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be http://HOST:PORT"),
        ("ftp://127.0.0.1", "must be http://HOST:PORT"),
        ("http://127.0.0.1:3000/path", "must be http://HOST:PORT"),
        ("http://user:secret@127.0.0.1", "must be http://HOST:PORT"),
        ("http://a;b", "must be http://HOST:PORT"),
        ("http://127.0.0.1:99999", "must be http://HOST:PORT"),
        ("unix:/run/../etc", "plain absolute path"),
        ("unix:/run/a;b", "plain absolute path"),
    ],
)
def test_upstreams_that_are_none(text: str, message: str) -> None:
    with pytest.raises(LyceumError, match=message):
        model.upstream_from(text, RESOLVING)


def test_a_name_would_keep_nginx_from_starting_without_dns() -> None:
    with pytest.raises(LyceumError, match="nginx_resolvers"):
        model.upstream_from("http://git.example.org", Settings())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"server_names": []}, "server_names is empty"),
        ({"server_names": ["a b"]}, "server name 'a b' is no host name"),
        ({"server_names": ["a;}"]}, "is no host name"),
        ({"certificate": "../x"}, "is no name of a certificate"),
        ({"denied_paths": ["metrics"]}, "must begin with /"),
        ({"max_body_mib": -1}, "max_body_mib must be 0"),
        ({"allow": ["10.0.0.1/8"]}, "allow: 10.0.0.1/8 has host bits set"),
        ({"deny": ["everybody"]}, "deny: 'everybody' does not appear to be"),
        ({"headers": {"X Y": "z"}}, "is no name of a header"),
        ({"headers": {"X-Y": 'a"; deny all;'}}, "has a quote"),
        ({"headers": {"X-Y": "$cookie_x"}}, "has a quote"),
        ({"rate_limit": {"requests_per_second": 0, "burst": 1}}, "at least one request per minute"),
    ],
    ids=str,
)
def test_what_a_site_must_not_say(changes: dict[str, Any], message: str) -> None:
    wish = model.read_sites([site("good"), site("bad", **changes)], Settings())
    assert list(wish.sites) == ["good"]
    assert message in wish.refused["bad"]


@pytest.mark.parametrize(
    ("per_second", "rate"), [(20, "20r/s"), (0.5, "30r/m"), (1.5, "90r/m"), (1, "1r/s"), (1 / 60, "1r/m")]
)
def test_rates(per_second: float, rate: str) -> None:
    entry = site("a", rate_limit={"requests_per_second": per_second, "burst": 5})
    assert model.Site.from_params(entry, Settings()).rate_limit == RateLimit(rate, 5)


def test_headers_of_a_site_are_over_the_usual_ones() -> None:
    found = dict(model.Site.from_params(site("a", headers={"X-Frame-Options": None, "X-A": "b"}), Settings()).headers)
    assert found == {
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "strict-origin-when-cross-origin",
        "X-A": "b",
    }


def test_a_server_name_belongs_to_the_first_site() -> None:
    wish = model.read_sites(
        [site("a"), site("b", server_names=["A.example.org"]), site("c", state="absent")], Settings()
    )
    assert wish.refused == {"b": "server name a.example.org is already that of site a"}
    assert wish.absent == ("c",)


@pytest.mark.parametrize(
    ("entries", "message"),
    [([site("a"), site("a")], "listed twice"), ([site("A/b")], "site name 'A/b' must be lower case")],
)
def test_names_that_are_no_file_names_refuse_everything(entries: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(LyceumError, match=message):
        model.read_sites(entries, Settings())


def test_settings() -> None:
    found = Settings.from_params(SETTINGS)
    assert found.resolvers == ("192.0.2.53", "[2001:db8::53]")
    assert found.trusted_proxies == ("10.0.0.0/8",)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"https_port": 80}, "must be two ports"),
        ({"http_port": 0}, "must be two ports"),
        ({"resolvers": ["dns.example.org"]}, "resolvers: 'dns.example.org'"),
        ({"challenge_directory": "/a b"}, "must be a plain absolute path"),
    ],
)
def test_senseless_settings(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(LyceumError, match=message):
        Settings.from_params({**SETTINGS, **changes})
