# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that look into a registry, as typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible.module_utils.lyceum.cli import registry_commands
from ansible.module_utils.lyceum.cli.main import main

PEOPLE = """\
lyceum_people:
  - {name: amartin, uid: 2001, full_name: A. Martin, affiliation: faculty, groups: [vision], aliases: [a.m@example.org]}
  - {name: bchen, uid: 2002, affiliation: student, starts: 2027-01-01}
lyceum_groups:
  - {name: vision, gid: 10001}
lyceum_projects:
  - {name: retina, gid: 11001, owner: amartin, members: {bchen: read}}
lyceum_limits:
  defaults: {home_gib: 5}
  affiliations: {faculty: {home_gib: null}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "group_vars" / "all").mkdir(parents=True)
    (tmp_path / "group_vars" / "all" / "people.yml").write_text(PEOPLE)
    return tmp_path


def run(folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = main([*words, "-i", str(folder)])
    output = capsys.readouterr()
    return status, output.out, output.err


def test_a_valid_registry_is_counted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, output, _ = run(folder, capsys, "validate")
    assert status == 0
    assert output == f"{folder}: 2 people, 1 group, 1 project: no errors, no warnings\n"


def test_every_problem_is_listed_and_the_status_is_1(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = folder / "group_vars" / "all" / "people.yml"
    file.write_text(PEOPLE.replace("uid: 2002", "uid: 2001").replace("affiliation: student", "affiliation: studnet"))
    status, output, errors = run(folder, capsys, "validate")
    assert status == 1
    assert "people.yml:3: lyceum_people[bchen].uid = 2001: is also the uid of" in errors
    assert "Did you mean 'student'" in errors
    assert "2 errors" in output
    status, output, _ = run(folder, capsys, "validate", "--json")
    assert status == 1
    assert [problem["severity"] for problem in json.loads(output)] == ["error", "error"]
    for words in (("explain", "bchen"), ("list",), ("next-id",)):
        status, _, errors = run(folder, capsys, *words)
        assert status == 1
        assert "The registry has errors" in errors
        assert "studnet" in errors


def test_explain_shows_layers_hosts_and_the_command(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = 'web1 | SUCCESS => {"msg": [["vision"], ["shell"]]}\n'
    monkeypatch.setattr(registry_commands, "output_of", lambda argv: answer)
    status, output, _ = run(folder, capsys, "explain", "a.m@example.org")
    assert status == 0
    lines = output.splitlines()
    assert lines[0].startswith("$ env ANSIBLE_CALLBACK_RESULT_FORMAT=json ansible accounts -i ")
    assert lines[1] == "amartin"
    assert "  projects     retina (owner)" in lines
    assert "  home_gib  unlimited  affiliation faculty  (over defaults 5)" in lines
    assert "  web1  account, /bin/bash, 0 keys  in vision, allowed here" in lines
    status, output, _ = run(folder, capsys, "explain", "bchen", "--json", "--today", "2026-12-31")
    found = json.loads(output)
    assert (found["state"], found["reason"]) == ("suspended", "starts on 2027-01-01")
    assert found["hosts"][0]["why"] == "starts on 2027-01-01"
    status, output, _ = run(folder, capsys, "explain", "bchen", "--no-hosts", "--today", "2027-01-01")
    assert "  state        present" in output
    assert "Hosts" not in output


def test_a_failing_program_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(registry_commands.CommandError, match="status 3: no inventory"):
        registry_commands.output_of(["sh", "-c", "echo no inventory >&2; exit 3"])


@pytest.mark.parametrize(
    ("words", "shown", "hidden"),
    [
        (("list", "--today", "2027-02-01"), "bchen    2002  present", "WHEN"),
        (("list", "people", "--state", "suspended", "--today", "2026-12-31"), "starts on 2027-01-01", "amartin"),
        (("list", "groups"), "vision  10001  present  amartin", "retina"),
        (("list", "projects"), "bchen:read", "vision"),
        (("list", "limits"), "home_gib              GiB         5         unlimited  -", "amartin"),
        (("list", "people", "--state", "absent"), "no people in state absent", "NAME"),
        (("next-id",), "2003", ":"),
        (("next-id", "projects"), "11002", ":"),
    ],
)
def test_lists(
    folder: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], shown: str, hidden: str
) -> None:
    status, output, _ = run(folder, capsys, *words)
    assert status == 0
    assert shown in output
    assert hidden not in output


def test_lists_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, output, _ = run(folder, capsys, "list", "people", "--json")
    assert [person["name"] for person in json.loads(output)] == ["amartin", "bchen"]


def test_a_date_that_is_none_is_wrong_usage(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        run(folder, capsys, "validate", "--today", "20270101")
    assert stopped.value.code == 2
