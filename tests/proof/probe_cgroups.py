# SPDX-License-Identifier: GPL-3.0-or-later
"""Root's side of the attacks on limits: what the kernel holds and counts for slices, and jobs of people.

Sent to the host after probe.py, whose helpers it uses. It reads the kernel's files by itself, without the code under
test.
"""

# ruff: noqa: PTH110, PTH116, PTH123, PTH207, PTH208

from __future__ import annotations

import contextlib
import glob
import grp
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from probe import ACTIONS, ENVIRONMENT, run, wait_for

TAG = "lyceum-proof-slices"
JOBS = Path("/var/tmp/lyceum-proof-slices")  # noqa: S108  (root makes it, and fails if it is there)
TOP = "/sys/fs/cgroup"
NO_LIMIT = 2**63 - 4096


def unified():
    return os.path.exists(f"{TOP}/cgroup.controllers")


def group(controller, uid):
    """The directory of a person's slice under one controller."""
    return f"{TOP}/{'' if unified() else controller + '/'}user.slice/user-{uid}.slice"


def content(path):
    try:
        with open(path) as handle:
            return handle.read().strip()
    except OSError:
        return None


def amount(path):
    """A number; None for no limit; "unknown" when there is no such file."""
    text = content(path)
    if text is None:
        return "unknown"
    return None if text in ("max", "-1") or int(text) >= NO_LIMIT else int(text)


def fields(path):
    return {key: int(value) for key, value in (line.split() for line in (content(path) or "").splitlines())}


def limits_of(uid):
    """What the kernel holds for a slice: bytes, tasks, cores, a weight of which 100 is usual, CPUs."""
    memory, cpu = group("memory", uid), group("cpu", uid)
    if unified():
        quota, period = (content(f"{cpu}/cpu.max") or "max 100000").split()
        files = ("memory.max", "memory.high", "memory.swap.max")
        weight = amount(f"{cpu}/cpu.weight")
    else:
        quota, period = content(f"{cpu}/cpu.cfs_quota_us") or "-1", content(f"{cpu}/cpu.cfs_period_us") or "100000"
        files = ("memory.limit_in_bytes", "memory.high", "memory.swap.max")
        shares = amount(f"{cpu}/cpu.shares")
        weight = shares if shares == "unknown" else round(shares * 100 / 1024)
    return {
        **dict(zip(("memory", "memory_high", "swap"), (amount(f"{memory}/{file}") for file in files))),
        "tasks": amount(f"{group('pids', uid)}/pids.max"),
        "cores": None if quota in ("max", "-1") else int(quota) / int(period),
        "weight": weight,
        "cpus": (content(f"{group('cpuset', uid)}/cpuset.cpus") or "") if cpusets() else "unknown",
    }


def cpusets():
    """Whether systemd can keep slices to CPUs here."""
    return "cpuset" in (content(f"{TOP}/cgroup.controllers") or "").split()


def use_of(uid):
    """Counters and use of a slice; what the kernel does not tell is missing."""
    memory, cpu = group("memory", uid), group("cpu", uid)
    found = {"tasks": amount(f"{group('pids', uid)}/pids.current")}
    if unified():
        stat = fields(f"{cpu}/cpu.stat")
        found.update(cpu=stat.get("usage_usec"), throttled=stat.get("throttled_usec"))
        found.update(peak=amount(f"{memory}/memory.peak"), swap=amount(f"{memory}/memory.swap.current"))
        found["oom_kills"] = fields(f"{memory}/memory.events").get("oom_kill")
    else:
        found["cpu"] = fields(f"{TOP}/unified/user.slice/user-{uid}.slice/cpu.stat").get("usage_usec")
        found["throttled"] = fields(f"{cpu}/cpu.stat").get("throttled_time", 0) // 1000
        found.update(peak=amount(f"{memory}/memory.max_usage_in_bytes"))
    return {key: value for key, value in found.items() if value not in (None, "unknown")}


# --- actions ---------------------------------------------------------------------------------------------------------


def slices_clean():
    """End what the attacks started and remove what they left."""
    run("systemctl", "stop", TAG)
    ended = end_tagged()
    if JOBS.is_dir():
        if (JOBS / "run").exists():
            (JOBS / "run").rmdir()  # never anything in it: what was mounted there vanished with its name space
        shutil.rmtree(JOBS)
    return {"ended": ended}


def slices_end():
    """End what the attacks started."""
    return {"ended": end_tagged()}


def tagged(uid=None):
    """Processes that an attack started, of one person or of all."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and TAG in (content(f"/proc/{name}/cmdline") or "").split("\0"):
            with contextlib.suppress(FileNotFoundError):
                if uid in (None, os.stat(f"/proc/{name}").st_uid):
                    found.append(int(name))
    return found


def end_tagged(uid=None):
    ended = tagged(uid)
    for pid in ended:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return ended


def slices_host():
    """The machine, and the limits of whoever connected as admin."""
    meminfo = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in content("/proc/meminfo").splitlines()}
    own = next((int(uid) for uid in re.findall(r"/user-(\d+)\.slice", content("/proc/self/cgroup"))), None)
    limited = {}
    for path in glob.glob("/etc/systemd/system/user-*.slice.d/50-lyceum.conf"):
        lines = (line.partition("=") for line in (content(path) or "").splitlines() if not line.startswith("#"))
        caps = [name for name, _equals, value in lines if value not in ("", "infinity")]
        limited.update((uid, caps) for uid in re.findall(r"/user-(\d+)\.slice\.d/", path))
    return {
        "cpus": os.cpu_count(),
        "available": meminfo["MemAvailable"],
        "swap": meminfo["SwapTotal"],
        "admin": own,
        "admin_limits": None if own is None else limits_of(own),
        "limited": limited,
        "programs": {name: bool(shutil.which(name, path=ENVIRONMENT["PATH"])) for name in ("cron", "atd", "at")},
    }


def slices_of(uids):
    """Limits and use of slices now."""
    return {str(uid): {"limits": limits_of(uid), "use": use_of(uid)} for uid in uids}


def slices_watch(uids, seconds):
    """How much each counter grows while the time passes; also how long it really was."""
    started, before = time.monotonic(), {uid: use_of(uid) for uid in uids}
    time.sleep(seconds)
    after, ended = {uid: use_of(uid) for uid in uids}, time.monotonic()
    grown = {
        str(uid): {key: after[uid][key] - before[uid].get(key, 0) for key in ("cpu", "throttled") if key in after[uid]}
        for uid in uids
    }
    return {"seconds": ended - started, "grown": grown}


# A cron of its own, which runs its @reboot jobs at once; the host's would take up to a minute. It is the host's program
# with the host's PAM, started by systemd as cron.service is, because logind makes no session inside a session. It sees
# neither the jobs of the host nor the file by which cron knows that its @reboot jobs have run.
PRIVATE_CRON = """
set -e
mkdir -p {jobs}/run
mount --rbind /run {jobs}/run
mount -t tmpfs -o mode=755 {tag} /run
for name in dbus systemd user; do
  mkdir /run/$name
  mount --rbind {jobs}/run/$name /run/$name
done
mount -t tmpfs -o mode=755 {tag} /etc/cron.d
mount --bind /dev/null /etc/crontab
mount --bind {jobs}/spool /var/spool/cron/crontabs
exec timeout --signal=KILL {seconds} cron -f
"""


def slices_cron(people, seconds):
    """The control groups that jobs of cron are in, by name. people: name -> uid."""
    crontab = grp.getgrnam("crontab").gr_gid
    spool = JOBS / "spool"
    spool.mkdir(mode=0o1730)
    os.chown(spool, 0, crontab)
    for name, uid in people.items():
        (spool / name).write_text(f"@reboot cat /proc/self/cgroup > {JOBS}/{name}/cron\n", encoding="ascii")
        (spool / name).chmod(0o600)
        os.chown(spool / name, uid, crontab)
    script = PRIVATE_CRON.format(jobs=JOBS, tag=TAG, seconds=seconds)
    unit = ["systemd-run", "--quiet", "--collect", f"--unit={TAG}", "unshare", "--mount", "--propagation=private"]
    done = run(*unit, "sh", "-c", script)
    if done.returncode:
        raise RuntimeError(f"cannot start cron: {done.stderr.strip()}")
    found = slices_harvest(list(people), "cron", seconds)
    run("systemctl", "stop", TAG)
    return found


def slices_folders(people):
    """Where jobs say in which group they are. people: name -> uid."""
    JOBS.mkdir(mode=0o755)
    for name, uid in people.items():
        (JOBS / name).mkdir(mode=0o700)
        os.chown(JOBS / name, uid, uid)
    return {"folder": str(JOBS)}


def slices_harvest(people, kind, seconds):
    """The control groups that the jobs were in: name -> text, for those that have run before the time is over."""
    wait_for(lambda: all(content(JOBS / name / kind) for name in people), seconds)
    found = {name: content(JOBS / name / kind) for name in people}
    return {name: text for name, text in found.items() if text}


def slices_stray(name, uid):
    """What the tool of the host says of a process of a person before one is started outside the slice, and while."""

    def told():
        records = json.loads(run("/usr/local/sbin/lyceum-slices", "--json").stdout)
        (record,) = [one for one in records if one["uid"] == uid]
        return record["outside"]

    before = told()
    child = subprocess.Popen(
        ["runuser", "-u", name, "--", "python3", "-c", "import time; time.sleep(20)", TAG],
        env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(lambda: tagged(uid), 3)
        return {"before": before, "while": told()}
    finally:
        end_tagged(uid)
        child.kill()
        child.wait()


ACTIONS.update(
    {
        f.__name__: f
        for f in (
            slices_clean,
            slices_end,
            slices_host,
            slices_of,
            slices_watch,
            slices_folders,
            slices_cron,
            slices_harvest,
            slices_stray,
        )
    }
)
