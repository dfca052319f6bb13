# SPDX-License-Identifier: GPL-3.0-or-later
"""Empty Giteas on the loopback of this machine, on SQLite or on a PostgreSQL of their own, gone when the block ends."""

from __future__ import annotations

import os
import platform
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fixtures.gitea import pack
from fixtures.gitea.servers import Gitea, running

SQLITE, POSTGRES = "sqlite", "postgresql"
DATABASES = (SQLITE, POSTGRES)
# As many at once as the module is told for the database: two on SQLite, where writers wait for each other.
WRITERS = {SQLITE: 2, POSTGRES: 8}

PACKAGES = Path("/usr/lib/postgresql")
SCOPES = "write:admin,write:user,write:organization,write:repository"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

# As the role sets it up. The tests' own settings make passwords cheap; here Gitea does what it does by itself.
SETTINGS = """\
[security]
PASSWORD_HASH_ALGO = pbkdf2
[server]
SSH_CREATE_AUTHORIZED_KEYS_FILE = false
[database]
SQLITE_JOURNAL_MODE = WAL
"""

Empty = Callable[[], AbstractContextManager[Gitea]]


def in_mirror(folder: Path) -> Path | None:
    """The newest Gitea for this machine in a mirror of artifacts, by the name of its upstream release."""
    machine = ARCHITECTURES.get(platform.machine(), platform.machine())
    name = re.compile(rf"gitea-(\d+)\.(\d+)\.(\d+)-linux-{machine}")
    matches = [(path, name.fullmatch(path.name)) for path in folder.rglob("gitea-*")]
    found = {tuple(map(int, match.groups())): path for path, match in matches if match}
    return found[max(found)] if found else None


def postgres_programs() -> Path | None:
    """The newest PostgreSQL that Debian's packages have put here, if it can be started by whoever we are."""
    found = [path.parent for path in PACKAGES.glob("*/bin/initdb")]
    return max(found, key=lambda path: int(path.parent.name), default=None) if os.geteuid() or _owner() else None


@contextmanager
def giteas(program: Path | None, database: str) -> Iterator[Empty]:
    """What starts an empty Gitea, as often as it is called. program: of the real one; the stand-in without."""
    with tempfile.TemporaryDirectory(prefix="lyceum-bench-") as name:
        folder = Path(name)
        executable = folder / "gitea"
        if program is None:
            pack.write(executable)
        else:
            # A copy: a mirror keeps its files without the right to run them.
            shutil.copyfile(program, executable)
            executable.chmod(0o755)
        if database == SQLITE:
            yield _starter(folder, executable, program is not None, lambda _name: "")
            return
        with _postgres() as new_database:
            yield _starter(folder, executable, program is not None, new_database)


def _starter(folder: Path, program: Path, real: bool, new_database: Callable[[str], str]) -> Empty:
    started: list[str] = []

    @contextmanager
    def empty() -> Iterator[Gitea]:
        name = f"gitea{len(started)}"
        started.append(name)
        with running(Gitea(folder / name, program, real=real, more=SETTINGS, database=new_database(name))) as gitea:
            yield gitea

    return empty


@contextmanager
def _postgres() -> Iterator[Callable[[str], str]]:
    """A server on a socket in a folder that only its account (and root) can enter, with PostgreSQL's own settings.

    Yields what makes a database and says how Gitea finds it.
    """
    programs, owner = postgres_programs(), _owner()
    if programs is None:
        raise SystemExit("PostgreSQL is not installed on this machine; use --database sqlite")

    def call(program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(programs / program), *arguments],
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            # Not a pipe: the server keeps what pg_ctl gives it, and nobody would see the end of it.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=owner,
            group=owner,
            extra_groups=[] if owner else None,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"PostgreSQL: {program} failed with {done.returncode}")

    # Not below the other folder: the path of a socket must be short, and the server's account has to get there.
    with tempfile.TemporaryDirectory(prefix="lyceum-pg-") as name:
        folder = Path(name)
        if owner:
            shutil.chown(folder, owner)
        data = f"--pgdata={folder}/data"
        call("initdb", data, "--auth=trust", "--username=gitea", "--encoding=UTF8")
        try:
            options = f"-c listen_addresses='' -c unix_socket_directories={folder}"
            call("pg_ctl", data, "--wait", f"--log={folder}/log", f"--options={options}", "start")

            def new_database(called: str) -> str:
                call("createdb", f"--host={folder}", "--username=gitea", called)
                return f"DB_TYPE = postgres\nHOST = {folder}\nNAME = {called}\nUSER = gitea\nSSL_MODE = disable"

            yield new_database
        finally:
            if (folder / "data" / "postmaster.pid").exists():
                call("pg_ctl", data, "--wait", "--mode=immediate", "stop")


def _owner() -> str | None:
    """The account for a server that root starts; None for everybody else, and where there is no such account."""
    try:
        return pwd.getpwnam("postgres").pw_name if os.geteuid() == 0 else None
    except KeyError:
        return None
