# SPDX-License-Identifier: GPL-3.0-or-later
"""Which directories a host should have, from what the registry says about people, projects and trees. Pure.

Everything that people share is entered through a directory that belongs to root: whoever owns a directory may change
its permissions, and nobody but the registry decides who gets in. Below it the default ACL decides, whatever the umask.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Entry = dict[str, Any]

# Nobody lists the names of what is not theirs; whoever knows a name may go on to it.
PASSABLE = "0711"
GIDS = ".gid"
WRITE, READ = "rwx", "r-x"


def layout(registry: Mapping[str, Any], places: Mapping[str, Any], *, complete: bool) -> dict[str, Any]:
    """{entries, folders: parameters of acl_tree; shared: directories whose contents have to stay shared}.

    registry: as `registry_for('groups_and_acls')` gives it. places: {passable, projects, collaborative, readonly,
    scratch: paths, empty for none; everybody: the group of all people}. complete: whether the registry is the whole
    one, so that what it does not name is unmanaged.
    """
    made = _Layout(registry)
    for path in places["passable"]:
        made.add(path, mode=PASSABLE)
    if places["projects"]:
        made.projects(places["projects"])
    if places["collaborative"]:
        made.shared(places["collaborative"], "2770", group=places["everybody"])
    if places["readonly"]:
        admins = [f"user:{made.user(name)}:{WRITE}" for name in registry["admins"]]
        made.shared(places["readonly"], "2750", group=places["everybody"], acl=admins)
    if places["scratch"]:
        made.add(places["scratch"], mode=PASSABLE)
        made.folders.append({"path": places["scratch"]})
        for person in registry["people"]:
            made.own(f"{places['scratch']}/{person['name']}", person, person["limits"].get("scratch_gib") != 0)
    for tree in registry["trees"]:
        made.tree(tree)
    return {"entries": made.entries, "folders": made.folders if complete else [], "shared": made.contents}


class _Layout:
    def __init__(self, registry: Mapping[str, Any]) -> None:
        self.registry = registry
        self.entries: list[Entry] = []
        self.folders: list[Entry] = []
        self.contents: list[str] = []
        self._uids = {name: str(uid) for name, uid in registry["uids"].items()}
        self._gids = {item["name"]: str(item["gid"]) for item in (*registry["groups"], *registry["projects"])}

    def user(self, name: str) -> str:
        """The uid: whoever may read or write may have no account on the host yet."""
        return self._uids[name]

    def group(self, name: str) -> str:
        return self._gids.get(name, name)

    def add(self, path: str, **properties: Any) -> None:
        self.entries.append({"path": path, **properties})

    def shared(self, path: str, mode: str, *, owner: str = "root", group: str, acl: Iterable[str] = ()) -> None:
        """A directory whose permissions everything in it inherits."""
        named = list(acl)
        self.add(path, mode=mode, owner=owner, group=group, acl=named, default_acl=named)
        self.contents.append(path)

    def own(self, path: str, person: Mapping[str, Any], entitled: bool) -> None:
        """A directory of one person. Who leaves or may not have one any more finds it closed, with everything in it."""
        if not entitled or person["state"] == "absent":
            self.add(path, state="sealed", create=False, person=person["name"])
            return
        uid, gid = str(person["uid"]), str(person["gid"])
        # Whoever is suspended keeps what there is and gets nothing new.
        create = person["state"] == "present"
        self.add(path, mode="0700", owner=uid, group=gid, person=person["name"], create=create)

    def projects(self, top: str) -> None:
        self.add(top, mode=PASSABLE)
        self.add(f"{top}/{GIDS}", mode=PASSABLE)
        self.folders += [{"path": top, "links": GIDS}, {"path": f"{top}/{GIDS}"}]
        for project in self.registry["projects"]:
            path, gid, create = f"{top}/{GIDS}/{project['gid']}", str(project["gid"]), project["create"]
            self.add(f"{top}/{project['name']}", target=f"{GIDS}/{gid}", create=create)
            if project["state"] == "sealed":
                self.add(path, state="sealed", create=create)
                continue
            # Owner and write members are the group; members who only read are named.
            self.shared(path, "2770", group=gid, acl=[f"user:{self.user(name)}:{READ}" for name in project["read"]])

    def tree(self, tree: Mapping[str, Any]) -> None:
        strategy, path = tree["strategy"], tree["path"]
        if tree["state"] == "absent":
            self.add(path, state="sealed", create=False)
        elif strategy == "user_subdirs":
            self._user_subdirs(tree)
        elif strategy == "group_shared":
            owner = self.user(tree["owner"]) if tree["owner"] else "root"
            self.add(path, mode="2770", owner=owner, group=self.group(tree["group"]))
            self.contents.append(path)
        else:
            self._posix_acl(tree)

    def _user_subdirs(self, tree: Mapping[str, Any]) -> None:
        entitled = set(tree["write"])
        self.add(tree["path"], mode=PASSABLE)
        self.folders.append({"path": tree["path"]})
        for person in self.registry["people"]:
            # Who is suspended is not among the entitled, and keeps what there is.
            may = person["state"] == "suspended" or f"person:{person['name']}" in entitled
            self.own(f"{tree['path']}/{person['name']}", person, may)

    def _posix_acl(self, tree: Mapping[str, Any]) -> None:
        granted = {**dict.fromkeys(tree["read"], READ), **dict.fromkeys(tree["write"], WRITE)}
        if tree["owner"]:
            # Not only of the directory: also of what others make in it.
            granted[f"person:{tree['owner']}"] = WRITE
        self.shared(
            tree["path"],
            "2770" if tree["group"] else "0700",
            owner=self.user(tree["owner"]) if tree["owner"] else "root",
            group=self.group(tree["group"]) if tree["group"] else "root",
            acl=[f"{self._who(who)}:{permissions}" for who, permissions in granted.items()],
        )

    def _who(self, who: str) -> str:
        """`person:amartin` or `group:vision` as the beginning of an ACL entry."""
        kind, _, name = who.partition(":")
        return f"user:{self.user(name)}" if kind == "person" else f"group:{self.group(name)}"
