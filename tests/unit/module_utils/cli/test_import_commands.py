# SPDX-License-Identifier: GPL-3.0-or-later
"""import, as typed, from a file and from what `ansible` prints."""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.lyceum.cli import import_commands
from ansible.module_utils.lyceum.cli.main import main
from ansible.module_utils.lyceum.errors import CommandError

FIXTURES = Path(__file__).resolve().parents[3] / "fixtures" / "import"
SMALL = (
    "passwd:amartin:x:2001:2001:A. Martin:/home/amartin:/bin/bash\npasswd:bchen:x:2002:2002::/home/bchen:/bin/bash\n"
    "group:vision:x:10001:amartin\nend:\n"
)


def saved(tmp_path: Path, text: str) -> str:
    (tmp_path / "old.txt").write_text(text)
    return str(tmp_path / "old.txt")


def test_a_clean_host_becomes_a_valid_registry(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "common" / "group_vars" / "all").mkdir(parents=True)
    target = tmp_path / "new"
    words = ["import", "--from-file", saved(tmp_path, SMALL), "--affiliation", "staff", "--to", str(target)]
    assert main(words) == 0
    assert "The registry is valid." in capsys.readouterr().out
    people = yaml.safe_load((target / "group_vars" / "all" / "people.yml").read_text())["lyceum_people"]
    assert [(person["name"], person["uid"]) for person in people] == [("amartin", 2001), ("bchen", 2002)]
    assert (target / "00_common").resolve() == tmp_path / "common"
    assert (target / "group_vars" / "all" / "00_common").resolve() == tmp_path / "common" / "group_vars" / "all"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["common", "new", "old.txt"]
    assert main(["validate", "-i", str(target)]) == 0


def test_what_remains_is_said_and_the_status_is_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "new"
    words = ["import", "--from-file", str(FIXTURES / "survey.txt"), "--classify", str(FIXTURES / "classify.yml")]
    for name in ("student", "researcher", "archived"):
        words += ["--members", str(FIXTURES / f"{name}.members")]
    assert main([*words, "--to", str(target)]) == 1
    output = capsys.readouterr().out
    assert "What remains: 7 errors of the validator and 5 left out" in output
    assert "Left out (5):\n  - toor has the uid 1015 of gnovak" in output
    assert "lyceum_people[hkim].affiliation: is missing" in output
    assert (target / "REVIEW.md").read_text().count("\n- ") > 20
    assert main([*words, "--renumber", "--affiliation", "student", "--to", str(tmp_path / "two")]) == 1
    assert "0 errors of the validator and 5 left out" in capsys.readouterr().out


def test_members_files_alone_and_standard_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "student.members").write_text("a.b@example.org\n")
    assert main(["import", "--members", str(tmp_path / "student.members"), "--to", str(tmp_path / "one")]) == 0
    assert "uid: 2001" in (tmp_path / "one" / "group_vars" / "all" / "people.yml").read_text()
    monkeypatch.setattr("sys.stdin", io.StringIO(SMALL))
    assert main(["import", "--from-file", "-", "--affiliation", "staff", "--to", str(tmp_path / "two")]) == 0


def test_long_lists_are_cut_on_the_terminal_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many = "".join(f"passwd:p{uid}:x:{uid}:{uid}::/home/p{uid}:/bin/bash\n" for uid in range(2001, 2101))
    assert main(["import", "--from-file", saved(tmp_path, f"{many}end:\n"), "--to", str(tmp_path / "new")]) == 1
    output = capsys.readouterr().out
    assert f"... and 85 more: {tmp_path / 'new' / 'REVIEW.md'}" in output
    assert len(output.splitlines()) < 50
    assert (tmp_path / "new" / "REVIEW.md").read_text().count("--affiliation") == 100


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--from-file", "/nonexistent"], "cannot be read"),
        ([], "nothing to import from"),
        (["--members", "{tmp}/bad.yml", "--classify", "{tmp}/bad.yml"], "bad.yml is not valid YAML"),
        (["--members", "{tmp}/list.yml", "--classify", "{tmp}/list.yml"], "must hold `rules:`"),
        (["--members", "{tmp}/list.yml", "--classify", "{tmp}/rule.yml"], "is not a regular expression"),
        (["--from-file", "{tmp}/list.yml"], "cut off"),
    ],
)
def test_bad_input_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    for name, text in {"bad": "[", "list": "- x\n", "rule": "rules: [{pattern: '(', affiliation: x}]\n"}.items():
        (tmp_path / f"{name}.yml").write_text(text)
    words = [word.replace("{tmp}", str(tmp_path)) for word in words]
    assert main(["import", *words, "--to", str(tmp_path / "new")]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_an_existing_folder_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "new").mkdir()
    assert main(["import", "--from-file", saved(tmp_path, SMALL), "--to", str(tmp_path / "new")]) == 1
    assert "exists already" in capsys.readouterr().err
    assert list((tmp_path / "new").iterdir()) == []


def test_the_answer_of_ansible_is_read() -> None:
    result = json.dumps({"changed": True, "rc": 0, "stdout": "passwd:...\nend:\n"}, indent=4)
    assert import_commands.script_output(f"web1 | CHANGED => {result}\n", "web1") == "passwd:...\nend:\n"
    with pytest.raises(CommandError, match=r"web1 could not be read: web1 \| UNREACHABLE"):
        import_commands.script_output('web1 | UNREACHABLE! => {"msg": "no route"}\n', "web1")
    with pytest.raises(CommandError, match="give USER@ADDRESS"):
        import_commands.script_output("", "web1")


def test_the_command_is_one_an_admin_could_type() -> None:
    arguments = argparse.Namespace(from_host="ada@192.0.2.7", ask_become_pass=True, inventory="inventories/lab")
    assert import_commands.host_argv(arguments)[2:] == [
        "ansible", "192.0.2.7", "-i", "192.0.2.7,", "--become", "-u", "ada", "--ask-become-pass",
        "-m", "ansible.builtin.script", "-a", "module_utils/lyceum/registry/survey.sh",
    ]  # fmt: skip
