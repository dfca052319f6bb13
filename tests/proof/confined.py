# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs as a person on the host under test, fed to `python3 -` over that person's own login.

Tries everything an attacker would try from inside of a jail, in one go, and prints what came of it as JSON.

The same attempts by somebody with a full shell show that they work where nothing stands in the way.
"""

# System calls by name are what is under test here, and any failure of an attempt is an answer to send back.
# ruff: noqa: BLE001, PTH108, PTH115, PTH116, PTH118, PTH119, PTH120, PTH123, PTH208

from __future__ import annotations

import ctypes
import json
import os
import pwd
import socket
import stat
import subprocess
import sys

CLONE_NEWUSER = 0x10000000
PTRACE_ATTACH, PTRACE_DETACH = 16, 17
KEYCTL = {"x86_64": 250, "aarch64": 219, "riscv64": 219}
GET_KEYRING_ID, USER_KEYRING = 0, -4
LIBC = ctypes.CDLL(None, use_errno=True)


def attempt(function):
    """The JSON-able result of one attempt, or why it failed."""
    try:
        return {"result": function()}
    except OSError as exc:
        return {"refused": exc.strerror or str(exc)}
    except Exception as exc:
        return {"failed": f"{type(exc).__name__}: {exc}"}


def call(function, *arguments):
    """A C function's result. Raises OSError when it is -1."""
    result = function(*arguments)
    if result == -1:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def in_child(function):
    """The same in a process of its own, which does not outlive the attempt."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, json.dumps(attempt(function)).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        answer = json.load(pipe)
    os.waitpid(child, 0)
    if "refused" in answer:
        raise OSError(1, answer["refused"])
    return answer["result"]


def readable(paths):
    """Those of the paths that can be read, and what they begin with."""
    found = {}
    for path in paths:
        try:
            with open(path, "rb") as handle:
                found[path] = handle.read(40).decode(errors="replace")
        except OSError:
            continue
    return found


def names_in_etc(names):
    """Which of these login names stand where in /etc, in any file that can be read."""
    found = {}
    words = {name: name.encode() for name in names}
    for folder, _folders, files in os.walk("/etc"):
        for name in files:
            path = os.path.join(folder, name)
            try:
                if not stat.S_ISREG(os.stat(path).st_mode):
                    continue
                with open(path, "rb") as handle:
                    content = handle.read(1 << 20)
            except OSError:
                continue
            for person, word in words.items():
                if word in content or person in name:
                    found.setdefault(person, []).append(path)
    return found


def roots_of_processes(home):
    """Processes through whose root directory other homes can be listed."""
    found = {}
    for pid in os.listdir("/proc"):
        if pid.isdigit():
            try:
                listed = os.listdir(f"/proc/{pid}/root{os.path.dirname(home)}")
            except OSError:
                continue
            if set(listed) - {os.path.basename(home)}:
                found[pid] = listed[:5]
    return found


def processes_called(name):
    """Processes whose command line begins so."""
    found = []
    for pid in os.listdir("/proc"):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as handle:
                found += [pid] if handle.read().startswith(name.encode()) else []
        except OSError:
            continue
    return found


def sockets():
    """Sockets of programs that can be reached, of the file system and without a name there."""
    found = []
    own = f"/run/user/{os.getuid()}"
    wanted = {f"{own}/bus", f"{own}/systemd/private", "/run/dbus/system_bus_socket", "/run/systemd/private",
              "/run/docker.sock", "/run/podman/podman.sock", f"{own}/podman/podman.sock"}  # fmt: skip
    try:
        with open("/proc/net/unix") as handle:
            for line in list(handle)[1:]:
                fields = line.split()
                if len(fields) == 8 and fields[3] == "00010000":  # a listener
                    wanted.add(fields[7])
    except OSError:
        pass
    for name in sorted(wanted):
        address = "\0" + name[1:] if name.startswith("@") else name
        for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
            with socket.socket(socket.AF_UNIX, kind) as one:
                one.settimeout(1)
                try:
                    one.connect(address)
                except OSError:
                    continue
                found.append(name)
    return found


def run(*words):
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=10, stdin=subprocess.DEVNULL)
    return {"status": done.returncode, "output": (done.stdout + done.stderr).strip()[-200:]}


def written(directories):
    """Directories of the system in which a file could be made."""
    found = []
    for directory in directories:
        path = f"{directory}/lyceum-proof"
        try:
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        except OSError:
            continue
        os.unlink(path)
        found.append(directory)
    return found


def main(wanted):
    home = pwd.getpwuid(os.getuid()).pw_dir
    pid = wanted["pid"]
    with open("/proc/self/status") as handle:
        status = dict(line.split(":", 1) for line in handle if ":" in line)
    attempts = {
        "namespace": lambda: os.readlink("/proc/self/ns/mnt"),
        "homes": lambda: os.listdir(os.path.dirname(home)),
        "projects": lambda: os.listdir(wanted["projects"]),
        "accounts": lambda: sorted({entry.pw_name for entry in pwd.getpwall()} & set(wanted["others"])),
        "etc": lambda: names_in_etc(wanted["others"]),
        "read": lambda: readable(wanted["secrets"]),
        "written": lambda: written(["/", "/etc", "/usr", "/usr/local/bin", "/run", "/var", "/home", "/srv"]),
        "processes": lambda: processes_called(wanted["sleeper"]),
        "roots": lambda: roots_of_processes(home),
        "signal": lambda: os.kill(pid, 0),
        "trace": lambda: in_child(lambda: call(LIBC.ptrace, PTRACE_ATTACH, pid, 0, 0)),
        "memory": lambda: open(f"/proc/{pid}/mem", "rb").close(),
        "namespaces": lambda: in_child(lambda: call(LIBC.unshare, CLONE_NEWUSER)),
        "mount": lambda: in_child(lambda: call(LIBC.mount, b"tmpfs", b"/tmp", b"tmpfs", 0, None)),
        "chroot": lambda: in_child(lambda: os.chroot(home)),
        "keyring": lambda: call(LIBC.syscall, KEYCTL[os.uname().machine], GET_KEYRING_ID, USER_KEYRING, 1),
        "setuid": lambda: run(wanted["setuid"], "-u")["output"],
        "privileges": lambda: (status["NoNewPrivs"].strip(), status["CapEff"].strip(), status["CapBnd"].strip()),
        "devices": lambda: [one for one in os.listdir("/dev") if stat.S_ISBLK(os.stat(f"/dev/{one}").st_mode)],
        "sockets": sockets,
        "manager": lambda: run("systemctl", "--user", "is-system-running"),
        "transient": lambda: run("systemd-run", "--user", "--wait", "true"),
        "crontab": lambda: run("crontab", "-l"),
        "sudo": lambda: run("sudo", "-n", "id", "-u"),
        "su": lambda: run("su", "-c", "id -u"),
    }
    print(json.dumps({name: attempt(function) for name, function in attempts.items()}))


# The caller appends the call: main({...}).
if len(sys.argv) > 1 and sys.argv[1] != "-":
    main(json.loads(sys.argv[1]))
