# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on a lab host: kill the module's own payload at random moments and see what is left.

crash_on_host.py remember: keep the account files. crash_on_host.py forget: put them back and remove every trace.
crash_on_host.py BEFORE AFTER KILLS SEED, where BEFORE and AFTER are payloads as Ansible sends them, prints JSON: tries,
killed (tries in which the payload was still running), seconds (an undisturbed run), problems (sentences).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

ETC = ("passwd", "shadow", "group", "gshadow", "subuid", "subgid")
BASE = Path("/root/crash")
ARCHIVES = Path("/var/backups/crash")
PRECIOUS = "the only copy\n" * 500


def main() -> None:
    if sys.argv[1] == "remember":
        shutil.rmtree(BASE, ignore_errors=True)
        for folder in ("original", "before"):
            (BASE / folder).mkdir(parents=True)
        copy_etc(Path("/etc"), BASE / "original")
    elif sys.argv[1] == "forget":
        clear_homes()
        copy_etc(BASE / "original", Path("/etc"))
        shutil.rmtree(ARCHIVES, ignore_errors=True)
        shutil.rmtree(BASE)
    else:
        clear_homes()
        copy_etc(BASE / "original", Path("/etc"))
        before, after, kills, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
        print(json.dumps(experiment(before, after, kills, random.Random(seed))))


def experiment(before: str, after: str, kills: int, chance: random.Random) -> dict[str, object]:
    """Reference run first, then again and again restore, kill, look, run to the end, look."""
    run_to_end(before)
    for home in Path("/home").glob("crash*"):
        (home / "precious").write_text(PRECIOUS)
        os.chown(home / "precious", home.stat().st_uid, home.stat().st_gid)
    copy_etc(Path("/etc"), BASE / "before")
    subprocess.run(["cp", "-a", *map(str, Path("/home").glob("crash*")), str(BASE / "before")], check=True)
    start = time.monotonic()
    run_to_end(after)
    seconds = time.monotonic() - start
    reference = state()
    problems: list[str] = []
    killed = tries = 0
    # A moment after the end kills nothing and does not count; the bound ends the test on a machine that became faster.
    while killed < kills and tries < 3 * kills:
        tries += 1
        restore()
        moment = chance.uniform(0, seconds * 1.05)
        child = subprocess.Popen([sys.executable, after], stdout=subprocess.DEVNULL, start_new_session=True)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(moment)
        killed += child.poll() is None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        wait_for_lock()
        where = f"try {tries}, killed after {moment:.3f} s"
        problems += [f"{where}: {problem}" for problem in damage()]
        run_to_end(after)
        if json.loads(run_to_end(after))["changed"]:
            problems.append(f"{where}: the run after the repairing run still changes something")
        problems += [f"{where}, run again: {problem}" for problem in damage()]
        if state() != reference:
            problems.append(f"{where}: the end state differs from that of an undisturbed run")
    return {"tries": tries, "killed": killed, "seconds": round(seconds, 2), "problems": problems}


def damage() -> list[str]:
    """What a killed run must never leave behind."""
    found = []
    for command in (["pwck", "-q", "-r"], ["grpck", "-r"]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            found.append(f"{' '.join(command)} says {done.returncode}: {(done.stdout + done.stderr).strip()[:300]}")
    accounts = {line.split(":")[0]: line.split(":") for line in Path("/etc/passwd").read_text().splitlines()}
    for name, fields in accounts.items():
        home = Path(fields[5])
        if name.startswith("crashnew") and not (home / ".profile").exists():
            found.append(f"account {name} has no complete home")
    for home in (BASE / "before").glob("crash*"):
        if not copies_of(home.name):
            found.append(f"the data of {home.name} are neither in a home nor in a verified archive")
    return found


def copies_of(name: str) -> list[Path]:
    """Complete copies of a person's precious file: the home, the home put aside, or an archive whose checksum holds."""
    places = [Path("/home", name), Path("/home", f".lyceum-{name}.removed")]
    copies = [
        place for place in places if (place / "precious").exists() and (place / "precious").read_text() == PRECIOUS
    ]
    for archive in ARCHIVES.glob(f"{name}-*.tar.zst"):
        checksum = archive.with_name(f"{archive.name}.sha256").read_text().split()[0]
        if hashlib.sha256(archive.read_bytes()).hexdigest() == checksum:
            copies.append(archive)
    return copies


def state() -> dict[str, object]:
    """What must be equal after every way to the same wish: account files without order, every file of the homes."""
    homes = {}
    for folder, directories, files in os.walk("/home"):
        for name in [*directories, *files]:
            path = Path(folder, name)
            info = path.lstat()
            homes[str(path)] = (
                stat.filemode(info.st_mode),
                info.st_uid,
                info.st_gid,
                info.st_size if name in files else 0,
            )
    return {"homes": homes, **{name: sorted(Path("/etc", name).read_text().splitlines()) for name in ETC}}


def run_to_end(payload: str) -> str:
    done = subprocess.run([sys.executable, payload], capture_output=True, text=True, check=False)
    if done.returncode:
        words = json.loads(done.stdout)["msg"] if done.stdout.startswith("{") else done.stdout[-2000:]
        raise SystemExit(f"{payload} failed: {words} {done.stderr[-2000:]}")
    return done.stdout


def wait_for_lock() -> None:
    """The renames of a killed run are finished by a child that still holds the lock."""
    with Path("/etc/.pwd.lock").open("w") as handle:
        fcntl.lockf(handle, fcntl.LOCK_EX)


def restore() -> None:
    clear_homes()
    shutil.rmtree(ARCHIVES, ignore_errors=True)
    subprocess.run(["cp", "-a", *map(str, (BASE / "before").glob("crash*")), "/home"], check=True)
    copy_etc(BASE / "before", Path("/etc"))


def clear_homes() -> None:
    for home in [*Path("/home").glob("crash*"), *Path("/home").glob(".lyceum-crash*")]:
        shutil.rmtree(home)


def copy_etc(source: Path, target: Path) -> None:
    for name in ETC:
        subprocess.run(["cp", "-p", str(source / name), str(target / name)], check=True)


if __name__ == "__main__":
    main()
