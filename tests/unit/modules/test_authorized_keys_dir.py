# SPDX-License-Identifier: GPL-3.0-or-later
"""The module from its parameters to its result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import authorized_keys_dir
import pytest
from ansible.module_utils.lyceum.sshd import keys

from ..module_utils.sshd.test_keys import DESKTOP, LAPTOP, needs_root
from .runner import run_module

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "authorized_keys.d"


@pytest.fixture
def run(directory: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(people: dict[str, list[str]], *, check: bool = False, diff: bool = False, **params: Any) -> dict[str, Any]:
        entries = [{"name": name, "ssh_keys": own} for name, own in people.items()]
        wanted = {"directory": str(directory), "people": entries, **params}
        return run_module(authorized_keys_dir, capsys, wanted, check=check, diff=diff)

    return call


@needs_root
def test_check_apply_check_apply_and_absent(directory: Path, run: Run) -> None:
    people = {"amartin": [LAPTOP], "bchen": [DESKTOP]}
    checked = run(people, check=True, diff=True)
    assert not directory.exists()
    applied = run(people, diff=True)
    for key in ("changed", "actions", "diff", "lyceum"):
        assert checked[key] == applied[key], key
    assert applied["actions"] == [
        "make the directory root's, mode 0755",
        f"amartin: add key {keys.fingerprint(LAPTOP)}",
        f"bchen: add key {keys.fingerprint(DESKTOP)}",
    ]
    assert applied["diff"][0] == {
        "before_header": "amartin",
        "after_header": "amartin",
        "before": "",
        "after": f"{keys.fingerprint(LAPTOP)}\n",
    }
    assert (directory / "amartin").read_text() == f"{LAPTOP}\n"
    for check in (True, False):
        again = run(people, check=check, diff=True)
        assert (again["changed"], again["actions"], again["diff"]) == (False, [], [])
        assert again["lyceum"] == {
            "kind": "keys",
            "results": {},
            "unchanged": ["amartin", "bchen"],
            "unmanaged": [],
            "conflicts": [],
        }
    removed = run({"amartin": [], "bchen": [DESKTOP]})
    assert removed["lyceum"]["results"]["amartin"] == {
        "result": "changed",
        "actions": [f"remove key {keys.fingerprint(LAPTOP)}"],
        "error": None,
    }
    assert [path.name for path in directory.iterdir()] == ["bchen"]


@needs_root
def test_one_person_alone_leaves_the_others(directory: Path, run: Run) -> None:
    run({"amartin": [LAPTOP], "bchen": [DESKTOP]})
    result = run({"amartin": [DESKTOP]}, complete=False)
    assert list(result["lyceum"]["results"]) == ["amartin"]
    assert sorted(path.name for path in directory.iterdir()) == ["amartin", "bchen"]


@needs_root
def test_a_failure_of_one_person_comes_with_the_results_of_all(
    directory: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = keys.write_all_atomically

    def all_but_amartin(contents: Any, mode: int) -> Any:
        failing = {path for path in contents if path.name == "amartin"}
        others = {path: content for path, content in contents.items() if path not in failing}
        return {**real(others, mode), **dict.fromkeys(failing, "cannot write: no space left")}

    monkeypatch.setattr(keys, "write_all_atomically", all_but_amartin)
    result = run({"amartin": [LAPTOP], "bchen": [DESKTOP]})
    assert result["failed"]
    assert result["msg"] == "amartin: cannot write: no space left"
    assert {name: one["result"] for name, one in result["lyceum"]["results"].items()} == {
        "amartin": "failed",
        "bchen": "changed",
    }
    assert (directory / "bchen").exists()


@needs_root
def test_writing_without_effect_is_a_failure(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "write_all_atomically", lambda _contents, _mode: {})
    result = run({"amartin": [LAPTOP]})
    assert result["failed"]
    assert result["msg"] == "amartin: written, yet still different"


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    ("people", "params", "message"),
    [
        (
            {"amartin": [LAPTOP], "root": []},
            {"keep": ["root"]},
            (
                "root would be left without a key in {directory} and could not log in any more; nothing was changed."
                " Give root a key in accounts_admins, or put one into ~root/.ssh/authorized_keys to adopt"
            ),
        ),
        ({"a/b": []}, {}, "people: 'a/b' cannot be the name of a file of keys"),
        (
            {"amartin": [f"{LAPTOP}\n{DESKTOP}"]},
            {},
            "people: amartin: one ssh_keys entry holds several lines; write one key per entry",
        ),
    ],
)
def test_bad_input_is_one_message_and_touches_nothing(
    directory: Path, run: Run, people: dict[str, list[str]], params: dict[str, Any], message: str, check: bool
) -> None:
    result = run(people, check=check, **params)
    assert result["failed"]
    assert result["msg"] == message.format(directory=directory)
    assert not directory.exists()


def test_bytes_of_any_kind_in_a_file_can_be_shown(directory: Path, run: Run) -> None:
    directory.mkdir()
    (directory / "amartin").write_bytes(b"\xff AAAAAAAAAAAA\n" + LAPTOP.encode() + b" caf\xe9\n")
    result = run({"amartin": [LAPTOP]}, check=True, diff=True)
    assert not result["failed"]
    assert result["diff"][0]["before"].startswith("\ufffd AAAAAAAAAAAA\n")
