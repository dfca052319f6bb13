# SPDX-License-Identifier: GPL-3.0-or-later
"""The login shell of confined people, which sshd is also made to run whatever was asked for (ForceCommand).

It decides what is run, describes to bubblewrap a world with only the person's own directories in it, and becomes
bubblewrap. It has the person's rights and no more: everything here is a closed door only because nothing that the
person could write is asked about it. Every way of starting it ends inside or in a refusal.
"""

# No Path objects: see policy.py.
# ruff: noqa: PTH110, PTH112, PTH114, PTH115, PTH123, PTH208

from __future__ import annotations

import grp
import os
import pwd
import sys
from collections.abc import Mapping, Sequence

from ..errors import LyceumError
from . import places, policy, seccomp

PROGRAM = "/usr/local/lib/lyceum/sshd_jail/jail"
BUBBLEWRAP = "/usr/bin/bwrap"
RSYNC = "/usr/bin/rsync"
JOURNAL = "/run/systemd/journal/dev-log"
PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games"
# What the host tells this one uid of own limits, use and notices: the login banner and lyceum-limits read it. Files one
# by one, since those of everybody lie side by side; so in a jail they are as old as its login.
TOLD = (
    "/var/lib/lyceum/notices/{uid}",
    "/var/lib/lyceum/storage/updated",
    "/var/lib/lyceum/storage/people/{uid}",
    "/var/lib/lyceum/storage/people/{uid}.banner",
    "/var/lib/lyceum/storage/people/{uid}.purge",
    "/sys/fs/cgroup/user.slice/user-{uid}.slice",
    "/sys/fs/cgroup/memory/user.slice/user-{uid}.slice",
)
# What a login may bring along besides what is set here. None of it can name a program or a library.
KEPT = ("TERM", "COLORTERM", "NO_COLOR", "LANG", "LANGUAGE", "TZ", "SSH_CLIENT", "SSH_CONNECTION", "SSH_TTY")
NO_SHELL = "This account can only transfer files, with sftp, scp or rsync; it has no shell."
SYSTEM_IDS = 1000
NOBODY = 65534
FIRST_OWN_DESCRIPTOR = 3
# Kernels or administrators that forbid user namespaces; bubblewrap's own words for it help nobody.
SWITCHES = {"/proc/sys/user/max_user_namespaces": "0", "/proc/sys/kernel/unprivileged_userns_clone": "0"}


def main(argv: Sequence[str] | None = None) -> int:
    """Never returns when all is well."""
    arguments = sys.argv if argv is None else argv
    try:
        # An open directory of outside would be a way out.
        os.closerange(FIRST_OWN_DESCRIPTOR, max(map(int, os.listdir("/proc/self/fd"))) + 1)
        account = pwd.getpwuid(os.getuid())
        host = policy.load_host()
        person = policy.load_person(account.pw_name, account.pw_uid)
        outside = given_environment()
        words = decide(host, person, asked_for(arguments, outside))
        become(host, person, account, outside, words)
    except NotOfferedError as exc:
        sys.stderr.write(f"{exc}\n")
    except (LyceumError, KeyError, OSError) as exc:
        sys.stderr.write(f"This login is not possible: {exc}. Please tell the administrators of this machine.\n")
    return 1


class NotOfferedError(LyceumError):
    """The person asked for something that the profile does not have; the message says what there is."""


def asked_for(arguments: Sequence[str], environment: Mapping[str, str]) -> str | None:
    """The command of the person, None for a login shell. Raises LyceumError for a way of starting that is not known."""
    options = [option for option in arguments[1:] if option not in ("-l", "--login")]
    if not options:
        command = None
    elif len(options) == 2 and options[0] == "-c":
        command = options[1]
    else:
        raise LyceumError(f"the login shell was started with {' '.join(options)}")
    # sshd runs the forced command by the login shell, and keeps what was really asked for here.
    return environment.get("SSH_ORIGINAL_COMMAND") or None if command == PROGRAM else command


def given_environment() -> dict[str, str]:
    """The environment as it was handed over. Python itself adds a locale to os.environ where there is none."""
    with open("/proc/self/environ", "rb") as handle:
        entries = [os.fsdecode(entry).partition("=") for entry in handle.read().split(b"\0")]
    return {name: value for name, equals, value in entries if equals}


def decide(host: policy.Host, person: policy.Person, command: str | None) -> list[str]:
    """The words to run inside. Raises NotOfferedError."""
    first = command.split(None, 1)[0] if command and command.strip() else ""
    if first in (host.sftp_server, "internal-sftp"):
        return [host.sftp_server, "-l", "INFO"]
    if person.profile == "jail":
        return [host.shell, "-l"] if command is None else [host.shell, "-c", command]
    if person.profile == "rsync" and command is not None:
        return rsync_words(command)
    raise NotOfferedError(NO_SHELL)


def rsync_words(command: str) -> list[str]:
    """The words of `rsync --server ...` without a shell in between. Raises NotOfferedError for anything else."""
    import shlex  # only this profile pays for it

    try:
        words = shlex.split(command)
    except ValueError:
        words = []
    # As a daemon, rsync would read a configuration that can name programs to run.
    if words[:2] not in (["rsync", "--server"], [RSYNC, "--server"]) or "--daemon" in words:
        raise NotOfferedError(NO_SHELL)
    return [RSYNC, *(_below_home(word) for word in words[1:])]


def _below_home(word: str) -> str:
    """`~/x` as the shell would have read it: the home is where rsync starts."""
    return "." if word in ("~", "~/") else word[2:] if word.startswith("~/") else word


def become(
    host: policy.Host,
    person: policy.Person,
    account: pwd.struct_passwd,
    outside: Mapping[str, str],
    words: Sequence[str],
) -> None:
    """Replace this process by bubblewrap. Raises LyceumError or OSError."""
    for path, closed in SWITCHES.items():
        if _first_line(path) == closed:
            raise LyceumError(f"the kernel allows no user namespaces ({path} is {closed})")
    descriptors = [
        _memory(_passwd(host, account)),
        _memory(_group(account)),
        _memory(seccomp.program(os.uname().machine)),
    ]
    described = arguments(host, person, descriptors)
    # Not on the command line, which everybody on the host can read.
    listed = _memory(b"".join(os.fsencode(word) + b"\0" for word in described))
    os.execve(BUBBLEWRAP, ["bwrap", "--args", str(listed), "--", *words], environment(host, account, outside))


def arguments(host: policy.Host, person: policy.Person, descriptors: Sequence[int]) -> list[str]:
    """bubblewrap's options. descriptors: open files with passwd, group and the filter of system calls.

    Raises LyceumError.
    """
    passwd, group, calls = map(str, descriptors)
    words = ["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    words += ["--die-with-parent", "--seccomp", calls]
    if person.profile != "jail" or not host.network:
        words.append("--unshare-net")
    words += _whole_system(host, person) if person.profile == "jail" else _transfer_system(host)
    words += ["--proc", "/proc", "--dev", "/dev", "--ro-bind-try", JOURNAL, "/dev/log"]
    for path in ("/tmp", "/var/tmp"):  # noqa: S108  (inside, nobody else's)
        words += ["--perms", "1777", "--tmpfs", path]
    words += ["--perms", "0700", "--tmpfs", f"/run/user/{person.uid}"]
    for device in host.devices if person.profile == "jail" else ():
        words += ["--dev-bind-try", device, device]
    found, links = places.visible(person)
    for place in found:
        words += ["--bind" if place.writable else "--ro-bind", place.path, place.path]
    for name in sorted(links):
        words += ["--symlink", links[name], name]
    for path in host.hidden if person.profile == "jail" else ():
        words += _hide(path)
    words += ["--perms", "0644", "--ro-bind-data", passwd, "/etc/passwd"]
    words += ["--perms", "0644", "--ro-bind-data", group, "/etc/group"]
    return [*words, "--remount-ro", "/", "--chdir", person.home]


def _whole_system(host: policy.Host, person: policy.Person) -> list[str]:
    words = ["--ro-bind", "/usr", "/usr", *_links_to_usr(), "--ro-bind", "/etc", "/etc"]
    for path in (*host.system, "/sys/devices/system", *(told.format(uid=person.uid) for told in TOLD)):
        words += ["--ro-bind-try", path, path]
    # A resolver that writes this file below /run is asked over the network, not by what else lies there.
    names = os.path.realpath("/etc/resolv.conf")
    return [*words, "--ro-bind-try", names, names] if names.startswith("/run/") else words


def _transfer_system(host: policy.Host) -> list[str]:
    """Two programs and their libraries: nothing to start with what an attacker might bring."""
    words = _links_to_usr()
    for path in ("/usr/lib", "/usr/lib32", "/usr/lib64", RSYNC, host.sftp_server):
        words += ["--ro-bind-try", path, path]
    for path in ("/etc/ld.so.cache", "/etc/nsswitch.conf", "/etc/localtime"):
        words += ["--ro-bind-try", path, path]
    return words


def _links_to_usr() -> list[str]:
    words = []
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        if os.path.islink(f"/{name}"):
            words += ["--symlink", os.readlink(f"/{name}"), f"/{name}"]
        else:  # a system from before /usr was merged
            words += ["--ro-bind-try", f"/{name}", f"/{name}"]
    return words


def _hide(path: str) -> list[str]:
    real = os.path.realpath(path)
    if os.path.isdir(real):
        return ["--tmpfs", real, "--remount-ro", real]
    return ["--ro-bind", "/dev/null", real] if os.path.exists(real) else []


def environment(host: policy.Host, account: pwd.struct_passwd, outside: Mapping[str, str]) -> dict[str, str]:
    """What programs inside are told."""
    kept = {key: value for key, value in outside.items() if key in KEPT or key.startswith("LC_")}
    return {
        **kept,
        "HOME": account.pw_dir,
        "USER": account.pw_name,
        "LOGNAME": account.pw_name,
        "SHELL": host.shell,
        "PATH": PATH,
        "XDG_RUNTIME_DIR": f"/run/user/{account.pw_uid}",
    }


def _passwd(host: policy.Host, account: pwd.struct_passwd) -> bytes:
    """System accounts, nobody, and the person with the shell that there is inside."""
    own = ":".join(
        (account.pw_name, "x", str(account.pw_uid), str(account.pw_gid), account.pw_gecos, account.pw_dir, host.shell)
    )
    return _system_lines("/etc/passwd") + os.fsencode(own) + b"\n"


def _group(account: pwd.struct_passwd) -> bytes:
    """System groups and the person's own, with nobody else in them."""
    lines = []
    for gid in dict.fromkeys([account.pw_gid, *os.getgroups()]):
        if gid >= SYSTEM_IDS and gid != NOBODY:
            try:
                name = grp.getgrgid(gid).gr_name
            except KeyError:  # a number without a name stays one
                continue
            lines.append(f"{name}:x:{gid}:{account.pw_name}\n")
    return _system_lines("/etc/group") + os.fsencode("".join(lines))


def _system_lines(path: str) -> bytes:
    """The lines of system accounts or groups; of the members that a group may list, nobody."""
    kept = []
    with open(path, "rb") as handle:
        for line in handle:
            fields = line.rstrip(b"\n").split(b":")
            if len(fields) > 2 and fields[2].isdigit() and not SYSTEM_IDS <= int(fields[2]) != NOBODY:
                kept.append(b":".join([*fields[:3], b""]) if len(fields) == 4 else b":".join(fields))
    return b"".join(line + b"\n" for line in kept)


def _memory(content: bytes) -> int:
    """A file in memory that bubblewrap inherits, open at its beginning."""
    descriptor = os.memfd_create("lyceum", 0)
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _first_line(path: str) -> str:
    try:
        with open(path, encoding="ascii") as handle:
            return handle.readline().strip()
    except FileNotFoundError:
        return ""
