# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes of role sshd_jail, sent after probe.py and with its helpers. What they leave is removed by `jail_clean`."""

# ruff: noqa: F821

from __future__ import annotations

PLANT = ".lyceum-proof-jail"
SLEEPER = "lyceum-proof-sleeper"
SOCKETS = f"/tmp/{PLANT}"  # noqa: S108  (where forwarded sockets would be made)
# Where a login shell, sshd or systemd would look for something of the person's own to run at the next login.
STARTED = {
    ".bashrc": "{evidence}\n",
    ".bash_profile": "{evidence}\n",
    ".profile": "{evidence}\n",
    ".ssh/rc": "{evidence}\n",
    ".ssh/environment": "BASH_ENV={home}/" + PLANT + "/run\n",
    ".pam_environment": "LD_PRELOAD DEFAULT={home}/" + PLANT + "/none.so\nBASH_ENV DEFAULT={home}/" + PLANT + "/run\n",
    ".config/environment.d/10-proof.conf": "BASH_ENV={home}/" + PLANT + "/run\n",
    ".config/systemd/user/" + MARK + ".service": "[Service]\nType=oneshot\nExecStart=/bin/sh {home}/"
    + PLANT
    + "/run\n",
}
WANTS = ".config/systemd/user/default.target.wants"
# Where people are told of their limits, use and notices, each by an own file or folder.
TOLD = ("/var/lib/lyceum/storage/people", "/var/lib/lyceum/notices")


def jail_host(projects):
    """What tells inside from outside on this host, and whether projects have storage here."""
    addresses = run("hostname", "-I").stdout.split()
    return {
        "projects": os.path.isdir(projects),
        "namespace": os.readlink("/proc/1/ns/mnt"),
        "addresses": [one for one in addresses if "." in one and not one.startswith("127.")],
        "machine": os.uname().machine,
        "shells": {entry.pw_name: entry.pw_shell for entry in pwd.getpwall()},
        "time": int(time.time()),
    }


def jail_sleep(people):
    """Let each of these run something outside, as a leftover of other days would; returns the pids by name."""
    pids = {}
    for name in people:
        entry = pwd.getpwnam(name)
        started = subprocess.Popen(
            [SLEEPER, "600"], executable="/usr/bin/sleep", preexec_fn=lambda e=entry: become(e), cwd="/",
            env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        pids[name] = started.pid
    return pids


def jail_alive(pids):
    """Which of the pids still are such sleepers."""
    found = []
    for pid in pids:
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(SLEEPER.encode()):
                found.append(pid)
    return {"alive": found}


def jail_setuid(person):
    """A program of root with the setuid bit in the person's home, as a mistake of root's could leave it there.

    outside: what it says who it is when the person runs it outside.
    """
    entry = pwd.getpwnam(person)
    work = Path(entry.pw_dir, PLANT)
    as_person(entry, lambda: work.mkdir(exist_ok=True))
    copy = work / "id"
    shutil.copy("/usr/bin/id", copy)
    os.chown(copy, 0, 0)
    copy.chmod(0o4755)
    return {"path": str(copy), "outside": as_person(entry, lambda: run(str(copy), "-u").stdout.strip())}


def jail_plant(person):
    """Put into a home what could start something outside at the next login; what was there is kept aside."""
    entry = pwd.getpwnam(person)
    home = Path(entry.pw_dir)
    work = home / PLANT

    def write():
        (work / "kept").mkdir(parents=True, exist_ok=True)
        (work / "run").write_text(
            f"readlink /proc/self/ns/mnt > {work}/seen.$$ && mv {work}/seen.$$ {work}/evidence.$$\n", encoding="ascii"
        )
        for name, content in STARTED.items():
            path = home / name
            if os.path.lexists(path):
                path.rename(work / "kept" / name.replace("/", "%"))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content.format(evidence=f"/bin/sh {work}/run", home=home), encoding="ascii")
        (home / WANTS).mkdir(exist_ok=True)
        (home / WANTS / f"{MARK}.service").symlink_to(f"../{MARK}.service")

    as_person(entry, write)
    return {"planted": sorted(STARTED)}


def jail_race(person, seconds):
    """As the person, outside: a directory and a link to /etc change places under one name, again and again.

    leaks: whether a program that is fooled reads the host's own /etc/passwd.
    """
    entry = pwd.getpwnam(person)
    work = Path(entry.pw_dir, PLANT)
    libc = ctypes.CDLL(None, use_errno=True)
    race, trap = os.fsencode(work / "race"), os.fsencode(work / "trap")

    def swap():
        (work / "race").mkdir(parents=True)
        (work / "race" / "passwd").write_text("nothing here\n", encoding="ascii")
        (work / "trap").symlink_to("/etc")
        leaks, swaps, end = False, 0, time.monotonic() + seconds
        while time.monotonic() < end or swaps % 2:
            if libc.renameat2(-100, race, -100, trap, 2):  # AT_FDCWD, RENAME_EXCHANGE
                raise OSError(ctypes.get_errno(), "renameat2")
            leaks = leaks or "root:x:0:0" in (work / "race" / "passwd").read_text(encoding="utf-8")
            time.sleep(0.001)
            swaps += 1
        return {"leaks": leaks, "swaps": swaps}

    return as_person(entry, swap)


def jail_evidence(person):
    """The mount namespaces in which planted things ran, and forget them."""
    work = Path(pwd.getpwnam(person).pw_dir) / PLANT
    found = []
    for path in work.glob("evidence.*"):
        found.append(path.read_text(errors="replace").strip())
        path.unlink()
    return {"namespaces": sorted(set(found))}


def jail_clean(people):
    """Remove what a proof left, also a killed one."""
    restored = []
    for name in people:
        entry = account(name)
        work = Path(entry.pw_dir) / PLANT if entry else None
        if entry and work.is_dir() and not work.is_symlink():
            as_person(entry, lambda e=entry: jail_uproot(Path(e.pw_dir)))
            shutil.rmtree(work)
            restored.append(name)
        for pid in processes(entry.pw_uid) if entry else ():
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(SLEEPER.encode()):
                    os.kill(pid, signal.SIGKILL)
    for path in glob.glob(f"{SOCKETS}-*"):
        os.unlink(path)
    return {"restored": restored}


def jail_uproot(home):
    """As the person: put back what was there before."""
    if (home / WANTS / f"{MARK}.service").is_symlink():
        (home / WANTS / f"{MARK}.service").unlink()
        if not any((home / WANTS).iterdir()):
            (home / WANTS).rmdir()
    for name in STARTED:
        path = home / name
        if path.is_file() and not path.is_symlink() and PLANT in path.read_text(errors="replace"):
            path.unlink()
        saved = home / PLANT / "kept" / name.replace("/", "%")
        if os.path.lexists(saved) and not os.path.lexists(path):
            saved.rename(path)
        for parent in path.parents:
            if parent == home or (parent.is_dir() and any(parent.iterdir())):
                break
            if parent.is_dir():
                parent.rmdir()


def jail_told(uid):
    """What tells this person and what tells others, as paths; the lines about limits, and whether logins show them."""
    folders = [folder for folder in TOLD if os.path.isdir(folder)]
    found = [f"{folder}/{name}" for folder in folders for name in os.listdir(folder) if not name.startswith(".")]
    own = [path for path in found if os.path.basename(path).partition(".")[0] == str(uid)]
    banner = Path(TOLD[0], f"{uid}.banner")
    return {
        "own": sorted(own),
        "others": sorted(set(found) - set(own)),
        "login": os.path.exists("/etc/profile.d/lyceum.sh"),
        "banner": banner.read_text(encoding="utf-8").splitlines() if banner.exists() else [],
    }


def jail_manager(person):
    """Whether systemd runs a manager for the person, which would run units from the home."""
    return {"state": run("systemctl", "is-active", f"user@{pwd.getpwnam(person).pw_uid}.service").stdout.strip()}


def jail_journal(since, uid, words):
    """Lines of sshd and sftp since then (seconds since the epoch) that have one of the words."""
    done = run(
        "journalctl", "--no-pager", "-q", "-o", "cat", f"--since=@{since}", "_COMM=sshd", "+", "_COMM=sshd-session",
        "+", "_COMM=sftp-server", "+", f"_UID={uid}",
    )  # fmt: skip
    return {"lines": [line for line in done.stdout.splitlines() if any(word in line for word in words)]}


def jail_sshd(users):
    """sshd's effective options for each of these."""
    return {user: sshd_options(user) for user in users}


def jail_unban(address):
    """Let an address in again that fail2ban shut out."""
    return {"status": run("fail2ban-client", "set", "sshd", "unbanip", address).returncode}


def jail_audit():
    """The audit rules in the kernel, or why it has none; and whether the rules are installed."""
    done = run("auditctl", "-l")
    return {
        "rules": done.stdout.splitlines() if done.returncode == 0 else [],
        "refused": done.stderr.strip().splitlines()[:1] if done.returncode else [],
        "installed": os.path.exists("/etc/audit/rules.d/50-lyceum.rules"),
    }


def jail_audit_event():
    """Change something that is watched; whether the log has it."""
    path = Path("/etc", MARK)
    path.touch()
    path.unlink()
    wait = time.monotonic() + 5
    while time.monotonic() < wait:
        done = run("ausearch", "--input-logs", "-k", "lyceum-etc", "-ts", "recent")
        if MARK in done.stdout:
            return {"logged": True}
        time.sleep(0.3)
    return {"logged": False}


JAIL_ACTIONS = (
    jail_host, jail_sleep, jail_alive, jail_setuid, jail_plant, jail_race, jail_evidence, jail_clean, jail_told,
    jail_manager, jail_journal, jail_sshd, jail_unban, jail_audit, jail_audit_event,
)  # fmt: skip
ACTIONS.update({function.__name__: function for function in JAIL_ACTIONS})
