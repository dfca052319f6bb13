# SPDX-License-Identifier: GPL-3.0-or-later
"""What nginx, openssl and certbot of the host say after the roles have run, and after things have gone wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from target import Target

pytestmark = pytest.mark.role("nginx")

PROJECT = Path(__file__).resolve().parents[3]
CERTIFICATES = "/etc/lyceum/certificates"
SITES = "/etc/nginx/lyceum-sites"


def play(target: Target, tags: str, **variables: Any) -> subprocess.CompletedProcess[str]:
    """The roles once more on one host, as an administrator runs them, with other variables."""
    program = Path(sys.executable).with_name("ansible-playbook")
    where = ["-i", os.environ["MOLECULE_INVENTORY_FILE"], "--limit", target.name, "--tags", tags]
    return subprocess.run(
        [str(program), *where, "-e", json.dumps(variables), str(PROJECT / "molecule/nginx/web.yml")],
        cwd=PROJECT, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


def said(done: subprocess.CompletedProcess[str]) -> str:
    """What the run said, without the line breaks of its table."""
    return " ".join((done.stdout + done.stderr).split())


def serial(target: Target, name: str) -> str:
    """Of the certificate that nginx shows under a name."""
    shown = f"openssl s_client -connect 127.0.0.1:443 -servername {name} </dev/null 2>/dev/null"
    script = f"{shown} | openssl x509 -noout -serial"
    return str(target.host.check_output(script))


def status(target: Target, name: str, *options: str) -> str:
    words = ["curl", "-s", "-o", "/dev/null", "-w", "'%{http_code}'", "--resolve", f"{name}:443:127.0.0.1", *options]
    return str(target.host.run(" ".join([*words, f"https://{name}/"])).stdout)


def until(holds: Callable[[], bool], seconds: float = 20) -> bool:
    """Whether it comes to hold."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


@pytest.fixture
def put_back(target: Target) -> Iterator[None]:
    """Whatever the test does, the sites end as they were."""
    yield
    done = play(target, "nginx")
    assert done.returncode == 0, said(done)[-2000:]
    for name in ("wiki", "fetched", "given"):
        assert status(target, f"{name}.lab.test") == "200"


def test_certificates_are_of_three_kinds(target: Target) -> None:
    issuers = {
        name: target.host.check_output(f"openssl x509 -in {CERTIFICATES}/{name}/fullchain.pem -noout -issuer")
        for name in ("wiki", "fetched", "given")
    }
    assert "Lyceum internal authority" in issuers["wiki"]
    assert "Pebble Intermediate" in issuers["fetched"]
    assert "given.lab.test" in issuers["given"]
    for name in issuers:
        key = target.host.file(f"{CERTIFICATES}/{name}/key.pem")
        assert (key.user, key.group, key.mode) == ("root", "root", 0o640)


def test_http2_is_spoken_and_headers_come_once(target: Target) -> None:
    found = target.host.check_output(
        "curl -s -D - -o /dev/null --resolve wiki.lab.test:443:127.0.0.1 https://wiki.lab.test/"
    )
    lines = [line.strip().lower() for line in found.splitlines()]
    assert lines[0].startswith("http/2 200")
    assert [line for line in lines if line.startswith("x-frame-options")] == ["x-frame-options: sameorigin"]


def test_the_application_is_told_the_truth(target: Target) -> None:
    lie = "-H 'X-Forwarded-For: 192.0.2.1' -H 'X-Real-IP: 192.0.2.1' -H 'X-Forwarded-Proto: http'"
    text = target.host.check_output(f"curl -s {lie} --resolve wiki.lab.test:443:127.0.0.1 https://wiki.lab.test/")
    told = {key.lower(): value for key, value in json.loads(text).items()}
    assert (told["x-forwarded-for"], told["x-real-ip"], told["x-forwarded-proto"]) == (
        "127.0.0.1",
        "127.0.0.1",
        "https",
    )
    assert told["host"] == "wiki.lab.test"


def test_the_authority_can_sign_for_nobody_else(target: Target) -> None:
    text = target.host.check_output(
        "openssl x509 -in /usr/local/share/ca-certificates/lyceum/internal-authority.crt -noout -text"
    )
    assert "X509v3 Name Constraints: critical" in text
    assert "DNS:lab.test" in text


@pytest.mark.usefixtures("put_back")
def test_a_broken_site_is_named_and_the_others_are_changed(target: Target) -> None:
    before = target.host.file(f"{SITES}/given.conf").content_string
    entry = {"upstream": "http://127.0.0.1:9099"}
    sites = [
        {"name": "wiki", "server_names": ["wiki.lab.test"], "max_body_mib": 7, **entry},
        {"name": "fetched", "server_names": ["fetched.lab.test", "www.fetched.lab.test"], **entry},
        {"name": "given", "server_names": ["given.lab.test"], "directives": "molecule_nonsense on;", **entry},
        {"name": "new", "server_names": ["new.lab.test"], "certificate": "nowhere", **entry},
    ]
    done = play(target, "nginx_sites", lyceum_sites=sites)
    assert done.returncode != 0
    assert 'site given: nginx refuses it, so that it stays as it was: unknown directive "molecule_nonsense"' in said(
        done
    ).replace('\\"', '"')
    assert "site new: its certificate nowhere is not on this host" in said(done)
    assert "client_max_body_size 7m;" in target.host.file(f"{SITES}/wiki.conf").content_string
    assert target.host.file(f"{SITES}/given.conf").content_string == before
    assert not target.host.file(f"{SITES}/new.conf").exists
    for name in ("wiki", "fetched", "given"):
        assert status(target, f"{name}.lab.test") == "200"


@pytest.mark.usefixtures("put_back")
def test_a_port_that_somebody_else_has_brings_the_old_files_back(target: Target) -> None:
    target.host.check_output(
        "systemd-run --quiet --collect --unit=web-squatter python3 -m http.server 9443 --bind 0.0.0.0"
    )
    before = target.host.file("/etc/nginx/nginx.conf").content_string
    try:
        done = play(target, "nginx_sites", nginx_https_port=9443)
    finally:
        target.host.check_output("systemctl stop web-squatter")
    assert done.returncode != 0
    assert "the old one is back: bind() to 0.0.0.0:9443 failed" in said(done)
    assert target.host.file("/etc/nginx/nginx.conf").content_string == before
    assert status(target, "wiki.lab.test") == "200"


@pytest.mark.usefixtures("put_back")
def test_a_site_that_somebody_took_away_is_served_again(target: Target) -> None:
    target.host.check_output(f"rm {SITES}/wiki.conf && systemctl reload nginx")
    assert until(lambda: status(target, "wiki.lab.test") == "000")
    done = play(target, "nginx_sites")
    assert done.returncode == 0, said(done)[-2000:]
    assert status(target, "wiki.lab.test") == "200"


def test_nginx_that_is_killed_comes_back(target: Target) -> None:
    target.host.check_output("systemctl kill --kill-whom=all --signal=KILL nginx")
    assert until(lambda: status(target, "wiki.lab.test") == "200")


def test_a_certificate_is_renewed_in_time_with_the_same_key(target: Target) -> None:
    before = serial(target, "wiki.lab.test")
    key = target.host.check_output(f"sha256sum {CERTIFICATES}/wiki/key.pem")
    done = play(target, "certificates", certificates_renew_before_days=398, certificates_valid_days=420)
    assert done.returncode == 0, said(done)[-2000:]
    assert serial(target, "wiki.lab.test") != before
    assert target.host.check_output(f"sha256sum {CERTIFICATES}/wiki/key.pem") == key


def test_what_certbot_renews_is_shown(target: Target) -> None:
    before = serial(target, "fetched.lab.test")
    target.host.check_output("certbot renew --quiet --force-renewal --no-random-sleep-on-renew")
    after = serial(target, "fetched.lab.test")
    assert after != before
    live = target.host.check_output("openssl x509 -in /etc/letsencrypt/live/fetched/fullchain.pem -noout -serial")
    assert after == live


def test_renewals_have_a_timer(target: Target) -> None:
    assert target.host.check_output("systemctl is-active certbot.timer") == "active"


def test_a_name_outside_of_the_authoritys_domains_is_refused(target: Target) -> None:
    entry = {"name": "bank", "subject_alt_names": ["bank.example"]}
    done = play(target, "certificates", lyceum_certificates=[entry])
    assert done.returncode != 0
    assert "is for bank.example, which certificates_authority_only_for does not allow" in said(done)
