# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host with a kernel of its own is for, and that nothing of it outlives its supervisor.

The proofs of tests/proof run beside these tests: see molecule.yml.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[3]
INVENTORY = PROJECT / "inventories" / "lab_kernel"
LAB = Path(os.environ["LYCEUM_STATE_DIR"]) / "lab_kernel"
HOST = "lab-kernel13"

# As an account that owns nothing: write blocks of 1 MiB until the disk says no.
FILL = """
import errno, os, sys
os.setgid(65534)
os.setuid(65534)
descriptor, written = os.open(sys.argv[1], os.O_WRONLY), 0
try:
    while written < 16:
        written += os.write(descriptor, bytes(1 << 20)) >> 20
except OSError as error:
    print(errno.errorcode[error.errno], written)
else:
    print("none", written)
"""


def on_host(*words: str, stdin: str = "", status: int = 0) -> str:
    """Run a command on the host as root and return its output."""
    done = subprocess.run(
        ["ssh", "-F", str(LAB / "ssh_config"), HOST, *words], input=stdin, capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def test_every_unit_is_up() -> None:
    assert on_host("systemctl", "is-system-running", "--wait") == "running\n"


def test_cgroups_are_of_version_2_only() -> None:
    assert on_host("stat", "-f", "-c", "%T", "/sys/fs/cgroup") == "cgroup2fs\n"
    assert {"cpu", "io", "memory", "pids"} <= set(on_host("cat", "/sys/fs/cgroup/cgroup.controllers").split())


@pytest.mark.parametrize(
    ("path", "limit", "lift"),
    [
        ("/home", "setquota -u nobody 0 2048 0 0 /home", "setquota -u nobody 0 0 0 0 /home"),
        ("/srv", "setquota -u nobody 0 2048 0 0 /srv", "setquota -u nobody 0 0 0 0 /srv"),
        (
            "/srv/scratch",
            "xfs_quota -x -c 'limit -u bhard=2m nobody' /srv/scratch",
            "xfs_quota -x -c 'limit -u bhard=0 nobody' /srv/scratch",
        ),
    ],
)
def test_disks_enforce_quotas(path: str, limit: str, lift: str) -> None:
    file = f"{path}/.lab-quota"
    fill = f"python3 - {file}"
    on_host(f"install -o nobody -m 600 /dev/null {file}")
    try:
        assert on_host(fill, stdin=FILL) == "none 16\n"
        on_host(f"truncate -s 0 {file} && {limit}")
        assert on_host(fill, stdin=FILL) in ("EDQUOT 1\n", "EDQUOT 2\n")
    finally:
        on_host(f"{lift}; rm -f {file}")


def test_there_is_swap() -> None:
    assert len(on_host("swapon", "--show", "--noheadings").splitlines()) == 1


def test_auditd_records() -> None:
    on_host("auditctl -w /etc/lab-audit -p wa -k lab-audit")
    try:
        on_host("touch /etc/lab-audit && rm /etc/lab-audit")
        assert "type=SYSCALL" in on_host("ausearch --input-logs -k lab-audit --raw")
    finally:
        on_host("auditctl -W /etc/lab-audit -p wa -k lab-audit")


def test_sysctls_of_the_kernel_can_be_set() -> None:
    before = on_host("sysctl -n kernel.pid_max").strip()
    on_host("sysctl -w kernel.pid_max=31337")
    assert on_host("sysctl -n kernel.pid_max").strip() == "31337"
    on_host(f"sysctl -w kernel.pid_max={before}")


def test_nothing_but_this_machine_is_reached() -> None:
    assert "default" not in on_host("ip route show table all")
    on_host("timeout 5 bash -c ': < /dev/tcp/192.0.2.1/80' 2> /dev/null", status=1)


def test_the_kernel_has_no_privileges_on_this_machine() -> None:
    kernels = [process for process in processes() if process.name == "linux.uml"]
    assert kernels
    status = dict(line.split(":\t", 1) for line in (kernels[0].folder / "status").read_text().splitlines())
    assert "0" not in status["Uid"].split()
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    assert not (kernels[0].folder / "root" / "etc" / "shadow").exists()


def test_nothing_outlives_the_supervisor_and_the_next_run_boots_again() -> None:
    """The host loses its power: as a machine, it comes back with everything that was on its disks."""
    on_host("touch /root/lab-before && sync")
    record = json.loads((LAB / "hosts.json").read_text())[HOST]
    supervisor = next(process for process in processes() if process.name == "supervisor.py")
    os.kill(int(supervisor.folder.name), signal.SIGKILL)
    deadline = time.monotonic() + 20
    while (processes() or record["source"] in addresses()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [process.name for process in processes()] == []
    assert record["source"] not in addresses()
    on_host("true", status=255)
    output = playbook("lab_up.yml")
    assert f"start {HOST}" in output
    assert json.loads((LAB / "hosts.json").read_text())[HOST] == record
    on_host("rm /root/lab-before")


class Process:
    """A process of this lab. folder: its entry in /proc."""

    def __init__(self, folder: Path, words: list[str]) -> None:
        self.folder = folder
        self.name = Path(words[0]).name if words[0].endswith("linux.uml") else Path(words[2]).name


def processes() -> list[Process]:
    """Supervisors and kernels of this lab."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_text().split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        folder = str(LAB / "machines" / HOST)
        if folder in words or (words[0].endswith("/linux.uml") and f"umid={HOST}" in words and ours(entry.parent)):
            found.append(Process(entry.parent, words))
    return found


def ours(process: Path) -> bool:
    """Whether a kernel has its disks in this lab's folder."""
    try:
        return (process / "root/lab/root.cow").samefile(LAB / "machines" / HOST / "disks/root.cow")
    except FileNotFoundError:
        return False  # it has just ended


def addresses() -> str:
    return subprocess.run(["ip", "-4", "address"], capture_output=True, text=True, check=True).stdout


def playbook(name: str) -> str:
    """Run a playbook of the project on this lab and return what it says."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(INVENTORY), f"playbooks/{name}"],
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
