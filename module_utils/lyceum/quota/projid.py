# SPDX-License-Identifier: GPL-3.0-or-later
"""/etc/projid, which gives project ids their names in repquota and lsattr: lines `name:id`, those of others kept."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from .kernel import Tag


def rewrite(text: str, wanted: Mapping[int, str], dropped: Collection[int]) -> str:
    """The content with exactly these names for these ids, in their old place or at the end, and none for `dropped`."""
    names = set(wanted.values())
    lines = []
    placed = set()
    for line in text.splitlines():
        name, _, number = line.strip().partition(":")
        project = int(number) if number.isdigit() and not name.startswith("#") else None
        if project is None:
            lines.append(line)
        elif project in wanted and project not in placed:
            lines.append(f"{wanted[project]}:{project}")
            placed.add(project)
        elif project not in wanted and project not in dropped and name not in names:
            lines.append(line)
    lines += [f"{wanted[project]}:{project}" for project in sorted(wanted.keys() - placed)]
    return "".join(f"{line}\n" for line in lines)


def tag_sentence(before: Tag, project: int, name: str) -> str:
    """What changes about a directory's project."""
    if before.project == project:
        return f"pass project {name} ({project}) on to what is made in it"
    was = f"project {before.project}" if before.project else "no project"
    return f"{was} -> project {name} ({project})"
