# SPDX-License-Identifier: GPL-3.0-or-later
"""Registry edits: whole registry checked first, nothing half written, nothing of somebody else's overwritten."""

from __future__ import annotations

import base64
import os
import signal
import stat
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.lyceum.errors import ConflictError, LyceumError, RefusedError
from ansible.module_utils.lyceum.registry import edit, validate
from ansible.module_utils.lyceum.registry.edit import Editor
from ansible.module_utils.lyceum.registry.sshkeys import SshKeyError, parse

ROOT = Path(__file__).resolve().parents[4]
TODAY = date(2026, 11, 21)


def public_key(number: int, comment: str = "test") -> str:
    name = b"ssh-ed25519"
    blob = len(name).to_bytes(4, "big") + name + (32).to_bytes(4, "big") + bytes([number] * 32)
    return f"ssh-ed25519 {base64.b64encode(blob).decode()} {comment}"


PEOPLE = f"""\
---
# Who may use the machines. Ask amartin first.
lyceum_people:
  - name: amartin        # head of the group
    uid: 2001
    full_name: A. Martin
    email: amartin@example.org
    affiliation: faculty
    groups: [vision]     # and nothing else
    ssh_keys:
      - {public_key(1, "laptop")}   # bought 2024
      - {public_key(2, "desktop")}

  - name: bchen
    uid: 2002
    full_name: B. Chen
    affiliation: student
    groups: [vision, nlp]

  - name: fmoreau          # left in 2025
    uid: 2006
    state: absent
"""
GROUPS = """\
lyceum_groups:
  - {name: vision, gid: 10001, description: Computer vision}
  - {name: nlp, gid: 10002}   # since 2025
"""
PROJECTS = """\
lyceum_projects:
  - name: retina
    gid: 11001
    owner: amartin
    members: {bchen: write}
"""


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    folder = tmp_path / "group_vars" / "all"
    folder.mkdir(parents=True)
    for name, text in {"people": PEOPLE, "groups": GROUPS, "projects": PROJECTS}.items():
        (folder / f"{name}.yml").write_text(text)
    assert validate.inventory(tmp_path, today=TODAY)[1] == []
    return tmp_path


def file_of(inventory: Path, section: str) -> Path:
    return inventory / "group_vars" / "all" / f"{section}.yml"


def entry(inventory: Path, section: str, name: str) -> dict[str, Any]:
    entries = yaml.safe_load(file_of(inventory, section).read_text())[f"lyceum_{section}"]
    return next(found for found in entries if found["name"] == name)


def run(inventory: Path, method: str, *arguments: Any, dry_run: bool = False) -> edit.Outcome:
    editor = Editor(inventory, today=TODAY)
    getattr(editor, method)(*arguments)
    return editor.commit(dry_run=dry_run)


def diff_lines(outcome: edit.Outcome) -> list[str]:
    return [line for line in outcome.diff.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]


def test_a_person_gets_the_next_free_uid_and_only_their_lines_are_new(inventory: Path) -> None:
    person = {"name": "dlopez", "full_name": "D. Lopez", "affiliation": "researcher", "groups": ["nlp"],
              "ssh_keys": [public_key(3)], "starts": date(2026, 12, 1), "email": None}  # fmt: skip
    outcome = run(inventory, "add_person", person)
    assert diff_lines(outcome) == [
        "+",
        "+  - name: dlopez",
        "+    uid: 2007",
        "+    full_name: D. Lopez",
        "+    affiliation: researcher",
        "+    groups: [nlp]",
        "+    ssh_keys:",
        f"+      - {public_key(3)}",
        "+    starts: 2026-12-01",
    ]
    assert file_of(inventory, "people").read_text().startswith(PEOPLE)
    assert outcome.written
    assert validate.inventory(inventory, today=TODAY)[1] == []


@pytest.mark.parametrize(
    ("method", "arguments", "changes"),
    [
        ("suspend", ("bchen", "on leave"), ["+    state: suspended", "+    reason: on leave"]),
        ("remove_keys", ("amartin", [parse(public_key(1)).fingerprint]),
         [f"-      - {public_key(1, 'laptop')}   # bought 2024"]),
        ("remove_keys", ("amartin", [parse(public_key(n)).fingerprint[7:] for n in (2, 1)]),
         ["-    ssh_keys:", f"-      - {public_key(1, 'laptop')}   # bought 2024",
          f"-      - {public_key(2, 'desktop')}", "+    ssh_keys: []"]),
        ("add_keys", ("amartin", [public_key(4)]), [f"+      - {public_key(4)}"]),
        ("add_keys", ("bchen", [public_key(4)]), ["+    ssh_keys:", f"+      - {public_key(4)}"]),
        ("add_member", ("nlp", "amartin", None),
         ["-    groups: [vision]     # and nothing else", "+    groups: [vision, nlp]     # and nothing else"]),
        ("add_member", ("vision", "amartin", None), []),
        ("add_member", ("retina", "bchen", "read"), ["-    members: {bchen: write}", "+    members: {bchen: read}"]),
        ("add_member", ("retina", "bchen", None), []),
        ("remove_member", ("vision", "bchen"), ["-    groups: [vision, nlp]", "+    groups: [nlp]"]),
        ("remove_member", ("retina", "bchen"), ["-    members: {bchen: write}", "+    members: {}"]),
        ("add_group", ("groups", {"name": "robots", "description": "Arms"}),
         ["+  - {name: robots, gid: 10003, description: Arms}"]),
        ("add_group", ("projects", {"name": "speech", "owner": "bchen"}),
         ["+  - name: speech", "+    gid: 11002", "+    owner: bchen"]),
        ("remove_group", ("nlp",),
         ["-    groups: [vision, nlp]", "+    groups: [vision]",
          "-  - {name: nlp, gid: 10002}   # since 2025", "+  - {name: nlp, gid: 10002, state: absent}   # since 2025"]),
        ("remove_person", ("bchen",),
         ["-    members: {bchen: write}", "+    members: {}", "-    groups: [vision, nlp]", "+    state: absent"]),
        ("resume", ("fmoreau",), None),
        ("set", ("people", "bchen", ("limits", "home_gib"), 20), ["+    limits: {home_gib: 20}"]),
        ("set", ("people", "bchen", ("ends",), date(2027, 9, 30)), ["+    ends: 2027-09-30"]),
        ("unset", ("people", "amartin", ("email",)), ["-    email: amartin@example.org"]),
        ("unset", ("people", "amartin", ("ends",)), []),
    ],
)  # fmt: skip
def test_each_edit_changes_these_lines_and_no_others(
    inventory: Path, method: str, arguments: tuple[Any, ...], changes: list[str] | None
) -> None:
    before = {file: file.read_bytes() for file in (inventory / "group_vars" / "all").iterdir()}
    if changes is None:  # a tombstone without an affiliation cannot come back as it is
        with pytest.raises(RefusedError, match="affiliation"):
            run(inventory, method, *arguments)
        assert {file: file.read_bytes() for file in before} == before
        return
    dry = run(inventory, method, *arguments, dry_run=True)
    assert {file: file.read_bytes() for file in before} == before
    outcome = run(inventory, method, *arguments)
    assert diff_lines(outcome) == changes
    assert (dry.diff, dry.files, dry.written) == (outcome.diff, outcome.files, False)
    assert validate.inventory(inventory, today=TODAY)[1] == []


def test_suspend_and_resume_keep_everything_else(inventory: Path) -> None:
    run(inventory, "suspend", "bchen", "on leave")
    run(inventory, "resume", "bchen")
    assert diff_of(PEOPLE, file_of(inventory, "people").read_text()) == {"    state: present"}


def test_removing_a_person_takes_their_exceptions_along_and_no_others(inventory: Path) -> None:
    rest = "limits: {tasks: 9}, reason: r, approved_by: amartin, expires: 2027-01-01}"
    lines = [f"    - {{person: {name}, {rest}   # for {name}\n" for name in ("bchen", "amartin", "bchen")]
    file = file_of(inventory, "limits")
    file.write_text("lyceum_limits:\n  exceptions:\n" + "".join(lines))
    outcome = run(inventory, "remove_person", "bchen")
    assert file.read_text() == f"lyceum_limits:\n  exceptions:\n{lines[1]}"
    assert [path.stem for path in outcome.files] == ["projects", "limits", "people"], "valid in between"


def diff_of(before: str, after: str) -> set[str]:
    return set(before.splitlines()) ^ set(after.splitlines())


def test_several_changes_of_one_person_in_one_edit_see_each_other(inventory: Path) -> None:
    editor = Editor(inventory, today=TODAY)
    editor.set("people", "bchen", ("limits", "home_gib"), 20)
    editor.set("people", "bchen", ("limits", "tasks"), None)
    editor.extend("people", "bchen", "aliases", ["b.chen@ad.example.org"])
    editor.extend("people", "bchen", "aliases", ["bc@ad.example.org"])
    editor.commit()
    person = entry(inventory, "people", "bchen")
    assert person["limits"] == {"home_gib": 20, "tasks": None}
    assert person["aliases"] == ["b.chen@ad.example.org", "bc@ad.example.org"]


@pytest.mark.parametrize(
    ("method", "arguments", "error", "message"),
    [
        ("add_person", ({"name": "amartin"},), ConflictError, "in the registry already .uid 2001.*person modify"),
        ("add_person", ({"name": "fmoreau"},), ConflictError, "person resume"),
        ("add_person", ({"name": "x", "affiliation": "student", "uid": 2006},), RefusedError, "2006.*never given"),
        ("add_person", ({"name": "x", "affiliation": "studnet"},), RefusedError, "Did you mean 'student'"),
        ("add_person", ({"name": "x;$(id)", "affiliation": "student"},), RefusedError, "begin"),
        ("add_person", ({"name": "root", "affiliation": "student"},), RefusedError, "operating system"),
        ("add_person", ({"name": "x", "affiliation": "student", "ssh_keys": [public_key(1)]},), ConflictError,
         "belongs to amartin"),
        ("remove_person", ("amartin",), ConflictError, "owns retina.*\n  - ./lyceum group modify retina --owner"),
        ("remove_person", ("amartn",), LyceumError, "Did you mean 'amartin'"),
        ("suspend", ("fmoreau", None), ConflictError, "removed already"),
        ("add_keys", ("bchen", [public_key(1)]), ConflictError, "belongs to amartin"),
        ("add_keys", ("amartin", [public_key(1, "again")]), ConflictError, "has the key SHA256:.* already"),
        ("add_keys", ("bchen", [public_key(5), public_key(5)]), ConflictError, "already"),
        ("add_keys", ("fmoreau", [public_key(5)]), ConflictError, "removed"),
        ("add_keys", ("bchen", ["-----BEGIN OPENSSH PRIVATE KEY-----"]), SshKeyError, "private key"),
        ("add_keys", ("bchen", ["ssh-dss AAAAB3NzaC1kc3M="]), SshKeyError, "DSA"),
        ("remove_keys", ("amartin", ["SHA256:nope"]), LyceumError, "no key SHA256:nope. They have:\n  - SHA256:"),
        ("remove_keys", ("bchen", ["nope"]), LyceumError, "no key at all"),
        ("add_group", ("groups", {"name": "retina"}), ConflictError, "project retina already"),
        ("add_group", ("groups", {"name": "x", "gid": 2001}), RefusedError, "2001"),
        ("add_member", ("visoin", "bchen", None), LyceumError, "Did you mean 'vision'"),
        ("add_member", ("vision", "bchen", "read"), LyceumError, "groups have no roles"),
        ("add_member", ("retina", "amartin", "read"), ConflictError, "owns retina"),
        ("add_member", ("vision", "fmoreau", None), ConflictError, "cannot join"),
        ("remove_member", ("nlp", "amartin"), LyceumError, "not in nlp"),
        ("remove_member", ("retina", "amartin"), ConflictError, "new owner first"),
        ("set", ("people", "bchen", ("ends",), date(2020, 1, 1)), None, ""),
        ("set", ("people", "bchen", ("affiliation", "x"), 1), LyceumError, "affiliation holds a single value"),
        ("set", ("people", "bchen", ("colour",), "red"), RefusedError, "colour"),
    ],
)  # fmt: skip
def test_what_would_be_wrong_is_refused_and_nothing_is_written(
    inventory: Path, method: str, arguments: tuple[Any, ...], error: type[Exception] | None, message: str
) -> None:
    before = {file: file.read_bytes() for file in (inventory / "group_vars" / "all").iterdir()}
    if error is None:
        assert run(inventory, method, *arguments).written
        return
    with pytest.raises(error, match=message):
        run(inventory, method, *arguments)
    assert {file: file.read_bytes() for file in (inventory / "group_vars" / "all").iterdir()} == before


def test_problems_that_were_there_before_do_not_stop_an_edit(inventory: Path) -> None:
    file = file_of(inventory, "people")
    file.write_text(file.read_text().replace("affiliation: student", "affiliation: studnet"))
    assert run(inventory, "suspend", "amartin", None).written
    assert run(inventory, "set", "people", "bchen", ("affiliation",), "student").written
    assert validate.inventory(inventory, today=TODAY)[1] == []
    file.write_text(file.read_text().replace("affiliation: student", "affiliation: studnet"))
    with pytest.raises(RefusedError, match="while the registry has errors"):
        run(inventory, "add_person", {"name": "x", "affiliation": "student"})


def test_a_registry_that_cannot_be_read_is_not_edited(inventory: Path) -> None:
    file_of(inventory, "groups").write_text("lyceum_groups: [\n")
    with pytest.raises(LyceumError, match=r"cannot be read.*\n  - groups.yml"):
        Editor(inventory, today=TODAY)


@pytest.mark.parametrize("section", ["people", "groups"])
def test_a_change_by_somebody_else_meanwhile_is_not_overwritten(inventory: Path, section: str) -> None:
    editor = Editor(inventory, today=TODAY)
    editor.suspend("bchen", None)
    other = file_of(inventory, section)
    other.write_text(other.read_text() + "# a colleague was here\n")
    theirs = {file: file.read_bytes() for file in other.parent.iterdir()}
    with pytest.raises(RefusedError, match="changed by someone else meanwhile; nothing was written"):
        editor.commit()
    assert {file: file.read_bytes() for file in other.parent.iterdir()} == theirs


def test_edits_at_the_same_time_are_all_kept_or_refused(inventory: Path) -> None:
    """Twelve processes add a group each; whoever says it was written finds it in the file."""
    script = (
        "import sys; from datetime import date; from pathlib import Path; from lyceum.registry.edit import Editor\n"
        "e = Editor(Path(sys.argv[1]), today=date(2026, 11, 21)); e.add_group('groups', {'name': sys.argv[2]})\n"
        "e.commit()\n"
    )
    names = [f"team{number}" for number in range(12)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "module_utils")}
    processes = {
        name: subprocess.Popen(
            [sys.executable, "-c", script, str(inventory), name], env=environment, stderr=subprocess.PIPE, text=True
        )
        for name in names
    }
    messages = {name: process.communicate()[1] for name, process in processes.items()}
    written = {name for name, process in processes.items() if process.returncode == 0}
    found = {group["name"] for group in yaml.safe_load(file_of(inventory, "groups").read_text())["lyceum_groups"]}
    assert found == {"vision", "nlp", *written}
    assert written
    assert all("meanwhile" in messages[name] for name in names if name not in written)
    assert validate.inventory(inventory, today=TODAY)[1] == []


def test_mode_line_ends_and_links_stay(inventory: Path) -> None:
    file = file_of(inventory, "groups")
    real = inventory / "real.yml"
    real.write_bytes(GROUPS.rstrip("\n").replace("\n", "\r\n").encode())
    real.chmod(0o640)
    file.unlink()
    file.symlink_to("../../real.yml")
    run(inventory, "add_group", "groups", {"name": "robots"})
    assert file.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    expected = GROUPS + "  - {name: robots, gid: 10003}"
    assert real.read_bytes() == expected.replace("\n", "\r\n").encode()


def test_a_missing_file_is_created(inventory: Path) -> None:
    file_of(inventory, "projects").unlink()
    run(inventory, "add_group", "projects", {"name": "speech", "owner": "bchen"})
    assert file_of(inventory, "projects").read_text() == (
        "---\nlyceum_projects:\n  - {name: speech, gid: 11001, owner: bchen}\n"
    )


def test_a_failed_write_leaves_the_old_file_and_no_litter(inventory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(LyceumError, match=r"cannot be written and is unchanged.*No space left"):
        run(inventory, "suspend", "bchen", None)
    assert file_of(inventory, "people").read_text() == PEOPLE
    assert sorted(path.name for path in file_of(inventory, "people").parent.iterdir()) == [
        "groups.yml", "people.yml", "projects.yml",
    ]  # fmt: skip


def test_kill_9_leaves_the_old_or_the_new_file(inventory: Path) -> None:
    """A process that rewrites the file without pause is killed at 20 moments; the file is whole each time."""
    script = (
        "import sys; from pathlib import Path; from lyceum.registry.edit import replace_file\n"
        "contents = [bytes([48 + n]) * 3_000_000 for n in (0, 1)]\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        "    for content in contents:\n"
        "        replace_file(Path(sys.argv[1]), content)\n"
    )
    file = inventory / "group_vars" / "all" / "people.yml"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "module_utils")}
    whole = {bytes([48 + number]) * 3_000_000 for number in (0, 1)} | {PEOPLE.encode()}
    for moment in range(20):
        with subprocess.Popen(
            [sys.executable, "-c", script, str(file)], env=environment, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(0.0017 * moment)
            process.send_signal(signal.SIGKILL)
        assert file.read_bytes() in whole
    file.write_text(PEOPLE)
    run(inventory, "suspend", "bchen", None)
    assert not list(file.parent.glob(".*")), "the next edit clears away what a killed one left"
