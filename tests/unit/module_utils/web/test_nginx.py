# SPDX-License-Identifier: GPL-3.0-or-later
"""What nginx and systemd say, and what is made of it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from ansible.module_utils.lyceum.errors import CommandError
from ansible.module_utils.lyceum.web import nginx
from ansible.module_utils.lyceum.web.nginx import Done, Nginx

from .conftest import Host

STAMP = "2026/11/21 15:07:54"
CONFLICT = 'conflicting server name "a" on 0.0.0.0:80, ignored'


@pytest.mark.parametrize(
    ("words", "version"),
    [("nginx version: nginx/1.22.1", (1, 22, 1)), ("nginx version: nginx/1.26.3 (Debian)", (1, 26, 3))],
)
def test_versions(words: str, version: tuple[int, ...]) -> None:
    assert Nginx(lambda _argv: Done(0, words)).version() == version


def test_no_nginx_and_no_version() -> None:
    assert Nginx(lambda _argv: Done(127, "nginx is not installed")).version() is None
    with pytest.raises(CommandError, match="cannot find out the version of nginx: what"):
        Nginx(lambda _argv: Done(0, "what")).version()


@pytest.mark.parametrize(
    ("status", "words", "told"),
    [
        (0, "nginx: the configuration file /x syntax is ok", ""),
        (0, "nginx: [warn] the \"listen ... http2\" directive is deprecated in /x:1", ""),
        (1, f"nginx: [warn] w\n{STAMP} [emerg] 5#5: unknown x in /x:36\nnginx: ... test failed", "unknown x in /x:36"),
        (0, f"nginx: [warn] {CONFLICT}", CONFLICT),
        (1, "", "exit 1"),
        (127, "nginx is not installed", "nginx is not installed"),
    ],
)  # fmt: skip
def test_opinions(status: int, words: str, told: str) -> None:
    assert Nginx(lambda _argv: Done(status, words)).test() == told


def test_a_reload_counts_when_there_are_new_workers(host: Host) -> None:
    assert host.nginx.reload() == ""


def test_a_reload_that_nginx_does_not_follow(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nginx, "RELOAD_SECONDS", 0.1)
    (host.root / "error.log").write_text("old [emerg] things\n")
    host.taken = True
    host.places.main.write_text("listen 9443;")
    (host.root / "error.log").write_text("")
    assert host.nginx.reload() == "bind() to 0.0.0.0:9443 failed"
    (host.root / "pid").unlink()
    (host.root / "error.log").unlink()
    silent = Nginx(lambda _argv: Done(0, ""), host.root / "pid", host.root / "error.log", host.root / "proc")
    assert silent.reload() == "no new worker within 0.1 s"


def test_a_reload_that_systemd_refuses(host: Host) -> None:
    refusing = Nginx(lambda _argv: Done(1, "Unit not found."), host.root / "pid", host.root / "log", host.root / "proc")
    assert refusing.reload() == "Unit not found."


def test_programs_are_really_started(tmp_path: Path) -> None:
    script = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    assert nginx.run([sys.executable, "-c", script]) == Done(3, "out\nerr")
    assert nginx.run([str(tmp_path / "none")]).status == 127
