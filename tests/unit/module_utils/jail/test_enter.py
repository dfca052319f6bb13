# SPDX-License-Identifier: GPL-3.0-or-later
"""What a confined login runs, in which world, and that every way of starting it ends inside or in a refusal."""

from __future__ import annotations

import fcntl
import grp
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum import notices
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.jail import enter, places, policy
from ansible.module_utils.lyceum.storage import state
from hypothesis import given
from hypothesis import strategies as st

SFTP = "/usr/lib/openssh/sftp-server"
HOST = policy.Host("/bin/bash", True, ["/opt"], ["/etc/lyceum", "/nothing/here"], ["/dev/fuse"], SFTP)
PROJECT = Path(enter.__file__).resolve().parents[3]
ACCOUNT = pwd.struct_passwd(("jweber", "x", 2009, 2009, "J. Weber", "/home/jweber", enter.PROGRAM))


def person(profile: str) -> policy.Person:
    return policy.Person(2009, profile, "/home/jweber", [], [])


# --- what was asked for


@pytest.mark.parametrize(
    ("arguments", "environment", "command"),
    [
        (["-jail"], {}, None),
        (["jail", "-l"], {}, None),
        (["jail", "--login"], {}, None),
        (["jail", "-c", "id"], {}, "id"),
        (["jail", "-l", "-c", "id"], {}, "id"),
        (["jail", "-c", "id"], {"SSH_ORIGINAL_COMMAND": "of another program"}, "id"),
        (["jail", "-c", enter.PROGRAM], {"SSH_ORIGINAL_COMMAND": "scp -t ."}, "scp -t ."),
        (["jail", "-c", enter.PROGRAM], {"SSH_ORIGINAL_COMMAND": ""}, None),
        (["jail", "-c", enter.PROGRAM], {}, None),
    ],
)
def test_the_command_that_was_asked_for(arguments: list[str], environment: dict[str, str], command: str | None) -> None:
    assert enter.asked_for(arguments, environment) == command


@pytest.mark.parametrize(
    "arguments", [["-c"], ["-c", "id", "more"], ["script"], ["-x", "-c", "id"], ["-c", "-c", "id"]]
)
def test_other_ways_of_starting_are_refused(arguments: list[str]) -> None:
    with pytest.raises(LyceumError, match="the login shell was started with "):
        enter.asked_for(["jail", *arguments], {})


# --- what is run


@pytest.mark.parametrize(
    ("profile", "command", "words"),
    [
        ("jail", None, ["/bin/bash", "-l"]),
        ("jail", "id; whoami", ["/bin/bash", "-c", "id; whoami"]),
        ("jail", "", ["/bin/bash", "-c", ""]),
        ("jail", SFTP, [SFTP, "-l", "INFO"]),
        ("jail", f"{SFTP} -l QUIET", [SFTP, "-l", "INFO"]),
        ("jail", "internal-sftp", [SFTP, "-l", "INFO"]),
        ("rsync", "internal-sftp -f AUTH", [SFTP, "-l", "INFO"]),
        ("rsync", SFTP, [SFTP, "-l", "INFO"]),
        ("rsync", "rsync --server -logDtpre.iLsfxCIvu . data/", [
            enter.RSYNC, "--server", "-logDtpre.iLsfxCIvu", ".", "data/"]),
        ("rsync", "/usr/bin/rsync --server . x", [enter.RSYNC, "--server", ".", "x"]),
        ("rsync", "rsync --server . ~/data/x ~", [enter.RSYNC, "--server", ".", "data/x", "."]),
        ("rsync", r"rsync --server . a\ b '$(id)'", [enter.RSYNC, "--server", ".", "a b", "$(id)"]),
        ("rsync", "rsync --server . ; id", [enter.RSYNC, "--server", ".", ";", "id"]),
        ("rsync", f"rsync\n--server ;id\n{SFTP}", [enter.RSYNC, "--server", ";id", SFTP]),
    ],
)  # fmt: skip
def test_what_runs_inside(profile: str, command: str | None, words: list[str]) -> None:
    assert enter.decide(HOST, person(profile), command) == words


@pytest.mark.parametrize(
    "command",
    [None, "", "id", "bash", "rsync", "rsync --sender", "rsync -e sh --server .", "rsync --daemon --server",
     "rsync --server --daemon .", "rsync --server '--daemon' .", r"rsync --server \--daemon .", "rsync --server 'torn",
     "sh -c 'rsync --server .'", "/home/jweber/rsync --server .", f"id {SFTP}",
     "scp -t .", "RSYNC_RSH=id rsync --server ."],
)  # fmt: skip
def test_who_may_only_transfer_gets_nothing_else(command: str | None) -> None:
    with pytest.raises(enter.NotOfferedError, match="can only transfer files"):
        enter.decide(HOST, person("rsync"), command)


@given(st.text(st.characters(blacklist_categories=["Cs"]), max_size=60))
def test_the_profile_rsync_runs_two_programs_whatever_is_asked(command: str) -> None:
    for asked in (command, f"rsync {command}", f"rsync --server {command}"):
        try:
            words = enter.decide(HOST, person("rsync"), asked)
        except enter.NotOfferedError:
            continue
        assert words[0] in (enter.RSYNC, SFTP)
        assert words[1] == "--server" if words[0] == enter.RSYNC else words == [SFTP, "-l", "INFO"]
        assert "--daemon" not in words


def test_the_profile_sftp_has_nothing_here() -> None:
    with pytest.raises(enter.NotOfferedError):
        enter.decide(HOST, person("sftp"), "rsync --server .")


# --- in which world


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[places.Place]:
    found = [places.Place("/home/jweber", True), places.Place("/srv/projects/.gid/11001", False)]
    monkeypatch.setattr(places, "visible", lambda one: (found, {"/srv/projects/retina": "/srv/projects/.gid/11001"}))
    return found


def options(profile: str, host: policy.Host = HOST) -> list[str]:
    return enter.arguments(host, person(profile), [11, 12, 13])


def pairs(words: list[str], option: str) -> list[str]:
    """The word after each such option."""
    return [words[number + 1] for number, word in enumerate(words) if word == option]


def test_a_jail_has_namespaces_and_the_filter(seen: list[places.Place]) -> None:
    words = options("jail")
    needed = {"--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--die-with-parent"}
    assert needed <= set(words)
    assert pairs(words, "--seccomp") == ["13"]
    assert words[-4:] == ["--remount-ro", "/", "--chdir", "/home/jweber"]
    # Shells need their terminal for job control; what --new-session is for is refused by the filter.
    assert "--new-session" not in words


def test_only_the_person_s_own_is_bound(seen: list[places.Place]) -> None:
    words = options("jail")
    assert pairs(words, "--bind") == ["/home/jweber"]
    assert pairs(words, "--ro-bind")[:1] == ["/usr"]
    assert "/srv/projects/.gid/11001" in pairs(words, "--ro-bind")
    assert "/opt" in pairs(words, "--ro-bind-try")
    assert pairs(words, "--dev-bind-try") == ["/dev/fuse"]
    bound = {
        one for option in ("--bind", "--ro-bind", "--ro-bind-try", "--dev-bind-try") for one in pairs(words, option)
    }
    assert bound & {"/", "/home", "/srv", "/srv/projects", "/run", "/run/user", "/run/user/2009", "/var"} == set()


def test_a_jail_shows_what_the_host_tells_this_person_and_nobody_else(seen: list[places.Place]) -> None:
    told = [path for path in pairs(options("jail"), "--ro-bind-try") if path.startswith(("/var/lib/lyceum", "/sys/fs"))]
    storage, slices = "/var/lib/lyceum/storage", "user.slice/user-2009.slice"
    assert told == [
        "/var/lib/lyceum/notices/2009",
        f"{storage}/updated",
        *(f"{storage}/people/2009{kind}" for kind in ("", ".banner", ".purge")),
        f"/sys/fs/cgroup/{slices}",
        f"/sys/fs/cgroup/memory/{slices}",
    ]
    # Who only transfers files has no shell that could show it.
    assert not [path for path in options("rsync") if path.startswith(("/var/lib/lyceum", "/sys"))]


def test_what_login_and_lyceum_limits_read_is_told() -> None:
    """The names that role groups_and_acls gives its files, and the slices that its banner looks at."""
    people = state.BASE / state.PEOPLE
    read = [people / f"2009{kind}" for kind in ("", ".banner", ".purge")]
    read += [state.BASE / state.UPDATED, notices.NOTICES / "2009"]
    told = {one.format(uid=2009) for one in enter.TOLD}
    assert {str(path) for path in read} == {one for one in told if one.startswith("/var")}
    banner = (PROJECT / "roles/groups_and_acls/templates/lyceum.sh.j2").read_text()
    slices = [one.format(uid="$uid") for one in enter.TOLD if one.startswith("/sys")]
    assert [one for one in slices if one in banner] == slices


def test_the_person_s_places_come_after_what_could_cover_them(seen: list[places.Place]) -> None:
    words = options("jail")
    assert words.index("/home/jweber") > words.index("--tmpfs")
    assert words.index("/etc/passwd") > words.index("/etc")


@pytest.mark.parametrize(
    ("profile", "network", "shared"), [("jail", True, True), ("jail", False, False), ("rsync", True, False)]
)
def test_the_network(seen: list[places.Place], profile: str, network: bool, shared: bool) -> None:
    assert ("--unshare-net" not in options(profile, HOST._replace(network=network))) == shared


def test_who_transfers_has_two_programs(seen: list[places.Place]) -> None:
    words = options("rsync")
    assert {"/usr", "/etc", "/opt", "/dev/fuse"} & {*pairs(words, "--ro-bind"), *pairs(words, "--ro-bind-try")} == set()
    assert {enter.RSYNC, SFTP, "/usr/lib"} <= set(pairs(words, "--ro-bind-try"))
    assert pairs(words, "--dev-bind-try") == []


def test_hidden_places_are_covered(tmp_path: Path, seen: list[places.Place]) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    hidden = [str(tmp_path / name) for name in ("folder", "file", "link", "none")]
    words = options("jail", HOST._replace(hidden=hidden))
    assert str(tmp_path / "folder") in pairs(words, "--tmpfs")
    assert [
        words[number + 2]
        for number, word in enumerate(words)
        if words[number : number + 2] == ["--ro-bind", "/dev/null"]
    ] == [str(tmp_path / "file")] * 2
    assert str(tmp_path / "none") not in words


def test_a_resolver_below_run_is_asked(monkeypatch: pytest.MonkeyPatch, seen: list[places.Place]) -> None:
    real = os.path.realpath
    resolver = "/run/systemd/resolve/stub-resolv.conf"
    monkeypatch.setattr(os.path, "realpath", lambda path: resolver if path == "/etc/resolv.conf" else real(path))
    assert resolver in pairs(options("jail"), "--ro-bind-try")
    assert resolver not in options("rsync")


def test_systems_from_before_usr_was_merged(monkeypatch: pytest.MonkeyPatch, seen: list[places.Place]) -> None:
    monkeypatch.setattr(os.path, "islink", lambda path: False)
    assert {"/bin", "/lib64"} <= set(pairs(options("jail"), "--ro-bind-try"))


def test_the_environment_brings_nothing_that_names_a_program() -> None:
    outside = {
        "TERM": "xterm", "LC_ALL": "C", "LANG": "de_DE.UTF-8", "SSH_CLIENT": "192.0.2.1 1 2", "LD_PRELOAD": "/x.so",
        "BASH_ENV": "/x", "PYTHONPATH": "/x", "HOME": "/root", "PATH": "/x", "SHELL": "/x", "USER": "root",
        "DBUS_SESSION_BUS_ADDRESS": "unix:path=/run/user/2009/bus", "SSH_AUTH_SOCK": "/x", "XDG_RUNTIME_DIR": "/x",
    }  # fmt: skip
    assert enter.environment(HOST, ACCOUNT, outside) == {
        "TERM": "xterm", "LC_ALL": "C", "LANG": "de_DE.UTF-8", "SSH_CLIENT": "192.0.2.1 1 2",
        "HOME": "/home/jweber", "USER": "jweber", "LOGNAME": "jweber", "SHELL": "/bin/bash", "PATH": enter.PATH,
        "XDG_RUNTIME_DIR": "/run/user/2009",
    }  # fmt: skip


def test_the_environment_is_the_one_that_was_handed_over() -> None:
    """Python adds LC_CTYPE to its own where no locale is set."""
    code = (
        f"import os, sys; sys.path.insert(0, {str(PROJECT / 'module_utils')!r})\n"
        "from lyceum.jail import enter; print(sorted(enter.given_environment()))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], env={"A": "1", "B": ""}, capture_output=True, check=True)
    assert done.stdout.strip() == b"['A', 'B']"


# --- who there is inside


@pytest.fixture
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "passwd").write_text(
        "root:x:0:0:root:/root:/bin/bash\nsync:x:4:65534::/bin:/bin/sync\namartin:x:2001:2001::/home/amartin:/bin/bash\n"
        "nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\ntorn\n+::::::\n"
    )
    (tmp_path / "group").write_text("root:x:0:\nsudo:x:27:amartin\nretina:x:11001:amartin,jweber\nnogroup:x:65534:\n")
    lines = enter._system_lines
    monkeypatch.setattr(enter, "_system_lines", lambda path: lines(str(tmp_path / Path(path).name)))
    return tmp_path


def test_accounts_inside(etc: Path) -> None:
    assert enter._passwd(HOST, ACCOUNT).decode().splitlines() == [
        "root:x:0:0:root:/root:/bin/bash",
        "sync:x:4:65534::/bin:/bin/sync",
        "nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin",
        "jweber:x:2009:2009:J. Weber:/home/jweber:/bin/bash",
    ]


def test_groups_inside(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {2009: "jweber", 11001: "retina"}
    monkeypatch.setattr(os, "getgroups", lambda: [2009, 11001, 27, 65534, 4711])

    def getgrgid(gid: int) -> grp.struct_group:
        return grp.struct_group((names[gid], "x", gid, ["amartin"]))

    monkeypatch.setattr(grp, "getgrgid", getgrgid)
    assert enter._group(ACCOUNT).decode().splitlines() == [
        "root:x:0:",
        "sudo:x:27:",
        "nogroup:x:65534:",
        "jweber:x:2009:jweber",
        "retina:x:11001:jweber",
    ]


# --- the whole program


@pytest.fixture
def execution(monkeypatch: pytest.MonkeyPatch, seen: list[places.Place]) -> Iterator[list[Any]]:
    """What would have been executed."""
    calls: list[Any] = []

    def execve(program: str, words: list[str], environment: dict[str, str]) -> None:
        listed = os.pread(int(words[2]), 1 << 16, 0).decode().split("\0")
        calls.append((program, words[0:2] + words[3:], listed, environment))

    monkeypatch.setattr(os, "closerange", lambda low, high: None)
    monkeypatch.setattr(os, "execve", execve)
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: ACCOUNT)
    monkeypatch.setattr(policy, "load_host", lambda: HOST)
    monkeypatch.setattr(policy, "load_person", lambda name, uid: person("jail"))
    monkeypatch.setattr(enter, "SWITCHES", {})
    return iter([calls])


def test_bubblewrap_takes_over_and_its_options_are_not_on_the_command_line(execution: Iterator[list[Any]]) -> None:
    calls = next(execution)
    enter.main(["jail", "-c", "id"])
    [(program, words, listed, environment)] = calls
    assert (program, words) == ("/usr/bin/bwrap", ["bwrap", "--args", "--", "/bin/bash", "-c", "id"])
    assert {"--bind", "/home/jweber", "--seccomp"} <= set(listed)
    assert environment["HOME"] == "/home/jweber"


def test_no_file_of_outside_stays_open(
    execution: Iterator[list[Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    closed: list[range] = []
    monkeypatch.setattr(os, "closerange", lambda low, high: closed.append(range(low, high)))
    folder = os.open(tmp_path, os.O_RDONLY)
    high = fcntl.fcntl(folder, fcntl.F_DUPFD, 900)
    try:
        enter.main(["jail", "-c", "id"])
    finally:
        os.close(folder)
        os.close(high)
    [one] = closed
    assert {folder, high} <= set(one)
    assert not {0, 1, 2} & set(one)


@pytest.mark.parametrize("closed", ["user.max_user_namespaces", "kernel.unprivileged_userns_clone"])
def test_a_kernel_without_user_namespaces_is_named(
    execution: Iterator[list[Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, closed: str
) -> None:
    calls = next(execution)
    (tmp_path / closed).write_text("0\n")
    (tmp_path / "open").write_text("100\n")
    monkeypatch.setattr(enter, "SWITCHES", {str(tmp_path / name): "0" for name in ("open", "none", closed)})
    assert enter.main(["jail"]) == 1
    assert calls == []
    assert capsys.readouterr().err == (
        f"This login is not possible: the kernel allows no user namespaces ({tmp_path / closed} is 0)."
        " Please tell the administrators of this machine.\n"
    )


@pytest.mark.parametrize(
    "failure",
    [
        ("load_host", LyceumError("cannot read /etc/lyceum/sshd_jail.json: gone")),
        ("load_person", LyceumError("cannot read it")),
        ("load_person", OSError("torn")),
        ("load_host", KeyError("uid not found")),
    ],
)
def test_whatever_is_wrong_nothing_is_run(
    execution: Iterator[list[Any]], monkeypatch: pytest.MonkeyPatch, capsys: Any, failure: tuple[str, Exception]
) -> None:
    calls = next(execution)

    def fail(*_arguments: Any) -> None:
        raise failure[1]

    monkeypatch.setattr(policy, failure[0], fail)
    assert enter.main(["jail"]) == 1
    assert calls == []
    assert capsys.readouterr().err.startswith("This login is not possible: ")


def test_what_the_profile_does_not_have_is_said_kindly(
    execution: Iterator[list[Any]], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    calls = next(execution)
    monkeypatch.setattr(policy, "load_person", lambda name, uid: person("rsync"))
    assert enter.main(["jail"]) == 1
    assert (calls, capsys.readouterr().err) == ([], f"{enter.NO_SHELL}\n")
