# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole validator: every problem at once, one clear line each, and never a traceback."""

from __future__ import annotations

import random
from collections.abc import Iterator
from copy import deepcopy
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.lyceum.registry import limits, projection, validate
from ansible.module_utils.lyceum.registry.model import Registry

from . import samples
from .samples import TODAY, registry, write

PROJECT = Path(__file__).parents[4]

PEOPLE = f"""\
---
lyceum_people:
  - name: amartin
    uid: 2001
    affiliation: researcher
    groups: [vision]
    ssh_keys:
      - {samples.ED25519_1}
  - name: bchen
    uid: 2002
    affiliation: student
    starts: 2026-09-01
    ends: 2027-08-31
  - name: fmoreau
    uid: 2003
    state: absent
"""
GROUPS = "lyceum_groups:\n  - {name: vision, gid: 10001}\n"


def say(raw: dict[str, Any], today: date = TODAY) -> list[str]:
    return [str(problem) for problem in validate.problems(raw, today=today)]


def with_person(**keys: Any) -> dict[str, Any]:
    raw = registry()
    raw["people"][1].update(keys)
    return raw


def test_valid_registry() -> None:
    assert say(registry()) == []


# The ten bad inputs every newcomer will produce: (what, old text, new text, the exact line).
BAD_INPUTS = [
    (
        "duplicate uid",
        "uid: 2002",
        "uid: 2001",
        (
            "people.yml:10: lyceum_people[bchen].uid = 2001: is also the uid of amartin (people.yml:3). "
            "The next free uid is 2004."
        ),
    ),
    (
        "unknown group",
        "[vision]",
        "[vison]",
        (
            "people.yml:6: lyceum_people[amartin].groups[0] = vison: is not in lyceum_groups. Did you mean 'vision'? "
            "Correct the name, or add the group to groups.yml."
        ),
    ),
    (
        "uid outside range",
        "uid: 2002",
        "uid: 12002",
        (
            "people.yml:10: lyceum_people[bchen].uid = 12002: is outside the range of people, 2001-9999. "
            "The next free uid is 2004. Or widen lyceum_id_ranges.people."
        ),
    ),
    (
        "reused tombstone uid",
        "uid: 2002",
        "uid: 2003",
        (
            "people.yml:10: lyceum_people[bchen].uid = 2003: belongs to fmoreau (people.yml:14), who was removed; "
            "a uid is never given again. The next free uid is 2004."
        ),
    ),
    (
        "malformed key",
        samples.ED25519_1,
        samples.ED25519_1[:60],
        (
            f"people.yml:8: lyceum_people[amartin].ssh_keys[0] = {samples.ED25519_1[:60]}: "
            "the key data is damaged or incomplete. Copy the whole line of the .pub file again."
        ),
    ),
    (
        "YAML syntax error",
        "    groups: [vision]",
        "    groups: [vision",
        (
            "people.yml:7: is not valid YAML: did not find expected ',' or ']' (in what begins in line 6). "
            "Compare the indentation, colons, quotes and brackets of this line with those above it."
        ),
    ),
    (
        "empty registry",
        PEOPLE,
        "---\nlyceum_people:\n",
        (
            "people.yml:2: lyceum_people: names nobody, so a run could take everybody's access away. "
            "Add people, or set `lyceum_allow_empty: true` next to it if an empty registry is meant."
        ),
    ),
    (
        "name root",
        "name: bchen",
        "name: root",
        (
            "people.yml:9: lyceum_people[root].name = root: is a name of the operating system. "
            "Choose another name; this one has powers or a service of its own."
        ),
    ),
    (
        "name with shell characters",
        "name: bchen",
        'name: "x;$(id)"',
        (
            "people.yml:9: lyceum_people[1].name = x;$(id): contains characters no login name may have ($ ( ) ;). "
            "Use 1 to 32 of a-z, 0-9, _ and -, beginning with a letter."
        ),
    ),
    (
        "ends before starts",
        "ends: 2027-08-31",
        "ends: 2026-08-31",
        (
            "people.yml:13: lyceum_people[bchen].ends = 2026-08-31: lies before `starts` (2026-09-01). "
            "Correct one of the two dates."
        ),
    ),
]


@pytest.mark.parametrize(
    ("old", "new", "line"), [case[1:] for case in BAD_INPUTS], ids=[case[0] for case in BAD_INPUTS]
)
def test_bad_input_gives_one_clear_line(tmp_path: Path, old: str, new: str, line: str) -> None:
    assert PEOPLE.count(old) == 1
    write(tmp_path, {"people.yml": PEOPLE, "groups.yml": GROUPS})
    assert validate.inventory(tmp_path, today=TODAY)[1] == []
    write(tmp_path, {"people.yml": PEOPLE.replace(old, new)})
    assert [str(problem) for problem in validate.inventory(tmp_path, today=TODAY)[1]] == [line]


@pytest.mark.parametrize("name", ["lab", "team", "institution", "cluster"])
def test_example_registries_are_valid(name: str) -> None:
    loaded, found = validate.inventory(PROJECT / "inventories" / name, today=TODAY)
    assert found == []
    assert len(loaded.raw["people"]) >= 6


def test_all_problems_at_once_in_the_order_of_the_registry() -> None:
    raw = with_person(uid=2001, groups=["visio"], affiliation="studnt", ends="2025-01-01", state="gone", ssh_keys=["x"])
    raw["groups"][1]["gid"] = 10001
    raw["limits"]["defaults"]["cpu_cors"] = 1
    paths = [problem.path for problem in validate.problems(raw, today=TODAY)]
    assert sorted(paths[:6]) == [
        "lyceum_people[bchen].affiliation",
        "lyceum_people[bchen].ends",
        "lyceum_people[bchen].groups[0]",
        "lyceum_people[bchen].ssh_keys[0]",
        "lyceum_people[bchen].state",
        "lyceum_people[bchen].uid",
    ]
    assert paths[6:] == ["lyceum_groups[nlp].gid", "lyceum_limits.defaults.cpu_cors"]


@pytest.mark.parametrize("people", [[], None, ...])
def test_an_empty_registry_must_be_meant(people: Any) -> None:
    raw = registry(projects=None, limits=None)
    raw.pop("people")
    if people is not ...:
        raw["people"] = people
    assert len(say(raw)) == 1
    assert say({**raw, "allow_empty": True}) == []
    assert len(say({**raw, "allow_empty": False})) == 1


MESSAGES = yaml.safe_load((Path(__file__).parents[2] / "data" / "validate" / "messages.yml").read_text())


@pytest.mark.parametrize("case", MESSAGES, ids=lambda case: " ".join(case["lines"])[:60] or "nothing wrong")
def test_meaning(case: dict[str, Any]) -> None:
    raw = registry()
    for path, value in case["change"].items():
        *parents, last = [int(step) if step.isdigit() else step for step in path.split(".")]
        node: Any = raw
        for step in parents:
            node = node[step]
        if isinstance(node, list) and last == len(node):
            node.append(value)
        else:
            node[last] = value
    assert say(raw) == case["lines"]


def test_a_file_that_cannot_be_read_is_the_only_thing_reported(tmp_path: Path) -> None:
    write(tmp_path, {"people.yml": PEOPLE, "groups.yml": "lyceum_groups: ["})
    assert [problem.file for problem in validate.inventory(tmp_path, today=TODAY)[1]] == ["groups.yml:2"]


def test_warnings_of_capacity_come_only_with_a_valid_registry() -> None:
    assert len(say(registry(hardware={"cpu_cores": 1}))) == 1
    assert all("can never bind" not in line for line in say(with_person(uid=1) | {"hardware": {"cpu_cores": 1}}))


# ---- fuzz: whatever is done to a registry, it yields problems or is valid; never a traceback -------------------------

JUNK: list[Any] = [
    *(None, True, False, 0, -1, 2001, 10001, 65534, 2**31, 2**64, 1.5, float("nan"), float("inf"), date(2026, 1, 1)),
    *("", " ", "x", "root", "amartin", "2026-02-30", "0000-00-00", "9999-12-31", "\n", "a:b", "x;$(id)", "../..", "["),
    *("{{ x }}", "\u202e", "\ud800", "é" * 300, b"bytes", [], [None], [[]], ["x", "x"], {}, {"x": 1}, {1: 2}),
    *({None: None}, {"name": "x"}, [{"name": "x", "uid": 2009}], {"a": {"b": {"c": {}}}}, ("a", "b"), {"a", "b"}),
]
PIECES = ["", " ", "\t", "\n", ":", "-", "[", "{", '"', "'", "&a ", "*a", "!!int ", "%", "\x00", "\x85", "é", "0"]


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of everything inside."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield node, key
        yield from places(value)


def mutate(raw: dict[str, Any], rng: random.Random) -> None:
    container, key = rng.choice(list(places(raw)))
    other, other_key = rng.choice(list(places(raw)))
    how = rng.randrange(6)
    if how == 0:
        del container[key]
    elif how == 1:
        container[key] = deepcopy(rng.choice(JUNK))
    elif how == 2:
        container[key] = deepcopy(other[other_key])
    elif how == 3 and isinstance(container, dict):
        container[rng.choice(["x", "nam", "uid", 5, None, "limits", "state"])] = container.pop(key)
    elif how == 4 and isinstance(container, list):
        container.append(deepcopy(container[key]))
    else:
        container[key] = [deepcopy(container[key])]


def check_soundness(raw: dict[str, Any], found: list[validate.Problem]) -> bool:
    """Every problem is one printable line; without errors everything built on the registry works. True: no errors."""
    for problem in found:
        assert str(problem).isprintable()
        assert problem.message
        assert problem.path or problem.file
    if validate.errors(found):
        return False
    reg = Registry.from_raw(raw, today=TODAY)
    for role in projection.ROLES:
        projection.registry_for(raw, role, today=TODAY)
    for person in reg.people:
        limits.effective(reg, person.name)
    for project in reg.projects:
        limits.effective_project(reg, project.name)
    return True


@pytest.mark.parametrize("block", range(10))
def test_fuzz_of_the_structure(block: int) -> None:
    rng = random.Random(block)
    valid = 0
    for _ in range(60):
        raw = registry(hardware={"cpu_cores": 8, "storage_gib": 100})
        for _ in range(rng.randint(1, 4)):
            mutate(raw, rng)
        valid += check_soundness(raw, validate.problems(raw, today=TODAY))
    assert valid < 30


@pytest.mark.parametrize("block", range(10))
def test_fuzz_of_the_text(tmp_path: Path, block: int) -> None:
    rng = random.Random(block)
    files = samples.as_files(registry())
    broken = 0
    for _ in range(30):
        name = rng.choice(sorted(files))
        text = list(files[name])
        for _ in range(rng.randint(1, 6)):
            position = rng.randrange(len(text))
            text[position : position + rng.randint(0, 3)] = rng.choice(PIECES)
        write(tmp_path, {**files, name: "".join(text)})
        loaded, found = validate.inventory(tmp_path, today=TODAY)
        broken += loaded.broken
        if not loaded.broken:
            check_soundness(loaded.raw, found)
        assert found or not loaded.broken
    assert 0 < broken < 30


@pytest.mark.parametrize("seed", range(5))
def test_fuzz_of_the_bytes(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    target = write(tmp_path, samples.as_files(registry())) / "group_vars" / "all" / "people.yml"
    content = target.read_bytes()
    for _ in range(20):
        start = rng.randrange(len(content))
        target.write_bytes(content[:start] + rng.randbytes(rng.randint(1, 8)) + content[start + rng.randint(0, 50) :])
        loaded, found = validate.inventory(tmp_path, today=TODAY)
        if not loaded.broken:
            check_soundness(loaded.raw, found)
