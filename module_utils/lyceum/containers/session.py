# SPDX-License-Identifier: GPL-3.0-or-later
"""What is made ready when a person's first session begins, and taken away after the last: /run/lyceum/containers/<uid>.

In it are the person's view of the shared images and the storage settings that name it; the person's own
~/.config/containers/storage.conf is a link to these. Where it leads nowhere, podman does without.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from ..errors import LyceumError
from ..files import write_atomically
from . import idmap, person, subids
from .settings import SETTINGS, Policy, Settings, load_settings, policy_of

RUN = Path("/run/lyceum/containers")
CONFIGURATION = ".config/containers/storage.conf"


def directory_of(uid: int) -> Path:
    return RUN / str(uid)


def start(settings: Settings, policy: Policy) -> list[str]:
    """Make everything ready. Returns what is amiss, which never keeps anybody from logging in. Raises LyceumError."""
    directory = directory_of(policy.uid)
    store = directory / "images"
    complaints = []
    try:
        for parent in (RUN.parent, RUN):
            parent.mkdir(exist_ok=True)
            parent.chmod(0o755)
        directory.mkdir(mode=0o700, exist_ok=True)
        os.chown(directory, 0, policy.gid)
        directory.chmod(0o750)
        store.mkdir(mode=0o755, exist_ok=True)
        if settings.storage:
            _make_storage(settings.storage_of(policy), policy)
    except OSError as exc:
        raise LyceumError(f"cannot make {exc.filename} ready for {policy.name}: {exc.strerror}") from exc
    if not store.is_mount():
        try:
            idmap.mount(settings.images, store, *maps(policy))
        except LyceumError as exc:
            complaints.append(str(exc))
    write_storage(settings, policy, store if store.is_mount() else None)
    try:
        person.call(policy, lambda: link(policy.home, directory / "storage.conf"))
    except LyceumError as exc:
        complaints.append(str(exc))
    return complaints


def maps(policy: Policy) -> tuple[str, str]:
    """Id maps of the person's containers. Raises LyceumError for a person without subordinate ids."""
    found = []
    for own, path in ((policy.uid, subids.SUBUID), (policy.gid, subids.SUBGID)):
        spans = subids.spans_of(policy.name, policy.uid, path)
        if not spans:
            raise LyceumError(f"{policy.name} has no subordinate ids in {path}: see accounts_subid_count")
        found.append(subids.mapping(own, spans))
    return found[0], found[1]


def write_storage(settings: Settings, policy: Policy, store: Path | None) -> None:
    """The person's storage settings. store: where the shared images are seen, None where they cannot be."""
    path = directory_of(policy.uid) / "storage.conf"
    content = storage_conf(settings.storage_of(policy), policy.uid, store)
    write_atomically(path, content.encode(), 0o640)
    os.chown(path, 0, policy.gid)


def storage_conf(storage: Path, uid: int, store: Path | None) -> str:
    """containers-storage.conf(5). Both roots are named, because some podman commands take them from nowhere else."""
    lines = [
        "# Written by Lyceum for each session: what is changed here by hand is lost.",
        "[storage]",
        'driver = "overlay"',
        f'runroot = "/run/user/{uid}/containers"',
        f'graphroot = "{storage}"',
    ]
    if store is not None:
        lines += ["[storage.options]", f'additionalimagestores = ["{store}"]']
    return "".join(f"{line}\n" for line in lines)


def _make_storage(path: Path, policy: Policy) -> None:
    """A person's own folder on the disk for containers, where homes are not the place for them."""
    path.mkdir(mode=0o700, exist_ok=True)
    info = path.lstat()
    if info.st_uid != policy.uid:
        os.chown(path, policy.uid, policy.gid, follow_symlinks=False)


def link(home: Path, target: Path) -> bytes:
    """Link the person's storage settings to ours, unless there are some. Runs as the person; has nothing to say."""
    path = home / CONFIGURATION
    if not os.path.lexists(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
    return b""


def stop(uid: int) -> None:
    """Take everything away again. Raises LyceumError."""
    directory = directory_of(uid)
    store = directory / "images"
    try:
        while store.is_mount() and idmap.unmount(store):
            pass
        for path in (directory / "storage.conf", store, directory):
            if path.is_dir():
                path.rmdir()
            else:
                path.unlink(missing_ok=True)
    except OSError as exc:
        raise LyceumError(f"cannot remove {exc.filename}: {exc.strerror}") from exc


def main(argv: list[str] | None = None) -> int:
    """Called by lyceum-containers-session@<uid>.service."""
    parser = argparse.ArgumentParser(description="Make a person's session ready for containers.")
    parser.add_argument("what", choices=["start", "stop"])
    parser.add_argument("uid", type=int)
    options = parser.parse_args(argv)
    try:
        if options.what == "stop":
            stop(options.uid)
            return 0
        settings = load_settings(SETTINGS)
        policy = policy_of(settings.policies, options.uid)
        for complaint in start(settings, policy) if policy else []:
            print(complaint, file=sys.stderr)
    except LyceumError as exc:
        print(exc, file=sys.stderr)
        return 1
    return 0
