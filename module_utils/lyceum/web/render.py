# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of nginx's files. Pure; the values were checked when the model was made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .model import Settings, Site

MARK = "# Managed by Lyceum (module nginx_sites); changes here are overwritten."

# https://wiki.mozilla.org/Security/Server_Side_TLS, without DHE: no client of the last ten years needs it, and it lets
# anybody make the server work hard for nothing.
INTERMEDIATE_CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305",
)  # fmt: skip
PROTOCOLS = {"intermediate": "TLSv1.2 TLSv1.3", "modern": "TLSv1.3"}

# The path without what follows `?`, where tokens are found.
LOG_FIELDS = {
    "time": "$time_iso8601", "site": "$server_name", "client": "$remote_addr", "method": "$request_method",
    "host": "$host", "path": "$uri", "status": "$status", "bytes": "$body_bytes_sent",
    "request_time": "$request_time", "upstream_time": "$upstream_response_time", "protocol": "$server_protocol",
    "tls": "$ssl_protocol", "agent": "$http_user_agent", "id": "$request_id",
}  # fmt: skip


@dataclass(frozen=True)
class Host:
    """What the text depends on besides the wish: nginx's version and whether the kernel has IPv6."""

    version: tuple[int, ...]
    ipv6: bool = True


@dataclass(frozen=True)
class Pair:
    """Files of a certificate. stapling: it names a responder whose answer nginx can hand out with it."""

    chain: str
    key: str
    stapling: bool = False


def main(settings: Settings, host: Host, etc: str, sites: str) -> str:
    """nginx.conf. etc: where the files of the package are. sites: the folder with one file per site."""
    zones = "\n".join(f"    {line}" for line in _http_lines(settings))
    return f"""{MARK}
user www-data;
worker_processes auto;
worker_rlimit_nofile {settings.worker_connections * 4};
pid /run/nginx.pid;
error_log /var/log/nginx/error.log;
include {etc}/modules-enabled/*.conf;

events {{
    worker_connections {settings.worker_connections};
}}

http {{
    include {etc}/mime.types;
    default_type application/octet-stream;
    sendfile on;
    tcp_nopush on;
    server_tokens off;
    types_hash_max_size 2048;
    server_names_hash_bucket_size 128;
    client_header_timeout 30s;
    client_body_timeout 60s;
    send_timeout 60s;
    reset_timedout_connection on;
    limit_req_status 429;
{zones}

    log_format lyceum escape=json '{_log_format()}';
    access_log /var/log/nginx/access.log lyceum;

    # To the upstream: what a websocket asks for, and else a connection that is kept.
    map $http_upgrade $lyceum_connection {{
        default upgrade;
        ''      '';
    }}

    # Whoever asks for a name that is not served here gets no answer, except to the questions of an ACME server.
    server {{
        {_listen(settings.http_port, host, default=True)}
        server_name _;
        {_challenges(settings)}
        location / {{
            return 444;
        }}
    }}
    server {{
        {_listen(settings.https_port, host, default=True, tls=True)}
        server_name _;
        ssl_reject_handshake on;
        return 421;
    }}

    include {etc}/conf.d/*.conf;
    include {sites}/*.conf;
}}
"""


def _http_lines(settings: Settings) -> list[str]:
    lines = [f"ssl_protocols {PROTOCOLS[settings.tls_profile]};"]
    if settings.tls_profile == "intermediate":
        lines.append(f"ssl_ciphers {':'.join(INTERMEDIATE_CIPHERS)};")
    lines += [
        "ssl_prefer_server_ciphers off;",
        "ssl_session_timeout 1d;",
        "ssl_session_cache shared:lyceum:10m;",
        "ssl_session_tickets off;",
    ]
    if settings.resolvers:
        lines.append(f"resolver {' '.join(settings.resolvers)} valid=30s;")
    lines += [f"set_real_ip_from {network};" for network in settings.trusted_proxies]
    if settings.trusted_proxies:
        lines += ["real_ip_header X-Forwarded-For;", "real_ip_recursive on;"]
    return lines + settings.directives.splitlines()


def _log_format() -> str:
    numbers = {"bytes", "request_time"}  # never empty, so that they need no quotes
    quotes = {name: "" if name in numbers else '"' for name in LOG_FIELDS}
    fields = (f'"{name}":{quotes[name]}{variable}{quotes[name]}' for name, variable in LOG_FIELDS.items())
    return "{" + ",".join(fields) + "}"


def _listen(port: int, host: Host, *, default: bool = False, tls: bool = False) -> str:
    """`http2` moved from `listen` to a directive of its own in 1.25.1."""
    words = " ssl" if tls else ""
    own = tls and not default and host.version >= (1, 25, 1)
    words += " http2" if tls and host.version < (1, 25, 1) else ""
    words += " default_server" if default else ""
    addresses = [str(port), *([f"[::]:{port}"] if host.ipv6 else [])]
    lines = [f"listen {address}{words};" for address in addresses]
    return "\n        ".join([*lines, "http2 on;"] if own else lines)


def _challenges(settings: Settings) -> str:
    return f"""location ^~ /.well-known/acme-challenge/ {{
            root {settings.challenge_directory};
            default_type text/plain;
            try_files $uri =404;
        }}"""


def site(site: Site, settings: Settings, host: Host, pair: Pair) -> str:
    """The file of one site: its upstream, its rate limit, the redirection from HTTP, and the site itself."""
    lines = [MARK, *_before(site)]
    plain = _dedented(_listen(settings.http_port, host))
    port = "" if settings.https_port == 443 else f":{settings.https_port}"
    names = " ".join(site.server_names)
    lines += [
        "server {", *_indent(plain), f"    server_name {names};",
        *_indent(_dedented(_challenges(settings), 8)),
        "    location / {", f"        return 308 https://$host{port}$request_uri;", "    }", "}",
        "server {", *_indent(_dedented(_listen(settings.https_port, host, tls=True))), f"    server_name {names};",
        f"    ssl_certificate {pair.chain};", f"    ssl_certificate_key {pair.key};",
        *_indent(_server_lines(site, settings, pair)),
        "    location / {", *_indent(_proxy_lines(site), 8), "    }", "}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _before(site: Site) -> list[str]:
    lines = []
    if not site.upstream.by_name:
        lines += [f"upstream {_pool(site)} {{", f"    server {site.upstream.address};", "    keepalive 16;", "}"]
    if site.rate_limit:
        lines.append(f"limit_req_zone $binary_remote_addr zone={_pool(site)}:10m rate={site.rate_limit.rate};")
    return lines


def _pool(site: Site) -> str:
    return f"lyceum_{site.name}"


def _server_lines(site: Site, settings: Settings, pair: Pair) -> list[str]:
    lines = ["ssl_stapling on;", "ssl_stapling_verify on;"] if pair.stapling else []
    headers = list(site.headers)
    if settings.hsts_seconds and not any(name.lower() == "strict-transport-security" for name, _value in headers):
        headers.insert(0, ("Strict-Transport-Security", f"max-age={settings.hsts_seconds}"))
    # The application's own of the same name would come twice, which browsers read as neither.
    lines += [f"proxy_hide_header {name};" for name, _value in headers]
    lines += [f'add_header {name} "{value}" always;' for name, value in headers]
    lines.append(f"client_max_body_size {site.max_body_mib}m;")
    if site.rate_limit:
        burst = f" burst={site.rate_limit.burst} nodelay" if site.rate_limit.burst else ""
        lines.append(f"limit_req zone={_pool(site)}{burst};")
    lines += [f"deny {network};" for network in site.deny] + [f"allow {network};" for network in site.allow]
    lines += ["deny all;"] if site.allow else []
    for path in site.denied_paths:
        lines += [f"location ^~ {path} {{", "    return 404;", "}"]
    return lines + site.directives.splitlines()


def _proxy_lines(site: Site) -> list[str]:
    """Who asks and for what is said by nginx, whatever the client claims."""
    to = site.upstream
    headers = {
        "Host": "$http_host", "X-Real-IP": "$remote_addr", "X-Forwarded-For": "$remote_addr",
        "X-Forwarded-Proto": "$scheme", "X-Forwarded-Host": "$http_host", "X-Request-ID": "$request_id", "Proxy": '""',
        "Connection": "$lyceum_connection" if site.websocket else '""',
        **({"Upgrade": "$http_upgrade"} if site.websocket else {}),
    }  # fmt: skip
    if to.by_name:
        lines = [f"set $lyceum_upstream {to.address};", f"proxy_pass {to.scheme}://$lyceum_upstream;"]
    else:
        lines = [f"proxy_pass {to.scheme}://{_pool(site)};"]
    lines += ["proxy_http_version 1.1;", *(f"proxy_set_header {name} {value};" for name, value in headers.items())]
    lines += [f"proxy_read_timeout {site.read_timeout_s}s;", f"proxy_send_timeout {site.read_timeout_s}s;"]
    if not site.buffering:
        lines += ["proxy_buffering off;", "proxy_request_buffering off;"]
    if to.scheme == "https":
        host = to.address.rpartition(":")[0].strip("[]")
        lines += [
            "proxy_ssl_server_name on;", f"proxy_ssl_name {host};", "proxy_ssl_verify on;", "proxy_ssl_verify_depth 4;",
            "proxy_ssl_trusted_certificate /etc/ssl/certs/ca-certificates.crt;",
        ]  # fmt: skip
    return lines


def _dedented(text: str, width: int = 8) -> list[str]:
    return [line[width:] if line.startswith(" " * width) else line for line in text.split("\n")]


def _indent(lines: Sequence[str], width: int = 4) -> list[str]:
    return [" " * width + line for line in lines]
