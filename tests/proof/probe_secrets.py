# SPDX-License-Identifier: GPL-3.0-or-later
"""Where secrets are that should be nowhere: appended to probe.py on the host, and used on the controller as well.

A secret comes in by standard input or from its own file, and no answer has one: they are called by their names.
"""

# Any failure of a probe is an answer to send back, and what vanishes while it is looked at is no failure.
# ruff: noqa: F821, PTH123

from __future__ import annotations

import base64
import gzip
import re
import zlib
from urllib.parse import quote

LEAST = 12  # characters; anything shorter is found by chance
LARGEST = 64 << 20  # bytes of a file that is read at once
BLOCK = 4 << 20
PAUSE = 0.02
PLANTED = "/run/lyceum-proof-secrets"
# Programs and lists of packages are not made by runs; the journal is binary, and is asked for in words.
LEFT_OUT = ("/var/cache", "/var/lib/apt", "/var/lib/dpkg", "/var/log/journal", "/run/log/journal", "/run/udev")


def secrets_needles(known):
    """{name: byte strings} that give a secret away: as it is, in a URL, in JSON, and in base64 at any place."""
    found = {}
    for name, text in known.items():
        if len(text) < LEAST:
            raise RuntimeError(f"{name} is too short to be looked for")
        forms = {text.encode(), quote(text, safe="").encode(), json.dumps(text)[1:-1].encode()}
        for before in range(3):
            # Of `user:password` the password begins somewhere in a group of three; only whole groups are its own.
            coded = base64.b64encode(b"\0" * before + text.encode())
            whole = coded[4 if before else 0 : (before + len(text.encode())) // 3 * 4]
            forms |= {whole, whole.replace(b"+", b"-").replace(b"/", b"_")}
        found[name] = sorted(forms)
    return found


def secrets_in(data, needles):
    """Names of the secrets in these bytes."""
    return {name for name, forms in needles.items() if any(form in data for form in forms)}


def secrets_stream(stream, needles):
    """Names of the secrets in what a stream has, and how many bytes that was."""
    found, seen, rest = set(), 0, b""
    overlap = max((len(form) for forms in needles.values() for form in forms), default=0)
    while True:
        block = stream.read(BLOCK)
        if not block:
            return found, seen
        seen += len(block)
        rest += block
        found |= secrets_in(rest, needles)
        rest = rest[-overlap:]


def secrets_sources(sources):
    """{name: text} of the files that secrets have for their own.

    pattern: where there is more in the file than one secret; the first group of each match is one.
    """
    known = {}
    for source in sources:
        with open(source["path"], encoding="utf-8") as handle:
            text = handle.read()
        if source.get("pattern"):
            matches = [match[1].strip() for match in re.finditer(source["pattern"], text, re.MULTILINE)]
            known.update({f"{source['name']} {number}": one for number, one in enumerate(filter(None, matches), 1)})
        else:
            known[source["name"]] = text.strip()
    if not all(known.values()):
        raise RuntimeError(f"empty: {', '.join(name for name, text in known.items() if not text)}")
    return known


def secrets_files(roots, needles, allowed):
    """[name, path] of every secret in a file that is not its own, how many files were read, and which were too large.

    allowed: {path: names of those that may be there}.
    """
    found, count, large = [], 0, []
    for root in roots:
        for folder, folders, names in os.walk(root):
            folders[:] = [one for one in folders if os.path.join(folder, one) not in LEFT_OUT]
            for name in names:
                path = os.path.join(folder, name)
                try:
                    info = os.lstat(path)
                    if not stat.S_ISREG(info.st_mode):
                        continue
                    if info.st_size > LARGEST:
                        large.append(path)
                        continue
                    with open(path, "rb") as handle:
                        data = handle.read()
                    if path.endswith(".gz"):
                        data = gzip.decompress(data)
                except (OSError, EOFError, zlib.error):
                    continue  # gone, or not what its name says
                count += 1
                mine = allowed.get(path, ())
                found += [[one, path] for one in secrets_in(data, needles) if one not in mine]
    return found, count, large


def secrets_processes(needles, ended, uid=None):
    """[name, what of which program] of every secret in a command line or an environment until `ended()`, and how many
    command lines were seen. uid: only this user's processes.
    """
    found, seen, own = set(), {}, str(os.getpid())
    while True:
        for pid in os.listdir("/proc"):
            if not pid.isdigit() or pid == own:
                continue
            try:
                if uid is not None and os.stat(f"/proc/{pid}").st_uid != uid:
                    continue
                with open(f"/proc/{pid}/cmdline", "rb") as handle:
                    line = handle.read()
                if seen.get(pid) == line:
                    continue
                with open(f"/proc/{pid}/environ", "rb") as handle:
                    environment = handle.read()
            except OSError:
                continue  # it has ended, or is none of our business
            seen[pid] = line
            # Its first word and no more: what follows may be the secret.
            program = os.path.basename(line.split(b"\0")[0].decode(errors="replace"))[:40]
            found |= {(name, f"the command line of {program}") for name in secrets_in(line, needles)}
            found |= {(name, f"the environment of {program}") for name in secrets_in(environment, needles)}
        if ended():
            return sorted(map(list, found)), len(seen)
        time.sleep(PAUSE)


def secrets_read(sources):
    """The secrets of this host, for the search in what the controller keeps; to be kept in memory only."""
    return {"known": secrets_sources(sources)}


def secrets_watch(sources, known, seconds):
    """Command lines and environments of all processes of the host for some seconds."""
    end = time.monotonic() + seconds
    needles = secrets_needles({**known, **secrets_sources(sources)})
    found, count = secrets_processes(needles, lambda: time.monotonic() > end)
    return {"found": found, "count": count}


def secrets_search(sources, known, roots):
    """Files (configurations of git among them), journal and processes of the host."""
    own = secrets_sources(sources)
    needles = secrets_needles({**known, **own})
    # A secret may be wherever a source says so, also under another name: a password in its own file and in an app.ini.
    texts = {**known, **own}
    allowed = {
        source["path"]: [name for name in texts if texts[name] in secrets_sources([source]).values()]
        for source in sources
    }
    files, count, large = secrets_files(roots, needles, allowed)
    with subprocess.Popen(
        ["journalctl", "--no-pager", "--output=export"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env=ENVIRONMENT,
    ) as journal:  # fmt: skip
        logged, size = secrets_stream(journal.stdout, needles)
    processes, lines = secrets_processes(needles, lambda: True)
    found = files + [[name, "the journal"] for name in sorted(logged)] + processes
    return {"found": found, "files": count, "large": large, "journal": size, "processes": lines}


def secrets_plant(canary):
    """Something to be found everywhere: a file, a configuration of git, a line of the journal, a process."""
    secrets_uproot()
    place = Path(PLANTED)
    (place / "bait.git").mkdir(parents=True, mode=0o700)
    (place / "bait").write_text(f"x {canary} y", encoding="utf-8")
    (place / "bait.git" / "config").write_text(
        f'[remote "x"]\n\turl = https://u:{canary}@localhost/\n', encoding="utf-8"
    )
    run("systemd-cat", "--identifier=lyceum-proof", input=f"bait {canary}\n")
    run("journalctl", "--sync")
    sleeper = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(240)", canary],
        env={**ENVIRONMENT, "BAIT": canary}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    (place / "pid").write_text(str(sleeper.pid), encoding="utf-8")
    return {"folder": PLANTED}


def secrets_uproot():
    """Take the bait away, also that of a proof that was killed."""
    pid = Path(PLANTED, "pid")
    if pid.exists():
        number = pid.read_text(encoding="utf-8")
        with contextlib.suppress(OSError):
            # Only the process that we started: the number may be somebody else's by now.
            if b"time.sleep(240)" in Path(f"/proc/{number}/cmdline").read_bytes():
                os.kill(int(number), signal.SIGKILL)
    shutil.rmtree(PLANTED, ignore_errors=True)
    return {}


ACTIONS.update({f.__name__: f for f in (secrets_read, secrets_watch, secrets_search, secrets_plant, secrets_uproot)})
