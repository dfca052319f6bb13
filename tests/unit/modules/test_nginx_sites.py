# SPDX-License-Identifier: GPL-3.0-or-later
"""The module from its parameters to its result, on a pretended nginx."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import nginx_sites
import pytest
from ansible.module_utils.lyceum.web import sites

from ..module_utils.web.conftest import Host
from .runner import run_module

Run = Callable[..., dict[str, Any]]
ONE = {"name": "a", "server_names": ["a.example.org"], "upstream": "unix:/run/a.sock"}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "host")


@pytest.fixture
def run(host: Host, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    real = partial(sites.carry_out, places=host.places, nginx=host.nginx, runner=host.run)
    monkeypatch.setattr(sites, "carry_out", real)

    def call(*entries: dict[str, Any], check: bool = False, **params: Any) -> dict[str, Any]:
        return run_module(nginx_sites, capsys, {"sites": list(entries), **params}, check=check, diff=True)

    return call


def test_check_apply_check_apply_and_absent(host: Host, run: Run) -> None:
    host.certificate("a")
    checked = run(ONE, check=True)
    assert not host.places.sites.exists()
    applied = run(ONE)
    assert checked == applied
    assert applied["sites"] == ["a"]
    assert applied["diff"][1]["after_header"] == str(host.places.site("a"))
    for check in (True, False):
        assert not run(ONE, check=check)["changed"]
    removed = run({"name": "a", "state": "absent"})
    assert removed["actions"] == [f"remove {host.places.site('a')}", "load the configuration"]


def test_a_broken_site_fails_the_module_after_the_others(host: Host, run: Run) -> None:
    host.certificate("a")
    result = run(ONE, {"name": "b"})
    assert result["failed"]
    assert result["msg"] == "site b: server_names is empty; say under which host names it is reached"
    assert host.places.site("a").exists()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"sites": [ONE, ONE]}, "site a is listed twice; give one of the two another name"),
        ({"sites": [{"server_names": []}]}, "missing required arguments: name found in sites"),
        ({"settings": {"https_port": 80}}, "http_port 80 and https_port 80 must be two ports from 1 to 65535"),
        ({"sites": [{**ONE, "proxy": 1}]}, "Unsupported parameters for (basic.py) module: sites.proxy."),
    ],
    ids=str,
)
def test_bad_input_is_one_message(host: Host, run: Run, params: dict[str, Any], message: str) -> None:
    result = run(**params)
    assert result["failed"]
    assert result["msg"].startswith(message)
    assert host.calls == []
