# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the host under test, as root, fed to `python3 -` over ssh; nothing is installed. One JSON object in, one out.

Every action leaves the host as it found it. What could be left behind by a killed proof has a fixed name and is
removed by `clean`, which every proof starts with. `schedule`, `spool` and `password` run in mount and process
namespaces of their own (`unshare --mount --pid`), so that what they change vanishes with them.
"""

# System calls by name are what is under test here, and any failure of a probe is an answer to send back.
# ruff: noqa: BLE001, PTH108, PTH110, PTH112, PTH116, PTH123, PTH202, PTH207, PTH208

from __future__ import annotations

import contextlib
import ctypes
import glob
import grp
import hashlib
import json
import os
import pty
import pwd
import select
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

MARK = "lyceum-proof"
WORK = Path("/run/lyceum-proof")
SAVED = ".lyceum-proof-saved"
NOBODY = 65534
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}


def run(*argv, **options):
    """A program's result; a missing program has exit status 127."""
    try:
        return subprocess.run(argv, capture_output=True, text=True, env=ENVIRONMENT, check=False, timeout=20, **options)
    except FileNotFoundError as exc:
        return subprocess.CompletedProcess(argv, 127, "", str(exc))


def account(name):
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def become(entry):
    """Turn this (child) process into a person for good, as login does."""
    os.initgroups(entry.pw_name, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def as_person(entry, function):
    """The JSON-able result of `function()`, called in a child process with the person's ids."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            become(entry)
            result = {"value": function()}
        except BaseException as exc:
            result = {"error": f"{type(exc).__name__}: {exc}"}
        with os.fdopen(writer, "w") as pipe:
            json.dump(result, pipe)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        result = json.load(pipe)
    os.waitpid(child, 0)
    if "error" in result:
        raise RuntimeError(f"as {entry.pw_name}: {result['error']}")
    return result["value"]


# --- observation -----------------------------------------------------------------------------------------------------


def observe(people, groups, users, keys_dir, archive_dir):
    """Everything that can be read in one go: accounts, groups, sshd's effective options, key files, leftovers."""
    gids = {entry.pw_name: entry.pw_gid for entry in pwd.getpwall()}
    found_groups = {}
    for group in groups:
        try:
            entry = grp.getgrnam(group)
        except KeyError:
            found_groups[group] = None
            continue
        primary = [name for name, gid in gids.items() if gid == entry.gr_gid]
        found_groups[group] = {"gid": entry.gr_gid, "members": sorted({*entry.gr_mem, *primary})}
    return {
        "accounts": {name: bool(account(name)) for name in people},
        "groups": found_groups,
        "sshd": {user: sshd_options(user) for user in users},
        "listen": sshd_options(None).get("listenaddress", []),
        "keys": key_files(keys_dir),
        "leftovers": {name: leftovers(name, one, keys_dir) for name, one in people.items() if one["state"] == "absent"},
        "ways_in": {name: ways_in(name, one, keys_dir) for name, one in people.items() if one["state"] == "suspended"},
        "archives": {
            name: archives(name, one["uid"], archive_dir) for name, one in people.items() if one["state"] == "absent"
        },
        "programs": {name: bool(shutil.which(name, path=ENVIRONMENT["PATH"])) for name in ("cron", "atd", "su")},
    }


def sshd_options(user):
    """sshd's effective options for a user as lists of values by option, or {"error": ...}."""
    which = ["-C", f"user={user},host=attacker,addr=192.0.2.7"] if user else []
    done = run("/usr/sbin/sshd", "-T", *which)
    if done.returncode:
        return {"error": done.stderr.strip()[-300:]}
    options = {}
    for line in done.stdout.splitlines():
        name, _, value = line.partition(" ")
        options.setdefault(name, []).append(value)
    return options


def key_files(directory):
    """Whoever may write the directory or a file of it, besides root: path -> why."""
    trouble = {}
    for path in [Path(directory), *Path(directory).glob("*")]:
        info = path.lstat()
        if info.st_uid != 0 or stat.S_IMODE(info.st_mode) & 0o022 or stat.S_ISLNK(info.st_mode):
            trouble[str(path)] = f"owner {info.st_uid}, mode {stat.S_IMODE(info.st_mode):04o}"
    return trouble


def leftovers(name, person, keys_dir):
    """What a removed person still has here, as sentences."""
    found = []
    uid = person["uid"]
    if account(name):
        found.append("account")
    for path in ("/etc/shadow", "/etc/gshadow", "/etc/subuid", "/etc/subgid"):
        with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8", errors="replace") as handle:
            if any(line.split(":", 1)[0] == name for line in handle):
                found.append(f"line in {path}")
    found += [f"member of {entry.gr_name}" for entry in grp.getgrall() if name in entry.gr_mem]
    places = [
        person["home"],
        f"/var/spool/cron/crontabs/{name}",
        f"/var/lib/systemd/linger/{name}",
        f"/var/mail/{name}",
        f"/run/user/{uid}",
        f"{keys_dir}/{name}",
    ]
    found += [place for place in places if os.path.lexists(place) and not (place.startswith(keys_dir) and empty(place))]
    if account(name) is None and not any(entry.pw_uid == uid for entry in pwd.getpwall()):
        found += [f"process {pid}" for pid in processes(uid)]
        found += [path for path in glob.glob("/var/spool/cron/atjobs/*") if os.lstat(path).st_uid == uid]
    return found


def ways_in(name, person, keys_dir):
    """What a suspended person could go on with here, as sentences."""
    if account(name) is None:
        return []
    found = [f"process {pid}" for pid in processes(pwd.getpwnam(name).pw_uid)]
    found += [f"keys in {path}" for path in (f"{keys_dir}/{name}",) if os.path.lexists(path) and not empty(path)]
    found += [
        place for place in (f"/var/lib/systemd/linger/{name}", f"/run/user/{person['uid']}") if os.path.lexists(place)
    ]
    return found


def empty(path):
    return os.path.getsize(path) == 0


def processes(uid):
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if os.stat(f"/proc/{entry}").st_uid == uid:
                    found.append(int(entry))
    return found


def archives(name, uid, directory):
    """path -> whether its checksum verifies, for every archive of this person."""
    result = {}
    for path in sorted(glob.glob(f"{directory}/{name}-{uid}-*.tar.zst")):
        digest = hashlib.sha256()
        with open(path, "rb") as handle:
            for block in iter(lambda: handle.read(1 << 20), b""):
                digest.update(block)
        try:
            wanted = Path(path + ".sha256").read_text(encoding="ascii").split()[0]
        except (FileNotFoundError, IndexError):
            wanted = "none"
        result[path] = wanted == digest.hexdigest()
    return result


# --- attacks of one person on another --------------------------------------------------------------------------------


def homes(attackers, victims):
    """What each attacker (a name) could do in each victim's home (name -> path), as sentences; also how many homes."""
    looked_at = {name: home for name, home in victims.items() if os.path.isdir(home)}
    inside = {home: first_file(home) for home in looked_at.values()}
    breaches = []
    for attacker in attackers:
        others = {name: home for name, home in looked_at.items() if name != attacker}
        breaches += as_person(pwd.getpwnam(attacker), lambda o=others, a=attacker: enter_all(a, o.values(), inside))
    return {"homes": len(looked_at), "breaches": breaches}


def first_file(home):
    with os.scandir(home) as entries:
        return next((entry.path for entry in entries if entry.is_file(follow_symlinks=False)), None)


def enter_all(attacker, victims, inside):
    return [breach for home in victims for breach in enter(attacker, home, inside[home])]


def enter(attacker, home, file):
    attempts = {
        "list": lambda: os.listdir(home),
        "traverse": lambda: os.stat(home + "/."),
        "create a file in": lambda: make(home),
    }
    if file:
        attempts["read a file of"] = lambda: os.close(os.open(file, os.O_RDONLY | os.O_NOFOLLOW))
    breaches = []
    for what, attempt in attempts.items():
        try:
            attempt()
        except PermissionError:
            continue
        breaches.append(f"{attacker} could {what} {home}")
    return breaches


def make(directory):
    path = f"{directory}/{MARK}"
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    os.unlink(path)


def forge(person, keys_dir):
    """What a person could do to the managed key files, as sentences."""
    entry = pwd.getpwnam(person)

    def attempts():
        done = []
        with contextlib.suppress(PermissionError):
            make(keys_dir)
            done.append(f"{person} could add a file to {keys_dir}")
        with contextlib.suppress(PermissionError, FileNotFoundError):
            os.close(os.open(f"{keys_dir}/{person}", os.O_WRONLY | os.O_APPEND))
            done.append(f"{person} could write {keys_dir}/{person}")
        return done

    return {"breaches": as_person(entry, attempts)}


def plant(person, key):
    """Let a person write `key` into both files that sshd reads by default; what was there is kept aside."""
    entry = pwd.getpwnam(person)
    folder = Path(entry.pw_dir) / ".ssh"

    def write():
        if not folder.is_dir():
            folder.mkdir(mode=0o700)
            (folder / MARK).touch()
        for name in ("authorized_keys", "authorized_keys2"):
            path = folder / name
            if os.path.lexists(path):
                path.rename(folder / (name + SAVED))
            path.write_text(f"{key} {MARK}\n", encoding="ascii")
            path.chmod(0o600)

    as_person(entry, write)
    return {"planted": str(folder)}


def uproot(person):
    """Undo `plant`, whole or half done; do nothing to files that it did not write."""
    entry = account(person)
    if entry is None:
        return {"restored": []}
    folder = Path(entry.pw_dir) / ".ssh"

    def restore():
        restored = []
        for name in ("authorized_keys", "authorized_keys2"):
            path = folder / name
            if path.is_file() and not path.is_symlink() and path.read_text(errors="replace").endswith(f" {MARK}\n"):
                path.unlink()
                restored.append(str(path))
            if os.path.lexists(folder / (name + SAVED)) and not os.path.lexists(path):
                (folder / (name + SAVED)).rename(path)
        if (folder / MARK).exists():
            (folder / MARK).unlink()
            folder.rmdir()
        return restored

    return {"restored": as_person(entry, restore)}


def clean(people):
    """Remove what a killed proof may have left."""
    restored = [path for name in people if account(name) for path in uproot(name)["restored"]]
    if WORK.is_dir():
        shutil.rmtree(WORK)
        restored.append(str(WORK))
    return {"restored": restored}


# --- in namespaces of their own --------------------------------------------------------------------------------------


def mount(*argv):
    done = run("mount", *argv)
    if done.returncode:
        raise RuntimeError(f"mount {' '.join(argv)}: {done.stderr.strip()}")


def tmpfs(path, mode, uid=0, gid=0):
    mount("-t", "tmpfs", "-o", f"mode={mode:o},uid={uid},gid={gid}", MARK, str(path))


def hide(path):
    """Put something empty over a file or a directory, if it is there."""
    if os.path.isdir(path):
        tmpfs(path, 0o755)
    elif os.path.exists(path):
        mount("--bind", "/dev/null", path)


def wait_for(condition, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def schedule(control, suspects):
    """Whose @reboot job the real cron runs: control and suspects are {name: uid}. Sees no other job of the host."""
    tmpfs("/run", 0o755)
    WORK.mkdir()
    WORK.chmod(0o1777)
    spool = "/var/spool/cron/crontabs"
    tmpfs(spool, 0o1730, gid=grp.getgrnam("crontab").gr_gid)
    for path in ("/etc/crontab", "/etc/cron.d"):
        hide(path)
    for name, uid in {**suspects, **control}.items():
        crontab = Path(spool, name)
        crontab.write_text(f'MAILTO=""\n@reboot /usr/bin/id -un > {WORK}/{name}\n', encoding="ascii")
        crontab.chmod(0o600)
        os.chown(crontab, uid, grp.getgrnam("crontab").gr_gid)
    cron = subprocess.Popen(
        ["cron", "-f"], env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: all((WORK / name).exists() for name in control), 8)
        time.sleep(1)  # cron starts all jobs at once; the suspects get the same chance and a second more
    finally:
        cron.kill()
        cron.wait()
    return {"fired": sorted(path.name for path in WORK.iterdir())}


def spool(control, suspects):
    """Whose `at now` job the real atd runs. As `schedule`; who has no account cannot call at and is left out."""
    tmpfs("/run", 0o755)
    WORK.mkdir()
    WORK.chmod(0o1777)
    daemon = pwd.getpwnam("daemon")
    for path in ("/var/spool/cron/atjobs", "/var/spool/cron/atspool"):
        tmpfs(path, 0o1770, daemon.pw_uid, daemon.pw_gid)
    Path("/var/spool/cron/atjobs/.SEQ").touch()
    os.chown("/var/spool/cron/atjobs/.SEQ", daemon.pw_uid, daemon.pw_gid)
    atd = subprocess.Popen(
        ["atd", "-f"], env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    words = {}
    try:
        wait_for(lambda: Path("/run/atd.pid").exists(), 3)
        for name in {**suspects, **control}:
            entry = account(name)
            if entry is not None:
                job = f"/usr/bin/id -un > {WORK}/{name}\n"
                done = run("at", "-M", "now", input=job, cwd="/", preexec_fn=lambda e=entry: become(e))
                words[name] = done.stderr.strip().splitlines()[-1:]
        wait_for(lambda: all((WORK / name).exists() for name in control), 8)
        time.sleep(1)
    finally:
        atd.kill()
        atd.wait()
    return {"fired": sorted(path.name for path in WORK.iterdir()), "said": words}


def password(control, suspects, secret):
    """Who gets in with the right password, through su (as nobody) and through an sshd with the host's configuration.

    Nobody's password is known, so the attack takes place over a copy of /etc/shadow in which everyone concerned has the
    password `secret` and all else, lock and expiry included, is as it was; only `control` is not locked.
    """
    libcrypt = ctypes.CDLL("libcrypt.so.1")
    libcrypt.crypt.restype = ctypes.c_char_p
    hashed = libcrypt.crypt(secret.encode(), b"$6$" + os.urandom(6).hex().encode()).decode()
    WORK.mkdir(mode=0o700)
    try:
        return _password(control, suspects, secret, hashed)
    finally:
        run("umount", str(WORK))
        WORK.rmdir()


def _password(control, suspects, secret, hashed):
    tmpfs(WORK, 0o755)
    shadow = WORK / "shadow"
    shutil.copy2("/etc/shadow", shadow)
    lines = [line.split(":") for line in shadow.read_text(encoding="utf-8").splitlines()]
    for fields in lines:
        locks = fields[1][: len(fields[1]) - len(fields[1].lstrip("!*"))]
        if fields[0] in suspects:
            fields[1] = locks + hashed
        elif fields[0] in control:
            fields[1] = hashed
    shadow.write_text("".join(":".join(fields) + "\n" for fields in lines), encoding="utf-8")
    shutil.copystat("/etc/shadow", shadow)
    os.chown(shadow, 0, os.stat("/etc/shadow").st_gid)
    mount("--bind", str(shadow), "/etc/shadow")
    for path in ("/var/log", "/run/faillock", "/run/dbus"):
        hide(path)
    names = [*control, *suspects]
    port = 20000 + os.getpid() % 10000 + int.from_bytes(os.urandom(2), "big") % 20000
    sshd = subprocess.Popen(
        ["/usr/sbin/sshd", "-D", "-p", str(port), "-o", "ListenAddress=127.0.0.1", "-o", "PidFile=none"],
        env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        askpass = WORK / "askpass"
        askpass.write_text(f"#!/bin/sh\necho {secret}\n", encoding="ascii")
        askpass.chmod(0o700)
        wait_for(lambda: run("ssh-keyscan", "-T", "1", "-p", str(port), "127.0.0.1").stdout, 5)
        su = {name: su_begin(name, secret) for name in names}
        ssh = {name: ssh_begin(name, f"127.0.0.{number + 2}", port, askpass) for number, name in enumerate(names)}
        return {
            "su": {name: su_end(*started) for name, started in su.items()},
            "ssh": {name: "Authenticated to" in started.communicate(timeout=15)[1] for name, started in ssh.items()},
        }
    finally:
        sshd.kill()
        sshd.wait()


def su_begin(name, secret):
    """su on a terminal of its own, started by nobody (root would not be asked for a password)."""
    child, terminal = pty.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        os.chdir("/")
        os.execvpe("su", ["su", "-s", "/bin/sh", name, "-c", f"echo {MARK}-in"], ENVIRONMENT)
    return child, terminal, secret


def su_end(child, terminal, secret):
    """Whether su let us in."""
    heard, asked, end = "", False, time.monotonic() + 12
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 0.1)[0]:
            continue
        try:
            block = os.read(terminal, 4096)
        except OSError:
            break  # su has closed its terminal
        heard += block.decode(errors="replace")
        if not asked and "assword" in heard:
            os.write(terminal, secret.encode() + b"\n")
            asked = True
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(terminal)
    return f"{MARK}-in" in heard


def ssh_begin(name, source, port, askpass):
    options = [
        f"-oBindAddress={source}", "-oUserKnownHostsFile=/dev/null", "-oStrictHostKeyChecking=no", "-oLogLevel=VERBOSE",
        "-oPubkeyAuthentication=no", "-oPreferredAuthentications=password,keyboard-interactive",
        "-oNumberOfPasswordPrompts=1", "-oConnectTimeout=5",
    ]  # fmt: skip
    return subprocess.Popen(
        ["ssh", "-F", "none", "-p", str(port), *options, f"{name}@127.0.0.1", "true"],
        env={**ENVIRONMENT, "SSH_ASKPASS": str(askpass), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0"},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


ACTIONS = {f.__name__: f for f in (observe, homes, forge, plant, uproot, clean, schedule, spool, password)}


def main(request):
    """Carry out one request and print its result; the caller appends the call of this function to the source."""
    try:
        answer = ACTIONS[request["action"]](**request["parameters"])
    except Exception as exc:
        answer = {"error": f"{type(exc).__name__}: {exc}"}
    json.dump(answer, sys.stdout)
