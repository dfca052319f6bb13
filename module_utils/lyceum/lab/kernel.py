# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts with a kernel of their own boot from: a user-mode Linux kernel and disks, both cached by their inputs."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from ..errors import CommandError, LyceumError
from . import images
from .engine import KEYRING, have, is_root, machine_lock, run

RECIPE = 1
"""Raised when the way a kernel or a disk is made changes in a manner that its other inputs do not show."""

UNABLE = "This machine cannot boot a host with a kernel of its own"
"""How every message begins that says why such hosts are impossible here, and not that something went wrong."""

TUN = Path("/dev/net/tun")

PROGRAMS = {"mmdebstrap": "mmdebstrap", "mke2fs": "e2fsprogs", "ip": "iproute2"}
"""Packages by the program that is needed from them."""

LINUX = "usr/bin/linux.uml"
MODULES = "usr/lib/uml/modules"

# Without a merged /usr the dynamic linker is not where programs look for it: no package of so small a tree links it.
MERGE_USR = 'for d in lib lib64; do mkdir -p "$1/usr/$d"; ln -s "usr/$d" "$1/$d"; done'
# A copy of the archive may be older than the unstable suite's files are valid, which is a week.
ANY_AGE = ('Acquire::Check-Valid-Until "false"', 'Acquire::Check-Date "false"')

NOWHERE = "none"
"""Where swap is mounted, in the words of fstab."""


@dataclass(frozen=True)
class DataDisk:
    """A disk of a host besides the first. options: how it is mounted so that quotas are enforced."""

    path: str
    file_system: str
    options: str
    gib: int

    @property
    def unit(self) -> str:
        """Name of its mount in systemd's units."""
        return self.path.strip("/").replace("/", "-")


DATA_DISKS = (
    DataDisk("/home", "ext4", "usrquota,grpquota,prjquota", 4),
    DataDisk("/srv", "ext4", "usrquota,grpquota,prjquota", 4),
    DataDisk("/srv/scratch", "xfs", "uquota,gquota,pquota", 1),
    DataDisk(NOWHERE, "swap", "sw", 1),
)
"""The kernel calls the first disk ubda, these ubdb and so on, and the one with the host's own files comes last."""

ROOT_GIB = 8
MAKE_EXT4 = ("mke2fs", "-q", "-F", "-t", "ext4")
# Spares writing an empty journal. To be given together with all other words of -E: of several -E only the last counts.
LAZY = "lazy_itable_init=1,lazy_journal_init=1"
FETCH_SECONDS = 900

MOUNT_POINTS = ("dev", "proc", "memory", "lab", "disks")
"""Folders of a kernel's tree; supervisor.py mounts something at each."""

# What a start waits for and a lab host does not need: half of the time of a boot.
MASKED = (
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "ldconfig.service",
    "modprobe@drm.service",
    "modprobe@efi_pstore.service",
    "systemd-hwdb-update.service",
    "systemd-journal-catalog-update.service",
    "systemd-udev-load-credentials.service",
    "systemd-update-done.service",
    # The kernel keeps the quotas of these disks itself, and they are on since the mount.
    "quotaon.service",
    *(
        f"{name}@{disk.unit}.service"
        for name in ("quotaon", "systemd-quotacheck")
        for disk in DATA_DISKS
        if disk.path != NOWHERE
    ),
)


@dataclass(frozen=True)
class Source:
    """Where a kernel may come from: a suite of the archive, and a version or whichever it has."""

    suite: str
    version: str
    mirror: str | None

    @property
    def tree(self) -> Path:
        """Folder with the kernel, its modules and the libraries it needs."""
        inputs = [RECIPE, MERGE_USR, self.suite, self.version, self.mirror]
        return images.cache_dir() / f"kernel-{self.suite}-{digest(inputs)}"

    def __str__(self) -> str:
        return f"user-mode-linux {self.version or 'of any version'} from {self.suite}"


@dataclass(frozen=True)
class Kernel:
    """A kernel that is there. quick: it runs processes itself (seccomp) instead of tracing each of their calls."""

    tree: Path
    version: str
    quick: bool


@dataclass(frozen=True)
class Disk:
    """The first disk of hosts of one release. overlay: folder that is laid over Debian's files."""

    release: str
    packages: tuple[str, ...]
    mirror: str | None
    overlay: Path
    kernel: Kernel

    @property
    def path(self) -> Path:
        """File of the disk; its name contains a hash of everything that went in."""
        inputs = [
            RECIPE, images.CUSTOMIZE, self.release, sorted(self.packages), self.mirror, digests(self.overlay),
            self.kernel.tree.name, self.kernel.version, MASKED, fstab(),
        ]  # fmt: skip
        return images.cache_dir() / f"disk-{self.release}-{digest(inputs)}"


def obstacle() -> str | None:
    """Why this machine cannot boot hosts with a kernel of their own, or None."""
    if not is_root():
        return "only root may make network devices and mounts (sudo is not enough: run the whole command as root)"
    if platform.machine() != "x86_64":
        return f"user-mode Linux is for x86_64, this is {platform.machine()}"
    try:
        os.close(os.open(TUN, os.O_RDWR))
    except OSError as exc:
        return f"{TUN} cannot be opened: {exc.strerror}"
    return None


def unable(reason: str) -> LyceumError:
    """The error that says so."""
    return LyceumError(f"{UNABLE}: {reason}.")


def free_memory_mib(meminfo: Path = Path("/proc/meminfo")) -> int:
    """Memory in MiB that processes can get without anything being swapped out."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", meminfo.read_text(), re.MULTILINE)
    return int(found[1]) // 1024 if found else 0


def missing_packages() -> list[str]:
    """Debian packages that this machine lacks."""
    packages = [package for program, package in PROGRAMS.items() if not have(program)]
    return packages + ([] if KEYRING.exists() else ["debian-archive-keyring"])


def find(sources: Sequence[Source]) -> Kernel | None:
    """The first of the kernels that is there."""
    for source in sources:
        if source.tree.is_dir():
            return inspect(source.tree)
    return None


def inspect(tree: Path) -> Kernel:
    """Read what a tree has in it."""
    versions = sorted(path.name for path in (tree / MODULES).iterdir())
    # It names its own options. Asked by running it, it would want a root of its own with /proc.
    return Kernel(tree, versions[-1], b"seccomp=<on" in (tree / LINUX).read_bytes())


def fetch(sources: Sequence[Source]) -> tuple[Source, list[str]]:
    """Fetch the first kernel that can be had; returns where from, and a sentence for each that could not be had.

    Raises LyceumError where none can be had.
    """
    failures: list[str] = []
    for source in sources:
        try:
            make_once(source.tree, partial(_unpack, source))
        except CommandError as exc:
            failures.append(f"there is no {source}: {complaint(exc)}")
        else:
            return source, failures
    raise unable(failures[-1] if failures else "no source of a kernel is given")


def complaint(error: CommandError) -> str:
    """What apt said, out of everything that programs printed."""
    said: list[str] = error.details.get("last_words", [])
    return next((line[3:] for line in said if line.startswith("E: ")), str(error)).rstrip(".")


def _unpack(source: Source, folder: Path, lock: int) -> Path:
    tree = folder / "tree"
    package = f"user-mode-linux={source.version}" if source.version else "user-mode-linux"
    words = images.debstrap_words(
        source.suite, str(tree), [package], source.mirror, scratch=folder,
        more=["--variant=extract", f"--setup-hook={MERGE_USR}", *(f"--aptopt={option}" for option in ANY_AGE)],
    )  # fmt: skip
    run(words, timeout=FETCH_SECONDS, keep=(lock,))
    for name in MOUNT_POINTS:
        (tree / name).mkdir(exist_ok=True)
    return tree


def build(disk: Disk) -> bool:
    """Make the disk; False if another lab of this machine made it while this one waited for its turn."""
    return make_once(disk.path, partial(_install, disk))


def _install(disk: Disk, folder: Path, lock: int) -> Path:
    tree, image = folder / "tree", folder / "disk"
    words = images.debstrap_words(
        disk.release, str(tree), disk.packages, disk.mirror, scratch=folder,
        more=["--variant=minbase", f"--customize-hook={images.CUSTOMIZE}"],
    )  # fmt: skip
    run(words, timeout=FETCH_SECONDS, keep=(lock,))
    furnish(tree, disk)
    with image.open("wb") as handle:
        handle.truncate(ROOT_GIB << 30)
    run([*MAKE_EXT4, "-E", LAZY, "-d", str(tree), str(image)], timeout=FETCH_SECONDS, keep=(lock,))
    return image


def furnish(tree: Path, disk: Disk) -> None:
    """Turn a tree of Debian into one that this kernel boots."""
    modules = disk.kernel.tree / MODULES / disk.kernel.version
    shutil.copytree(modules, tree / "usr/lib/modules" / disk.kernel.version, symlinks=True)
    shutil.copytree(disk.overlay, tree, symlinks=True, dirs_exist_ok=True)
    units = tree / "etc/systemd/system"
    for name in MASKED:
        (units / name).unlink(missing_ok=True)
        (units / name).symlink_to("/dev/null")
    (tree / "etc/fstab").write_text(fstab())
    # A machine without an identity takes itself for a new one at its first boot and arranges all its units anew.
    (tree / "etc/machine-id").write_text(hashlib.sha256(disk.path.name.encode()).hexdigest()[:32] + "\n")
    for name in ("etc/hostname", "etc/resolv.conf"):
        (tree / name).unlink(missing_ok=True)


def fstab() -> str:
    """What a host mounts."""
    lines = ["/dev/ubda / ext4 defaults 0 1\n"]
    for letter, disk in zip("bcdefgh", DATA_DISKS):
        check = 2 if disk.file_system == "ext4" else 0
        lines.append(f"/dev/ubd{letter} {disk.path} {disk.file_system} {disk.options} 0 {check}\n")
    return "".join(lines)


def make_once(target: Path, recipe: Callable[[Path, int], Path]) -> bool:
    """Make a file or folder of the cache unless it is there; False if it was there when the turn came.

    recipe: makes it in an empty folder and returns its path. What a run that was killed has left in that folder is
    removed by the next one that wants the same target. Programs that the killed one had started may still be at work:
    recipes pass on the descriptor of the lock, so that nobody starts before their end.
    """
    with machine_lock(target.name) as lock:
        if target.exists():
            return False
        folder = images.cache_dir() / f"build-{target.name}"
        remove = ["rm", "-rf", "--one-file-system", str(folder)]
        run(remove)
        folder.mkdir(parents=True)
        try:
            recipe(folder, lock).rename(target)
        finally:
            run(remove)
        return True


def digest(inputs: Sequence[object]) -> str:
    """Short hash of anything that JSON can hold."""
    return hashlib.sha256(json.dumps(inputs, default=str).encode()).hexdigest()[:12]


def digests(folder: Path) -> list[tuple[str, int, str]]:
    """Path, mode and hash of every file below a folder."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            found.append((str(path.relative_to(folder)), 0, str(path.readlink())))
        elif path.is_file():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            found.append((str(path.relative_to(folder)), path.stat().st_mode & 0o111, content))
    return found


def as_dict(kernel: Kernel | None) -> dict[str, object]:
    """A kernel as modules hand it on."""
    return {} if kernel is None else {**asdict(kernel), "tree": str(kernel.tree)}


def describe(kernel: Kernel | None, releases: Sequence[str]) -> str:
    """Lines of a diff: the kernel, and the releases there are disks of."""
    version = "none" if kernel is None else kernel.version
    return f"kernel: {version}\ndisks: {', '.join(releases) or 'none'}\n"


def warnings(kernel: Kernel | None, failures: Sequence[str]) -> list[str]:
    """What an admin should know about the kernel that was found in the end."""
    found = list(failures)
    if kernel is not None and not kernel.quick:
        found.append(
            f"user-mode-linux {kernel.version} traces every call of a process (no seccomp=on): its hosts are three to"
            f" four times slower. To look for a better one again, remove {kernel.tree}."
        )
    return found
