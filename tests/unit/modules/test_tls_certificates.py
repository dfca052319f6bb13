# SPDX-License-Identifier: GPL-3.0-or-later
"""The module from its parameters to its result, with the real openssl."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import tls_certificates
from ansible.module_utils.lyceum.web import certificates, openssl
from ansible.module_utils.lyceum.web.certificates import Places

from ..module_utils.web.conftest import Authority
from .runner import run_module

Run = Callable[..., dict[str, Any]]
ONE = {
    "name": "a", "subject_alt_names": ["a.example.org"], "owner": pwd.getpwuid(os.geteuid()).pw_name,
    "group": grp.getgrgid(os.getegid()).gr_name,
}  # fmt: skip


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "certificates", tmp_path / "live")


@pytest.fixture
def run(places: Places, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(certificates, "carry_out", partial(certificates.carry_out, places=places))

    def call(*entries: dict[str, Any], check: bool = False, **params: Any) -> dict[str, Any]:
        return run_module(tls_certificates, capsys, {"certificates": list(entries), **params}, check=check)

    return call


def test_check_apply_check_apply_and_absent(tmp_path: Path, places: Places, run: Run) -> None:
    authority = Authority(tmp_path / "authority")
    checked = run(ONE, authority=authority.certificate, check=True)
    assert not places.directory.exists()
    asked = run(ONE, authority=authority.certificate)
    assert [checked["changed"], asked["changed"]] == [True, True]
    signed = {"a": authority.sign(asked["requests"][0]["csr"])}
    applied = run(ONE, authority=authority.certificate, signed=signed)
    assert applied["actions"] == ["install certificate a (internal)"]
    for check in (True, False):
        again = run(ONE, authority=authority.certificate, check=check)
        assert (again["changed"], again["requests"]) == (False, [])
    assert run({"name": "a", "state": "absent"})["actions"] == ["remove certificate a with its key"]


def test_a_given_key_is_in_no_result(places: Places, run: Run, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_text(openssl.new_key())
    chain = openssl.self_signed(key, ["DNS:a.example.org"], 90)
    result = run({**ONE, "source": "files", "key_content": key.read_text(), "chain_content": chain})
    assert places.key("a").read_text() == key.read_text()
    assert "PRIVATE KEY" not in str(result)


def test_one_that_cannot_be_made_fails_the_module_after_the_others(places: Places, run: Run) -> None:
    result = run({**ONE, "source": "acme"}, {"name": "b"})
    assert result["failed"]
    assert result["msg"] == "certificate b: subject_alt_names is empty; say for which names it is"
    assert places.chain("a").exists()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"certificates": [{}]}, "missing required arguments: name found in certificates"),
        (
            {"certificates": [{**ONE, "source": "else"}]},
            "value of source must be one of: internal, files, acme, got: else found in certificates",
        ),
    ],
)
def test_bad_input_is_one_message(run: Run, params: dict[str, Any], message: str) -> None:
    result = run(**params)
    assert (result["failed"], result["msg"]) == (True, message)
