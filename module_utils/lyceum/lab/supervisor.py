# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps one host with a kernel of its own running. A program by itself: only the standard library is imported.

Everything that the host needs on this machine hangs on this process and goes with it, also after kill -9: the kernel
is told to die with its parent, the network device lives as long as a process has it open, and the mounts are in a mount
namespace that nobody else is in. The kernel itself has no privileges, and sees its disks and nothing else.

    supervisor.py INSTANCE HOST FOLDER      INSTANCE and HOST are there to be seen in the list of processes
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
CLONE_NEWNS = 0x20000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
MNT_DETACH = 2
TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI = 0x2, 0x1000

REBOOTS = b"reboot: Restarting system"
"""Last words of a kernel that wants to be started again."""

KERNEL_ID = 1_900_000_000
"""User and group of the kernel: nobody's."""

MEMORY = "memory"
"""Folder of the kernel's tree where it keeps the memory of the host, as a file that it has removed at once."""


def main() -> None:
    """Prepare everything, say `ready`, then start the kernel again after each reboot until it is switched off."""
    folder = Path(sys.argv[3])
    settings = json.loads((folder / "supervisor.json").read_text())
    console = os.open(folder / "console.log", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    link = open_network(settings["device"], settings["gateway"], settings["address"])
    for path in (folder / "disks", *(folder / "disks").iterdir()):
        os.chown(path, KERNEL_ID, KERNEL_ID, follow_symlinks=False)
    binds = {"lab": folder / "disks", "disks": Path(settings["disks"])}
    enter(Path(settings["tree"]), binds, settings["memory_mib"])
    print("ready", flush=True)
    for number in range(3):
        os.dup2(os.open("/dev/null", os.O_RDWR) if number == 0 else console, number)
    argv = [*settings["argv"], f"vec0:transport=fd,fd={link},vec=0,mac={settings['mac']}"]
    while run(argv, link, console):
        pass


def run(argv: list[str], link: int, console: int) -> bool:
    """One life of the kernel, from boot to reboot or power off. Whether it wants to be started again."""
    start = os.lseek(console, 0, os.SEEK_END)
    parent = os.getpid()

    def become_the_kernel() -> None:
        give_up_privileges()
        libc().prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the kernel had been told so
            os.kill(os.getpid(), signal.SIGKILL)

    with subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=console,
        stderr=console,
        pass_fds=[link],
        env={"TMPDIR": f"/{MEMORY}", "PATH": "/usr/bin"},
        preexec_fn=become_the_kernel,
    ) as child:
        child.wait()
    return REBOOTS in os.pread(console, os.fstat(console).st_size - start, start)


def give_up_privileges() -> None:
    """Become nobody in particular."""
    os.setgroups([])
    os.setresgid(KERNEL_ID, KERNEL_ID, KERNEL_ID)
    os.setresuid(KERNEL_ID, KERNEL_ID, KERNEL_ID)


def open_network(device: str, gateway: str, address: str) -> int:
    """Make the network device that ends here on this machine and in the host on the other side.

    Returns the descriptor the device lives as long as.
    """
    link = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(link, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TAP | IFF_NO_PI))
    # From this machine to the host and back, and nowhere else: the host could not be told from others outside.
    Path(f"/proc/sys/net/ipv4/conf/{device}/forwarding").write_text("0")
    subprocess.run(["ip", "address", "add", gateway, "peer", address, "dev", device], check=True)
    subprocess.run(["ip", "link", "set", device, "up"], check=True)
    return link


def enter(tree: Path, binds: dict[str, Path], memory_mib: int) -> None:
    """Make the kernel's tree the root of this process, in a mount namespace of its own.

    binds: folders of this machine, by the folder of the tree at which they appear. The old root is not kept: it would
    hold whatever is mounted there now, for instance the file systems of containers that are removed later.
    """
    checked(libc().unshare(CLONE_NEWNS), "unshare")
    mount("none", "/", "", MS_REC | MS_PRIVATE)
    mount(str(tree), str(tree), "", MS_BIND)
    mount("/dev", f"{tree}/dev", "", MS_BIND)
    mount("/proc", f"{tree}/proc", "", MS_BIND)
    for name, folder in binds.items():
        mount(str(folder), f"{tree}/{name}", "", MS_BIND)
    mount("lab", f"{tree}/{MEMORY}", "tmpfs", 0, f"mode=700,uid={KERNEL_ID},gid={KERNEL_ID},size={memory_mib + 64}m")
    os.chdir(tree)
    checked(libc().pivot_root(b".", b"."), "pivot_root")
    checked(libc().umount2(b".", MNT_DETACH), "umount")
    os.chdir("/")


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    """mount(2)."""
    words = [text.encode() for text in (source, target, kind)]
    checked(libc().mount(*words, ctypes.c_ulong(flags), data.encode()), f"mount {source} at {target}")


def libc() -> Any:
    """The C library: Python offers none of these calls in all the versions that are supported."""
    return ctypes.CDLL(None, use_errno=True)


def checked(status: int, what: str) -> None:
    """Raise OSError with the name of a call that failed."""
    if status != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


if __name__ == "__main__":
    main()
