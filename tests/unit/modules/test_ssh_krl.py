# SPDX-License-Identifier: GPL-3.0-or-later
"""The module from its parameters to its result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ssh_krl

from ..module_utils.sshd.conftest import Sshd, sshd  # noqa: F401
from ..module_utils.sshd.test_keys import DESKTOP, LAPTOP, needs_root, needs_ssh_keygen
from ..module_utils.sshd.test_revoked import fingerprint, is_revoked
from .runner import run_module

pytestmark = [needs_root, needs_ssh_keygen]
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def krl(tmp_path: Path) -> Path:
    return tmp_path / "revoked.krl"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], sshd: Sshd, krl: Path) -> Run:  # noqa: F811
    """The module on a host where root has one key, LAPTOP."""
    (sshd.root / "root").write_text(f"{LAPTOP}\n")
    sshd.main.write_text(f"AuthorizedKeysFile {sshd.root}/%u\n")

    def call(revoked: list[str], *, check: bool = False, **params: Any) -> dict[str, Any]:
        wanted = {"path": str(krl), "revoked": revoked, **params}
        return run_module(ssh_krl, capsys, wanted, check=check, diff=True)

    return call


def test_check_apply_check_apply_and_nothing_any_more(run: Run, krl: Path, tmp_path: Path) -> None:
    checked = run([DESKTOP], check=True)
    assert not krl.exists()
    applied = run([DESKTOP])
    assert checked == applied
    assert (applied["changed"], applied["actions"]) == (True, [f"write {krl}"])
    assert applied["diff"]["before"] == ""
    assert fingerprint(tmp_path, DESKTOP) in applied["diff"]["after"]
    assert krl.stat().st_mode & 0o7777 == 0o644
    assert [is_revoked(tmp_path, krl.read_bytes(), key) for key in (DESKTOP, LAPTOP)] == [True, False]
    written = krl.read_bytes()
    for check in (True, False):
        again = run([DESKTOP], check=check)
        assert (again["changed"], again["actions"]) == (False, [])
    assert krl.read_bytes() == written

    emptied = run([])
    assert (emptied["changed"], emptied["diff"]["after"]) == (True, "")
    assert not is_revoked(tmp_path, krl.read_bytes(), DESKTOP)
    assert run([])["changed"] is False


def test_no_list_and_an_empty_list_are_not_the_same(run: Run, krl: Path) -> None:
    """sshd refuses every key when the file is missing."""
    assert run([])["changed"] is True
    assert krl.exists()


@pytest.mark.parametrize("drift", ["broken", "writable"])
def test_drift_is_mended(run: Run, krl: Path, tmp_path: Path, drift: str) -> None:
    run([DESKTOP])
    if drift == "broken":
        krl.write_text("by hand")
    else:
        krl.chmod(0o666)
    assert run([DESKTOP])["actions"] == [f"write {krl}"]
    assert krl.stat().st_mode & 0o7777 == 0o644
    assert is_revoked(tmp_path, krl.read_bytes(), DESKTOP)


@pytest.mark.parametrize("check", [True, False])
def test_the_key_of_root_cannot_be_revoked_and_the_list_stays(run: Run, krl: Path, check: bool) -> None:
    run([DESKTOP])
    before = krl.read_bytes()
    refused = run([DESKTOP, LAPTOP], check=check)
    assert refused["failed"] is True
    assert refused["msg"] == (
        "the list revokes every key of root, who could not log in any more; nothing was changed. Give root another key"
        " first, or take one off the list"
    )
    assert krl.read_bytes() == before


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            "laptop",
            (
                "revoked: 'laptop' is neither a public key, nor \"SHA256:...\" as ssh-keygen -l shows it, nor"
                ' "serial: 7" or "id: NAME" of a certificate'
            ),
        ),
        ("serial: 7", "revoked: serial: 7 is about certificates, but ca_keys names no authority"),
    ],
)
def test_invalid_input_is_one_sentence(run: Run, krl: Path, entry: str, message: str) -> None:
    found = run([entry])
    assert (found["failed"], found["msg"], krl.exists()) == (True, message, False)
