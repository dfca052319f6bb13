# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding, starting and leaving a container engine, with stand-in programs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import lab_engine
import pytest
from ansible.module_utils.lyceum.errors import CommandError, ConflictError, LyceumError
from ansible.module_utils.lyceum.lab import engine

DOCKER = engine.Engine("docker", ("docker",))


def test_run_returns_output_and_feeds_input() -> None:
    assert engine.run(["cat"], stdin="words") == "words"


def test_run_names_the_program_that_is_missing() -> None:
    with pytest.raises(CommandError, match="`no-such-program`: the program is not installed"):
        engine.run(["no-such-program"])


def test_run_reports_status_and_last_words() -> None:
    with pytest.raises(CommandError, match=r"ended with status 3: so it goes"):
        engine.run(["sh", "-c", "echo so it goes >&2; exit 3"])


def test_run_gives_up_after_the_timeout() -> None:
    with pytest.raises(CommandError, match=r"did not end within 0.1 s"):
        engine.run(["sleep", "5"], timeout=0.1)


def test_two_state_directories_are_two_labs(tmp_path: Path) -> None:
    assert engine.instance_id(tmp_path / "a") != engine.instance_id(tmp_path / "b")
    assert engine.instance_id(tmp_path / "a") == engine.instance_id(tmp_path / "x" / ".." / "a")


def test_find_takes_docker_before_podman(docker: Any) -> None:
    docker.program("podman", "exit 0")
    assert engine.find("auto") == DOCKER
    assert engine.find("podman") == engine.Engine("podman", ("podman",))


def test_find_skips_an_engine_that_does_not_answer(docker: Any) -> None:
    docker.program("podman", "exit 0")
    docker.write(fail=["ps"])
    assert engine.find("auto") == engine.Engine("podman", ("podman",))


def test_find_uses_sudo_where_the_user_may_not(docker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "is_root", lambda: False)
    docker.program("podman", '[ "$RAISED" = 1 ]')
    docker.program("sudo", 'shift; RAISED=1 exec "$@"')
    docker.write(fail=["ps"])
    assert engine.find("auto") == engine.Engine("podman", ("sudo", "-n", "podman"))


def test_find_knows_when_there_is_none(docker: Any) -> None:
    (docker.path / "docker").unlink()
    assert engine.find("auto") is None


def test_root_is_needed_once_and_said_clearly(docker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert engine.root_prefix("x") == []
    monkeypatch.setattr(engine, "is_root", lambda: False)
    docker.program("apt-get", "exit 0")
    with pytest.raises(LyceumError, match=r"As root: apt-get install docker\.io mmdebstrap\. Then start again"):
        engine.install(["docker.io", "mmdebstrap"])
    docker.program("sudo", "exit 0")
    assert engine.root_prefix("x") == ["sudo", "-n"]


def test_missing_packages_are_those_that_are_missing(docker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert engine.missing_packages("auto", DOCKER) == []
    (docker.path / "mmdebstrap").unlink()
    monkeypatch.setattr(engine, "KEYRING", docker.path / "none")
    assert engine.missing_packages("auto", None) == ["docker.io", "mmdebstrap", "debian-archive-keyring"]
    assert engine.missing_packages("podman", None)[0] == "podman"


def test_install_refreshes_old_package_lists_and_tries_again(docker: Any) -> None:
    log = docker.path / "log"
    docker.program("apt-get", f'echo "$@" >> {log}; case "$*" in *install*) [ -e {log}.new ];; *) : > {log}.new;; esac')
    engine.install(["docker.io"])
    words = "-o DPkg::Lock::Timeout=300"
    install = f"{words} install --yes --no-install-recommends docker.io"
    assert log.read_text().splitlines() == [install, f"{words} update", install]


def test_install_without_apt_names_the_packages(docker: Any) -> None:
    with pytest.raises(LyceumError, match=r"no apt-get; install the equivalents of: docker.io zstd"):
        engine.install(["docker.io", "zstd"])


def test_start_waits_until_docker_answers(docker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "SYSTEMD", tmp_path / "no-systemd")
    docker.write(fail=["ps"])
    docker.program("mkdir", "exit 0")
    restored = docker.file.read_text().replace('["ps"]', "[]")
    docker.program("dockerd", f"echo up; printf '%s' '{restored}' > '{docker.file}'; exec /usr/bin/sleep 5")
    assert engine.start("auto", tmp_path / "logs" / "dockerd.log") == DOCKER


def test_start_uses_the_service_where_systemd_runs(
    docker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "SYSTEMD", tmp_path)
    docker.program("systemctl", f'echo "$@" > {tmp_path}/asked')
    assert engine.start("auto", tmp_path / "dockerd.log") == DOCKER
    assert (tmp_path / "asked").read_text() == "start docker.service\n"


def test_start_says_why_docker_ended(docker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "SYSTEMD", tmp_path / "no-systemd")
    docker.write(fail=["ps"])
    docker.program("mkdir", "exit 0")
    docker.program("dockerd", "echo no iptables here; exit 1")
    with pytest.raises(CommandError, match="does not answer: no iptables here"):
        engine.start("auto", tmp_path / "dockerd.log")


@pytest.fixture
def daemon(docker: Any) -> Any:
    """A process that looks like a dockerd which a lab started: it writes its number when it runs."""
    script = (
        "import os, pathlib, sys, time; pathlib.Path(sys.argv[1][10:]).write_text(str(os.getpid())); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", script, f"--pidfile={engine.PIDFILE}"])
    while engine.own_daemon() is None:
        assert process.poll() is None
        time.sleep(0.01)
    yield process
    process.kill()
    process.wait()


def test_a_daemon_is_ours_only_with_our_pidfile(docker: Any, daemon: Any) -> None:
    assert engine.own_daemon() == daemon.pid
    engine.PIDFILE.write_text(str(os.getpid()))
    assert engine.own_daemon() is None
    engine.PIDFILE.write_text("")
    assert engine.own_daemon() is None
    engine.PIDFILE.unlink()
    assert engine.own_daemon() is None


def test_only_the_last_lab_may_stop_the_daemon(docker: Any, daemon: Any) -> None:
    engine.create_network(DOCKER, "mine")
    assert engine.may_stop("mine")
    engine.create_network(DOCKER, "theirs")
    assert not engine.may_stop("mine")
    engine.remove_network(DOCKER, "theirs")
    docker.write(containers={"web": {"id": "1", "labels": {}, "running": True}})
    assert not engine.may_stop("mine")
    docker.write(containers={})
    engine.PIDFILE.unlink()
    assert not engine.may_stop("mine")


def test_what_another_engine_says_never_stops_the_daemon(docker: Any, daemon: Any, tmp_path: Path) -> None:
    """A lab on podman ended while others were on the dockerd that a lab had started: podman knew of none of them."""
    docker.program("podman", "exit 0")
    docker.write(containers={"web": {"id": "1", "labels": {}, "running": True}})
    lab_engine.absent("podman", tmp_path, check=False)
    assert daemon.poll() is None


def test_a_lab_stays_on_the_engine_it_was_made_on(tmp_path: Path) -> None:
    assert engine.remembered("auto", tmp_path / "lab") == "auto"
    engine.remember("docker", tmp_path / "lab")
    assert engine.remembered("auto", tmp_path / "lab") == "docker"
    with pytest.raises(ConflictError, match="are on docker, not on podman: remove the lab first"):
        engine.remembered("podman", tmp_path / "lab")


def test_stop_ends_our_daemon(docker: Any, daemon: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "PATH", "/usr/bin:/bin")
    engine.stop()
    assert daemon.wait(5) != 0


def test_a_network_belongs_to_one_lab(docker: Any) -> None:
    engine.create_network(DOCKER, "mine")
    assert engine.has_network(DOCKER, "mine")
    assert not engine.has_network(DOCKER, "theirs")
    engine.remove_network(DOCKER, "mine")
    assert not engine.has_network(DOCKER, "mine")


def test_the_mtu_is_that_of_the_default_route(tmp_path: Path) -> None:
    (tmp_path / "eth7").mkdir()
    (tmp_path / "eth7" / "mtu").write_text("1400\n")
    route = tmp_path / "route"
    route.write_text("Iface Destination Gateway\nlo 0000007F 0\neth7 00000000 0102A8C0\n")
    assert engine.outer_mtu(route, tmp_path) == 1400
    route.write_text("Iface Destination Gateway\n")
    assert engine.outer_mtu(route, tmp_path) == 1500


def test_a_machine_lock_excludes_another_process(tmp_path: Path) -> None:
    script = (
        "import sys; import ansible.module_utils as m; m.__path__.append(sys.argv[1])\n"
        "from ansible.module_utils.lyceum.lab.engine import machine_lock\n"
        "with machine_lock('unit-test'): print('in')"
    )
    core = str(Path(engine.__file__).parents[2])
    with engine.machine_lock("unit-test"):
        other = subprocess.Popen([sys.executable, "-c", script, core], stdout=subprocess.PIPE, text=True)
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(1.5)
    assert other.communicate(timeout=10)[0] == "in\n"
