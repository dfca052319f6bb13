# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan for lab hosts, and carrying it out on a stand-in engine."""

from __future__ import annotations

import io
import json
import socket
import stat
import subprocess
import tarfile
import threading
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import CommandError, LyceumError
from ansible.module_utils.lyceum.lab import hosts as core
from ansible.module_utils.lyceum.lab.engine import Engine

greets = core.greets  # before a fixture replaces it
ONE, TWO = core.Host("one", "image:1", "spec"), core.Host("two", "image:1", "spec")


def seen(container: str = "c1", spec: str = "spec", running: bool = True) -> core.Observed:
    return core.Observed(container, spec, running)


def record(container: str = "c1") -> core.Record:
    return core.Record(container, 20000, "ssh-ed25519 AAAA")


@pytest.mark.parametrize(
    ("observed", "records", "kinds"),
    [
        ({}, {}, ["create", "create"]),
        ({"one": seen(), "two": seen("c2")}, {"one": record(), "two": record("c2")}, []),
        ({"one": seen()}, {"one": record()}, ["create"]),
        ({"one": seen(), "two": seen("c2")}, {"one": record()}, ["replace"]),
        ({"one": seen(), "two": seen("c2")}, {"one": record(), "two": record("old")}, ["replace"]),
        ({"one": seen(spec="other"), "two": seen("c2")}, {"one": record(), "two": record("c2")}, ["replace"]),
        ({"one": seen(running=False), "two": seen("c2")}, {"one": record(), "two": record("c2")}, ["start"]),
        ({"gone": seen("c3")}, {"gone": record("c3")}, ["remove", "create", "create"]),
    ],
)
def test_plan(observed: dict[str, core.Observed], records: dict[str, core.Record], kinds: list[str]) -> None:
    assert [action.kind for action in core.plan([ONE, TWO], observed, records)] == kinds


def test_plan_gives_the_reason() -> None:
    sentences = [
        core.plan([ONE], {"one": seen(spec="x")}, {"one": record()})[0].sentence,
        core.plan([ONE], {"one": seen()}, {})[0].sentence,
    ]
    assert sentences == ["replace one: its definition changed", "replace one: it was left half-made"]


@pytest.fixture
def lab(docker: Any, tmp_path: Path) -> core.Lab:
    """A lab in a folder whose name needs quoting."""
    made = core.Lab(Engine("docker", ("docker",)), tmp_path / "my lab 100%" / "lab", b"#!/bin/sh\n", "touch /seeded\n")
    made.make_keys(made.missing_keys([]))
    return made


def converge(lab: core.Lab, *names: str) -> list[str]:
    """One run over all hosts; the kinds of its actions."""
    wanted = [lab.wanted(name, "image:1", core.public_half(lab.key)) for name in names]
    actions = core.plan(wanted, lab.observe(), lab.records())
    lab.apply(actions, wanted)
    return [action.kind for action in actions]


def test_hosts_are_made_once(docker: Any, lab: core.Lab) -> None:
    assert converge(lab, "one", "two") == ["create", "create"]
    assert converge(lab, "one", "two") == []
    made = docker.containers()
    assert {item["running"] for item in made.values()} == {True}
    assert made["one"]["seed"] == "touch /seeded\n"
    assert "--cgroupns=private" in made["one"]["words"]
    assert "--privileged" not in made["one"]["words"]
    ports = {lab.records()[name].port for name in ("one", "two")}
    assert len(ports) == 2
    assert ports <= set(core.PORTS)


def test_a_host_whose_making_was_interrupted_is_made_anew(docker: Any, lab: core.Lab) -> None:
    docker.write(fail=["exec"])
    with pytest.raises(LyceumError, match="no exec today"):
        converge(lab, "one")
    assert lab.records() == {}
    docker.write(fail=[])
    assert converge(lab, "one") == ["replace"]
    assert converge(lab, "one") == []


def test_one_failure_does_not_stop_the_others(docker: Any, lab: core.Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    create = lab._create

    def refuse(host: core.Host) -> None:
        if host.name == "one":
            raise CommandError("no disk")
        create(host)

    monkeypatch.setattr(lab, "_create", refuse)
    with pytest.raises(LyceumError, match=r"^one: no disk$") as caught:
        converge(lab, "one", "two")
    assert caught.value.details == {"failed": {"one": "no disk"}}
    assert list(lab.records()) == ["two"]


def test_a_stopped_host_is_started_and_keeps_its_place(docker: Any, lab: core.Lab) -> None:
    converge(lab, "one")
    before = lab.records()
    state = docker.read()["containers"]
    next(iter(state.values()))["running"] = False
    docker.write(containers=state)
    assert converge(lab, "one") == ["start"]
    assert lab.records() == before


def test_a_host_that_cannot_start_again_is_made_anew(
    docker: Any, lab: core.Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    converge(lab, "one")
    before = lab.records()["one"].container
    state = docker.read()["containers"]
    next(iter(state.values()))["running"] = False
    docker.write(containers=state)

    def refuse(name: str) -> None:
        raise CommandError("port is already allocated")

    monkeypatch.setattr(lab, "_start", refuse)
    assert converge(lab, "one") == ["start"]
    assert lab.records()["one"].container != before


def test_a_host_that_left_the_list_is_removed(docker: Any, lab: core.Lab) -> None:
    converge(lab, "one", "two")
    assert converge(lab, "two") == ["remove"]
    assert list(docker.containers()) == ["two"]
    assert "Host one" not in lab.ssh_config.read_text()


def test_a_changed_definition_replaces_the_host(lab: core.Lab) -> None:
    converge(lab, "one")
    lab.init = b"#!/bin/sh\n# changed\n"
    assert converge(lab, "one") == ["replace"]


def test_failed_units_are_named(docker: Any, lab: core.Lab) -> None:
    docker.write(systemd="degraded")
    with pytest.raises(LyceumError, match=r"one booted with failed units: broken.service"):
        converge(lab, "one")


def test_a_host_that_does_not_boot_is_given_up(docker: Any, lab: core.Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    docker.write(systemd="starting")
    monkeypatch.setattr(core, "BOOT_SECONDS", 0.3)
    with pytest.raises(LyceumError, match=r"one did not boot within 0\.3 s; systemd says 'starting'"):
        converge(lab, "one")


def test_without_an_engine_there_is_nothing_to_see_and_nothing_is_done(tmp_path: Path) -> None:
    lab = core.Lab(None, tmp_path / "lab")
    assert lab.observe() == {}
    with pytest.raises(LyceumError, match="No container engine"):
        lab.apply(core.plan([ONE], {}, {}), [ONE])


def test_ssh_understands_the_configuration(lab: core.Lab) -> None:
    converge(lab, "one")

    def asked(*words: str) -> list[str]:
        argv = ["/usr/bin/ssh", "-G", "-F", str(lab.ssh_config), *words, "one"]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()

    as_root = asked()
    assert f"port {lab.records()['one'].port}" in as_root
    assert "user root" in as_root
    assert "stricthostkeychecking true" in as_root
    key = str(lab.key).replace("%", "%%")  # -G shows it before ssh expands it
    assert f"identityfile {key}" in as_root
    known = next(line for line in as_root if line.startswith("userknownhostsfile ")).split(" ", 1)[1]
    assert Path(known).read_text() == f"one {lab.records()['one'].host_key}\n"
    # A person must not get in with the controller's key.
    assert f"identityfile {key}" not in asked("-l", "amartin")


def test_verify_uses_these_files(docker: Any, lab: core.Lab) -> None:
    converge(lab, "one")
    docker.program("ssh", 'echo "$*" >&2; exit 255')
    with pytest.raises(CommandError, match="ssh_config"):
        lab.verify([lab.wanted("one", "image:1", "")])


def test_lost_client_files_are_noticed(lab: core.Lab) -> None:
    converge(lab, "one")
    assert lab.stale_files() == []
    lab.ssh_config.unlink()
    assert lab.stale_files() == [lab.ssh_config]


def test_keys_are_made_once_and_private(lab: core.Lab) -> None:
    wanted = lab.missing_keys(["amartin", "bchen"])
    assert [path.name for path in wanted] == ["amartin", "bchen"]
    lab.make_keys(wanted)
    assert lab.missing_keys(["amartin", "bchen"]) == []
    key = lab.state_dir / "keys" / "amartin"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    assert core.public_half(key).startswith("ssh-ed25519 ")
    key.with_name("amartin.pub").unlink()
    assert lab.missing_keys(["amartin", "bchen"]) == [key]


def test_all_files_go_with_the_lab(lab: core.Lab) -> None:
    converge(lab, "one")
    lab.destroy_files()
    assert not lab.state_dir.exists()
    lab.destroy_files()


def test_the_archive_brings_key_and_init_with_modes() -> None:
    with tarfile.open(fileobj=io.BytesIO(core.archive(b"init", "ssh-ed25519 AAAA\n"))) as tar:
        modes = {entry.name: (entry.mode, entry.uid) for entry in tar.getmembers()}
        content = tar.extractfile("root/.ssh/authorized_keys")
        assert content is not None
        assert content.read() == b"ssh-ed25519 AAAA\n"
    assert modes == {core.INIT: (0o755, 0), "root/.ssh": (0o700, 0), "root/.ssh/authorized_keys": (0o600, 0)}


def test_free_port_is_stable_and_skips_what_is_in_use() -> None:
    first = core.free_port("some-host")
    assert core.free_port("some-host") == first
    assert core.free_port("some-host", {first}) != first
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", first))
        assert core.free_port("some-host") != first


def test_free_port_says_when_there_is_none() -> None:
    with pytest.raises(LyceumError, match="No free port in 20000-29999"):
        core.free_port("some-host", core.PORTS)


@pytest.mark.parametrize(("greeting", "expected"), [(b"SSH-2.0-OpenSSH_9.2\r\n", True), (b"HTTP/1.1 400", False)])
def test_only_an_ssh_server_counts(greeting: bytes, expected: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            link, _ = server.accept()
            link.sendall(greeting)
            link.close()

        thread = threading.Thread(target=answer)
        thread.start()
        assert greets(server.getsockname()[1]) is expected
        thread.join()
    assert greets(server.getsockname()[1] if server.fileno() >= 0 else 1) is False


def test_replace_file_keeps_the_old_content_until_the_new_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "hosts.json"
    core.replace_file(path, "old")
    core.replace_file(path, json.dumps({"new": 1}))
    assert json.loads(path.read_text()) == {"new": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["hosts.json"]
