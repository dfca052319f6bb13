# SPDX-License-Identifier: GPL-3.0-or-later
"""The tool lyceum-images: the images that all people of this host share, read-only for everybody but root.

Nobody has to download or keep a copy of them, and they count against nobody's quota. People see them through a mount
of their own (see session.py). What nobody has used for long is pruned, if the site asks for it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import CommandError, LyceumError
from ..files import write_atomically
from . import metrics, person, podman
from .settings import SETTINGS, Policy, Settings, load_policies, load_settings

RUNROOT = "/run/lyceum-images"
DAY = 86400
MAKE_SECONDS = 60
# Where a store keeps what it has; the volatile ones are of containers that vanish with a boot.
CONTAINERS = ("overlay-containers/containers.json", "overlay-containers/volatile-containers.json")
LAYERS = ("overlay-layers/layers.json", "overlay-layers/volatile-layers.json")


@dataclass(frozen=True)
class Image:
    """An image of the shared store. layers: all that it consists of. created: when it was built, as it says itself."""

    identity: str
    names: tuple[str, ...]
    layers: frozenset[str]
    created: str


@dataclass
class Use:
    """When an image was first seen here, and when it was last in use, in seconds since 1970."""

    first: float
    used: float


def shared(store: Path) -> list[Image]:
    """The images of the store. Raises LyceumError if it cannot be read."""
    try:
        layers = json.loads(_text(store / LAYERS[0]))
        parents = {entry["id"]: entry.get("parent") for entry in layers}
        return [
            Image(
                entry["id"],
                tuple(entry.get("names") or ()),
                frozenset(_chain(entry.get("layer"), parents)),
                str(entry.get("created", "")),
            )
            for entry in json.loads(_text(store / "overlay-images/images.json"))
        ]
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise LyceumError(f"cannot read the images in {store}: {type(exc).__name__}: {exc}") from exc


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return "[]"


def _chain(layer: str | None, parents: Mapping[str, str | None]) -> Iterable[str]:
    while layer:
        yield layer
        layer = parents.get(layer)


def used_by(settings: Settings, policy: Policy) -> set[str]:
    """Ids of images and layers that a person's storage refers to. Raises LyceumError if that cannot be told."""
    storage = settings.storage_of(policy)
    paths = [storage / name for name in (*CONTAINERS, *LAYERS)]
    # All at once: becoming a person costs more than reading.
    contents = person.call(policy, lambda: b"\0".join(person.read_file(path) for path in paths)).split(b"\0")
    found: set[str] = set()
    try:
        for content in contents:
            for entry in json.loads(content or b"[]"):
                found |= {str(entry[key]) for key in ("image", "layer", "parent") if entry.get(key)}
    except (ValueError, TypeError, AttributeError, RecursionError) as exc:
        raise LyceumError(f"as {policy.name}: what is in {storage} makes no sense: {type(exc).__name__}") from exc
    return found


def load_uses(path: Path) -> dict[str, Use]:
    """What is remembered of images. A file that is lost makes all of them look new, so that none is pruned."""
    try:
        return {
            identity: Use(float(use["first"]), float(use["used"])) for identity, use in json.loads(_text(path)).items()
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def due(
    images: Sequence[Image], in_use: set[str] | None, uses: dict[str, Use], now: float, days: float | None
) -> list[Image]:
    """Note what is in use now and say what has not been for so many days. in_use None: nobody knows, so everything."""
    known = {image.identity for image in images}
    for gone in set(uses) - known:
        del uses[gone]
    found = []
    for image in images:
        use = uses.setdefault(image.identity, Use(now, now))
        if in_use is None or not in_use.isdisjoint({image.identity, *image.layers}):
            use.used = now
        elif days is not None and now - use.used > days * DAY:
            found.append(image)
    return found


def prune(settings: Settings, *, dry_run: bool) -> tuple[list[Image], list[str]]:
    """Remove what nobody has used for long. Returns what was removed and what went wrong. Raises LyceumError."""
    policies, problems = load_policies(settings.policies)
    in_use: set[str] | None = set()
    for policy in policies.values():
        try:
            found = used_by(settings, policy)
            in_use = in_use | found if in_use is not None else None
        except LyceumError as exc:
            problems.append(f"{exc}; so every image counts as used")
            in_use = None
    path, now = settings.state / "images.json", time.time()
    uses = load_uses(path)
    old = due(shared(settings.images), None if problems else in_use, uses, now, settings.images_keep_days)
    if not dry_run:
        removed = []
        for image in old:
            try:
                # By force, because without it podman refuses an image that has several names. Nobody uses it.
                run(settings, "rmi", "--force", image.identity)
            except CommandError as exc:
                problems.append(str(exc))
            else:
                removed.append(image)
        content = {identity: vars(use) for identity, use in sorted(uses.items())}
        settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(path, f"{json.dumps(content, indent=1)}\n".encode(), 0o600)
        events = [{"event": "image removed", "image": one.identity, "names": list(one.names)} for one in removed]
        metrics.log(settings.log, events)
        old = removed
    return old, problems


def words(settings: Settings, *more: str) -> list[str]:
    """The command line of podman on the shared store."""
    return [podman.PODMAN, "--root", str(settings.images), "--runroot", RUNROOT, "--storage-driver", "overlay", *more]


def run(settings: Settings, *more: str) -> None:
    """Run podman on the shared store, talking to whoever started us. Raises CommandError."""
    environment = {**os.environ, **podman.QUIET}
    done = subprocess.run(words(settings, *more), env=environment, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise CommandError(f"podman {' '.join(more)} on {settings.images} ended with {done.returncode}")


def make_store(settings: Settings) -> None:
    """Make the store, empty: a view of a store that is none would keep everybody's podman from working."""
    settings.images.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings.images.chmod(0o700)
    status, _output, complaint = podman.bounded(words(settings, "images", "--quiet"), MAKE_SECONDS)
    if status != 0:
        raise CommandError(f"cannot make {settings.images}: {complaint.strip()[-300:]}")


def listing(settings: Settings) -> list[dict[str, Any]]:
    """The images with their uses, as data."""
    uses = load_uses(settings.state / "images.json")
    return [
        {
            "id": image.identity,
            "names": list(image.names),
            "created": image.created,
            "used": uses[image.identity].used if image.identity in uses else None,
        }
        for image in shared(settings.images)
    ]


def main(argv: list[str] | None = None) -> int:
    """The command line. Exit status 1 if something went wrong."""
    parser = argparse.ArgumentParser(prog="lyceum-images", description=(__doc__ or "").split("\n", 1)[0])
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("list", help="say which there are")
    one.add_argument("--json", action="store_true", help="as JSON")
    one = commands.add_parser("pull", help="fetch images from a registry")
    one.add_argument("names", nargs="+", metavar="NAME")
    one = commands.add_parser(
        "import", help="take images from a file (docker save, podman save; with --as a root tree)"
    )
    one.add_argument("file", type=Path)
    one.add_argument("--as", dest="name", help="the file is a tar of a root tree, and this the name of its image")
    one = commands.add_parser("remove", help="remove images, even if people use them")
    one.add_argument("names", nargs="+", metavar="NAME")
    one = commands.add_parser("prune", help="remove what nobody has used for containers_images_keep_days")
    one.add_argument("--dry-run", action="store_true", help="say what would be removed")
    commands.add_parser("init", help="make the store")
    options = parser.parse_args(argv)
    if os.geteuid() != 0:
        parser.error("only root can look after the shared images")
    try:
        return command(load_settings(SETTINGS), options)
    except LyceumError as exc:
        print(exc, file=sys.stderr)
        return 1


def command(settings: Settings, options: argparse.Namespace) -> int:
    """Do what the command line says. Raises LyceumError."""
    if options.command == "list":
        found = listing(settings)
        rows = [
            f"{', '.join(image['names']) or '-'}  {image['id'][:12]}  built {image['created'][:10]}" for image in found
        ]
        print(json.dumps(found, indent=1) if options.json else "\n".join(rows))
    elif options.command == "prune":
        old, problems = prune(settings, dry_run=options.dry_run)
        for image in old:
            print(f"{'would remove' if options.dry_run else 'removed'} {', '.join(image.names) or image.identity[:12]}")
        for problem in problems:
            print(problem, file=sys.stderr)
        return 1 if problems else 0
    elif options.command == "init":
        make_store(settings)
    elif options.command == "import":
        if options.name:
            run(settings, "import", str(options.file), options.name)
        else:
            run(settings, "load", "--input", str(options.file))
    else:
        for name in options.names:
            run(settings, {"pull": "pull", "remove": "rmi"}[options.command], name)
    return 0
