# SPDX-License-Identifier: GPL-3.0-or-later
"""Root's side of test_containers*.py. Sent after probe.py, whose helpers it uses."""

# ruff: noqa: PTH108, PTH110, PTH123, PTH208

from __future__ import annotations

import contextlib
import grp
import json
import os
import pwd
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from probe import ACTIONS, ENVIRONMENT, as_person, run

SHARED = "localhost/lyceum-proof-shared:1"
NOTICE = "containers-proof"
RUN = "/run/lyceum/containers"
# Not the folder of the other probes, which may be at work at the same time.
SCRATCH = Path("/run/lyceum-proof-containers")


def tool(*words, timeout=110):
    done = subprocess.run(words, capture_output=True, text=True, env={**ENVIRONMENT, "HOME": "/root"}, check=False,
                          timeout=timeout)  # fmt: skip
    return {"status": done.returncode, "output": done.stdout, "words": (done.stderr or done.stdout).strip()[-300:]}


def share(tree):
    """Put an image of the proof among those that all share; `unshare` takes it away. tree: tar, as text of hex."""
    SCRATCH.mkdir(exist_ok=True)
    path = SCRATCH / "tree.tar"
    path.write_bytes(bytes.fromhex(tree))
    return tool("/usr/local/sbin/lyceum-images", "import", str(path), "--as", SHARED)


def tidy(uids):
    """Undo what a proof of before left: its shared image, its files, its notices."""
    listed = tool("/usr/local/sbin/lyceum-images", "list")
    if SHARED in listed["output"]:
        tool("/usr/local/sbin/lyceum-images", "remove", SHARED)
    for uid in uids:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"/var/lib/lyceum/notices/{uid}/{NOTICE}")
    shutil.rmtree(SCRATCH, ignore_errors=True)
    return {}


def cgroups(pids):
    """pid -> its lines of /proc/<pid>/cgroup as {controllers: path}; None if it has ended."""
    found = {}
    for pid in pids:
        try:
            with open(f"/proc/{pid}/cgroup") as handle:
                parts = [line.rstrip("\n").split(":", 2) for line in handle]
        except (FileNotFoundError, ProcessLookupError):
            found[pid] = None
            continue
        found[pid] = {controllers or "v2": path for _number, controllers, path in parts}
    return found


def family(identity):
    """Everything that belongs to a container: its monitors and all they started; `first` is the container's own."""
    table = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat") as handle:
            head, _, tail = handle.read().rpartition(")")
            table[int(name)] = (int(tail.split()[1]), head.partition("(")[2])
    monitors = []
    for pid, (_parent, command) in table.items():
        if command == "conmon":
            with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as handle:
                if identity.encode() in handle.read().split(b"\0"):
                    monitors.append(pid)
    below, waiting = [], list(monitors)
    while waiting:
        one = waiting.pop()
        children = [pid for pid, (parent, _command) in table.items() if parent == one]
        below += children
        waiting += children
    first = [pid for pid in below if table[pid][0] in monitors]
    return {"monitors": monitors, "below": below, "first": first[0] if first else None}


def reach(person, victim, pid):
    """What a person can do to somebody else's container from outside it: name of the attempt -> how it ended."""
    entry, other = pwd.getpwnam(person), pwd.getpwnam(victim)
    runtime = f"/run/user/{other.pw_uid}"

    def attempts():
        return {
            "list /proc/<pid>/root": outcome(lambda: os.listdir(f"/proc/{pid}/root/")),
            "read /proc/<pid>/environ": outcome(lambda: read(f"/proc/{pid}/environ")),
            "read /proc/<pid>/mem": outcome(lambda: open(f"/proc/{pid}/mem", "rb").close()),
            "enter its namespaces (nsenter)": nsenter(pid),
            "kill it": outcome(lambda: os.kill(pid, 0)),
            "talk to its person's Podman": outcome(lambda: ask(f"{runtime}/podman/podman.sock")),
            "list its person's storage": outcome(lambda: os.listdir(f"{other.pw_dir}/.local/share/containers/storage")),
            "list its person's view of shared images": outcome(lambda: os.listdir(f"{RUN}/{other.pw_uid}/images")),
        }

    return as_person(entry, attempts)


def outcome(attempt):
    """`done`, or the name of the refusal."""
    try:
        attempt()
    except PermissionError:
        return "denied"
    except (FileNotFoundError, ProcessLookupError):
        # Hidden is as good as denied, as long as the same works for its owner.
        return "hidden"
    except OSError as exc:
        return f"error: {exc}"
    return "done"


def read(path):
    with open(path, "rb") as handle:
        return handle.read(1)


def nsenter(pid):
    done = run("nsenter", "--target", str(pid), "--user", "--mount", "--preserve-credentials", "true")
    if done.returncode == 0:
        return "done"
    if "No such file" in done.stderr:
        return "hidden"
    refused = any(words in done.stderr for words in ("Permission denied", "Operation not permitted"))
    return "denied" if refused else f"error: {done.stderr.strip()[-80:]}"


def ask(path):
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(5)
        link.connect(path)
        link.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
        if b" 200 " not in link.recv(4096).split(b"\r\n")[0]:
            raise OSError("no answer")


def doors(people):
    """Root's own sockets of Docker and Podman that a person can open, by person."""
    found = {}
    for name in people:
        entry = pwd.getpwnam(name)

        def attempts():
            paths = ("/run/docker.sock", "/run/podman/podman.sock", "/run/containerd/containerd.sock")
            return [path for path in paths if outcome(lambda path=path: ask(path)) == "done"]

        found[name] = as_person(entry, attempts)
    return found


def members(groups):
    """group -> who is in it, by whatever way; only groups that exist."""
    found = {}
    for name in groups:
        with contextlib.suppress(KeyError):
            group = grp.getgrnam(name)
            primary = [entry.pw_name for entry in pwd.getpwall() if entry.pw_gid == group.gr_gid]
            found[name] = sorted({*group.gr_mem, *primary})
    return found


def remains(people, policies):
    """What those have of containers who must not have any: name -> sentences. people: name -> uid."""
    found = {}
    for name, uid in people.items():
        paths = [f"{policies}/{name}.json", f"/var/lib/systemd/linger/{name}", f"{RUN}/{uid}"]
        found[name] = [path for path in paths if os.path.lexists(path)]
        with contextlib.suppress(KeyError):
            if pwd.getpwnam(name).pw_uid == uid:
                listed = run("pgrep", "--exact", "--uid", str(uid), "conmon")
                found[name] += [f"monitor {pid}" for pid in listed.stdout.split()]
    return found


def mounts(uid):
    """The options of the person's view of the shared images."""
    with open("/proc/self/mountinfo") as handle:
        fields = [line.split() for line in handle]
    return {"options": next((one[5].split(",") for one in fields if one[4] == f"{RUN}/{uid}/images"), None)}


def police(person, limits, until, seconds):
    """Look after one person's containers with limits of the proof's own, and state, log and notice of the proof's own.

    It looks twice a second until something was `until` (stopped, limited), or for so long. Returns the events in order,
    each with the notice that the person could read right before the next look.
    """
    entry = pwd.getpwnam(person)
    folder = SCRATCH / "police"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "policies").mkdir(parents=True)
    policy = {"name": person, "uid": entry.pw_uid, "gid": entry.pw_gid, "home": entry.pw_dir, "limits": limits}
    (folder / f"policies/{person}.json").write_text(json.dumps(policy))
    settings = {
        "policies": str(folder / "policies"), "state": str(folder / "state"), "log": str(folder / "log"),
        "source": NOTICE, "period_seconds": 1, "grace_seconds": 1, "stop_seconds": 1, "linger": "nobody",
    }  # fmt: skip
    (folder / "settings.json").write_text(json.dumps(settings))
    notice = Path(f"/var/lib/lyceum/notices/{entry.pw_uid}/{NOTICE}")
    told, words = [], ""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done = tool("/usr/local/sbin/lyceum-containers", "look", "--person", person, "--settings",
                    str(folder / "settings.json"))  # fmt: skip
        words = done["words"] if done["status"] else words
        events = [json.loads(line) for line in read_text(folder / "log").splitlines()]
        text = read_text(notice)
        told += [{**event, "notice": text, "after": time.monotonic()} for event in events[len(told) :]]
        if any(event["event"] == until for event in told):
            break
        time.sleep(0.5)
    with contextlib.suppress(FileNotFoundError):
        notice.unlink()
    return {"events": told, "words": words}


def read_text(path):
    try:
        return Path(path).read_text()
    except FileNotFoundError:
        return ""


def caps(uid):
    """bytes: what the kernel lets the person's slice have of memory and swap together, None without a limit.
    kills: how often it has killed for want of that. Cgroup v1 limits no swap."""
    for top, limit, events in (("/sys/fs/cgroup", "memory.max", "memory.events"),
                               ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.oom_control")):  # fmt: skip
        folder = Path(top, f"user.slice/user-{uid}.slice")
        if (folder / limit).exists():
            values = [
                read_text(folder / name).strip() for name in (limit, "memory.swap.max") if (folder / name).exists()
            ]
            memory, *swap = (int(value) if value.isdigit() else None for value in values)
            # With v1 each group counts its own dead alone.
            files = [folder / events] if limit == "memory.max" else folder.rglob(events)
            counts = [line.split() for file in files for line in read_text(file).splitlines()]
            kills = sum(int(number) for what, number in counts if what == "oom_kill")
            return {
                "bytes": None if memory is None else memory + sum(swap_there(most) for most in swap),
                "kills": kills,
            }
    return {"bytes": None, "kills": 0}


def swap_there(most):
    """How much of `most` bytes of swap (None: no limit) the host has at all."""
    [total] = [
        int(line.split()[1]) << 10 for line in read_text("/proc/meminfo").splitlines() if line.startswith("SwapTotal:")
    ]
    return total if most is None else min(most, total)


def unified():
    """Whether this host has cgroup v2 alone."""
    return {"unified": os.path.exists("/sys/fs/cgroup/cgroup.controllers")}


ACTIONS.update(
    {
        f.__name__: f
        for f in (caps, cgroups, doors, family, members, mounts, police, reach, remains, share, tidy, unified)
    }
)
