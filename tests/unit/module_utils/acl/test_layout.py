# SPDX-License-Identifier: GPL-3.0-or-later
"""From any registry to who may do what: the rules of the kernel, applied to the directories that come out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

from ansible.module_utils.lyceum.acl import contents, model, posix
from ansible.module_utils.lyceum.acl.layout import layout
from ansible.module_utils.lyceum.acl.model import Directory, Link
from ansible.module_utils.lyceum.registry.projection import registry_for
from hypothesis import given
from hypothesis import strategies as st

from .conftest import FakeNames, spec
from .kernel import Node, create, granted

TODAY = date(2026, 10, 1)
EVERYBODY = 59906
PLACES: dict[str, Any] = {
    "passable": ["/srv"],
    "projects": "/srv/projects",
    "collaborative": "/srv/collaborative",
    "readonly": "/srv/readonly",
    "scratch": "/srv/scratch",
    "everybody": str(EVERYBODY),
}
NAMES = [f"p{number}" for number in range(6)]
STATES = [
    {},
    {"state": "suspended"},
    {"state": "absent"},
    {"starts": "2027-01-01"},
    {"ends": "2026-01-01"},
]


@st.composite
def registries(draw: st.DrawFn) -> dict[str, Any]:
    """A small registry in which everything that a state can be occurs."""
    groups = [{"name": f"g{number}", "gid": 10001 + number} for number in range(2)]
    people = [
        {
            "name": name,
            "uid": 2001 + number,
            "affiliation": draw(st.sampled_from(["student", "admin"])),
            "groups": draw(st.lists(st.sampled_from(["g0", "g1"]), unique=True)),
            **draw(st.sampled_from(STATES)),
        }
        for number, name in enumerate(NAMES)
    ]
    members = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["read", "write"]))
    projects = [
        {
            "name": f"project{number}",
            "gid": 11001 + number,
            "owner": draw(st.sampled_from(NAMES)),
            "members": draw(members),
            **draw(st.sampled_from([{}, {"state": "absent"}, {"ends": "2026-01-01"}])),
        }
        for number in range(draw(st.integers(0, 3)))
    ]
    who = st.lists(st.sampled_from([*NAMES, "g0", "g1"]), unique=True)
    trees = [
        {"path": "/data/acl", "strategy": "posix_acl", "write": draw(who), "read": draw(who)},
        {"path": "/data/group", "strategy": "group_shared", "group": "g0"},
        {"path": "/data/own", "strategy": "user_subdirs", "write": draw(who)},
    ]
    if draw(st.booleans()):
        trees[0]["group"] = "g1"
    if draw(st.booleans()):
        trees[0]["owner"] = draw(st.sampled_from(NAMES))
    return {"people": people, "groups": groups, "projects": projects, "trees": trees}


class Host:
    """The directories of a registry on a host, and the processes of its people."""

    def __init__(self, raw: dict[str, Any], only: str | None = None) -> None:
        self.registry = registry_for(raw, "groups_and_acls", today=TODAY, only=only)
        self.layout = layout(self.registry, PLACES, complete=only is None)
        parents = [{"path": "/data", "mode": "0711"}]
        wanted = spec(*parents, *self.layout["entries"], folders=tuple(self.layout["folders"])).wanted
        self.wanted = {one.path: one for one in wanted}
        accounts = {person["name"]: person for person in registry_for(raw, "accounts", today=TODAY)}
        gids = {group["name"]: group["gid"] for group in registry_for(raw, "accounts_groups", today=TODAY)}
        # Who is locked out has no process; the groups of the others are those that the role accounts gives them.
        self.processes = {
            name: (person["uid"], frozenset([person["gid"], *(gids[group] for group in person["groups"])]))
            for name, person in accounts.items()
            if person["state"] == "present"
        }
        self.processes["daemon"] = (1, frozenset([1]))

    def node(self, path: str) -> Node:
        wanted = self.wanted[path]
        assert isinstance(wanted, Directory)
        return Node(wanted.owner, wanted.group, wanted.access, wanted.default, bool(wanted.special & 0o2000))

    def enters(self, name: str, path: str) -> bool:
        """Whether somebody gets through to what is in a directory."""
        folders = [path[:end] for end in range(1, len(path) + 1) if path[end : end + 1] in ("", "/")]
        return all(granted(self.node(folder), *self.processes[name]) & 1 for folder in folders if folder in self.wanted)

    def may(self, name: str, path: str, node: Node | None = None) -> str:
        """What somebody may do in a directory or with something in it, out of `rw`."""
        if not self.enters(name, path):
            return ""
        permissions = granted(node or self.node(path), *self.processes[name])
        return "".join(letter for letter, bit in (("r", 4), ("w", 2)) if permissions & bit)


def things(host: Host, path: str, name: str) -> Iterator[tuple[str, Node]]:
    """What somebody can make in a directory: by usual programs, in new directories, and brought from elsewhere."""
    uid, _gids = host.processes[name]
    top = host.node(path)
    for umask in (0o077, 0o022):
        folder = create(top, uid, uid, 0o777, umask, folder=True)
        yield f"file, umask {umask:03o}", create(top, uid, uid, 0o666, umask)
        yield f"folder, umask {umask:03o}", folder
        yield f"file in a folder, umask {umask:03o}", create(folder, uid, uid, 0o666, umask)
    wanted = host.wanted[path]
    assert isinstance(wanted, Directory)
    rule = contents.Rule(wanted.group, wanted.special, wanted.access, wanted.default)
    # As mv leaves it, and then as contents.mend does: it keeps the owner, gives the group and what is handed down.
    group = uid if rule.group is None else rule.group
    yield "file moved from a home, mended", Node(uid, group, posix.unpack(rule.access[6]))


@given(registries())
def test_projects_are_open_to_their_members_and_nobody_else(raw: dict[str, Any]) -> None:
    host = Host(raw)
    for project in host.registry["projects"]:
        path = f"/srv/projects/.gid/{project['gid']}"
        write, read = set(project["write"]), set(project["read"])
        if project["state"] == "sealed":
            write = read = set()
        expected = {name: "rw" if name in write else "r" if name in read else "" for name in host.processes}
        assert {name: host.may(name, path) for name in host.processes} == expected
        for author in write:
            for what, node in things(host, path, author):
                assert {name: host.may(name, path, node) for name in host.processes} == expected, what


@given(registries())
def test_collaborative_and_readonly(raw: dict[str, Any]) -> None:
    host = Host(raw)
    people = host.processes.keys() - {"daemon"}
    admins = set(host.registry["admins"])
    cases = {
        "/srv/collaborative": {name: "rw" if name in people else "" for name in host.processes},
        "/srv/readonly": {name: "rw" if name in admins else "r" if name in people else "" for name in host.processes},
    }
    for path, expected in cases.items():
        assert {name: host.may(name, path) for name in host.processes} == expected
        for author in (name for name, allowed in expected.items() if allowed == "rw"):
            for what, node in things(host, path, author):
                assert {name: host.may(name, path, node) for name in host.processes} == expected, what


@given(registries())
def test_trees_of_every_strategy(raw: dict[str, Any]) -> None:
    host = Host(raw)
    people = {person["name"]: person for person in raw["people"]}

    def named(name: str, among: list[str]) -> bool:
        return name in among or not set(people[name]["groups"]).isdisjoint(among)

    tree = raw["trees"][0]
    writing = [*tree["write"], tree.get("group"), tree.get("owner")]
    expected = {
        name: "" if name not in people else "rw" if named(name, writing) else "r" if named(name, tree["read"]) else ""
        for name in host.processes
    }
    assert {name: host.may(name, "/data/acl") for name in host.processes} == expected
    for author in (name for name, allowed in expected.items() if allowed == "rw"):
        for what, node in things(host, "/data/acl", author):
            # The owner of a file may do with it what they like; all others what the tree says.
            assert {name: host.may(name, "/data/acl", node) for name in host.processes} == expected, what

    group = {name: "rw" if name in people and "g0" in people[name]["groups"] else "" for name in host.processes}
    assert {name: host.may(name, "/data/group") for name in host.processes} == group


@given(registries(), st.sampled_from(["/srv/scratch", "/data/own"]))
def test_own_directories_are_open_to_their_owner_alone(raw: dict[str, Any], top: str) -> None:
    host = Host(raw)
    entitled = raw["trees"][2]["write"]
    for person in host.registry["people"]:
        name, path = person["name"], f"{top}/{person['name']}"
        wanted = host.wanted[path]
        assert isinstance(wanted, Directory)
        own = {name, *next(one["groups"] for one in raw["people"] if one["name"] == name)}
        may = top == "/srv/scratch" or not entitled or not own.isdisjoint(entitled)
        opened = [other for other in host.processes if host.may(other, path)]
        assert opened == ([name] if person["state"] == "present" and may else [])
        assert wanted.sealed == (person["state"] == "absent" or (not may and person["state"] == "present"))
        assert wanted.create == (person["state"] == "present" and may)
        assert wanted.person == name
        assert wanted.mode == 0o700


@given(registries())
def test_nobody_lists_the_names_of_what_is_not_theirs(raw: dict[str, Any]) -> None:
    host = Host(raw)
    for path in ("/srv", "/srv/projects", "/srv/projects/.gid", "/srv/scratch", "/data/own"):
        assert {host.may(name, path) for name in host.processes} == {""}
        assert all(host.enters(name, path) for name in host.processes)


@given(registries(), st.sampled_from(NAMES))
def test_the_run_of_one_person_agrees_with_that_of_all(raw: dict[str, Any], name: str) -> None:
    class SameNames(FakeNames):
        def __init__(self) -> None:
            super().__init__()
            self._uids = {one["name"]: one["uid"] for one in raw["people"]}
            self._gids = {one["name"]: one["gid"] for one in (*raw["groups"], *raw["projects"])}

    def wanted(only: str | None) -> dict[str, model.Wanted]:
        registry = registry_for(raw, "groups_and_acls", today=TODAY, only=only)
        made = layout(registry, {**PLACES, "everybody": "g0"}, complete=only is None)
        return {one.path: one for one in spec(*made["entries"], names=SameNames()).wanted}

    everything = wanted(None)
    mine = wanted(name)
    assert mine.items() <= everything.items()
    assert not any(one.person not in ("", name) for one in mine.values())
    assert layout(registry_for(raw, "groups_and_acls", today=TODAY, only=name), PLACES, complete=False)["folders"] == []


@given(registries())
def test_names_lead_to_the_directories_of_their_gid(raw: dict[str, Any]) -> None:
    host = Host(raw)
    for project in host.registry["projects"]:
        link = host.wanted[f"/srv/projects/{project['name']}"]
        assert isinstance(link, Link)
        assert (link.target, link.create) == (f".gid/{project['gid']}", project["create"])
        directory = host.wanted[f"/srv/projects/{link.target}"]
        assert (isinstance(directory, Directory), directory.create) == (True, project["create"])


@given(registries())
def test_only_what_is_shared_is_kept_shared(raw: dict[str, Any]) -> None:
    host = Host(raw)
    assert {"/srv/collaborative", "/srv/readonly", "/data/acl", "/data/group"} <= set(host.layout["shared"])
    for path in host.layout["shared"]:
        wanted = host.wanted[path]
        assert isinstance(wanted, Directory)
        assert not wanted.sealed
        assert not wanted.person


EMPTY: dict[str, Any] = {"people": [], "uids": {}, "projects": [], "groups": [], "trees": [], "admins": []}


def test_places_that_a_host_does_not_have() -> None:
    nothing = {**PLACES, "passable": [], "projects": "", "collaborative": "", "readonly": "", "scratch": ""}
    assert layout(EMPTY, nothing, complete=True) == {"entries": [], "folders": [], "shared": []}


def test_no_scratch_for_who_may_have_none() -> None:
    person = {"name": "x", "uid": 2001, "gid": 2001, "state": "present", "limits": {"scratch_gib": 0}}
    made = layout({**EMPTY, "people": [person]}, PLACES, complete=True)
    assert {"path": "/srv/scratch/x", "state": "sealed", "create": False, "person": "x"} in made["entries"]


def test_a_tree_that_was_removed_is_sealed() -> None:
    tree = {"path": "/d", "strategy": "posix_acl", "owner": "", "group": "", "write": [], "read": [], "state": "absent"}
    made = layout({**EMPTY, "trees": [tree]}, PLACES, complete=True)["entries"][-1]
    assert made == {"path": "/d", "state": "sealed", "create": False}
