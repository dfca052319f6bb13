# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines of nginx's files that matter."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.lyceum.web import render
from ansible.module_utils.lyceum.web.model import Settings, Site
from ansible.module_utils.lyceum.web.render import Host, Pair

from .conftest import site

OLD, NEW = Host((1, 22, 1)), Host((1, 26, 3))
PAIR = Pair("/c/fullchain.pem", "/c/key.pem")


def lines(settings: Settings | None = None, host: Host = OLD, pair: Pair = PAIR, **changes: Any) -> list[str]:
    settings = settings or Settings()
    text = render.site(Site.from_params(site("a", **changes), settings), settings, host, pair)
    assert text.count("{") == text.count("}")
    return [line.strip() for line in text.splitlines()]


def main(settings: Settings | None = None, host: Host = OLD) -> list[str]:
    text = render.main(settings or Settings(), host, "/etc/nginx", "/sites")
    return [line.strip() for line in text.splitlines()]


def test_http2_is_said_as_each_version_understands_it() -> None:
    assert "listen 443 ssl http2;" in lines(host=OLD)
    assert "listen [::]:443 ssl http2;" in lines(host=OLD)
    assert "http2 on;" not in lines(host=OLD)
    assert {"listen 443 ssl;", "http2 on;"} <= set(lines(host=NEW))
    assert "http2 on;" not in main(host=NEW)


def test_without_ipv6_there_is_no_address_of_it() -> None:
    without = Host((1, 22, 1), ipv6=False)
    assert not [line for line in lines(host=without) + main(host=without) if "[::]" in line]


def test_a_site_redirects_and_answers_acme_before() -> None:
    found = lines()
    assert found.index("location ^~ /.well-known/acme-challenge/ {") < found.index(
        "return 308 https://$host$request_uri;"
    )
    assert "return 308 https://$host:8443$request_uri;" in lines(Settings(https_port=8443))


def test_the_usual_lines_of_a_site() -> None:
    found = lines()
    assert 'add_header Strict-Transport-Security "max-age=63072000" always;' in found
    assert "proxy_hide_header X-Frame-Options;" in found
    assert "proxy_set_header X-Forwarded-For $remote_addr;" in found
    assert 'proxy_set_header Connection "";' in found
    assert "client_max_body_size 10m;" in found
    assert not [line for line in found if line.startswith(("limit_req", "deny", "ssl_stapling", "proxy_ssl"))]


def test_what_a_site_may_say() -> None:
    found = lines(
        websocket=True, buffering=False, max_body_mib=0, read_timeout_s=900, allow=["10.0.0.0/8"], deny=["10.1.0.0/16"],
        denied_paths=["/metrics"], rate_limit={"requests_per_second": 5, "burst": 10},
        directives="gzip off;\nautoindex off;", pair=Pair("/c", "/k", stapling=True),
    )  # fmt: skip
    assert "limit_req_zone $binary_remote_addr zone=lyceum_a:10m rate=5r/s;" in found
    rest = [
        "limit_req zone=lyceum_a burst=10 nodelay;", "location ^~ /metrics {", "gzip off;", "autoindex off;",
        "client_max_body_size 0m;", "proxy_set_header Connection $lyceum_connection;", "proxy_read_timeout 900s;",
        "proxy_set_header Upgrade $http_upgrade;", "proxy_request_buffering off;", "ssl_stapling on;",
    ]  # fmt: skip
    assert [line for line in rest if line not in found] == []
    rules = [line for line in found if line.startswith(("allow", "deny"))]
    assert rules == ["deny 10.1.0.0/16;", "allow 10.0.0.0/8;", "deny all;"]


def test_hsts_is_the_sites_own_or_none() -> None:
    own = lines(headers={"strict-transport-security": "max-age=1"})
    assert [line for line in own if "ransport" in line and line.startswith("add")] == [
        'add_header strict-transport-security "max-age=1" always;'
    ]
    assert not [line for line in lines(Settings(hsts_seconds=0)) if "Transport" in line]


def test_a_name_is_looked_up_while_nginx_runs() -> None:
    settings = Settings(resolvers=("192.0.2.53",))
    found = lines(settings, upstream="https://git.example.org")
    assert "set $lyceum_upstream git.example.org:443;" in found
    assert not [line for line in found if line.startswith("upstream")]
    assert {"proxy_ssl_verify on;", "proxy_ssl_name git.example.org;"} <= set(found)
    assert "resolver 192.0.2.53 valid=30s;" in main(settings)


@pytest.mark.parametrize(
    ("profile", "protocols", "ciphers"), [("intermediate", "TLSv1.2 TLSv1.3", True), ("modern", "TLSv1.3", False)]
)
def test_profiles(profile: str, protocols: str, ciphers: bool) -> None:
    found = main(Settings(tls_profile=profile))
    assert f"ssl_protocols {protocols};" in found
    assert any(line.startswith("ssl_ciphers") for line in found) == ciphers
    assert "ssl_session_tickets off;" in found


def test_unknown_names_are_refused_and_answers_to_acme_given() -> None:
    found = main()
    assert "listen 443 ssl http2 default_server;" in found
    assert {"ssl_reject_handshake on;", "return 421;", "return 444;"} <= set(found)
    assert "root /var/lib/lyceum/acme;" in found


def test_the_log_has_the_time_and_no_query() -> None:
    line = next(line for line in main() if line.startswith("log_format"))
    assert '"request_time":$request_time' in line
    assert '"status":"$status"' in line
    assert '"path":"$uri"' in line
    assert "request_uri" not in line
    assert "args" not in line


def test_proxies_before_this_one_are_believed() -> None:
    found = main(Settings(trusted_proxies=("10.0.0.0/8",)))
    assert {"set_real_ip_from 10.0.0.0/8;", "real_ip_header X-Forwarded-For;"} <= set(found)
    assert not [line for line in main() if "real_ip" in line]
