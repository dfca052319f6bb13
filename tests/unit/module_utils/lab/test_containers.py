# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that are containers, made, started and removed on a stand-in engine."""

from __future__ import annotations

import io
import socket
import tarfile
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import CommandError, LyceumError
from ansible.module_utils.lyceum.lab import containers as core
from ansible.module_utils.lyceum.lab import hosts
from ansible.module_utils.lyceum.lab.engine import Engine


@pytest.fixture
def containers(docker: Any, tmp_path: Path) -> core.Containers:
    """The containers of one lab."""
    key = tmp_path / "id_ed25519"
    hosts.make_key(key)
    return core.Containers(Engine("docker", ("docker",)), "1a2b3c4d", key, b"#!/bin/sh\n", "touch /seeded\n")


def stop(docker: Any) -> None:
    state = docker.read()["containers"]
    next(iter(state.values()))["running"] = False
    docker.write(containers=state)


def test_a_host_is_made_booted_and_seeded(docker: Any, containers: core.Containers) -> None:
    record = containers.create(containers.wanted("one", "image:1"))
    made = docker.containers()["one"]
    assert made["running"]
    assert made["seed"] == "touch /seeded\n"
    assert "--cgroupns=private" in made["words"]
    assert "--privileged" not in made["words"]
    assert f"127.0.0.1:{record.port}:22" in made["words"]
    assert (record.identity, record.address, record.source) == (made["id"], "127.0.0.1", "")
    assert record.host_key == f"ssh-ed25519 KEY-{made['id'][-4:]}"
    assert record.port in core.PORTS


def test_two_hosts_have_two_ports(docker: Any, containers: core.Containers) -> None:
    ports = {containers.create(containers.wanted(name, "image:1")).port for name in ("one", "two")}
    assert len(ports) == 2


def test_what_was_made_is_seen(docker: Any, containers: core.Containers) -> None:
    assert containers.observe() == {}
    wanted = containers.wanted("one", "image:1")
    record = containers.create(wanted)
    assert containers.observe() == {"one": hosts.Observed(record.identity, wanted.spec, True, hosts.SHARED)}
    stop(docker)
    assert not containers.observe()["one"].running
    other = core.Containers(containers.engine, "another1", containers.key)
    assert other.observe() == {}


def test_a_stopped_host_is_started(docker: Any, containers: core.Containers) -> None:
    record = containers.create(containers.wanted("one", "image:1"))
    stop(docker)
    containers.start("one", record)
    assert containers.observe()["one"].running


def test_a_removed_host_is_gone(docker: Any, containers: core.Containers) -> None:
    containers.create(containers.wanted("one", "image:1"))
    containers.remove("one")
    assert docker.containers() == {}


def test_the_definition_changes_with_every_input(containers: core.Containers) -> None:
    specs = {containers.wanted("one", "image:1").spec, containers.wanted("one", "image:2").spec}
    containers.init = b"other"
    specs.add(containers.wanted("one", "image:1").spec)
    hosts.make_key(containers.key)
    specs.add(containers.wanted("one", "image:1").spec)
    assert len(specs) == 4


def test_failed_units_are_named(docker: Any, containers: core.Containers) -> None:
    docker.write(systemd="degraded")
    with pytest.raises(CommandError, match=r"booted with failed units: broken.service"):
        containers.create(containers.wanted("one", "image:1"))


def test_the_limit_that_many_labs_run_into_is_named(tmp_path: Path) -> None:
    limit = tmp_path / "limit"
    limit.write_text("128\n")
    told = core.hint("systemd-ask-password-wall.path loaded failed failed Forward Passwords", limit)
    assert "the 128 inotify instances" in told
    assert "fs.inotify.max_user_instances" in told
    assert core.hint("broken.service loaded failed failed Broken", limit) == ""


def test_a_host_that_does_not_boot_is_given_up(
    docker: Any, containers: core.Containers, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker.write(systemd="starting")
    monkeypatch.setattr(core, "BOOT_SECONDS", 0.3)
    with pytest.raises(CommandError, match=r"one did not boot within 0\.3 s; systemd says 'starting'"):
        containers.create(containers.wanted("one", "image:1"))


def test_without_an_engine_there_is_nothing_to_see_and_nothing_is_done(tmp_path: Path) -> None:
    containers = core.Containers(None, "1a2b3c4d", tmp_path / "key")
    assert containers.observe() == {}
    with pytest.raises(LyceumError, match="No container engine"):
        containers.create(hosts.Host("one", "image:1", "spec"))


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
