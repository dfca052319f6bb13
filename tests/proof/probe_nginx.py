# SPDX-License-Identifier: GPL-3.0-or-later
"""Root's side of the attacks on nginx: questions as a client on the host itself asks them, and broken sites.

Sent to the host after probe.py, whose helpers it uses.
"""

# ruff: noqa: PTH108, PTH123, PTH207

from __future__ import annotations

import concurrent.futures
import glob
import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from probe import ACTIONS, ENVIRONMENT, run

LOOPBACK = "127.0.0.1"
WEB_SECONDS = 10
BROKEN = "lyceum-proof-broken"
PLACE = Path("/run/lyceum-proof-web")
SITES_FOLDER = "/etc/nginx/lyceum-sites"


def web_ask(name, port, tls=True, host=None, method="GET", path="/", length=None, source=None, trust=True):
    """One request to nginx under a name: {status, headers}, or {refused: why} when no answer comes.

    name: what TLS is told. host: what HTTP is told, else the name. length: a body is announced and not sent.
    trust: whether the host has to trust the certificate.
    """
    try:
        plain = socket.create_connection((LOOPBACK, port), WEB_SECONDS, (source, 0) if source else None)
    except OSError as exc:
        return {"refused": f"connect: {exc}"}
    with plain:
        try:
            return _web_ask(plain, name, tls, host or name, method, path, length, trust)
        except (OSError, http.client.HTTPException) as exc:
            return {"refused": f"{type(exc).__name__}: {exc}"}


def _web_ask(plain, name, tls, host, method, path, length, trust):
    stream = plain
    if tls:
        context = ssl.create_default_context()
        context.check_hostname = trust
        context.verify_mode = ssl.CERT_REQUIRED if trust else ssl.CERT_NONE
        stream = context.wrap_socket(plain, server_hostname=name)
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close", "User-Agent: lyceum-proof"]
    lines += [f"Content-Length: {length}"] if length is not None else []
    stream.sendall("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
    if length:
        stream.sendall(b"x" * min(length, 4096))
    answer = http.client.HTTPResponse(stream, method=method)
    answer.begin()
    headers = {}
    for key, value in answer.getheaders():  # one that comes twice has both values
        headers[key.lower()] = f"{headers[key.lower()]}, {value}" if key.lower() in headers else value
    return {"status": answer.status, "headers": headers}


def web_many(name, port, count):
    """How many of as many requests at once had which status."""
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _n: web_ask(name, port, trust=False).get("status", 0), range(count)))
    return {str(status): answers.count(status) for status in sorted(set(answers))}


def web_protocol(name, port, option):
    """Whether nginx shakes hands with a client that knows no other protocol, and takes any cipher for it."""
    words = ["openssl", "s_client", "-connect", f"{LOOPBACK}:{port}", "-servername", name, f"-{option}"]
    words += ["-cipher", "ALL:@SECLEVEL=0"] if option != "tls1_3" else []
    done = run(*words, stdin=subprocess.DEVNULL)
    return {
        "entered": "Cipher is (NONE)" not in done.stdout and "Cipher is " in done.stdout,
        "words": done.stderr[-200:],
    }


def web_testssl(name, port, seconds):
    """What testssl.sh found, as it writes it. {"missing": ...} where it is not installed."""
    program = shutil.which("testssl", path=ENVIRONMENT["PATH"])
    if program is None:
        return {"missing": "testssl.sh is not installed here (nginx_proof_packages: [testssl.sh])"}
    # One that grades by itself wants to have done everything; of an older one, what the grade depends on is enough.
    grades = "overall_grade" in Path(program).read_text(encoding="utf-8", errors="replace")
    tests = [] if grades else ["-p", "-s", "-f", "-S", "-h", "-U"]
    web_clean()
    result = PLACE / "testssl.json"
    words = [
        program,
        *tests,
        "--ip",
        LOOPBACK,
        "--jsonfile",
        str(result),
        "--quiet",
        "--color",
        "0",
        "--warnings",
        "off",
    ]
    # It has a trust store of its own beside which that of the host is put.
    words += ["--add-ca", "/etc/ssl/certs/ca-certificates.crt", "--connect-timeout", "10", f"{name}:{port}"]
    try:
        subprocess.run(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=seconds,
            check=False, env={**ENVIRONMENT, "TERM": "dumb", "HOME": str(PLACE)}, cwd=PLACE,
        )  # fmt: skip
        kept = ("id", "severity", "finding")
        return {"findings": [{key: one[key] for key in kept} for one in json.loads(result.read_text(encoding="utf-8"))]}
    except subprocess.TimeoutExpired:
        return {"missing": f"testssl.sh did not end within {seconds} s"}
    finally:
        shutil.rmtree(PLACE)


def web_break(package, entry, settings, existing):
    """Ask the role's own code for a site that nginx refuses, new or in the place of one that is served.

    package: path -> text of the code. Returns what it said and which files it left; puts everything back.
    """
    web_clean()
    for path, text in package.items():
        target = PLACE / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    sys.path.insert(0, str(PLACE))
    sys.dont_write_bytecode = True
    from lyceum.errors import LyceumError
    from lyceum.web import model, sites

    before = web_files()
    name = existing or BROKEN
    try:
        configured = model.Settings.from_params(settings)
        broken = {**entry, "name": name, "directives": "lyceum_proof_nonsense on;"}
        if not existing:
            broken["server_names"] = [f"{BROKEN}.invalid"]
        wish = model.read_sites([broken], configured)
        try:
            failures = sites.carry_out(wish, configured, check=False).failures
        except LyceumError as exc:
            failures = {"": str(exc)}
        after = web_files()
        changed = sorted(path for path in {*before, *after} if before.get(path) != after.get(path))
        return {"failures": failures, "changed": changed, "test": run("nginx", "-t").returncode}
    finally:
        if web_files() != before:
            for path in web_files().keys() - before.keys():
                os.unlink(path)
            for path, text in before.items():
                Path(path).write_text(text, encoding="utf-8")
            run("systemctl", "reload-or-restart", "nginx.service")
        shutil.rmtree(PLACE)


def web_clean():
    """A folder of our own, empty, also after a proof that was killed."""
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(mode=0o700)


def web_files():
    paths = ["/etc/nginx/nginx.conf", *glob.glob(f"{SITES_FOLDER}/*.conf")]
    return {path: Path(path).read_text(encoding="utf-8") for path in paths}


def web_log(mark):
    """The last line of the log with this text in it."""
    with open("/var/log/nginx/access.log", "rb") as handle:
        lines = handle.read()[-200_000:].decode(errors="replace").splitlines()
    return {"line": next((line for line in reversed(lines) if mark in line), None)}


ACTIONS.update({f.__name__: f for f in (web_ask, web_many, web_protocol, web_testssl, web_break, web_log)})
