# SPDX-License-Identifier: GPL-3.0-or-later
"""Sites behind nginx, attacked as clients do: without TLS, under other names, too often, too big, and by a mistake."""

from __future__ import annotations

import ipaddress
import json
import sys
import time
from typing import Any

import pytest
from plugin import PROJECT, Proof
from target import Target

sys.path.insert(0, str(PROJECT / "library"))

from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.web import grade
from nginx_sites import SITE

pytestmark = pytest.mark.role("nginx")

UNKNOWN = "lyceum-proof.invalid"
LEAST_GRADE = "A"
TESTSSL_SECONDS = 420
MOST_REQUESTS = 600
GRADED = 1  # testssl.sh takes two minutes for each, and what it sees is the same for all sites
SECURITY_HEADERS = {"X-Content-Type-Options": "nosniff", "X-Frame-Options": None, "Referrer-Policy": None}


class Web:
    """The sites of a host as its plan says, and questions to them."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.plan: dict[str, Any] = target.plan["nginx"]
        self.http, self.https = (self.plan["settings"][key] for key in ("http_port", "https_port"))
        self.sites = [whole(site) for site in self.plan["sites"] if site.get("state", "present") == "present"]

    def probe(self, action: str, **parameters: Any) -> Any:
        return self.target.probe(action, role="nginx", **parameters)

    def ask(self, site: dict[str, Any], **options: Any) -> dict[str, Any]:
        """One request over HTTPS under the first name of a site."""
        return dict(self.probe("web_ask", **{"name": name_of(site), "port": self.https, **options}))


def whole(site: dict[str, Any]) -> dict[str, Any]:
    """A site with everything that it does not say, as the module completes it."""
    return {**{key: option.get("default") for key, option in SITE.items()}, **site}


def name_of(site: dict[str, Any]) -> str:
    return str(site["server_names"][0]).replace("*", "lyceum-proof")


@pytest.fixture(scope="session")
def web(target: Target) -> Web:
    web = Web(target)
    if not web.sites:
        pytest.skip("nginx serves no site here")
    return web


@pytest.mark.control("https", "a client that trusts nobody without a reason asks for a site")
def test_sites_answer(web: Web, proof: Proof) -> None:
    for site in web.sites:
        found = web.ask(site)
        if "refused" in found:
            proof.broken(f"{site['name']}: {found['refused']}")
        else:
            proof.held(f"{site['name']} answers {found['status']}")


@pytest.mark.control("https", "a client asks without TLS")
def test_plain_http_is_redirected(web: Web, proof: Proof) -> None:
    port = "" if web.https == 443 else f":{web.https}"
    for site in web.sites:
        found = web.ask(site, port=web.http, tls=False, path="/some/where?a=b")
        wanted = f"https://{name_of(site)}{port}/some/where?a=b"
        location = found.get("headers", {}).get("location")
        if found.get("status") in (301, 308) and location == wanted:
            proof.held(site["name"])
        else:
            proof.broken(f"{site['name']} answers {found}, not with {wanted}")


@pytest.mark.control("https", "a client knows no newer protocol than TLS 1.1")
def test_old_protocols_are_refused(web: Web, proof: Proof) -> None:
    site = web.sites[0]
    known = "tls1_3" if web.plan["settings"]["tls_profile"] == "modern" else "tls1_2"
    if not web.probe("web_protocol", name=name_of(site), port=web.https, option=known)["entered"]:
        pytest.skip(f"{site['name']} does not shake hands over {known} either")
    for option in ("tls1", "tls1_1"):
        found = web.probe("web_protocol", name=name_of(site), port=web.https, option=option)
        if found["entered"]:
            proof.broken(f"{option} is taken")
        else:
            proof.held(option)


@pytest.mark.control("https", "testssl.sh looks for every weakness it knows")
def test_grade(web: Web, proof: Proof) -> None:
    for site in web.sites[:GRADED]:
        found = web.probe(
            "web_testssl", name=name_of(site), port=web.https, seconds=TESTSSL_SECONDS, timeout=TESTSSL_SECONDS + 30
        )
        if "missing" in found:
            proof.not_tested(found["missing"])
            return
        try:
            letter, reasons = grade.grade(found["findings"])
        except LyceumError as exc:
            proof.not_tested(f"{site['name']}: {exc}")
            continue
        if grade.is_at_least(letter, LEAST_GRADE):
            proof.held(f"{site['name']}: {letter}")
        else:
            proof.broken(f"{site['name']}: {letter} ({'; '.join(reasons)})")


@pytest.mark.control("names", "a client asks for a name that is not served")
def test_unknown_names(web: Web, proof: Proof) -> None:
    site = web.sites[0]
    known = web.ask(site, trust=False)
    if "refused" in known:
        pytest.skip(f"{site['name']} does not answer either: {known['refused']}")
    attempts = {
        "over HTTP": web.ask(site, port=web.http, tls=False, host=UNKNOWN),
        "over HTTPS": web.ask(site, name=UNKNOWN, trust=False),
        "over the connection of another name": web.ask(site, host=UNKNOWN, trust=False),
    }
    for how, found in attempts.items():
        if "refused" in found or found["status"] == 421:
            proof.held(how)
        else:
            proof.broken(f"{how}: {found['status']}")


@pytest.mark.control("headers", "an answer leaves browsers without protection")
def test_security_headers(web: Web, proof: Proof) -> None:
    for site in web.sites:
        found = web.ask(site, trust=False).get("headers", {})
        own = {key.lower() for key in site["headers"] or {}}
        wanted = {name.lower(): value for name, value in SECURITY_HEADERS.items() if name.lower() not in own}
        missing = [name for name, value in wanted.items() if name not in found or value not in (None, found[name])]
        strict = found.get("strict-transport-security", "")
        if web.plan["settings"]["hsts_seconds"] and "max-age=" not in strict:
            missing.append("strict-transport-security")
        if "," in found.get("x-frame-options", ""):
            missing.append("x-frame-options only once")
        version = [found["server"]] if "/" in found.get("server", "") else []
        if missing or version:
            proof.broken(f"{site['name']}: {', '.join(missing + version)}")
        else:
            proof.held(site["name"])


@pytest.mark.control("abuse", "one address asks too often")
def test_rate_limit(web: Web, proof: Proof) -> None:
    limited = [site for site in web.sites if site["rate_limit"]]
    if not limited:
        pytest.skip("no site has a rate limit")
    for site in limited:
        burst = site["rate_limit"].get("burst", 20)
        count = int(burst + site["rate_limit"]["requests_per_second"] * 5 + 20)
        if count > MOST_REQUESTS:
            proof.not_tested(f"{site['name']}: {count} requests would be too many")
            continue
        found = web.probe("web_many", name=name_of(site), port=web.https, count=count)
        refused = found.get("429", 0)
        let_in = sum(number for status, number in found.items() if status not in ("0", "429"))
        if refused and let_in:
            proof.held(f"{site['name']}: {refused} of {count} answered with 429")
        elif refused:
            proof.broken(f"{site['name']} lets nobody in: {found}")
        else:
            proof.broken(f"{site['name']}: {count} requests at once were answered with {found}")


@pytest.mark.control("abuse", "a request is larger than allowed")
def test_body_size(web: Web, proof: Proof) -> None:
    limited = [site for site in web.sites if site["max_body_mib"]]
    if not limited:
        pytest.skip("no site limits the size of requests")
    for site in limited:
        time.sleep(1)  # what the attack on the rate left behind
        small = web.ask(site, method="POST", path="/lyceum-proof", length=16, trust=False)
        large = web.ask(site, method="POST", path="/lyceum-proof", length=(site["max_body_mib"] << 20) + 1, trust=False)
        if small.get("status") in (413, 429, None):
            proof.not_tested(f"{site['name']} answers small ones with {small}")
        elif large.get("status") == 413:
            proof.held(f"{site['name']}: more than {site['max_body_mib']} MiB")
        else:
            proof.broken(f"{site['name']} answers {large}")


@pytest.mark.control("access", "a client comes from where it may not")
def test_networks(web: Web, proof: Proof) -> None:
    tried = False
    for site in web.sites:
        allowed = [ipaddress.ip_network(text) for text in site["allow"]]
        sources = ["127.0.0.1", "127.9.8.7"]
        outside = [one for one in sources if allowed and not any(ipaddress.ip_address(one) in net for net in allowed)]
        for source in outside[:1]:
            tried = True
            found = web.ask(site, source=source, trust=False)
            if found.get("status") == 403:
                proof.held(f"{site['name']} from {source}")
            else:
                proof.broken(f"{site['name']} answers {source}: {found}")
    if not tried:
        pytest.skip("no site is closed to this host")


@pytest.mark.control("access", "a client asks for a path that is closed")
def test_denied_paths(web: Web, proof: Proof) -> None:
    closed = [(site, path) for site in web.sites for path in site["denied_paths"]]
    if not closed:
        pytest.skip("no site has a closed path")
    for site, path in closed:
        found = web.ask(site, path=path, trust=False)
        if found.get("status") in (403, 404):
            proof.held(f"{site['name']}{path}")
        else:
            proof.broken(f"{site['name']}{path}: {found}")


@pytest.mark.control("log", "a token in an address ends up in the log")
def test_log(web: Web, proof: Proof) -> None:
    site, mark = web.sites[0], f"lyceum-proof-{time.time_ns()}"
    web.ask(site, path=f"/{mark}?token={mark}-secret", trust=False)
    line = web.probe("web_log", mark=mark)["line"]
    if line is None:
        proof.broken("the request is not in the log")
        return
    if f"{mark}-secret" in line:
        proof.broken(line)
    elif not isinstance(json.loads(line).get("request_time"), float):
        proof.broken(f"no time in {line}")
    else:
        proof.held(site["name"])


@pytest.mark.control("sites", "a site that nginx refuses is brought to the host, {kind}")
@pytest.mark.parametrize("kind", ["as a new one", "in the place of one that is served"])
def test_a_broken_site(web: Web, proof: Proof, kind: str) -> None:
    site = web.sites[0]
    existing = site["name"] if kind != "as a new one" else ""
    entry = {**site, "certificate": site["certificate"] or site["name"]}
    found = web.probe(
        "web_break", package=package(), entry=entry, settings=web.plan["settings"], existing=existing, timeout=90
    )
    after = [one["name"] for one in web.sites if "refused" in web.ask(one, trust=False)]
    words = "; ".join(found["failures"].values())
    if after:
        proof.broken(f"afterwards {', '.join(after)} did not answer")
    elif found["test"] != 0 or found["changed"]:
        proof.broken(f"changed {', '.join(found['changed'])}, and nginx -t ended with {found['test']}")
    elif "lyceum_proof_nonsense" not in words:
        proof.not_tested(f"it was refused for another reason: {words}")
    else:
        proof.held(f"{len(web.sites)} sites answer as before")


def package() -> dict[str, str]:
    """The code that the module runs, by path."""
    core = PROJECT / "module_utils/lyceum"
    files = [core / name for name in ("__init__.py", "errors.py", "files.py")] + sorted((core / "web").glob("*.py"))
    return {str(path.relative_to(core.parent)): path.read_text() for path in files}
