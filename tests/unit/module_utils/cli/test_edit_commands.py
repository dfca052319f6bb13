# SPDX-License-Identifier: GPL-3.0-or-later
"""person and group, as typed; what an edit may do is tested with the editor itself."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.lyceum.cli.main import main

PEOPLE = """\
# ours
lyceum_people:
  - name: amartin   # head
    uid: 2001
    affiliation: faculty
    groups: [vision]
  - name: bchen
    uid: 2002
    affiliation: student
lyceum_groups:
  - {name: vision, gid: 10001}
lyceum_projects:
  - {name: retina, gid: 11001, owner: amartin, members: {bchen: write}}
"""


def public_key(number: int) -> str:
    blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes([number] * 32)
    return f"ssh-ed25519 {base64.b64encode(blob).decode()} test"


class Registry:
    """An inventory, and a way to type commands at it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.file = folder / "group_vars" / "all" / "people.yml"
        self.file.parent.mkdir(parents=True)
        self.file.write_text(PEOPLE)
        self.folder, self.capsys = folder, capsys

    def type(self, *words: str) -> tuple[int, str, str]:
        status = main([*words, "-i", str(self.folder)])
        output = self.capsys.readouterr()
        return status, output.out, output.err

    def entry(self, section: str, name: str) -> dict[str, Any]:
        entries = yaml.safe_load(self.file.read_text())[f"lyceum_{section}"]
        return next(entry for entry in entries if entry["name"] == name)


@pytest.fixture
def registry(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Registry:
    return Registry(tmp_path, capsys)


def test_add_a_person_with_a_key_from_a_file(registry: Registry, tmp_path: Path) -> None:
    key = tmp_path / "dlopez.pub"
    key.write_text(f"# mine\n{public_key(1)}\n")
    status, output, _ = registry.type(
        "person", "add", "dlopez", "--full-name", "D. Lopez", "--email", "dlopez@example.org", "--affiliation",
        "researcher", "--group", "vision", "--key", str(key), "--ends", "2028-09-30", "--alias", "d.l@example.org",
    )  # fmt: skip
    assert status == 0
    assert "+  - name: dlopez" in output
    assert "dlopez has uid 2003." in output
    assert f"they follow with: ./lyceum onboard dlopez -i {registry.folder}" in output
    assert registry.entry("people", "dlopez")["ssh_keys"] == [public_key(1)]
    assert registry.file.read_text().startswith(PEOPLE[:120])


def test_add_a_person_with_a_key_from_standard_input(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{public_key(1)}\n{public_key(2)}\n"))
    assert registry.type("person", "add", "dlopez", "--affiliation", "student", "--key", "-")[0] == 0
    assert registry.entry("people", "dlopez")["ssh_keys"] == [public_key(1), public_key(2)]


def test_a_person_without_a_key_is_told_of(registry: Registry) -> None:
    _, output, _ = registry.type("person", "add", "dlopez", "--affiliation", "student", "--uid", "2050")
    assert "cannot log in before they have a key: ./lyceum person add-key dlopez FILE.pub" in output
    assert registry.entry("people", "dlopez")["uid"] == 2050


def test_dry_run_writes_nothing(registry: Registry) -> None:
    status, output, _ = registry.type("person", "suspend", "bchen", "--dry-run")
    assert (status, registry.file.read_text()) == (0, PEOPLE)
    assert "+    state: suspended" in output
    assert "Dry run: nothing was written." in output


def test_modify_sets_and_removes_any_key(registry: Registry) -> None:
    status, _, errors = registry.type(
        "person", "modify", "bchen", "--affiliation", "researcher", "--ends", "2028-09-30", "--set", "full_name=007",
        "--set", "limits.home_gib=20", "--set", "limits.tasks=null", "--set", "groups=[vision]",
    )  # fmt: skip
    assert (status, errors) == (0, "")
    person = registry.entry("people", "bchen")
    assert person["limits"] == {"home_gib": 20, "tasks": None}
    assert (person["affiliation"], person["groups"], person["full_name"]) == ("researcher", ["vision"], "007")
    assert str(person["ends"]) == "2028-09-30"
    assert registry.type("person", "modify", "bchen", "--unset", "limits.tasks", "--set", "ends=")[0] == 0
    assert registry.entry("people", "bchen")["limits"] == {"home_gib": 20}
    assert "ends" not in registry.entry("people", "bchen")
    assert "Nothing to change" in registry.type("person", "modify", "bchen", "--unset", "ends")[1]


def test_another_uid_needs_a_second_word(registry: Registry) -> None:
    status, _, errors = registry.type("person", "modify", "bchen", "--uid", "2050")
    assert status == 1
    assert "add --migrate-uid" in errors
    assert registry.type("person", "modify", "bchen", "--set", "uid=2050", "--migrate-uid")[0] == 0
    person = registry.entry("people", "bchen")
    assert (person["uid"], person["migrate_uid"]) == (2050, True)
    assert registry.type("person", "modify", "bchen", "--unset", "migrate_uid")[0] == 0
    assert registry.type("person", "modify", "bchen", "--migrate-uid")[0] == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("person", "modify", "bchen", "--set", "name=x"), "a login name never changes"),
        (("person", "modify", "bchen", "--set", "state=absent"), "use `suspend`, `resume` or `remove`"),
        (("person", "modify", "bchen", "--unset", "ssh_keys"), "remove-key"),
        (("person", "modify", "bchen", "--unset", "uid"), "whose the files are"),
        (("person", "modify", "bchen", "--set", "limits"), "KEY=VALUE is wanted"),
        (("person", "modify", "bchen", "--set", "groups=[x"), "not YAML"),
        (("person", "modify", "bchen", "--ends", "30.9.2028"), "write it as YYYY-MM-DD"),
        (("person", "modify", "bchen", "--set", "limits.homegib=1"), "homegib"),
        (("person", "modify", "bchn", "--ends", "2028-09-30"), "Did you mean 'bchen'"),
        (("person", "remove", "amartin"), "owns retina"),
        (("person", "add-key", "bchen", "/nonexistent.pub"), "cannot be read"),
        (("person", "add-key", "bchen", "-----BEGIN OPENSSH PRIVATE KEY-----"), "private key"),
        (("person", "add-key", "bchen", "/dev/null"), "There is no key in /dev/null"),
        (("group", "modify", "vision", "--set", "gid=10009"), "files on every host belong to that number"),
        (("group", "add", "nlp", "--ends", "2028-09-30"), "Only a project ends"),
        (("group", "modify", "retina", "--set", "members={}"), "add-member"),
        (("group", "add-member", "vision", "bchen", "nobody-here"), "no person 'nobody-here'"),
    ],
)
def test_refusals_are_one_message_and_change_nothing(registry: Registry, words: tuple[str, ...], message: str) -> None:
    status, output, errors = registry.type(*words)
    assert (status, output) == (1, "")
    assert message in errors
    assert errors.startswith("lyceum: ")
    assert registry.file.read_text() == PEOPLE


def test_suspend_resume_remove_resume(registry: Registry) -> None:
    assert registry.type("person", "suspend", "bchen", "--reason", "on leave")[0] == 0
    assert "has no key" in registry.type("person", "resume", "bchen")[1]
    assert registry.type("person", "modify", "bchen", "--ends", "2020-01-01")[0] == 0
    assert registry.type("person", "remove", "bchen")[0] == 0
    assert registry.entry("people", "bchen")["state"] == "absent"
    assert registry.entry("projects", "retina")["members"] == {}
    assert "suspended all the same: ended on 2020-01-01" in registry.type("person", "resume", "bchen")[1]
    assert registry.entry("people", "bchen")["uid"] == 2002


def test_keys_by_fingerprint(registry: Registry) -> None:
    assert registry.type("person", "list-keys", "bchen")[1] == "bchen has no keys\n"
    assert registry.type("person", "add-key", "bchen", public_key(1))[0] == 0
    _, listed, _ = registry.type("person", "list-keys", "bchen")
    fingerprint = listed.split()[0]
    assert listed.split()[1:] == ["ssh-ed25519", "256", "test"]
    assert "already" in registry.type("person", "add-key", "bchen", public_key(1))[2]
    assert "belongs to bchen" in registry.type("person", "add-key", "amartin", public_key(1))[2]
    assert registry.type("person", "remove-key", "bchen", fingerprint)[0] == 0
    assert registry.entry("people", "bchen")["ssh_keys"] == []


def test_groups_and_projects(registry: Registry) -> None:
    assert "nlp has gid 10002." in registry.type("group", "add", "nlp", "--description", "Language")[1]
    assert "speech has gid 11002." in registry.type("group", "add", "speech", "--owner", "bchen")[1]
    assert registry.type("group", "add-member", "nlp", "amartin", "bchen")[0] == 0
    assert registry.type("group", "add-member", "speech", "amartin", "--role", "read")[0] == 0
    assert registry.type("group", "remove-member", "nlp", "amartin")[0] == 0
    assert registry.type("group", "modify", "speech", "--owner", "amartin", "--set", "limits.storage_gib=50")[0] == 0
    assert registry.entry("projects", "speech") == {
        "name": "speech", "gid": 11002, "owner": "amartin", "members": {}, "limits": {"storage_gib": 50},
    }  # fmt: skip
    assert registry.type("group", "remove", "vision")[0] == 0
    assert registry.type("group", "list")[1].splitlines() == [
        "NAME    GID    KIND     STATE    MEMBERS",
        "vision  10001  group    absent",
        "nlp     10002  group    present  bchen",
        "retina  11001  project  present  amartin (owner), bchen (write)",
        "speech  11002  project  present  amartin (owner)",
    ]
