# SPDX-License-Identifier: GPL-3.0-or-later
"""Find, install, start and stop the container engine that carries a lab."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import CommandError, ConflictError, LyceumError

LABEL = "lyceum.lab"
"""Label of every object a lab creates; its value is the lab's instance id."""

PIDFILE = Path("/run/lyceum-lab/dockerd.pid")
"""Written by a dockerd that a lab started itself; one found elsewhere is never ours to stop."""

SOCKET = "unix:///var/run/docker.sock"
"""Where such a dockerd listens."""

SYSTEMD = Path("/run/systemd/system")
"""Exists where systemd is process 1."""

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

START_SECONDS = 60
STOP_SECONDS = 30

# A user's PATH often lacks the folders of administration programs.
PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])


def run(
    argv: Sequence[str], *, stdin: str | bytes | None = None, timeout: float | None = None, keep: Sequence[int] = ()
) -> str:
    """Run a program to its end and return its standard output.

    timeout: seconds. keep: descriptors that it inherits. Raises CommandError with the exit status and the last lines
    of standard error.
    """
    data = stdin.encode() if isinstance(stdin, str) else stdin
    try:
        done = subprocess.run(  # list of words, never a shell
            list(argv),
            input=data if data is not None else b"",
            capture_output=True,
            timeout=timeout,
            check=False,
            env={**os.environ, "LC_ALL": "C", "PATH": PATH},
            pass_fds=tuple(keep),
        )
    except (FileNotFoundError, PermissionError) as exc:
        # "Permission denied" also for a program that is nowhere, when a folder of the PATH may not be entered.
        raise CommandError(f"Cannot run `{argv[0]}`: the program is not installed.") from exc
    except subprocess.TimeoutExpired as exc:
        raise CommandError(f"`{shlex.join(argv)}` did not end within {timeout:g} s.") from exc
    if done.returncode:
        words = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()[-6:]
        raise CommandError(
            f"`{shlex.join(argv)}` ended with status {done.returncode}: {' / '.join(words)}", last_words=words
        )
    return done.stdout.decode(errors="replace")


def works(argv: Sequence[str]) -> bool:
    """Whether a program exists and ends with status 0."""
    try:
        run(argv, timeout=20)
    except CommandError:
        return False
    return True


def have(program: str) -> bool:
    """Whether a program is installed."""
    return shutil.which(program, path=PATH) is not None


@dataclass(frozen=True)
class Engine:
    """A container engine that answers. argv: the words that reach it, e.g. `("sudo", "-n", "docker")`."""

    kind: str
    argv: tuple[str, ...]

    def run(self, *words: str, stdin: str | bytes | None = None, timeout: float | None = None) -> str:
        """Run one engine command; see `run`."""
        return run([*self.argv, *words], stdin=stdin, timeout=timeout)

    def lines(self, *words: str) -> list[str]:
        """Run one engine command and return its non-empty output lines."""
        return self.run(*words).split()


def instance_id(state_dir: Path) -> str:
    """Name of the lab of one state directory: two checkouts, or two scenarios, never share a host."""
    return hashlib.sha256(str(state_dir.resolve()).encode()).hexdigest()[:8]


def network_name(instance: str) -> str:
    """Name of a lab's network."""
    return f"lyceum-{instance}"


def is_root() -> bool:
    """Whether this process may do everything itself."""
    return os.geteuid() == 0


def root_prefix(purpose: str) -> list[str]:
    """Words that make a command run as root: none for root, `sudo -n` where that works.

    purpose: what the admin would have to do by hand, for the message of the LyceumError raised otherwise.
    """
    if is_root():
        return []
    if works(["sudo", "-n", "true"]):
        return ["sudo", "-n"]
    raise LyceumError(
        f"Root is needed and sudo is not at hand without a password. As root: {purpose}. Then start again."
    )


def find(choice: str) -> Engine | None:
    """The first engine that answers, or None. choice: auto | docker | podman."""
    for engine in _candidates(choice):
        # `ps` needs the daemon in both engines; `info` and `version` answer without one in some releases.
        if works([*engine.argv, "ps", "--quiet"]):
            return engine
    return None


def _candidates(choice: str) -> Iterator[Engine]:
    for kind in ("docker", "podman") if choice == "auto" else (choice,):
        if not have(kind):
            continue
        plain, raised = Engine(kind, (kind,)), Engine(kind, ("sudo", "-n", kind))
        if is_root():
            yield plain
        elif kind == "docker":
            yield from (plain, raised)
        else:
            # Rootless podman answers to everybody, but a booted systemd wants the capabilities of a rootful one.
            yield from (raised, plain)


def remembered(choice: str, state_dir: Path) -> str:
    """The engine a lab was made on, where the choice is left open: its hosts are nowhere else.

    Raises ConflictError if another one is asked for.
    """
    try:
        made_on = (state_dir / "engine").read_text().strip()
    except FileNotFoundError:
        return choice
    if choice not in ("auto", made_on):
        raise ConflictError(f"The hosts of this lab are on {made_on}, not on {choice}: remove the lab first.")
    return made_on


def remember(kind: str, state_dir: Path) -> None:
    """Note the engine that a lab is made on."""
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    (state_dir / "engine").write_text(f"{kind}\n")


def missing_packages(choice: str, engine: Engine | None) -> list[str]:
    """Debian packages that the lab lacks on this machine."""
    packages = []
    if engine is None and not have("dockerd" if choice in ("auto", "docker") else "podman"):
        packages.append("docker.io" if choice in ("auto", "docker") else "podman")
    if not have("mmdebstrap"):
        packages.append("mmdebstrap")
    if not KEYRING.exists():
        packages.append("debian-archive-keyring")
    return packages


def install(packages: Sequence[str]) -> None:
    """Install Debian packages. Raises LyceumError naming all of them where that is not possible."""
    if not have("apt-get"):
        raise LyceumError(f"This machine has no apt-get; install the equivalents of: {' '.join(packages)}")
    # env(1): sudo does not pass variables on. Another apt may be at work: wait for it instead of failing.
    prefix = root_prefix(f"apt-get install {' '.join(packages)}")
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=300"]
    install_words = [*apt, "install", "--yes", "--no-install-recommends", *packages]
    try:
        run(install_words, timeout=900)
    except CommandError:
        # The package lists of a fresh machine are empty or old; a second failure is the real one.
        run([*apt, "update"], timeout=300)
        run(install_words, timeout=900)


def start(choice: str, log: Path) -> Engine:
    """Start the installed engine and wait until it answers.

    log: file that a directly started dockerd writes to. Raises CommandError with its last words.
    """
    if choice == "podman":
        raise LyceumError("podman is installed but `podman ps` fails; run it by hand to see why.")
    prefix = root_prefix("start the Docker daemon")
    child = None
    if SYSTEMD.is_dir():
        run([*prefix, "systemctl", "start", "docker.service"], timeout=START_SECONDS)
    else:
        run([*prefix, "mkdir", "-p", str(PIDFILE.parent)])
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as out:
            # A session of its own: the daemon outlives this process and does not see the terminal's Ctrl-C.
            # No bridge of its own: every lab has a network, and docker0 would stay behind when the daemon is stopped.
            child = subprocess.Popen(
                [*prefix, "dockerd", f"--pidfile={PIDFILE}", f"--host={SOCKET}", "--bridge=none"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd="/",
                # Nor does it carry the mark by which a command ends what it started: other labs use it too.
                env={"PATH": PATH},
                start_new_session=True,
            )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        engine = find("docker")
        if engine is not None:
            return engine
        if child is not None and child.poll() is not None:
            break
        time.sleep(0.2)
    tail = " / ".join(log.read_text(errors="replace").splitlines()[-5:]) if log.exists() else "see its journal"
    raise CommandError(f"The Docker daemon does not answer: {tail}")


def own_daemon() -> int | None:
    """Process id of the dockerd that a lab of this machine started, or None."""
    try:
        pid = int(PIDFILE.read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None
    # The number may meanwhile belong to another process.
    return pid if f"--pidfile={PIDFILE}".encode() in command.split(b"\0") else None


def may_stop(instance: str) -> bool:
    """Whether the daemon is one that a lab started and nothing but this lab uses it any more."""
    if own_daemon() is None:
        return False
    # Asked itself, whichever engine this lab is on: another engine knows nothing of its containers.
    own = Engine("docker", (*root_prefix("stop the Docker daemon"), "docker", "--host", SOCKET))
    others = set(own.lines("ps", "--quiet", "--no-trunc"))
    others -= set(own.lines("ps", "--quiet", "--no-trunc", "--filter", f"label={LABEL}={instance}"))
    networks = own.lines("network", "ls", "--filter", f"label={LABEL}", "--format", "{{.Name}}")
    return not others and set(networks) <= {network_name(instance)}


def stop() -> None:
    """Stop the dockerd that a lab started, and wait for its end."""
    pid = own_daemon()
    if pid is None:
        return
    run([*root_prefix(f"kill {pid}"), "kill", f"-{signal.SIGTERM.value}", str(pid)])
    deadline = time.monotonic() + STOP_SECONDS
    while own_daemon() is not None:
        if time.monotonic() > deadline:
            raise CommandError(f"The Docker daemon (process {pid}) did not end within {STOP_SECONDS} s.")
        time.sleep(0.1)


def has_network(engine: Engine, instance: str) -> bool:
    """Whether the lab's network exists. It is also the lab's claim on a daemon that a lab started."""
    return network_name(instance) in engine.lines(
        "network", "ls", "--filter", f"label={LABEL}={instance}", "--format", "{{.Name}}"
    )


def create_network(engine: Engine, instance: str) -> None:
    """Create the lab's network with the MTU of the machine's own way out."""
    option = "com.docker.network.driver.mtu" if engine.kind == "docker" else "mtu"
    engine.run(
        "network", "create", "--label", f"{LABEL}={instance}", "--opt", f"{option}={outer_mtu()}",
        network_name(instance),
    )  # fmt: skip


def remove_network(engine: Engine, instance: str) -> None:
    """Remove the lab's network."""
    engine.run("network", "rm", network_name(instance))


def outer_mtu(route: Path = Path("/proc/net/route"), classes: Path = Path("/sys/class/net")) -> int:
    """MTU in bytes of the interface with the default route; a larger one inside loses packets silently."""
    for line in route.read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1] == "00000000":
            return int((classes / fields[0] / "mtu").read_text())
    return 1500


@contextlib.contextmanager
def machine_lock(name: str) -> Iterator[int]:
    """Hold a lock that all labs of this machine share. Yields its descriptor: who inherits it holds the lock, too."""
    folder = Path("/run/lock")
    path = (folder if folder.is_dir() else Path(tempfile.gettempdir())) / f"lyceum-lab-{name}.lock"
    # Not O_CREAT on an existing file: kernels refuse that in sticky folders when another user made it.
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDONLY | os.O_NOFOLLOW, 0o644))
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)
