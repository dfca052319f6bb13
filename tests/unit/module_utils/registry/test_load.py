# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading an inventory: the files Ansible reads, in one pass, with every problem in its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.module_utils.lyceum.registry import load

from .samples import write

PEOPLE = "---\n# people\nlyceum_people:\n  - name: amartin\n    uid: 2001\n  - name: bchen\n    uid: 2002\n"
MEANT_GROUPS = "is not a variable Lyceum knows. Did you mean 'lyceum_groups'? Correct the name."
SHARED = "lyceum_registry: {}\nlyceum_today: x\n"


def lines(loaded: load.Loaded) -> list[str]:
    return [str(problem) for problem in loaded.problems]


def test_sections_come_from_whatever_file_defines_them(tmp_path: Path) -> None:
    write(
        tmp_path, {"people.yml": PEOPLE, "rest.yaml": "lyceum_groups: [{name: g, gid: 1}]\nother: 1\n", "x.txt": "a: ["}
    )
    loaded = load.read(tmp_path)
    assert lines(loaded) == []
    assert loaded.raw == {
        "people": [{"name": "amartin", "uid": 2001}, {"name": "bchen", "uid": 2002}],
        "groups": [{"name": "g", "gid": 1}],
    }
    assert [file.name for file in loaded.files] == ["people.yml", "rest.yaml"]
    assert {section: file.name for section, file in loaded.defined_in.items()} == {
        "people": "people.yml",
        "groups": "rest.yaml",
    }


def test_locate(tmp_path: Path) -> None:
    loaded = load.read(write(tmp_path, {"people.yml": PEOPLE}))
    assert loaded.locate("lyceum_people[bchen].uid") == "people.yml:7"
    assert loaded.locate(("people", 1, "uid")) == "people.yml:7"
    assert loaded.locate("lyceum_people") == "people.yml:3"
    assert loaded.locate("lyceum_groups[x]") == ""
    assert loaded.locate("") == ""


def test_inventory_given_by_its_hosts_file(tmp_path: Path) -> None:
    write(tmp_path, {"people.yml": PEOPLE})
    (tmp_path / "hosts.yml").write_text("all: {}\n")
    assert load.read(tmp_path / "hosts.yml").raw["people"]


def test_single_file_for_all(tmp_path: Path) -> None:
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "all.yml").write_text(PEOPLE)
    loaded = load.read(tmp_path)
    assert loaded.locate("lyceum_people[bchen]") == "group_vars/all.yml:6"


def test_hidden_backup_and_encrypted_files_are_left_alone(tmp_path: Path) -> None:
    files = {
        "people.yml": PEOPLE,
        ".people.yml": "a: [",
        "people.yml~": "a: [",
        "vault.yml": "$ANSIBLE_VAULT;1.1;AES256\n",
    }
    loaded = load.read(write(tmp_path, files))
    assert lines(loaded) == []
    assert [file.name for file in loaded.files] == ["people.yml"]


def test_shared_defaults_teach_their_variables(tmp_path: Path) -> None:
    write(tmp_path, {"people.yml": PEOPLE, "site.yml": "lyceum_today: 2027-01-01\nlyceum_tody: 2027-01-01\n"})
    shared = tmp_path / "group_vars" / "all" / load.COMMON
    shared.mkdir()
    (shared / "registry.yml").write_text(SHARED + "lyceum_groups: []\n")
    assert lines(load.read(tmp_path)) == [
        (
            "00_common/registry.yml:3: lyceum_groups: is set in the defaults shared by all inventories. "
            "Move it to group_vars/all of the inventory whose people it describes."
        ),
        "site.yml:2: lyceum_tody: is not a variable Lyceum knows. Did you mean 'lyceum_today'? Correct the name.",
    ]


def test_registry_for_some_hosts_only(tmp_path: Path) -> None:
    write(tmp_path, {"people.yml": PEOPLE})
    (tmp_path / "group_vars" / "compute.yml").write_text("x: 1\nlyceum_people: []\n")
    (tmp_path / "host_vars").mkdir()
    (tmp_path / "host_vars" / "node1.yml").write_text("lyceum_today: 2027-01-01\n")
    assert lines(load.read(tmp_path)) == [
        (
            "group_vars/compute.yml:2: lyceum_people: is set for some hosts only. "
            "Move it to group_vars/all of the inventory whose people it describes."
        )
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "groups.yml",
            "lyceum_people: []\n",
            (
                "people.yml:3: lyceum_people: is also set in groups.yml:1; one of the two would be lost. "
                "Merge them into one file."
            ),
        ),
        (
            "groups.yml",
            "lyceum_grups: []\n",
            f"groups.yml:1: lyceum_grups: {MEANT_GROUPS}",
        ),
        (
            "groups.yml",
            "groups: []\n",
            f"groups.yml:1: groups: {MEANT_GROUPS}",
        ),
        (
            "groups.yml",
            "lycuem_groups: []\n",
            f"groups.yml:1: lycuem_groups: {MEANT_GROUPS}",
        ),
        ("groups.yml", "1: x\n", "groups.yml:1: 1: is not the name of a variable. Remove it or quote it."),
        (
            "groups.yml",
            "lyceum_groups:\n  - name: '{{ x }}'\n",
            (
                "groups.yml:2: lyceum_groups[0].name = {{ x }}: is a Jinja expression. "
                "The registry is plain data that any program can read: write the value itself."
            ),
        ),
        (
            "groups.yml",
            "lyceum_groups:\n  - name: g\n    description: !vault s3cret\n",
            (
                "groups.yml:3: lyceum_groups[g].description: is not data but something tagged !vault. "
                "The registry is plain data that any program can read: write the value itself."
            ),
        ),
        (
            "groups.yml",
            "lyceum_groups:\n  - name: g\n    gid: 1\n    gid: 2\n",
            (
                "groups.yml:4: lyceum_groups[g].gid: is set twice in one place (first in line 3); "
                "the second would silently win. Keep one of the two."
            ),
        ),
    ],
)
def test_problems_that_leave_the_rest_readable(tmp_path: Path, name: str, text: str, message: str) -> None:
    loaded = load.read(write(tmp_path, {"people.yml": PEOPLE, name: text}))
    assert lines(loaded) == [message]
    assert not loaded.broken


def test_templates_outside_of_the_registry_are_nobodys_business(tmp_path: Path) -> None:
    loaded = load.read(write(tmp_path, {"people.yml": PEOPLE, "site.yml": "x: '{{ y }}'\nz: !vault s\n"}))
    assert lines(loaded) == []


def test_syntax_error(tmp_path: Path) -> None:
    loaded = load.read(write(tmp_path, {"people.yml": PEOPLE, "groups.yml": "lyceum_groups:\n\t- x\n"}))
    assert lines(loaded) == ["groups.yml:2: is not valid YAML: the line is indented with a tab. Indent with spaces."]
    assert loaded.broken


def test_not_utf8(tmp_path: Path) -> None:
    write(tmp_path, {})
    (tmp_path / "group_vars" / "all" / "people.yml").write_bytes(b"# a\nx: L\xf3pez\n")
    loaded = load.read(tmp_path)
    assert lines(loaded) == ["people.yml:2: is not UTF-8 text (byte 0xf3). Save the file as UTF-8."]
    assert loaded.broken


def test_dangling_link(tmp_path: Path) -> None:
    write(tmp_path, {"people.yml": PEOPLE})
    (tmp_path / "group_vars" / "all" / "groups.yml").symlink_to("nowhere")
    loaded = load.read(tmp_path)
    assert lines(loaded) == ["groups.yml: cannot be read: No such file or directory. Make it a file that you may read."]
    assert loaded.broken


def test_no_registry_at_all(tmp_path: Path) -> None:
    loaded = load.read(tmp_path)
    assert lines(loaded) == [
        (
            f"{tmp_path}/group_vars/all: there are no registry files here. "
            "Give the inventory folder that holds group_vars/all/people.yml, for example inventories/lab."
        )
    ]
    assert loaded.broken


def test_byte_order_mark_is_harmless(tmp_path: Path) -> None:
    assert lines(load.read(write(tmp_path, {"people.yml": "\ufeff" + PEOPLE}))) == []
