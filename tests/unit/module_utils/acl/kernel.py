# SPDX-License-Identifier: GPL-3.0-or-later
"""POSIX 1003.1e as the kernel does it, written from its description: who may do what, and what a new file gets."""

from __future__ import annotations

from dataclasses import dataclass

from ansible.module_utils.lyceum.acl.posix import GROUP, GROUP_OBJ, MASK, OTHER, USER, USER_OBJ, Acl, Entry


@dataclass(frozen=True)
class Node:
    """A file or directory. default: the default ACL of a directory, empty for none."""

    owner: int
    group: int
    access: Acl
    default: Acl = ()
    setgid: bool = False


def granted(node: Node, uid: int, gids: frozenset[int]) -> int:
    """The permissions (of rwx) that a process of this user and these groups has on it."""
    acl = node.access
    mask = next((entry.permissions for entry in acl if entry.tag == MASK), 7)
    if uid == node.owner:
        return next(entry.permissions for entry in acl if entry.tag == USER_OBJ)
    for entry in acl:
        if entry.tag == USER and entry.number == uid:
            return entry.permissions & mask
    matching = [
        entry.permissions & mask
        for entry in acl
        if (entry.tag == GROUP_OBJ and node.group in gids) or (entry.tag == GROUP and entry.number in gids)
    ]
    if matching:
        # One entry has to grant everything that is asked for; what is asked for here is one permission at a time.
        found = 0
        for permissions in matching:
            found |= permissions
        return found
    return next(entry.permissions for entry in acl if entry.tag == OTHER)


def create(directory: Node, uid: int, gid: int, mode: int, umask: int, *, folder: bool = False) -> Node:
    """What open(O_CREAT) or mkdir makes in a directory."""
    group = directory.group if directory.setgid else gid
    if not directory.default:
        mode &= ~umask
        access = (Entry(USER_OBJ, mode >> 6 & 7), Entry(GROUP_OBJ, mode >> 3 & 7), Entry(OTHER, mode & 7))
        return Node(uid, group, access, (), folder and directory.setgid)
    # With a default ACL the umask is not asked.
    has_mask = any(entry.tag == MASK for entry in directory.default)
    limits = {USER_OBJ: mode >> 6 & 7, OTHER: mode & 7, (MASK if has_mask else GROUP_OBJ): mode >> 3 & 7}
    access = tuple(
        entry._replace(permissions=entry.permissions & limits.get(entry.tag, 7)) for entry in directory.default
    )
    return Node(uid, group, access, directory.default if folder else (), folder and directory.setgid)
