# SPDX-License-Identifier: GPL-3.0-or-later
"""The module from its parameters to its result, on a pretended sshd."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sshd_dropin
from ansible.module_utils.lyceum.sshd import blocks, dropin

from ..module_utils.sshd.conftest import Sshd, pretend
from .runner import run_module

CONTENT = "PasswordAuthentication no\n"
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def sshd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sshd:
    return pretend(tmp_path / "host", monkeypatch)


@pytest.fixture
def run(sshd: Sshd, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(content: str | None, expect: Any = None, *, check: bool = False, **params: Any) -> dict[str, Any]:
        return run_module(sshd_dropin, capsys, sshd.params(content, expect, **params), check=check)

    return call


def test_check_apply_confirm_check_apply_and_absent(sshd: Sshd, run: Run) -> None:
    expect = {"root": {"PasswordAuthentication": "no"}}
    checked = run(CONTENT, expect, check=True)
    assert not sshd.path.exists()
    applied = run(CONTENT, expect)
    assert (checked["changed"], checked["actions"], checked["diff"]) == (True, applied["actions"], applied["diff"])
    assert applied["actions"] == [f"install {sshd.path} and reload ssh"]
    assert applied["diff"]["after"] == CONTENT
    assert (checked["pending_confirmation"], applied["pending_confirmation"]) == (False, True)
    assert run(CONTENT, expect)["pending_confirmation"]
    waiting = run(None, state="confirmed", check=True)
    assert (waiting["changed"], waiting["pending_confirmation"]) == (True, True)
    confirmed = run(None, state="confirmed")
    assert (confirmed["changed"], confirmed["actions"]) == (True, [f"keep {sshd.path}"])
    assert not confirmed["pending_confirmation"]
    assert not run(None, state="confirmed")["changed"]
    calls = len(sshd.calls)
    for check in (True, False):
        again = run(CONTENT, expect, check=check)
        assert (again["changed"], again["actions"], again["pending_confirmation"]) == (False, [], False)
    assert len(sshd.calls) == calls
    updated = run(f"# new\n{CONTENT}", expect, confirm_seconds=0)
    assert updated["actions"] == [f"update {sshd.path} and reload ssh"]
    removed = run(None, confirm_seconds=0)
    assert (removed["changed"], removed["actions"]) == (True, [f"remove {sshd.path} and reload ssh"])
    assert not sshd.path.exists()
    assert not run(None)["changed"]


@pytest.mark.parametrize("check", [True, False])
def test_an_expectation_that_does_not_hold_changes_nothing(sshd: Sshd, run: Run, check: bool) -> None:
    result = run(CONTENT, {"root": {"PasswordAuthentication": True}}, check=check)
    assert result["failed"]
    assert result["msg"] == (
        "with this drop-in, passwordauthentication for root would be 'no', not 'yes'; nothing was changed. The first"
        " value wins: an earlier file in sshd_config.d or the top of sshd_config sets it"
    )
    assert not sshd.path.exists()


def test_an_equal_file_is_judged_again_by_what_is_around_it(sshd: Sshd, run: Run) -> None:
    expect = {"root": {"PasswordAuthentication": "no"}}
    run(CONTENT, expect, confirm_seconds=0)
    (sshd.dropins / "00-before.conf").write_text("PasswordAuthentication yes\n")
    assert "would be 'yes', not 'no'" in run(CONTENT, expect)["msg"]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"content": None, "state": "present"}, "state is present but all of the following are missing: content"),
        ({"path": "/etc/passwd"}, "path /etc/passwd must be a .conf file in {d}"),
        ({"expect": [{"user": "root"}]}, "missing required arguments: options found in expect"),
    ],
)
def test_bad_input_is_one_message(
    sshd: Sshd, capsys: pytest.CaptureFixture[str], params: dict[str, Any], message: str
) -> None:
    wanted = {key: value for key, value in {**sshd.params(CONTENT), **params}.items() if value is not None}
    result = run_module(sshd_dropin, capsys, wanted)
    assert result["failed"]
    assert result["msg"] == message.format(d=sshd.dropins)
    assert sshd.calls == []


def test_a_write_without_effect_is_a_failure(sshd: Sshd, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dropin, "install", lambda _spec, _files: None)
    assert run(CONTENT)["msg"] == f"{sshd.path} was written, yet reads differently"


def test_blocks_of_pam_are_part_of_the_change(sshd: Sshd, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "DIRECTORY", sshd.root)
    pam = sshd.root / "pam"
    pam.write_text("@include common-session\n")
    wanted = [{"path": str(pam), "text": "session required pam_x.so", "anchor": "common-session"}]
    checked = run(CONTENT, blocks=wanted, check=True)
    assert pam.read_text() == "@include common-session\n"
    applied = run(CONTENT, blocks=wanted)
    assert applied["actions"] == checked["actions"]
    assert applied["actions"] == [f"install {sshd.path} and reload ssh", f"update {pam} and reload ssh"]
    assert [one["after_header"] for one in applied["diff"]] == [str(sshd.path), str(pam)]
    assert "pam_x.so" in pam.read_text()
    assert not run(CONTENT, blocks=wanted)["changed"]
    # Somebody else's tool rewrote the file: a change of PAM alone.
    pam.write_text("@include common-session\n")
    again = run(CONTENT, blocks=wanted)
    assert again["actions"] == [f"update {pam} and reload ssh"]
    assert run(None, blocks=wanted)["actions"] == [f"remove {sshd.path} and reload ssh", f"update {pam} and reload ssh"]
    assert pam.read_text() == "@include common-session\n"
    assert "is not in" in run(CONTENT, blocks=[{**wanted[0], "path": "/etc/passwd"}])["msg"]
